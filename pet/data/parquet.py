"""Parquet files: their rows in batches, and the names that `datasets` gives to the numbers of labels."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from pet.data.scanned import Malformed, Scanned, check_columns
from pet.data.source import File
from pet.data.streams import open_binary
from pet.errors import DataError, shown

_BUFFER = 2**20


def scan_parquet(file: File) -> Iterator[Scanned]:
    """Yield (row number from 1, row) of a Parquet file.

    Raises `DataError` if it is none, or not whole.
    """
    with open_binary(file) as stream:
        try:
            source = pyarrow.BufferReader(stream.read()) if file.packed else stream
            # With a buffer, no whole column of a row group is held.
            table = pyarrow.parquet.ParquetFile(source, buffer_size=_BUFFER)
            check_columns(file.path, list(table.schema_arrow.names))
            yield from with_class_names(_features(table.schema_arrow), _parquet_rows(table))
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:150]
            raise DataError(f"{file.path} is no whole Parquet file ({reason}): write or copy it again.") from None


def _parquet_rows(table: Any) -> Iterator[dict[str, object]]:
    for batch in parquet_batches(table):
        columns = [_values(column) for column in batch.columns]
        yield from (dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True))


def _values(column: Any) -> list[object]:
    """Return a column as plain values; times that Python cannot tell as text."""
    if pyarrow.types.is_time64(column.type) and column.type.unit == "ns":  # it would be cut to microseconds
        return list(column.cast(pyarrow.string()).to_pylist())
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(column.cast(pyarrow.string()).to_pylist())


def _features(schema: Any) -> Mapping[str, Any]:
    """Return what `datasets` says of the columns in the schema of a file; nothing where another library wrote it."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return found if isinstance(found, dict) else {}
    except (ValueError, KeyError, TypeError):
        return {}


def with_class_names(features: Mapping[str, Any], rows: Iterable[dict[str, object]]) -> Iterator[Scanned]:
    """Yield (number from 1, row) with names in the place of the numbers of `ClassLabel` columns; -1 is no label.

    `features` are those of the library `datasets` as plain values, as it writes them to the schema of a file.
    """
    named = {column: names for column, feature in features.items() if (names := _class_names(feature))}
    for number, row in enumerate(rows, start=1):
        try:
            yield number, row | {column: _named(row[column], names) for column, names in named.items() if column in row}
        except LookupError as error:
            yield number, Malformed(f"no label has the number {error}", shown(row, 200))


def _named(value: object, names: Sequence[str]) -> object:
    """Return the name of a number, or of each in a list; a LookupError names one that has none."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if value is None or value == -1:
        return None
    if not (isinstance(value, int) and 0 <= value < len(names)):
        raise LookupError(f"{shown(value)}, expected 0 to {len(names) - 1} ({names[0]} to {names[-1]})")
    return names[value]


def _class_names(feature: Any) -> list[str]:
    """Return the names of a `ClassLabel`, or of a list of them."""
    while isinstance(feature, dict) and "feature" in feature:
        feature = feature["feature"]
    is_label = isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    return list(map(str, feature.get("names") or [])) if is_label else []


def parquet_batches(file: Any, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield the rows of a `pyarrow.parquet.ParquetFile` in batches of a thousand, all columns or some."""
    # Group by group: asked for all at once, pyarrow keeps what it has read of the earlier ones.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=1024, row_groups=[group], columns=columns)
