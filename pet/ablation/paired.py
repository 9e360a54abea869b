"""Paired comparison: the same samples under two settings."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
"""How often an interval holds the mean difference."""


@dataclass(frozen=True)
class Difference:
    """How far one setting is above another over n samples, each a pair.

    `mean` of the differences, with the t-interval from `low` to `high` (None with a single sample); how many samples
    are `better` and `worse`; `p` of the exact sign test, two-sided, which leaves out those that are equal.
    """

    mean: float
    low: float | None
    high: float | None
    better: int
    worse: int
    p: float

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)


def paired(values: Sequence[float], others: Sequence[float]) -> Difference:
    """Compare values with others of the same samples, n each.

    Raises `ValueError` if their numbers differ, or there are none.

    >>> found = paired([3.0, 5.0, 4.0], [1.0, 1.0, 1.0])
    >>> found.mean, round(found.low, 2), round(found.high, 2), found.better, found.p
    (3.0, 0.52, 5.48, 3, 0.25)
    """
    if len(values) != len(others) or not values:
        raise ValueError(f"expected as many values as others, and some; found {len(values)} and {len(others)}")
    # Rounded: what is equal stays so, however it was added up.
    found = np.round(np.subtract(values, others, dtype=np.float64), 12)
    n, mean = len(found), float(found.mean())
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * found.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    better, worse = int((found > 0).sum()), int((found < 0).sum())
    p = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return Difference(mean, low, high, better, worse, p)


def least_p(samples: int) -> float:
    """Return the smallest p that the sign test can give over so many samples.

    >>> least_p(5), least_p(6)
    (0.0625, 0.03125)
    """
    return float(min(1.0, 2.0 * 0.5**samples))
