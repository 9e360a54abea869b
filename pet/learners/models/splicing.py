"""Many rows of one template assembled at once: constant and ragged columns of ids put side by side with numpy.

Nothing here loops over tokens, nor does the work of a row in Python: the places of all tokens are computed together.
`tests/learners/models/test_splicing.py` compares the result with rows put together token by token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Encoded:
    """A row as a model reads it.

    `input_ids` int32 [t]; `segment_ids` int32 [t]; `mask_positions` int64 [p], the cloze slots (empty for a
    classifier); `text_positions` bool [t], true for tokens that come from the row's text; `cut`, the number of text
    tokens left out; `soft_slots` int32 [t], the row of the table of trained vectors that stands at a token, -1 where
    its own does (None: everywhere); `words`, the tokens of the row's candidates, where it has some. Of a row that is
    read in several windows this is the first, and `more` the others.
    """

    input_ids: np.ndarray
    segment_ids: np.ndarray
    mask_positions: np.ndarray
    text_positions: np.ndarray
    cut: int = 0
    soft_slots: np.ndarray | None = None
    words: tuple[tuple[int, ...], ...] = ()
    more: tuple["Encoded", ...] = ()

    @property
    def windows(self) -> tuple["Encoded", ...]:
        """All windows of the row: itself, and the others."""
        return (self, *self.more)

    def __len__(self) -> int:
        return len(self.input_ids)

    def with_masks(self, count: int) -> "Encoded":
        """Return this row with its first `count` masks alone, the others left out."""
        if count == len(self.mask_positions):
            return self
        kept = np.ones(len(self), np.bool_)
        kept[self.mask_positions[count:]] = False
        return replace(
            self,
            input_ids=self.input_ids[kept],
            segment_ids=self.segment_ids[kept],
            mask_positions=self.mask_positions[:count],  # those left out stand behind them
            text_positions=self.text_positions[kept],
            soft_slots=None if self.soft_slots is None else self.soft_slots[kept],
        )

    def filled(self, slot: int, token: int) -> "Encoded":
        """Return this row with a token in the place of one of its masks."""
        ids = self.input_ids.copy()
        ids[self.mask_positions[slot]] = token
        return replace(self, input_ids=ids, mask_positions=np.delete(self.mask_positions, slot))


@dataclass(frozen=True)
class Column:
    """One part of a template in all rows: `ids` int32 [t] where it is the same in each, else a list of such.

    `segment` is the token type; `kind` is that of the part, "special", or "shown" of a demonstration; `shorten` says
    whether rows that are too long lose tokens of it; `slots` are rows of the table of trained vectors, int32 [t] of a
    constant column, or None.
    """

    ids: np.ndarray | list[np.ndarray]
    segment: int
    kind: Literal["special", "literal", "field", "mask", "soft", "tune", "shown"] = "special"
    shorten: bool = False
    slots: np.ndarray | None = None

    def lengths(self, n: int) -> np.ndarray:
        """Return how many tokens of it each of n rows has, int64 [n]."""
        if isinstance(self.ids, list):
            return np.fromiter(map(len, self.ids), np.int64, n)
        return np.full(n, len(self.ids), np.int64)


def splice(columns: Sequence[Column], cut: Sequence[int]) -> list[Encoded]:
    """Put the columns of n rows side by side, in their order; `cut`, [n], tokens of each are left out of them already.

    >>> rows = splice([Column(np.array([9]), 0), Column([np.array([1, 2]), np.array([3])], 0, "field")], cut=[0, 0])
    >>> [row.input_ids.tolist() for row in rows]
    [[9, 1, 2], [9, 3]]
    """
    n = len(cut)
    lengths = np.stack([column.lengths(n) for column in columns])  # [c, n]
    starts = np.concatenate([[0], lengths.sum(axis=0).cumsum()])
    # Column by column first, as the ids are given: a part moves from behind all before it to its place in its row.
    given = lengths.cumsum() - lengths.ravel()
    moves = (starts[:-1] + lengths.cumsum(axis=0) - lengths).ravel() - given
    order = np.empty(starts[-1], np.int64)
    order[np.arange(len(order)) + np.repeat(moves, lengths.ravel())] = np.arange(len(order))
    owner = np.repeat(np.arange(len(columns)), lengths.sum(axis=1))[order]
    given_ids = [np.concatenate(each.ids) if isinstance(each.ids, list) else np.tile(each.ids, n) for each in columns]
    given_slots = [
        np.full(lengths[i].sum(), -1, np.int32) if column.slots is None else np.tile(column.slots, n)
        for i, column in enumerate(columns)
    ]
    kinds = np.asarray([column.kind for column in columns])
    ids = np.concatenate(given_ids).astype(np.int32, copy=False)[order]
    segments = np.asarray([column.segment for column in columns], np.int32)[owner]
    masks = np.flatnonzero((kinds == "mask")[owner]).reshape(n, -1) - starts[:-1, None]
    is_text = (kinds == "field")[owner]
    slots = np.concatenate(given_slots).astype(np.int32, copy=False)[order]
    trained = any(column.slots is not None for column in columns)
    rows = [slice(start, end) for start, end in pairwise(starts.tolist())]
    return [
        Encoded(ids[row], segments[row], masks[i], is_text[row], cut[i], slots[row] if trained else None)
        for i, row in enumerate(rows)
    ]


def with_windows(windows: Sequence[Encoded], counts: np.ndarray) -> list[Encoded]:
    """Return rows of windows that follow one another, `counts` int64 [n] of each row."""
    if len(windows) == len(counts):
        return list(windows)
    bounds = np.concatenate([[0], counts.cumsum()]).tolist()
    return [replace(windows[start], more=tuple(windows[start + 1 : end])) for start, end in pairwise(bounds)]
