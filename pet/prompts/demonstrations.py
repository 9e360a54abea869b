"""Demonstrations: labeled rows that stand behind a row, filled with the words of their labels (2012.15723, section 6).

For each label so many rows are shown: those nearest to the row by their vectors, or drawn. A row is never shown itself,
nor a copy of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pet.data.examples import Example
from pet.data.keys import key_of
from pet.settings.task import DemonstrationSettings

Near = Callable[[Sequence[Example]], np.ndarray]
"""Returns how near each of n rows is to each of the labeled ones, float [n, d]."""


@dataclass(frozen=True)
class Demonstrations:
    """Labeled `rows` to show, with `columns` int64 [d]: the nearest by `near`, or drawn by `seed` where it is None."""

    rows: tuple[Example, ...]
    columns: np.ndarray
    settings: DemonstrationSettings
    near: Near | None = None
    seed: int = 0

    def chosen(self, examples: Sequence[Example], draw: int = 0) -> np.ndarray:
        """Return which rows stand behind each of n rows, int64 [n, k * m], in the order of the labels; -1 for none.

        Of several draws each has the next ones of a label, from the front again where there are no more. The same row
        gets the same, whatever rows are asked for with it.
        """
        if self.settings.in_context:
            return self._alike(examples, draw)
        scores = self.near(examples) if self.near else self._drawn(examples)
        return self._best(examples, scores, draw)

    def _alike(self, examples: Sequence[Example], draw: int) -> np.ndarray:
        """Return the same rows behind all, in the same order, but for those that a row would be itself."""
        rng = np.random.default_rng([self.seed, draw])
        found = self._best(examples, np.tile(rng.random(len(self.rows)), (len(examples), 1)), 0)
        return found[:, rng.permutation(found.shape[1])]

    def _best(self, examples: Sequence[Example], scores: np.ndarray, draw: int) -> np.ndarray:
        """Return the rows of the highest scores, float [n, d], of each label: those of a draw."""
        keys = np.asarray([_key(row) for row in self.rows])
        own = np.asarray([_key(row) for row in examples])[:, None] == keys
        scores = np.where(own, -np.inf, scores)
        found = [self._of_label(scores, np.flatnonzero(self.columns == k), draw) for k in np.unique(self.columns)]
        return np.concatenate(found, axis=1)

    def _of_label(self, scores: np.ndarray, places: np.ndarray, draw: int) -> np.ndarray:
        """Return m rows of a label for each of n, int64 [n, m], from its `places` int64, best first."""
        count, own = self.settings.count, scores[:, places]
        order, able = np.argsort(-own, axis=1, kind="stable"), np.isfinite(own).sum(axis=1)
        rank = np.arange(draw * count, (draw + 1) * count)[None] % np.maximum(able, 1)[:, None]
        found = places[np.take_along_axis(order, rank, axis=1)]
        return np.where(np.arange(count)[None] < able[:, None], found, -1)

    def _drawn(self, examples: Sequence[Example]) -> np.ndarray:
        """Return random numbers of each row alone, float64 [n, d]."""
        return np.stack(
            [
                np.random.default_rng([self.seed, int.from_bytes(_key(row), "little")]).random(len(self.rows))
                for row in examples
            ]
        )


def _key(row: Example) -> bytes:
    return key_of("\0".join(row.fields.values()))
