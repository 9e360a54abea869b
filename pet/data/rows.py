"""`Rows`: as many examples as there are, kept in a file that has no name, and decoded as they are asked for.

    rows = Rows.of(examples)       # taken one by one: only a chunk is held; a Sequence[Example]
    rows.take(places)              # some of them, of the same file

The file is a row of Arrow streams, one per chunk, each with a schema of its own, since what stands in the user's other
columns may change from row to row. It is read, not mapped: pages of a mapped file count as memory of the process.
`pet.data.packing` says what stands in a chunk, `pet.data.output` how rows are written for people.
"""

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from operator import eq
from typing import Any, Self, TypeVar, overload

import numpy as np
import pyarrow

from pet.data.examples import Example
from pet.data.packing import pack, unpack
from pet.data.scratch import told_if_full, unnamed_file

CHUNK_ROWS = 256
"""Rows that are packed together: few, since drawing one at random reads them all."""

CHUNK_CHARACTERS = 2**22
"""A chunk ends early, once its texts are so long."""

T_co = TypeVar("T_co", covariant=True)


class _Stored(Sequence[T_co]):
    """What a file of rows has at int64 places [n], in order, decoded a chunk at a time.

    It equals any sequence of equal values. A slice is a tuple of decoded values; `take` decodes nothing.
    """

    def __init__(self, chunks: "_Chunks", places: np.ndarray, decode: Callable[[Any], Iterator[T_co]]) -> None:
        self._chunks = chunks
        self._places = places
        self._decode = decode

    def take(self, places: np.ndarray | slice) -> Self:
        """Return those at some places, in the order given: int64 places [s], a bool mask [n], or a slice."""
        return type(self)(self._chunks, self._places[places], self._decode)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        if isinstance(index, slice):
            return tuple(self.take(index))
        return next(iter(self.take(np.array([index]))))

    def __iter__(self) -> Iterator[T_co]:
        for batch in self._chunks.read(self._places):
            yield from self._decode(batch)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        if (
            isinstance(other, _Stored)
            and (other._chunks, other._decode) == (self._chunks, self._decode)
            and np.array_equal(other._places, self._places)
        ):
            return True  # the same rows of the same file, without a look at them
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


class Rows(_Stored[Example]):
    """Examples in order."""

    @classmethod
    def of(cls, examples: Iterable[Example]) -> "Rows":
        """Keep examples, of which a chunk is held at a time; `Rows` are returned as they are.

        Raises `StorageError` if the disk is full.
        """
        if isinstance(examples, Rows):
            return examples
        chunks = _Chunks()
        for some in _chunked(examples):
            chunks.append(some)
        return cls(chunks, np.arange(len(chunks)), unpack)

    @property
    def ids(self) -> Sequence[str]:
        """The ids in order, decoded as they are asked for."""
        return _Stored(self._chunks, self._places, _ids)


def _ids(batch: Any) -> Iterator[str]:
    return iter(batch["id"].to_pylist())


def _chunked(examples: Iterable[Example]) -> Iterator[list[Example]]:
    waiting: list[Example] = []
    characters = 0
    for example in examples:
        waiting.append(example)
        characters += sum(map(len, example.fields.values()))
        if len(waiting) == CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield waiting
            waiting, characters = [], 0
    if waiting:
        yield waiting


class _Chunks:
    """The file: chunk i has the rows from `starts[i]` on and the bytes from `offsets[i]` on."""

    def __init__(self) -> None:
        self._file = unnamed_file()
        self._starts, self._offsets = [0], [0]
        self._lock = threading.Lock()  # the file has one position for all threads
        self._latest: tuple[int, Any] = (-1, None)
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self._starts[-1]

    def append(self, examples: Sequence[Example]) -> None:
        """Write a chunk behind the others."""
        batch = pack(examples)
        with told_if_full(), pyarrow.ipc.new_stream(self._file, batch.schema) as stream:
            stream.write_batch(batch)
        self._starts.append(self._starts[-1] + len(examples))
        self._offsets.append(self._file.tell())

    @cached_property
    def _begins(self) -> np.ndarray:
        return np.asarray(self._starts)

    def read(self, places: np.ndarray) -> Iterator[Any]:
        """Yield the rows at int64 places [n] as batches, each run of rows of one chunk at once."""
        # In pieces: all edges at once would be a list as long as the rows.
        for start in range(0, len(places), CHUNK_ROWS):
            part = places[start : start + CHUNK_ROWS]
            chunks = np.searchsorted(self._begins, part, side="right") - 1
            edges = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(part)]
            for first, last in pairwise(edges):
                chunk = int(chunks[first])
                yield self._chunk(chunk).take(part[first:last] - self._starts[chunk])

    def _chunk(self, number: int) -> Any:
        latest = self._latest
        if latest[0] != number:
            begin, end = self._offsets[number : number + 2]
            with self._lock:
                self._file.seek(begin)
                packed = self._file.read(end - begin)
            self._latest = latest = number, pyarrow.ipc.open_stream(packed).read_next_batch()
        return latest[1]
