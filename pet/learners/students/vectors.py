"""Vectors of a labeled data set that an encoder has made before: a student on them need not read the rows."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class KeptVectors:
    """Mean-pooled vectors by an encoder, float32 [n, h]: of the `labeled` rows, and behind them of the `pool`.

    The pool's may lie in a file. Those of the `test` rows are apart.
    """

    labeled: np.ndarray
    pool: np.ndarray
    test: np.ndarray

    def __len__(self) -> int:
        return len(self.labeled) + len(self.pool)

    def take(self, places: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows, int64 places among all.

        >>> KeptVectors(np.zeros((1, 2)), np.ones((2, 2)), np.ones((0, 2))).take(np.asarray([2, 0])).tolist()
        [[1.0, 1.0], [0.0, 0.0]]
        """
        first = len(self.labeled)
        found = np.empty((len(places), self.labeled.shape[1]), np.float32)
        found[places < first] = self.labeled[places[places < first]]
        found[places >= first] = self.pool[places[places >= first] - first]
        return found


@dataclass(frozen=True)
class RowVectors:
    """The vectors of the rows that a student learns, int64 places `learned`, and of those `held` out of it."""

    kept: KeptVectors
    learned: np.ndarray
    held: np.ndarray
