"""Rows as columns of an output, piece by piece: id, fields under the user's column names, and the user's columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pet.data.examples import Example
from pet.data.parquet import parquet_batches
from pet.data.writers import write_pieces

Columns = dict[str, list[Any]]

PIECE_ROWS = 10_000
"""So many rows of an output are held at a time; in Parquet they are a group of rows."""


@dataclass(frozen=True)
class OutputNames:
    """The column of the output for each field and for each of the user's other columns."""

    fields: Mapping[str, str]
    extras: Mapping[str, str]

    @classmethod
    def of(
        cls, examples: Iterable[Example], columns: Mapping[str, str], reserved: Callable[[str], bool]
    ) -> "OutputNames":
        """Look through rows for the user's columns; one that has a `reserved` name is kept as ``input_<name>``."""
        fields = field_names(columns, reserved)
        extra = dict.fromkeys(name for example in examples for name in example.extra)
        return cls(fields, field_names({name: name for name in extra}, reserved, ("id", *fields.values())))

    def without(self, column: str) -> "OutputNames":
        """Return the names without one of the user's other columns."""
        return replace(self, extras={name: kept for name, kept in self.extras.items() if name != column})

    def columns(self, examples: Sequence[Example]) -> Columns:
        """Return id, fields and the user's other columns of some rows."""
        table: Columns = {"id": [example.id for example in examples]}
        for field, name in self.fields.items():
            table[name] = [example.fields[field] for example in examples]
        for column, name in self.extras.items():
            table[name] = [example.extra.get(column) for example in examples]
        return table


def field_names(
    columns: Mapping[str, str], reserved: Callable[[str], bool], taken: Sequence[str] = ("id",)
) -> dict[str, str]:
    """Return the column of the output that holds each field; none is one of those `taken`."""
    names: dict[str, str] = {}
    for field, name in columns.items():
        while name in taken or name in names.values() or reserved(name):
            name = f"input_{name}"
        names[field] = name
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


def export_jsonl(labeled: Path, output: Path) -> None:
    """Write a labeled data set as JSON lines too (or any format of `write_pieces`)."""
    write_pieces(output, lambda: parquet_pieces(labeled))
