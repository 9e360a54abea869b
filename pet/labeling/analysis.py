"""What is seen of voters and labels without training anything: coverage, agreement, reliability, intervals.

`votes` are int64 [m, n]: the column of the label that each of m voters gives each of n rows, -1 where it gives none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

NONE = -1
"""The vote of a voter that says nothing of a row."""

BINS = 10
"""Intervals of confidence, of equal width, that calibration is looked at in."""

SIGMAS = 1.96
"""Half-width of the 95 % interval, in standard errors."""


def coverage(votes: np.ndarray) -> np.ndarray:
    """Return the share of the rows that each voter labels, float64 [m] (Snorkel, LFAnalysis).

    >>> coverage(np.array([[0, -1], [1, 1]])).tolist()
    [0.5, 1.0]
    """
    return np.asarray((votes != NONE).mean(axis=1))


def overlaps(votes: np.ndarray) -> np.ndarray:
    """Return the share of the rows that each voter labels and another labels too, float64 [m] (Snorkel, LFAnalysis).

    >>> overlaps(np.array([[0, -1], [1, 1]])).tolist()
    [0.5, 0.5]
    """
    spoken = votes != NONE
    return np.asarray((spoken & (spoken.sum(axis=0) > 1)).mean(axis=1))


def conflicts(votes: np.ndarray) -> np.ndarray:
    """Return the share of the rows that each voter labels and another labels otherwise, float64 [m] (LFAnalysis).

    >>> conflicts(np.array([[0, -1, 1], [1, 1, 1]])).tolist()
    [0.3333333333333333, 0.3333333333333333]
    """
    spoken = votes != NONE
    others = (spoken[None] & (votes[None] != votes[:, None])).any(axis=1)
    return np.asarray((spoken & others).mean(axis=1))


def agreement_matrix(votes: np.ndarray) -> np.ndarray:
    """Return the share of equal labels of each two voters on the rows that both label, float64 [m, m].

    NaN where they have none in common.

    >>> agreement_matrix(np.array([[0, 1, -1], [0, 0, 2]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    found = np.full((len(votes), len(votes)), np.nan)
    for one, mine in enumerate(votes):
        for other, theirs in enumerate(votes):
            both = (mine != NONE) & (theirs != NONE)
            if both.any():
                found[one, other] = (mine == theirs)[both].mean()
    return found


def disagreed_rows(votes: np.ndarray) -> int:
    """Return on how many rows those who vote give different labels, whatever they weigh.

    >>> disagreed_rows(np.array([[0, 1, -1], [0, 0, 2]]))
    1
    """
    most = votes.max(axis=0)
    return int((np.where(votes == NONE, most, votes).min(axis=0) != most).sum())


def interval(right: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `right` among so many rows (Wilson 1927); all of [0, 1] without any.

    >>> [round(end, 3) for end in interval(9, 10)]
    [0.596, 0.982]
    """
    if not rows:
        return 0.0, 1.0
    share, z = right / rows, SIGMAS**2 / rows
    centre = (share + z / 2) / (1 + z)
    half = float(np.sqrt(share * (1 - share) * z + z * z / 4)) / (1 + z)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Reliability:
    """Whether labels of a confidence are right as often: per bin of equal width from 0 to 1, [bins] each.

    `counts` int64 are its rows; `confidence` and `accuracy` float64 the means of these, NaN in an empty bin. `error` is
    the expected calibration error (1706.04599, section 2): the mean distance of the two, weighted by rows.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]."""
        distance = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float((distance * self.counts).sum() / max(1, self.counts.sum()))

    def as_json(self) -> Mapping[str, object]:
        """Return plain values; None in an empty bin."""
        filled = self.counts > 0
        return {
            "counts": self.counts.tolist(),
            "confidence": [float(x) if known else None for x, known in zip(self.confidence, filled, strict=True)],
            "accuracy": [float(x) if known else None for x, known in zip(self.accuracy, filled, strict=True)],
            "expected_calibration_error": self.error,
        }


def bins_of(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the bin of each confidence in [0, 1], int64 [n]; each holds its upper end.

    >>> bins_of(np.array([0.0, 0.1, 0.11, 1.0])).tolist()
    [0, 0, 1, 9]
    """
    # Halfway to the next float32: 0.3 is no more than 0.3.
    return np.asarray(np.clip(np.ceil(confidence * bins - 1e-6).astype(np.int64) - 1, 0, bins - 1))


def reliability(probs: np.ndarray, gold: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare how sure labels are with how often they are right: `probs` [n, k], `gold` int64 [n].

    >>> reliability(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0, 0])).error.__round__(2)
    0.4
    """
    confidence, right = probs.max(axis=1).astype(np.float64), probs.argmax(axis=1) == gold
    place = bins_of(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    filled = np.where(counts, counts, np.nan)
    sums = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right.astype(np.float64)))
    return Reliability(counts, *(total / filled for total in sums))
