"""Would something simpler have won? Every way to label side by side, on the same rows.

On the test rows where there are any, on the gold rows that were held out, and by agreement with the ensemble.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.data.dataset import TaskData
from pet.labeling.calibration import batch_calibrated
from pet.labeling.ensemble import agreement, combine
from pet.method.baselines import logistic_regression, out_of_fold, self_training
from pet.method.generations import Generation, accepted
from pet.method.metrics import evaluate, gold_columns
from pet.method.plan import Plan
from pet.method.stages import Workbench
from pet.method.summary import DISTILLED, Summary, SummaryRow
from pet.runs.results import Arrays

__all__ = ["compare", "quality_lines"]


@dataclass(frozen=True)
class _Predictions:
    """What one way to label says: probabilities or scores on the compared pool rows, the test rows, the gold rows."""

    pool: np.ndarray | None = None
    test: np.ndarray | None = None
    gold: np.ndarray | None = None


@dataclass(frozen=True)
class _Judge:
    """What they are compared with: the ensemble's labels, the test labels, and the gold rows that were held out."""

    ensemble: np.ndarray
    test: np.ndarray
    gold: np.ndarray
    measured: np.ndarray
    labels: Sequence[str]

    def row(self, name: str, found: _Predictions) -> SummaryRow:
        """Measure one way to label."""
        agreement = evaluation = held_out = None
        if found.pool is not None and len(found.pool):
            agreement = float((found.pool.argmax(axis=1) == self.ensemble).mean())
        if found.test is not None and len(self.test):
            evaluation = evaluate(found.test.argmax(axis=1), self.test, self.labels)
        if found.gold is not None and self.measured.any():
            right = found.gold.argmax(axis=1) == self.gold
            held_out = float(right[self.measured].mean())
        return SummaryRow(name, agreement, evaluation, held_out)


def compare(plan: Plan, bench: Workbench, generations: Sequence[Generation], student: Arrays) -> Summary:
    """Set every way to label side by side: patterns, voters, ensembles, the classifier, and what is simpler."""
    data, final = plan.data, accepted(generations)[-1]
    judge = _Judge(
        ensemble=combine(final.votes).hard()[plan.inputs.compared],
        test=gold_columns(data.test, data.task.labels),
        gold=plan.inputs.gold,
        measured=np.asarray(plan.held_out.any(axis=0)),
        labels=data.task.labels,
    )
    rows = [judge.row("zero-shot (calibrated)", _zero_shot(plan, bench))]
    for i, vote in enumerate(final.votes):
        rows.append(judge.row(vote.voter, _Predictions(vote.scores[plan.inputs.compared], final.test[i])))
    rows += _generation_rows(judge, generations, combine(final.votes).hard())
    probs = combine(final.votes).probs[plan.inputs.compared]
    ensemble = judge.row("ensemble", _Predictions(probs, final.on_test()))
    rows.append(replace(ensemble, held_out=_held_out(final)))
    rows.append(judge.row(DISTILLED, _Predictions(student["pool"], student["test"])))
    rows += [judge.row(name, found) for name, found in _simpler(plan, bench).items()]
    return Summary(tuple(rows), len(plan.inputs.compared), int(judge.measured.sum()))


def _held_out(generation: Generation) -> float | None:
    return generation.figures.held_out.accuracy if generation.figures.held_out else None


def _generation_rows(judge: _Judge, generations: Sequence[Generation], final: np.ndarray) -> list[SummaryRow]:
    """Return a line per generation, where there are several, to see whether each helped.

    Each agrees with the `final` labels of the pool, int64 [n], on the rows that it labeled itself.
    """
    if len(generations) < 2:
        return []
    rows = []
    for generation in generations:
        row = judge.row(f"generation {generation.number}", _Predictions(test=generation.on_test()))
        name = row.name + (" (rejected)" if generation.rejected else "")
        agreement = float((combine(generation.votes).hard() == final[generation.rows]).mean())
        rows.append(replace(row, name=name, agreement=agreement, held_out=_held_out(generation)))
    return rows


def _zero_shot(plan: Plan, bench: Workbench) -> _Predictions:
    """Return the mean over untrained PVPs of scores without each pattern's own preference."""
    found = [bench.zero_shot(pvp) for pvp in plan.pvps]

    def mean(part: str) -> np.ndarray:
        together: np.ndarray = np.mean([batch_calibrated(scores[part], scores["pool"]) for scores in found], axis=0)
        return together

    return _Predictions(mean("pool"), mean("test"), mean("labeled"))


def _simpler(plan: Plan, bench: Workbench) -> Mapping[str, _Predictions]:
    """Return the baselines that need labels: a fine-tuned classifier, and two on frozen embeddings."""
    if not plan.has_baseline:
        return {}
    full = bench.supervised()
    embeddings = bench.embeddings()
    gold, k, compared = plan.inputs.gold, len(plan.data.task.labels), len(plan.inputs.compared)
    labeled, pool, test = embeddings["labeled"], embeddings["pool"], embeddings["test"]
    folds, used = _folds(plan.held_out)
    found = {"supervised baseline": _Predictions(full["pool"], full["test"], _supervised_held_out(plan, bench, folds))}
    ways: dict[str, Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
        "embeddings + logistic regression": lambda x, y: logistic_regression(x, y, k),
        "embeddings + self-training": lambda x, y: self_training(x, y, k, pool),
    }
    for name, fit in ways.items():
        predict = fit(labeled, gold)
        held_out = out_of_fold(fit, labeled, gold, folds, used) if used else None
        found[name] = _Predictions(predict(pool[:compared]), predict(test), held_out)
    return found


def _folds(held_out: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the fold of each gold row, int64 [n], and the folds that were held out: the voters' own."""
    distinct = np.unique(held_out, axis=0)
    distinct = distinct[distinct.any(axis=1)]
    folds = np.full(held_out.shape[1], -1, np.int64)
    for number, rows in enumerate(distinct):
        folds[rows] = number
    return folds, list(range(len(distinct)))


def _supervised_held_out(plan: Plan, bench: Workbench, folds: np.ndarray) -> np.ndarray | None:
    """Return the baseline's probabilities [n, k] of each held-out row, trained without its fold."""
    numbers = np.unique(folds[folds >= 0])
    if not len(numbers):
        return None
    found = np.zeros((len(folds), len(plan.data.task.labels)), np.float32)
    for number in numbers:
        rows = folds == number
        found[rows] = bench.supervised(np.flatnonzero(~rows))["gold"][rows]
    return found


def quality_lines(last: Generation, data: TaskData) -> list[str]:
    """Return what there is to say of the labels that a generation gave: how many of each, and how far to trust them."""
    labels, hard = data.task.labels, combine(last.votes).hard()
    counts = np.bincount(hard, minlength=len(labels)).tolist()
    split = int((agreement(last.votes, hard) < 1.0).sum())
    given = ", ".join(f"{label} {count}" for label, count in zip(labels, counts, strict=True))
    lines = [f"labels given: {given}; the voters differ on {split} of {len(hard)} rows"]
    if not data.test:
        return [*lines, "nothing has measured these labels: give a test file, or look at some of them"]
    found = evaluate(last.on_test().argmax(axis=1), gold_columns(data.test, labels), labels)
    return [*lines, f"the ensemble on the test rows: accuracy {found.accuracy:.1%}, macro-F1 {found.macro_f1:.1%}"]
