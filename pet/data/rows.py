"""`Rows`: as many examples as there are, kept in a file that has no name, and decoded as they are asked for.

    writer = RowWriter()
    writer.add(example)            # again and again: only a chunk is held
    rows = writer.close()          # a Sequence[Example]
    rows.take(places)              # some of them, of the same file

The file is a row of Arrow streams, one per chunk, each with a schema of its own, since what stands in the user's other
columns may change from row to row. It is read, not mapped: pages of a mapped file count as memory of the process. Few
rows stay in memory; more go to the disk, into a file without a name, so that no kill leaves anything behind.
"""

import os
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import Any, overload

import numpy as np

from pet.data.examples import Example
from pet.data.packing import pack, unpack
from pet.errors import StorageError

__all__ = ["RowWriter", "Rows", "temporary_folder", "told_if_full", "unnamed_file"]

CHUNK_ROWS = 256
"""Rows that are packed together: few, since drawing one at random reads them all."""

CHUNK_CHARACTERS = 2**22
"""A chunk ends early, once its texts are so long."""

IN_MEMORY = 16 * 2**20
"""So many bytes stay in memory; what is more goes to the disk."""


class RowWriter:
    """Takes examples one by one and holds only the last few."""

    def __init__(self) -> None:
        self._store = _Store()
        self._waiting: list[Example] = []
        self._characters = 0

    def add(self, example: Example) -> None:
        """Take a row.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        self._waiting.append(example)
        self._characters += sum(map(len, example.fields.values()))
        if len(self._waiting) == CHUNK_ROWS or self._characters >= CHUNK_CHARACTERS:
            self._flush()

    def close(self) -> "Rows":
        """Return all rows taken.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        if self._waiting:
            self._flush()
        return Rows(self._store, np.arange(len(self._store)))

    def _flush(self) -> None:
        self._store.append(pack(self._waiting), len(self._waiting))
        self._waiting, self._characters = [], 0


class Rows(Sequence[Example]):
    """Examples in order, decoded a chunk at a time; equal to any sequence of equal examples.

    A slice is a tuple of decoded examples; `take` decodes nothing. `places` int64 [n] say which rows of the store
    these are.
    """

    def __init__(self, store: "_Store", places: np.ndarray) -> None:
        self._store = store
        self._places = places

    @classmethod
    def of(cls, examples: Iterable[Example]) -> "Rows":
        """Keep examples; `Rows` are returned as they are."""
        if isinstance(examples, Rows):
            return examples
        writer = RowWriter()
        for example in examples:
            writer.add(example)
        return writer.close()

    @property
    def ids(self) -> Sequence[str]:
        """The ids in order, decoded as they are asked for."""
        return _Ids(self)

    def take(self, places: np.ndarray | slice) -> "Rows":
        """Return some of the rows, in the order given: int64 places [s], a bool mask [n], or a slice."""
        return Rows(self._store, self._places[places])

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, index: int | slice) -> Example | tuple[Example, ...]:
        if isinstance(index, slice):
            return tuple(self.take(index))
        return next(self._store.examples(self._places[[index]]))

    def __iter__(self) -> Iterator[Example]:
        return self._store.examples(self._places)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return self.is_same(other) or _all_equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def is_same(self, other: object) -> bool:
        """Say whether these are the same rows of the same file, without looking at them."""
        return (
            isinstance(other, Rows)
            and other._store is self._store
            and (other._places is self._places or np.array_equal(other._places, self._places))
        )

    def iter_ids(self, places: np.ndarray | slice = np.s_[:]) -> Iterator[str]:
        """Yield the ids of some of the rows."""
        return self._store.ids(self._places[places])


class _Ids(Sequence[str]):
    """The ids of `Rows`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self._rows.iter_ids(index))
        return self._rows[index].id

    def take(self, places: np.ndarray) -> Sequence[str]:
        """Return the ids of some of the rows, int64 places [s], decoded as they are asked for."""
        return self._rows.take(places).ids

    def __iter__(self) -> Iterator[str]:
        return self._rows.iter_ids()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return (isinstance(other, _Ids) and self._rows.is_same(other._rows)) or _all_equal(self, other)

    __hash__ = None  # type: ignore[assignment]


def _all_equal(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(a == b for a, b in zip(one, other, strict=True))


class _Store:
    """The file: chunk i has the rows from `starts[i]` on and the bytes from `offsets[i]` on."""

    def __init__(self) -> None:
        self._file = unnamed_file()
        self._starts, self._offsets = [0], [0]
        self._lock = threading.Lock()  # the file has one position for all threads
        self._latest: tuple[int, Any] = (-1, None)
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self._starts[-1]

    def append(self, packed: Any, count: int) -> None:
        """Write a chunk of so many rows behind the others."""
        with told_if_full():
            self._file.write(packed)
        self._starts.append(self._starts[-1] + count)
        self._offsets.append(self._offsets[-1] + len(packed))

    @cached_property
    def _begins(self) -> np.ndarray:
        return np.asarray(self._starts)

    def examples(self, places: np.ndarray) -> Iterator[Example]:
        """Yield the rows at int64 places [n], reading each run of rows of one chunk at once."""
        for batch in self._runs(places):
            yield from unpack(batch)

    def ids(self, places: np.ndarray) -> Iterator[str]:
        """Yield the ids of rows."""
        for batch in self._runs(places):
            yield from batch["id"].to_pylist()

    def _runs(self, places: np.ndarray) -> Iterator[Any]:
        # In pieces: all edges at once would be a list as long as the rows.
        for start in range(0, len(places), CHUNK_ROWS):
            part = places[start : start + CHUNK_ROWS]
            chunks = np.searchsorted(self._begins, part, side="right") - 1
            edges = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(part)]
            for first, last in pairwise(edges):
                chunk = int(chunks[first])
                yield self._chunk(chunk).take(part[first:last] - self._starts[chunk])

    def _chunk(self, number: int) -> Any:
        import pyarrow

        latest = self._latest
        if latest[0] != number:
            begin, end = self._offsets[number : number + 2]
            with self._lock:
                self._file.seek(begin)
                packed = self._file.read(end - begin)
            self._latest = latest = number, pyarrow.ipc.open_stream(packed).read_next_batch()
        return latest[1]


def unnamed_file() -> Any:
    """Return a file to write and read, in memory while it is small; it is gone when it is closed, or by any kill."""
    return tempfile.SpooledTemporaryFile(IN_MEMORY, dir=temporary_folder())


@contextmanager
def told_if_full() -> Iterator[None]:
    """Turn the failure to write such a file into a sentence.

    Raises
    ------
    StorageError
        In place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The rows do not fit into the temporary folder {temporary_folder()} ({error.strerror or error}): free "
            "some space, or name another folder in the environment variable TMPDIR."
        ) from None


def temporary_folder() -> str:
    """Return the folder of large temporary files: as TMPDIR says; else not in /tmp, which is often memory."""
    large = "/var/tmp"
    return os.environ.get("TMPDIR") or (large if os.access(large, os.W_OK) else tempfile.gettempdir())
