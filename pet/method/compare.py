"""Would something simpler have won? Every way to label side by side, on the same rows.

On the test rows where there are any, on the gold rows that were held out, and by agreement with the ensemble.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.labeling.analysis import disagreed_rows
from pet.labeling.calibration import batch_calibrated
from pet.labeling.ensemble import agreement
from pet.learners.models.embeddings import mean_pooled
from pet.method.baselines import Fit, logistic_regression, out_of_fold, self_training
from pet.method.embed import embedded
from pet.method.generation import Ensemble, Generation, accepted
from pet.method.jobs import Jobs
from pet.method.metrics import evaluate, gold_columns
from pet.method.summary import DISTILLED, Summary, SummaryRow
from pet.method.teach import Predicted, TargetRows, train_classifier
from pet.method.vote import zero_shot
from pet.prompts.pvp import PVP
from pet.runs.results import write_results
from pet.seeding import rng_for
from pet.settings.training import OptimizerSettings

R = TypeVar("R")

EMBEDDED_ROWS = 2000
"""The classifiers on embeddings learn from so many rows of the pool."""

LABELS_SHOWN = 10
"""Of more labels those that are given most often are told of."""


@dataclass(frozen=True)
class Baselines:
    """What the method is compared with.

    `pvps` untrained, a classifier without patterns where `settings` say how it is trained, and classifiers `on_vectors`
    of an encoder; `held_out` bool [m, n] says which gold rows are measured on. What is trained for long is trained
    again without each fold of them only where it is `refitted`.
    """

    pvps: tuple[PVP, ...]
    held_out: np.ndarray
    settings: OptimizerSettings | None
    on_vectors: bool = False
    refitted: bool = False

    @property
    def measured(self) -> np.ndarray:
        """The gold rows that some voter was kept from, bool [n]."""
        return np.asarray(self.held_out.any(axis=0))

    @property
    def folds(self) -> np.ndarray:
        """The fold of each gold row, int64 [n], as the voters have them; -1 for a row that was held out of none."""
        distinct = np.unique(self.held_out, axis=0)
        folds = np.full(self.held_out.shape[1], -1, np.int64)
        for number, rows in enumerate(distinct[distinct.any(axis=1)]):
            folds[rows] = number
        return folds


@dataclass(frozen=True)
class Embeddings:
    """Vectors of an encoder that is not trained, float32 [n, h] each.

    The pool's are those of the compared rows and of others, up to `EMBEDDED_ROWS`.
    """

    labeled: np.ndarray
    pool: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class OnGold:
    """Probabilities of a classifier on the labeled rows, float32 [n, k]."""

    gold: np.ndarray


@dataclass(frozen=True)
class _Predictions:
    """What one way to label says: probabilities or scores on the compared pool rows, the test rows, the gold rows."""

    pool: np.ndarray | None = None
    test: np.ndarray | None = None
    gold: np.ndarray | None = None


@dataclass(frozen=True)
class _Reference:
    """What they are compared with: the ensemble's labels, the test labels, and the gold rows that were held out."""

    ensemble: np.ndarray
    test: np.ndarray
    gold: np.ndarray
    measured: np.ndarray
    labels: Sequence[str]

    def row(self, name: str, found: _Predictions) -> SummaryRow:
        """Measure one way to label."""
        agreed = evaluation = held_out = None
        if found.pool is not None and len(found.pool):
            said = ~np.isnan(found.pool[:, 0])  # somebody else may have no vote on a row
            agreed = float((found.pool.argmax(axis=1) == self.ensemble)[said].mean()) if said.any() else None
        if found.test is not None and len(self.test):
            said = ~np.isnan(found.test[:, 0])
            hard = found.test[said].argmax(axis=1)
            evaluation = evaluate(hard, self.test[said], self.labels) if said.any() else None
        if found.gold is not None and self.measured.any():
            right = found.gold.argmax(axis=1) == self.gold
            held_out = float(right[self.measured].mean())
        return SummaryRow(name, agreed, evaluation, held_out, found.test if evaluation else None)


