"""How large the training sets of iPET get: so many rows per label at each growth step (2001.07676, 3.4)."""

from dataclasses import dataclass

import numpy as np

TARGET_ROWS = 1000
"""``generations = "auto"`` grows the training sets until they have so many rows (2001.07676, section 3.4)."""

MOST_ROWS = 2**40
"""No pool has so many rows: what a huge factor asks for still fits an integer."""

MOST_STEPS = 64
"""The sets grow no more often, however slowly."""


@dataclass(frozen=True)
class Growth:
    """How the training sets grow: `counts` [k] are the gold rows per label, `factor` is d > 1.

    Without gold rows the first sets have `first` rows (10 in the paper, section 3.4).
    """

    counts: tuple[int, ...]
    factor: float
    first: int = 10

    @property
    def from_zero(self) -> bool:
        """Whether there are no gold rows."""
        return not any(self.counts)

    @property
    def shares(self) -> np.ndarray:
        """Return int64 [k]: the rows per label that the sets grow from.

        With no gold rows, `first` of them spread over the labels, at least one each. A label without a gold row among
        others that have some counts as one: it would never be learned otherwise.
        """
        if not self.from_zero:
            return np.maximum(np.asarray(self.counts, np.int64), 1)
        k = len(self.counts)
        total = max(self.first, k)
        return np.asarray([total // k + (i < total % k) for i in range(k)], np.int64)

    def wanted(self, step: int) -> np.ndarray:
        """Return int64 [k]: pseudo-labeled rows per label in the sets of growth step 1, 2, ...: c0 (d^step - 1).

        Without gold rows the first step makes the first sets, c0 rows, and each later one d times as many.

        >>> Growth((4, 2), 5.0).wanted(1).tolist()
        [16, 8]
        >>> Growth((0, 0), 5.0).wanted(1).tolist()
        [5, 5]
        """
        times = min(self.factor ** (step - 1) if self.from_zero else self.factor**step - 1.0, float(MOST_ROWS))
        return np.clip(np.rint(self.shares * times), 1, MOST_ROWS).astype(np.int64)

    def largest_step(self, pool: int) -> int:
        """Return the last growth step whose sets a pool of so many rows can fill; 0 where there is none."""
        step = 0
        while self.wanted(step + 1).sum() <= pool and step < MOST_STEPS:
            step += 1
        return step

    def automatic(self) -> int:
        """Return the growth steps k = ceil(log_d(1000 / rows)) of the paper, one more without gold rows.

        >>> Growth((5, 5), 5.0).automatic(), Growth((0, 0), 5.0).automatic()
        (3, 4)
        """
        rows = int(self.shares.sum())
        steps = max(0, int(np.ceil(np.log(TARGET_ROWS / rows) / np.log(self.factor) - 1e-9)))
        return steps + self.from_zero
