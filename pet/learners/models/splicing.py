"""Many rows of one template assembled at once: constant and ragged columns of ids put side by side with numpy.

Nothing here loops over tokens, nor does the work of a row in Python: the places of all tokens of a column are computed
together. `tests/learners/test_splicing.py` compares the result with rows put together token by token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Column", "Spliced", "splice"]


@dataclass(frozen=True)
class Column:
    """One part of a template in all rows: `values` int32, those of each row behind those of the row before.

    `lengths` int64 [n] says how many are each row's; None means that every row has all of `values`. `segment` is the
    token type; `kind` is "field", "mask", or something else; `slots` are rows of the table of trained vectors, int32
    of the size of a constant column, or None.
    """

    values: np.ndarray
    segment: int
    kind: str = "special"
    lengths: np.ndarray | None = None
    slots: np.ndarray | None = None


@dataclass(frozen=True)
class Spliced:
    """All tokens of n rows, one row behind the other; row i has those from `starts[i]` to `starts[i + 1]`.

    `ids` and `segments` int32, `is_text` bool, `slots` int32 (-1 where no trained vector stands), each [sum of
    lengths]; `masks` int64 [n, p] are positions within the row; `starts` int64 [n + 1].
    """

    ids: np.ndarray
    segments: np.ndarray
    is_text: np.ndarray
    slots: np.ndarray
    masks: np.ndarray
    starts: np.ndarray


def splice(columns: Sequence[Column], n: int) -> Spliced:
    """Put the columns of n rows side by side, in their order.

    >>> spliced = splice([Column(np.array([9]), 0), Column(np.array([1, 2, 3]), 0, "field", np.array([2, 1]))], 2)
    >>> spliced.ids.tolist(), spliced.starts.tolist()
    ([9, 1, 2, 9, 3], [0, 3, 5])
    """
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(sum(_lengths(column, n) for column in columns), out=starts[1:])
    writer = _Writer(starts)
    for column in columns:
        writer.put(column)
    masks = np.concatenate(writer.masks, axis=1) if writer.masks else np.empty((n, 0), np.int64)
    return Spliced(writer.ids, writer.segments, writer.is_text, writer.slots, masks, starts)


def _lengths(column: Column, n: int) -> np.ndarray:
    return np.full(n, len(column.values), np.int64) if column.lengths is None else column.lengths


@dataclass
class _Writer:
    """Arrays under construction; `at` int64 [n] is where each row goes on."""

    starts: np.ndarray
    masks: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make room for all tokens."""
        size, self.at = int(self.starts[-1]), self.starts[:-1].copy()
        self.ids, self.segments = np.empty(size, np.int32), np.empty(size, np.int32)
        self.is_text, self.slots = np.zeros(size, np.bool_), np.full(size, -1, np.int32)

    def put(self, column: Column) -> None:
        """Write a column behind what each row has so far."""
        lengths = _lengths(column, len(self.at))
        if column.lengths is None:
            places = (self.at[:, None] + np.arange(len(column.values))).ravel()
            self.ids[places] = np.tile(column.values, len(self.at))
        else:
            before = np.cumsum(lengths) - lengths  # how many values of the column stand before those of each row
            places = np.repeat(self.at - before, lengths) + np.arange(len(column.values))
            self.ids[places] = column.values
        self.segments[places] = column.segment
        if column.kind == "field":
            self.is_text[places] = True
        if column.kind == "mask":
            self.masks.append((self.at - self.starts[:-1])[:, None] + np.arange(len(column.values)))
        if column.slots is not None:
            self.slots[places] = np.tile(column.slots, len(self.at))
        self.at += lengths
