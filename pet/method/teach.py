"""Distillation: a stock classifier learns soft labels of the pool, and the labeled rows (2001.07676, section 3.3)."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.dataset import data_digest
from pet.data.examples import Example
from pet.errors import DataError
from pet.learners.models.sources import ModelSource
from pet.learners.models.training import TrainLog
from pet.learners.models.trimming import trimmed
from pet.learners.students.base import PLAIN, HeldOut, Student
from pet.learners.students.candidates import Making, SoftRows, Trials
from pet.learners.students.choice import Choice
from pet.learners.students.linear import LogisticClassifier
from pet.learners.students.sizes import new_student, student_sources
from pet.learners.students.sketch import sketched, write_sketch
from pet.learners.students.vectors import RowVectors
from pet.method.embed import kept_vectors
from pet.method.jobs import Jobs, digest
from pet.method.labels import LabeledRows
from pet.runs.results import write_results
from pet.seeding import derive_seed, rng_for
from pet.settings.training import DistillSettings, OptimizerSettings

HELD_OUT, FEWEST, MOST = 0.1, 30, 500
"""The share of the pool that is kept from the classifier, to see how well it has learned; the fewest and most rows."""

ENOUGH_POOL = 2 * FEWEST
"""A smaller pool is needed for learning: nothing is held out."""


_CUT = "start"


@dataclass(frozen=True)
class Predicted:
    """Probabilities of a classifier, float32 [n, k] each: on the compared rows of the pool, and on the test rows."""

    pool: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Taught:
    """The final classifier, in a folder, what it says, and how it was chosen."""

    folder: Path
    says: Predicted
    choice: Choice


@dataclass(frozen=True)
class TargetRows:
    """What a baseline learns: rows and their target probabilities, float32 [n, k]; how, and from which model."""

    examples: Sequence[Example]
    probs: np.ndarray
    settings: OptimizerSettings
    source: ModelSource


def teach(rows: LabeledRows, settings: DistillSettings, jobs: Jobs, tuned: ModelSource | None = None) -> Taught:
    """Distill the labeled data set into a classifier, from an encoder, as it is or `tuned`, or the voters' model.

    Raises `DataError` if it has no rows to train on.
    """
    used = np.flatnonzero(rows.used(settings.gold_rows))
    if not len(used):
        raise DataError("The labeled data set has no rows to train on: keep some, or set distill.gold_rows = true.")
    held = held_out_rows(rows.gold, rng_for(jobs.seed, "distilling", "held out"))
    sources = student_sources(settings, jobs.model.source, tuned, jobs.encoder)
    kept = kept_vectors(rows.examples, tuned, jobs) if settings.model == "auto" else {}
    job = jobs.runner.job(
        "distill",
        rows=data_digest(rows.examples.take(used)),
        probs=digest(rows.probs[used].astype(np.float32, copy=False)),
        settings=settings.model_dump(mode="json"),
        sources=[source.digest for source in sources],
        held_out=held.tolist(),
        compared=jobs.rows.compared.tolist(),
    )

    def work(folder: Path) -> None:
        own, vectors, learned = [], {}, np.setdiff1d(used, held)
        for place, source in enumerate(sources):
            # One that the run has read its pool with has a small vocabulary already.
            start = next((one for one in kept if one.name == source.name), source)
            own.append(_cut(start, rows, folder / _CUT / str(place), jobs))
            if start in kept:
                vectors[own[-1]] = RowVectors(kept[start], learned, held)
        making = Making(tuple(own), jobs.rows.form, jobs.machine, jobs.seed, vectors)
        _distill(folder, _soft_rows(rows, learned, held), settings, making, jobs)
        shutil.rmtree(folder / _CUT, ignore_errors=True)

    says, folder = jobs.runner.run(job, Predicted, work), jobs.runner.store.path(job)
    choice = Choice.from_json(json.loads((folder / "choice.json").read_text(encoding="utf-8")))
    return Taught(folder / "model", says, choice)


def _cut(source: ModelSource, rows: LabeledRows, folder: Path, jobs: Jobs) -> ModelSource:
    """Return an encoder with no more of a large vocabulary than the labeled data set needs; the voters' model whole."""
    if source is jobs.model.source:
        return source
    return trimmed(source, (text for row in rows.examples for text in row.fields.values()), folder)


def held_out_rows(gold: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the pool rows that are kept from the classifier: sorted places, int64, among rows of which some are `gold`.

    >>> len(held_out_rows(np.zeros(1000, bool), np.random.default_rng(0)))
    100
    >>> len(held_out_rows(np.zeros(59, bool), np.random.default_rng(0)))
    0
    """
    pool = np.flatnonzero(~gold)
    if len(pool) < ENOUGH_POOL:
        return np.empty(0, np.int64)
    return np.sort(rng.choice(pool, size=min(MOST, max(FEWEST, round(HELD_OUT * len(pool)))), replace=False))


def _soft_rows(rows: LabeledRows, learned: np.ndarray, held: np.ndarray) -> SoftRows:
    apart = HeldOut(rows.examples.take(held), rows.probs[held]) if len(held) else None
    everything = len(learned) == len(rows.probs)
    return SoftRows(rows.examples.take(learned), rows.probs if everything else rows.probs[learned], apart)


def _distill(folder: Path, rows: SoftRows, settings: DistillSettings, making: Making, jobs: Jobs) -> None:
    """Leave in a folder the classifier, what it says, and how it was chosen."""
    data, compared = jobs.rows.data, jobs.rows.compared
    with jobs.runner.stages.stage("distilling", None) as advance:
        trials = Trials(rows, settings, making, advance)
        student, choice = trials.run()
        if known := isinstance(student, LogisticClassifier) and student.vectors:
            # The model as it is shipped says the same of the rows, up to rounding: they need not be read once more.
            kept = known.kept
            says = Predicted(*map(student.probabilities_of, (kept.take(len(data.labeled) + compared), kept.test)))
        else:
            says = Predicted(*(student.probabilities(rows, advance) for rows in (jobs.rows.sample, data.test)))
    about = {"size": choice.chosen.size, "model": choice.chosen.model, "kept": choice.chosen.updates}
    read = trials.scored + (0 if known else len(data.test) + len(compared))
    write_results(folder, says, TrainLog(trials.losses), about, read)
    (folder / "choice.json").write_text(json.dumps(choice.as_json()), encoding="utf-8")
    student.save(folder / "model")
    held = rows.held_out.examples if rows.held_out else ()
    if sketch := sketched(student, rows.examples, held, rng_for(jobs.seed, "sketch")):
        write_sketch(folder / "model", sketch)


def train_classifier(
    folder: Path, name: str, rows: TargetRows, asked: Mapping[str, Sequence[Example]], kind: Any, jobs: Jobs
) -> Student:
    """Train a classifier, and leave in a folder, as a dataclass of a `kind`, what it says of the rows `asked`."""
    with jobs.runner.stages.stage(name, (rows.settings.steps or 0) + sum(map(len, asked.values()))) as advance:
        seed = derive_seed(jobs.seed, name, "head")
        classifier = new_student("same", rows.source, jobs.rows.form, jobs.machine, seed)
        rng = rng_for(jobs.seed, name, "train")
        log = classifier.fit(rows.examples, rows.probs, rows.settings, rng, PLAIN, advance)
        found = {part: classifier.probabilities(examples, advance) for part, examples in asked.items()}
        write_results(folder, kind(**found), log)
    return classifier
