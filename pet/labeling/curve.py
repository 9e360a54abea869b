"""Learning curves: what more labeled rows, and more unlabeled ones, are expected to bring.

Accuracy rises about as an inverse power law of the rows that are learned from (Figueroa et al. 2012, section 2): fitted
to the accuracies on sub-samples of the rows there are, it tells a little more than these do, and never for sure.
"""

from dataclasses import dataclass, field

import numpy as np

EXPONENTS = np.arange(1, 21) / 10.0
"""The exponents c of a - b * n ** -c to choose from: from a curve that hardly bends to one that is flat soon."""

SAMPLES = 400
"""Intervals are of so many samples of the held-out rows, drawn with replacement."""

_TAIL = 2.5


@dataclass(frozen=True)
class Interval:
    """A figure, and where 95 % of the samples of the held-out rows have it."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, samples: np.ndarray) -> "Interval":
        """Return a figure with the interval of samples [b]."""
        low, high = np.percentile(samples, [_TAIL, 100.0 - _TAIL]).tolist()
        return cls(float(value), min(low, float(value)), max(high, float(value)))


@dataclass(frozen=True)
class Point:
    """The accuracy on rows held out, of what was learned from so many `rows` (in the mean)."""

    rows: float
    accuracy: Interval


@dataclass(frozen=True)
class LearningCurve:
    """Accuracies by the number of rows, and what so many `more` rows than `now` are expected to bring, in accuracy.

    The gain is that of an inverse power law that was fitted to the points: an extrapolation.
    """

    points: tuple[Point, ...]
    now: float
    more: float
    gain: Interval = field(default=Interval(0.0, 0.0, 0.0))

    @classmethod
    def measured(
        cls, right: np.ndarray, rows: np.ndarray, now: float, more: float, rng: np.random.Generator
    ) -> "LearningCurve":
        """Return the curve of the shares [s, n] in which each of n rows held out was labeled rightly.

        They are of s sizes, at least three: `rows` float64 [s] were learned from, in the mean.
        """
        drawn = rng.integers(right.shape[1], size=(SAMPLES, right.shape[1]))
        samples = right[:, drawn].mean(axis=2).T  # [b, s]
        accuracies = right.mean(axis=1)
        points = [
            Point(float(count), Interval.of(accuracy, samples[:, place]))
            for place, (count, accuracy) in enumerate(zip(rows, accuracies, strict=True))
        ]
        gains = power_law_gains(np.vstack([accuracies, samples]), rows, now, now + more)
        return cls(tuple(points), now, more, Interval.of(gains[0], gains[1:]))


def power_law_gains(accuracies: np.ndarray, rows: np.ndarray, now: float, then: float) -> np.ndarray:
    """Return what each of several curves gains from `now` to `then` rows, float64 [b].

    To each row of accuracies [b, s], by `rows` float64 [s], a - b * rows ** -c is fitted by least squares, with a in
    [0, 1] and c one of `EXPONENTS`; b may be negative, where more rows do harm.

    >>> power_law_gains(np.array([[0.5, 0.75, 0.875]]), np.array([1.0, 2.0, 4.0]), 4.0, 8.0).round(4).tolist()
    [0.0625]
    """
    best = np.full(len(accuracies), np.inf)
    gains = np.zeros(len(accuracies))
    mean = accuracies.mean(axis=1, keepdims=True)
    for exponent in EXPONENTS:
        x = rows**-exponent
        slope = (accuracies - mean) @ (x - x.mean()) / max(1e-12, float(((x - x.mean()) ** 2).sum()))
        limit = mean[:, 0] - slope * x.mean()
        inside = np.clip(limit, 0.0, 1.0)
        # At a bound of the limit the best slope is another one.
        slope = np.where(limit == inside, slope, (accuracies - inside[:, None]) @ x / float((x**2).sum()))
        error = ((accuracies - inside[:, None] - slope[:, None] * x) ** 2).sum(axis=1)
        better = error < best - 1e-12
        best = np.where(better, error, best)
        gains = np.where(better, slope * (then**-exponent - now**-exponent), gains)
    return gains


def spread_folds(columns: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each labeled row (int64 [n]), each label spread over the folds as evenly as it goes.

    >>> np.bincount(spread_folds(np.array([0, 0, 0, 1, 1, 1]), 3, np.random.default_rng(0))).tolist()
    [2, 2, 2]
    """
    order = rng.permutation(len(columns))
    order = order[np.argsort(columns[order], kind="stable")]
    folds = np.empty(len(columns), np.int64)
    folds[order] = np.arange(len(columns)) % count
    return folds


def sub_sample(columns: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return sorted places int64 of a share of labeled rows (columns int64 [n]): of each label, and one at least.

    >>> sub_sample(np.array([0, 0, 0, 0, 1]), 0.5, np.random.default_rng(0)).size
    3
    """
    chosen = []
    for column in np.unique(columns):
        places = np.flatnonzero(columns == column)
        chosen.append(rng.choice(places, max(1, round(share * len(places))), replace=False))
    return np.sort(np.concatenate(chosen))
