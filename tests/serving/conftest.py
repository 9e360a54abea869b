from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from toy import LABELS, rows_of

from pet.data.examples import Example
from pet.data.kept import write_kept_rows
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import ClassifierForm
from pet.learners.students.classifier import TextClassifier

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from pet.serving.app import Served

pytest.importorskip("fastapi", reason="needs the extra [serve]")


def saved(folder: Path, model: Path, *fields: str) -> Path:
    """Write a classifier that is not nearly even, and labeled rows beside it."""
    form = ClassifierForm(LABELS, {field: field for field in fields}, 32)
    machine = Machine(torch.device("cpu"), "fp32")
    classifier = TextClassifier.from_source(ModelSource("tiny", model), form, machine, seed=0)
    with torch.no_grad():
        list(classifier.backbone.model.parameters())[-2].mul_(40.0)
    classifier.save(folder)
    rows = [(row["id"], str(row["text"]), row["label"]) for row in rows_of("train", 4)]
    write_kept_rows(folder, [Example(name, dict.fromkeys(fields, text), label) for name, text, label in rows])
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    return saved(tmp_path_factory.mktemp("served") / "model", tiny_model, "text")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    return saved(tmp_path_factory.mktemp("pairs") / "model", tiny_model, "premise", "hypothesis")


@pytest.fixture
def client() -> Iterator[Callable[["Served"], "TestClient"]]:
    """What asks an application in this process, and has it end."""
    from contextlib import ExitStack

    from starlette.testclient import TestClient

    from pet.serving.app import make_app

    with ExitStack() as open_ones:
        yield lambda served: open_ones.enter_context(TestClient(make_app(served)))


@pytest.fixture
def one(folder: Path, client: Callable[["Served"], "TestClient"]) -> "TestClient":
    """A server whose classifier reads one text."""
    from pet.serving.server import made_ready

    return client(made_ready(folder))
