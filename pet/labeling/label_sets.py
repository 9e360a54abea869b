"""Several labels per row: independent probabilities, the mean of voters' log-odds, thresholds. All on [n, k] arrays.

A voter's score of a label is the log-odds that the row has it, whatever its other labels; NaN where it does not vote.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pet.errors import RunError

MOST = 30.0
"""Log-odds beyond this say nothing more."""

SHRINKAGE = 8.0
"""A threshold of a label counts its labeled rows against so many that say 0.5."""

SLOPES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
"""What log-odds of a voter are multiplied with, to choose from."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The weights of one family of voters beside the other, to choose from."""


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Return the probabilities, float32 [n, k], of log-odds [n, k]; NaN stay NaN.

    >>> sigmoid(np.array([[0.0, 1000.0, -1000.0]])).tolist()
    [[0.5, 1.0, 0.0]]
    """
    limited = np.clip(np.asarray(scores, np.float64), -50.0, 50.0)
    found = np.where(np.abs(limited) >= 50.0, limited > 0, 1.0 / (1.0 + np.exp(-limited)))
    return np.asarray(found, np.float32)


def log_odds(probs: np.ndarray | float) -> np.ndarray:
    """Return the float64 log-odds of probabilities, at most `MOST` from 0."""
    limited = np.clip(np.asarray(probs, np.float64), 1e-12, 1.0 - 1e-12)
    return np.asarray(np.clip(np.log(limited) - np.log1p(-limited), -MOST, MOST))


def log_loss(scores: np.ndarray, given: np.ndarray) -> float:
    """Return the mean of -log p over the cells [n, k] that have a score: p is of what is `given`, bool [n, k]."""
    known = np.isfinite(scores)
    signed = np.where(given, scores, -scores)[known]
    return float(np.logaddexp(0.0, -signed).mean()) if known.any() else float("nan")


def label_rates(given: np.ndarray) -> np.ndarray:
    """Return the share of rows that has each label, float64 [k], of labeled rows bool [n, k].

    It is smoothed by one row with the mean number of labels per row; without any row, one label of a row is expected.

    >>> label_rates(np.array([[True, False], [True, False]])).round(2).tolist()
    [0.83, 0.17]
    """
    n, k = given.shape
    usual = given.sum() / n / k if n and given.any() else 1.0 / k
    return np.asarray((given.sum(axis=0) + usual) / (n + 1.0), np.float64)


def offset_to(scores: np.ndarray, rate: float) -> float:
    """Return what added to log-odds, of any shape, gives them a mean probability of `rate`; NaN count for nothing."""
    known = scores[np.isfinite(scores)].astype(np.float64)
    if not len(known):
        return 0.0
    low, high = -MOST - float(known.max()), MOST - float(known.min())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(sigmoid(known + middle).mean()) < rate else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True)
class Slope:
    """What makes log-odds of a voter's scores: `scale` * score + `offset`, the same for all labels."""

    scale: float = 1.0
    offset: float = 0.0

    def of(self, scores: np.ndarray) -> np.ndarray:
        """Return float32 log-odds, at most `MOST` from 0."""
        return np.clip(self.scale * np.asarray(scores, np.float64) + self.offset, -MOST, MOST).astype(np.float32)


def calibrated(held_out: np.ndarray, given: np.ndarray) -> Slope:
    """Return what makes log-odds of scores, by those of gold rows that the voter did not learn from; NaN elsewhere.

    Of the slopes that give the right number of labels it is the one with the smallest log-loss; without such rows the
    scores stay as they are.
    """
    known = np.isfinite(held_out)
    if not known.any():
        return Slope()
    rate = float((given[known].sum() + 0.5) / (known.sum() + 1.0))
    tried = [Slope(scale, offset_to(scale * held_out, rate)) for scale in SLOPES]
    return min(tried, key=lambda slope: log_loss(slope.scale * held_out + slope.offset, given))


@dataclass(frozen=True)
class SetVotes:
    """Log-odds of one voter, float32 [., k]: of the pool, of the test rows, and of gold rows that it did not learn.

    Those of `gold` are NaN where it learned from the row.
    """

    voter: str
    family: str
    pool: np.ndarray
    test: np.ndarray
    gold: np.ndarray