def compare(baselines: Baselines, generations: Sequence[Generation], student: Predicted, jobs: Jobs) -> Summary:
    """Set every way to label side by side: patterns, voters, ensembles, the classifier, and what is simpler."""
    data, compared, final = jobs.rows.data, jobs.rows.compared, accepted(generations)[-1]
    reference = _Reference(
        ensemble=final.soft.hard()[compared],
        test=gold_columns(data.test, data.task.labels),
        gold=jobs.rows.gold,
        measured=baselines.measured,
        labels=data.task.labels,
    )
    rows = [reference.row("zero-shot (calibrated)", _zero_shot(baselines.pvps, jobs))] if baselines.pvps else []
    for vote, on_test in zip(final.votes, final.ensemble.test, strict=True):
        rows.append(reference.row(vote.voter, _Predictions(vote.scores[compared], on_test)))
    rows += _generation_rows(reference, generations, final.soft.hard())
    ensemble = reference.row("ensemble", _Predictions(final.soft.probs[compared], final.ensemble.on_test()))
    rows.append(replace(ensemble, held_out=_held_out(final)))
    rows.append(reference.row(DISTILLED, _Predictions(student.pool, student.test)))
    if baselines.settings:
        rows.append(reference.row("supervised baseline", _baseline(baselines, baselines.settings, jobs)))
    if baselines.on_vectors:
        rows += [reference.row(name, found) for name, found in _on_embeddings(baselines, jobs).items()]
    return Summary(tuple(rows), len(compared), int(reference.measured.sum()))


def _held_out(generation: Generation) -> float | None:
    return generation.figures.held_out.accuracy if generation.figures.held_out else None


def _generation_rows(reference: _Reference, generations: Sequence[Generation], final: np.ndarray) -> list[SummaryRow]:
    """Return a line per generation, where there are several, to see whether each helped.

    Each agrees with the `final` labels of the pool, int64 [n], on the rows that it labeled itself.
    """
    if len(generations) < 2:
        return []
    rows = []
    for generation in generations:
        row = reference.row(f"generation {generation.number}", _Predictions(test=generation.ensemble.on_test()))
        name = row.name + (" (rejected)" if generation.rejected else "")
        agreed = float((generation.soft.hard() == final[generation.rows]).mean())
        rows.append(replace(row, name=name, agreement=agreed, held_out=_held_out(generation)))
    return rows


def _zero_shot(pvps: Sequence[PVP], jobs: Jobs) -> _Predictions:
    """Return the mean over untrained PVPs of scores without each pattern's own preference."""
    found = [zero_shot(pvp, jobs) for pvp in pvps]
    pool, test, labeled = (
        np.mean([batch_calibrated(getattr(one, part), one.pool) for one in found], axis=0)
        for part in ("pool", "test", "labeled")
    )
    return _Predictions(pool, test, labeled)


def _baseline(baselines: Baselines, settings: OptimizerSettings, jobs: Jobs) -> _Predictions:
    """Return what a classifier without patterns says: the same model, rows and steps, and a classification head.

    On each gold row that was held out, one speaks that was trained without the row's fold.
    """
    everything = {"pool": jobs.rows.sample, "test": jobs.rows.data.test}
    full = supervised(settings, None, everything, Predicted, jobs)
    numbers = np.unique(baselines.folds[baselines.folds >= 0])
    if not (baselines.refitted and len(numbers)):
        return _Predictions(full.pool, full.test)
    gold = np.zeros((len(jobs.rows.gold), full.pool.shape[1]), np.float32)
    for number in numbers:
        rows = baselines.folds == number
        kept, asked = np.flatnonzero(~rows), {"gold": jobs.rows.data.labeled}
        gold[rows] = supervised(settings, kept, asked, OnGold, jobs).gold[rows]
    return _Predictions(full.pool, full.test, gold)


def supervised(
    settings: OptimizerSettings,
    kept: np.ndarray | None,
    asked: Mapping[str, Sequence[Example]],
    kind: type[R],
    jobs: Jobs,
) -> R:
    """Return what the classifier says that learned from the `kept` gold rows (int64; None: from all)."""
    data = jobs.rows.data
    rows = np.arange(len(data.labeled)) if kept is None else kept
    targets = np.eye(len(data.task.labels), dtype=np.float32)[jobs.rows.gold[rows]]
    learned = TargetRows([data.labeled[i] for i in rows], targets, settings, jobs.model.source)

    def work(folder: Path) -> None:
        train_classifier(folder, "supervised baseline", learned, asked, kind, jobs)

    job = jobs.runner.job(
        "supervised",
        train=settings.model_dump(mode="json"),
        compared=jobs.rows.compared.tolist(),
        kept=None if kept is None else kept.tolist(),
    )
    return jobs.runner.run(job, kind, work)


