"""Distillation: a stock classifier learns soft labels of the pool, and the labeled rows (2001.07676, section 3.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.dataset import data_digest
from pet.data.examples import Example
from pet.errors import DataError
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import Student
from pet.learners.students.sizes import new_student, student_source
from pet.method.jobs import Jobs, digest
from pet.method.labels import LabeledRows
from pet.runs.results import write_results
from pet.seeding import derive_seed, rng_for
from pet.settings.training import DistillSettings, OptimizerSettings, StudentSize


@dataclass(frozen=True)
class Predicted:
    """Probabilities of a classifier, float32 [n, k] each: on the compared rows of the pool, and on the test rows."""

    pool: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Taught:
    """The final classifier, in a folder, and what it says."""

    folder: Path
    says: Predicted


@dataclass(frozen=True)
class TargetRows:
    """What a classifier learns: rows and their target probabilities, float32 [n, k]; how, and from which model."""

    examples: Sequence[Example]
    probs: np.ndarray
    settings: OptimizerSettings
    source: ModelSource
    temperature: float = 1.0
    size: StudentSize = "same"


def teach(rows: LabeledRows, settings: DistillSettings, jobs: Jobs) -> Taught:
    """Distill the labeled data set into a classifier.

    Raises `DataError` if it has no rows to train on.
    """
    used = rows.used(settings.gold_rows)
    examples = rows.examples.take(used)
    if not examples:
        raise DataError("The labeled data set has no rows to train on: keep some, or set distill.gold_rows = true.")
    probs = rows.probs if used.all() else rows.probs[used]
    source = student_source(settings, jobs.model.source)
    target = TargetRows(examples, probs, settings, source, settings.temperature, settings.size)
    job = jobs.runner.job(
        "distill",
        rows=data_digest(examples),
        probs=digest(probs.astype(np.float32, copy=False)),
        settings=settings.model_dump(mode="json"),
        source=source.digest,
        compared=jobs.rows.compared.tolist(),
    )
    asked = {"pool": jobs.rows.sample, "test": jobs.rows.data.test}

    def work(folder: Path) -> None:
        train_classifier(folder, "distilling", target, asked, Predicted, jobs).save(folder / "model")

    return Taught(jobs.runner.store.path(job) / "model", jobs.runner.run(job, Predicted, work))


def train_classifier(
    folder: Path, name: str, rows: TargetRows, asked: Mapping[str, Sequence[Example]], kind: Any, jobs: Jobs
) -> Student:
    """Train a classifier, and leave in a folder, as a dataclass of a `kind`, what it says of the rows `asked`."""
    with jobs.runner.stages.stage(name, (rows.settings.steps or 0) + sum(map(len, asked.values()))) as advance:
        seed = derive_seed(jobs.seed, name, "head")
        classifier = new_student(rows.size, rows.source, jobs.rows.form, jobs.machine, seed)
        rng = rng_for(jobs.seed, name, "train")
        log = classifier.fit(rows.examples, rows.probs, rows.settings, rng, rows.temperature, advance)
        found = {part: classifier.probabilities(examples, advance) for part, examples in asked.items()}
        write_results(folder, kind(**found), log)
    return classifier
