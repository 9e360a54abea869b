"""A classifier that keeps a sketch of its pool."""

from pathlib import Path

import pytest
import torch
from toy import LABELS, rows_of

from pet.data.examples import Example
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model
from pet.learners.students.base import ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.sketch import sketched, write_sketch
from pet.seeding import rng_for


@pytest.fixture(scope="session")
def sketched_model(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The folder of a classifier with the sketch of 300 rows; it has learned nothing."""
    folder = tmp_path_factory.mktemp("sketched") / "model"
    form = ClassifierForm(LABELS, {"text": "text"}, 32)
    classifier = TextClassifier.from_source(find_model(str(tiny_model)), form, Machine(torch.device("cpu"), "fp32"), 0)
    rows = [Example(row["id"], {"text": row["text"]}) for row in rows_of("unlabeled", 100)]
    classifier.save(folder)
    sketch = sketched(classifier, rows[:180], rows[180:], rng_for(0, "sketch"))
    assert sketch is not None and sketch.apart and len(sketch.facts) == 120
    write_sketch(folder, sketch)
    return folder
