"""From what voters say of each label to the labels of the pool: calibrated, weighed, cut at a threshold per label."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.data.dataset import TaskData
from pet.data.label_sets import label_matrix
from pet.labeling.label_sets import (
    SetLabels,
    SetVotes,
    Slope,
    calibrated,
    label_rates,
    mean_log_odds,
    offset_to,
    sigmoid,
    thresholds,
    weigh_families,
)
from pet.method.several.figures import SetEvaluation, SetLine, evaluate_sets

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class SetEnsemble:
    """What voters say together: their calibrated votes, weights [m] and slopes, and the labels of the pool.

    `gold` and `test` float32 [., k] are log-odds: of gold rows by those voters that did not learn from them, NaN where
    there are none, and of the test rows.
    """

    votes: tuple[SetVotes, ...]
    weights: np.ndarray
    slopes: tuple[Slope, ...]
    soft: SetLabels
    gold: np.ndarray
    test: np.ndarray

    def lines(self, data: TaskData) -> list[SetLine]:
        """Return the figures of each family of voters, where there are two, and of the ensemble."""
        labels, found = data.task.labels, []
        families = dict.fromkeys(vote.family for vote in self.votes)
        for family in families if len(families) > 1 else ():
            own = [vote for vote in self.votes if vote.family == family]
            even = np.full(len(own), 1.0 / len(own))
            gold, test = (mean_log_odds([getattr(vote, part) for vote in own], even) for part in ("gold", "test"))
            found.append(_line(family, gold, test, thresholds(gold, label_matrix(data.labeled, labels)), data))
        return [*found, _line(ENSEMBLE, self.gold, self.test, self.soft.thresholds, data)]


def weigh_sets(votes: Sequence[SetVotes], data: TaskData) -> SetEnsemble:
    """Calibrate the voters' log-odds, weigh them, and find the thresholds, all by the gold rows that were held out."""
    labels, given = data.task.labels, label_matrix(data.labeled, data.task.labels)
    slopes = tuple(calibrated(vote.gold, given) if vote.family == "patterns" else Slope() for vote in votes)
    made = tuple(_calibrated(vote, slope, given) for vote, slope in zip(votes, slopes, strict=True))
    weights = weigh_families(made, given)
    pool, test, gold = (
        mean_log_odds([getattr(vote, part) for vote in made], weights) for part in ("pool", "test", "gold")
    )
    cuts = thresholds(gold, given)
    soft = SetLabels(data.unlabeled.ids, labels, sigmoid(pool), cuts)
    return SetEnsemble(made, weights, slopes, soft, gold, test)


def _calibrated(vote: SetVotes, slope: Slope, given: np.ndarray) -> SetVotes:
    """Return a vote as log-odds; where no row was learned, each label is given to as many rows as is expected."""
    pool, test, gold = slope.of(vote.pool), slope.of(vote.test), slope.of(vote.gold)
    if vote.family == "patterns" and not len(given):
        shift = [offset_to(pool[:, column], rate) for column, rate in enumerate(label_rates(given).tolist())]
        pool, test = pool + np.asarray(shift, np.float32), test + np.asarray(shift, np.float32)
    return replace(vote, pool=pool, test=test, gold=gold)


def _line(name: str, gold: np.ndarray, test: np.ndarray, cuts: np.ndarray, data: TaskData) -> SetLine:
    labels, known = data.task.labels, np.isfinite(gold).all(axis=1)
    held = _evaluated(gold[known], label_matrix(data.labeled, labels)[known], cuts, labels)
    return SetLine(name, held, _evaluated(test, label_matrix(data.test, labels), cuts, labels))


def _evaluated(scores: np.ndarray, given: np.ndarray, cuts: np.ndarray, labels: Sequence[str]) -> SetEvaluation | None:
    return evaluate_sets(sigmoid(scores) >= cuts, given, labels) if len(given) else None