def _on_embeddings(baselines: Baselines, jobs: Jobs) -> Mapping[str, _Predictions]:
    """Return what two classifiers on frozen embeddings say, of held-out gold rows without their fold."""
    found, gold, compared = embeddings(jobs), jobs.rows.gold, len(jobs.rows.compared)
    k, folds = len(jobs.rows.data.task.labels), baselines.folds
    used = np.unique(folds[folds >= 0]).tolist()
    ways: Mapping[str, Fit] = {
        "embeddings + logistic regression": lambda x, y: logistic_regression(x, y, k),
        "embeddings + self-training": lambda x, y: self_training(x, y, k, found.pool),
    }
    said = {}
    for name, fit in ways.items():
        predict = fit(found.labeled, gold)
        held_out = out_of_fold(fit, found.labeled, gold, folds, used) if used else None
        said[name] = _Predictions(predict(found.pool[:compared]), predict(found.test), held_out)
    return said


def embeddings(jobs: Jobs) -> Embeddings:
    """Return vectors of the rows by the encoder of the run, else by the voters' model, without any pattern."""
    data, compared = jobs.rows.data, jobs.rows.compared
    others = np.setdiff1d(np.arange(len(data.unlabeled)), compared)
    more = min(len(others), max(0, EMBEDDED_ROWS - len(compared)))
    chosen = rng_for(jobs.seed, "embeddings").choice(others, size=more, replace=False)
    rows = np.concatenate([compared, chosen])
    if jobs.encoder:
        found = embedded(jobs.encoder, jobs)
        return Embeddings(found.labeled, found.pool[rows], found.test)
    return _own_embeddings(rows, jobs)


def _own_embeddings(rows: np.ndarray, jobs: Jobs) -> Embeddings:
    data, form = jobs.rows.data, jobs.rows.form
    parts = {"labeled": data.labeled, "pool": data.unlabeled.take(rows), "test": data.test}

    def work(folder: Path) -> None:
        with jobs.runner.stages.stage("embeddings", sum(map(len, parts.values()))) as advance:
            backbone = jobs.model.backbone
            backbone.reset()
            arrays = {
                part: mean_pooled(backbone, rows, form.columns, form.max_length, jobs.machine, advance)
                for part, rows in parts.items()
            }
            write_results(folder, Embeddings(**arrays))

    return jobs.runner.run(jobs.runner.job("embeddings", compared=jobs.rows.compared.tolist()), Embeddings, work)


def given_line(ensemble: Ensemble) -> str:
    """Say how many rows an ensemble gave each label, and on how many its voters differ."""
    labels, hard = ensemble.soft.labels, ensemble.soft.hard()
    split, differ = disagreed_rows(np.stack([vote.hard() for vote in ensemble.votes])), "the voters differ"
    pairs = list(zip(labels, np.bincount(hard, minlength=len(labels)).tolist(), strict=True))
    shown = pairs if len(pairs) <= LABELS_SHOWN else sorted(pairs, key=lambda pair: -pair[1])[:LABELS_SHOWN]
    given = ", ".join(f"{label} {count}" for label, count in shown)
    more = f" and {len(pairs) - len(shown)} more labels" if len(shown) < len(pairs) else ""
    if len(ensemble.votes) == 1 and (moved := int((agreement(ensemble.votes, hard) < 1.0).sum())):
        split, differ = moved, "after the refinement the label is another than that of the one voter"
    return f"labels given: {given}{more}; {differ} on {split} of {len(hard)} rows"


def quality_line(ensemble: Ensemble, data: TaskData) -> str:
    """Say how far to trust the labels that an ensemble gave, by the test rows, if there are any."""
    if not data.test:
        return "nothing has measured these labels: give a test file, or look at some of them"
    labels = data.task.labels
    found = evaluate(ensemble.on_test().argmax(axis=1), gold_columns(data.test, labels), labels)
    return f"the ensemble on the test rows: accuracy {found.accuracy:.1%}, macro-F1 {found.macro_f1:.1%}"
