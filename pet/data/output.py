"""Rows as columns of an output, piece by piece: id, fields under the user's column names, and the user's columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pet.data.columns import same_column
from pet.data.examples import Example
from pet.data.numbers import Number, as_numbers, joined
from pet.data.parquet import parquet_batches
from pet.data.readers import ReadResult

Columns = dict[str, list[Any]]

PIECE_ROWS = 10_000
"""So many rows of an output are held at a time; in Parquet they are a group of rows."""


@dataclass(frozen=True)
class OutputNames:
    """The column of the output for each field and each of the user's other columns, some of which hold `numbers`."""

    fields: Mapping[str, str]
    extras: Mapping[str, str]
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        examples: Iterable[Example],
        columns: Mapping[str, str],
        reserved: Callable[[str], bool],
        numbers: Mapping[str, Number],
    ) -> "OutputNames":
        """Look through rows for the user's columns; one that has a `reserved` name is kept as ``input_<name>``."""
        fields = field_names(columns, reserved)
        extra = dict.fromkeys(name for example in examples for name in example.extra)
        return cls(fields, field_names({name: name for name in extra}, reserved, ("id", *fields.values())), numbers)

    def columns(self, examples: Sequence[Example]) -> Columns:
        """Return id, fields and the user's other columns of some rows."""
        table: Columns = {"id": [example.id for example in examples]}
        for text, name in self.fields.items():
            table[name] = [example.fields[text] for example in examples]
        for extra, name in self.extras.items():
            table[name] = as_numbers((example.extra.get(extra) for example in examples), self.numbers.get(extra))
        return table


@dataclass(frozen=True)
class GivenColumns:
    """The columns of a file that was read, in its order, as they are; beside them others get names that none has.

    `id_column` is the one of the ids, where the file has one; `numbers` are columns whose cells are text and mean
    numbers.
    """

    names: tuple[str, ...]
    fields: Mapping[str, str]
    id_column: str
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @classmethod
    def of(cls, read: ReadResult, id_column: str, typed: bool, left_out: Sequence[str] = ()) -> "GivenColumns":
        """Return the columns of a file; numbers are made of those that mean some where the output is `typed`."""
        every = dict.fromkeys([*read.columns, *read.extras])
        names = tuple(name for name in every if name not in left_out)
        return cls(names, read.fields, same_column(id_column, names), joined([read.numbers]) if typed else {})

    def beside(self, name: str) -> str:
        """Return a name for a column of ours: with a prefix only where the file has that name.

        >>> GivenColumns(("text", "label"), {}, "id").beside("label")
        'pet_label'
        """
        while name in self.names:
            name = f"pet_{name}"
        return name

    def columns(self, examples: Sequence[Example]) -> Columns:
        """Return the columns of some rows, with an id first where the file has none."""
        texts = {column: name for name, column in self.fields.items()}
        table: Columns = {} if self.id_column in self.names else {self.beside("id"): [row.id for row in examples]}
        for name in self.names:
            values = [_cell(row, name, texts, self.id_column) for row in examples]
            table[name] = as_numbers(values, self.numbers.get(name))
        return table


def _cell(row: Example, name: str, texts: Mapping[str, str], id_column: str) -> object:
    if name in row.extra or name not in texts:
        return row.id if name == id_column and name not in row.extra else row.extra.get(name)
    return row.fields[texts[name]]


def field_names(
    columns: Mapping[str, str], reserved: Callable[[str], bool], taken: Sequence[str] = ("id",)
) -> dict[str, str]:
    """Return the column of the output that holds each field; none is one of those `taken`."""
    names: dict[str, str] = {}
    for text, name in columns.items():
        while name in taken or name in names.values() or reserved(name):
            name = f"input_{name}"
        names[text] = name
    return names


def row_pieces(count: int) -> Iterator[slice]:
    """Yield slices of at most `PIECE_ROWS` over `count` rows, in order; an empty one where there are none."""
    return (slice(start, min(start + PIECE_ROWS, count)) for start in range(0, max(1, count), PIECE_ROWS))


def parquet_pieces(path: Path, columns: Sequence[str] | None = None) -> Iterator[Columns]:
    """Yield the rows of a Parquet file as columns, a thousand at a time."""
    with pq.ParquetFile(path, buffer_size=2**20) as file:
        for batch in parquet_batches(file, columns):
            yield batch.to_pydict()
        if not file.metadata.num_rows:
            yield {name: [] for name in columns or file.schema_arrow.names}