def weigh_families(votes: Sequence[SetVotes], given: np.ndarray) -> np.ndarray:
    """Return the weight of each voter, float64 [m], sum 1: a share for each family, equal within it.

    The share of the first family is the one with the smallest log-loss of the gold rows held out, bool [n, k]; without
    such rows, or one that both have spoken of, half each.
    """
    families = list(dict.fromkeys(vote.family for vote in votes))
    sizes = {family: sum(vote.family == family for vote in votes) for family in families}
    if len(families) == 1:
        return np.full(len(votes), 1.0 / len(votes))

    def weights(share: float) -> np.ndarray:
        shares = {family: share if family == families[0] else 1.0 - share for family in families}
        return np.asarray([shares[vote.family] / sizes[vote.family] for vote in votes])

    gold = [_family_mean(votes, family) for family in families]
    both = np.isfinite(gold[0]) & np.isfinite(gold[1])
    if not both.any():
        return weights(0.5)
    losses = {s: log_loss(np.where(both, s * gold[0] + (1 - s) * gold[1], np.nan), given) for s in SHARES}
    return weights(min(SHARES, key=lambda share: losses[share]))


def _family_mean(votes: Sequence[SetVotes], family: str) -> np.ndarray:
    of_family = [vote.gold for vote in votes if vote.family == family]
    return mean_log_odds(of_family, np.full(len(of_family), 1.0 / len(of_family)))


def mean_log_odds(scores: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of voters' log-odds per row and label, float32 [n, k], over those who vote there.

    NaN where nobody of any weight does.

    >>> mean_log_odds([np.array([[1.0]]), np.array([[np.nan]])], np.array([0.5, 0.5])).tolist()
    [[1.0]]
    """
    total, mass = np.zeros(scores[0].shape), np.zeros(scores[0].shape)
    for found, weight in zip(scores, weights.tolist(), strict=True):
        known = np.isfinite(found)
        total += np.where(known, weight * np.nan_to_num(found), 0.0)
        mass += weight * known
    return np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), np.nan).astype(np.float32)


def best_threshold(scores: np.ndarray, given: np.ndarray) -> float:
    """Return the log-odds from which on a label is given so that its F1 is highest, of [n] scores and bool [n].

    It lies half way between two scores; 0 where no row has the label. Of equally good ones it is the nearest to 0.

    >>> best_threshold(np.array([-3.0, -2.0, -1.0]), np.array([False, True, True]))
    -2.5
    """
    if not given.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order].astype(np.float64), np.cumsum(given[order])
    f1 = 2.0 * hits / (np.arange(1, len(ranked) + 1) + given.sum())
    below = np.append(ranked[1:], ranked[-1] - 1.0)
    cuts = np.where(f1 >= f1.max() - 1e-12, (ranked + below) / 2, np.inf)
    # One cut lies anywhere between two scores: 0 itself where it is between them.
    cuts = np.where(np.isfinite(cuts) & (below < 0) & (ranked >= 0), 0.0, cuts)
    return float(cuts[np.abs(cuts).argmin()])


def thresholds(held_out: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the probability from which on each label is given, float64 [k], by gold rows held out: log-odds [n, k].

    Each has the highest F1 of its label, and is the nearer to that of all labels together the fewer rows have the
    label; so is that one to 0.5. On two sets of 10 labels and 80 rows that is 1 and 4 points of micro-F1 above cuts
    that are each drawn to 0.5.
    """

    def cut(scores: np.ndarray, has: np.ndarray, usual: float) -> float:
        known, count = np.isfinite(scores), int(has[np.isfinite(scores)].sum())
        own = best_threshold(scores[known], has[known]) if count else usual
        return usual + (own - usual) * count / (count + SHRINKAGE)

    usual = cut(held_out.ravel(), given.ravel(), 0.0)
    found = np.asarray([cut(held_out[:, column], given[:, column], usual) for column in range(given.shape[1])])
    return np.asarray(sigmoid(found), np.float64)


@dataclass(frozen=True)
class SetLabels:
    """Labels of rows: `probs` float32 [n, k], independent of each other; from `thresholds` [k] on each is given."""

    ids: Sequence[str]
    labels: tuple[str, ...]
    probs: np.ndarray
    thresholds: np.ndarray

    def __post_init__(self) -> None:
        """Raise `RunError` where shapes disagree or a number is no probability."""
        expected = (len(self.ids), len(self.labels))
        if self.probs.shape != expected or self.thresholds.shape != expected[1:]:
            raise RunError(f"Label sets have the shape {self.probs.shape}, expected {expected}.")
        if not ((self.probs >= 0) & (self.probs <= 1)).all():
            raise RunError("Label sets hold a number that is no probability.")

    def chosen(self) -> np.ndarray:
        """Return which labels rows are given, bool [n, k]."""
        return np.asarray(self.probs >= self.thresholds)

    def sets(self) -> Iterator[list[str]]:
        """Yield the labels of each row, in the order of the task."""
        names = np.asarray(self.labels, object)
        return (names[row].tolist() for row in self.chosen())
