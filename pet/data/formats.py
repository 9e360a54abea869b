"""The file formats: scanners that yield (number, row), or (number, `Malformed`) for what is no row."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from pet.data.source import File
from pet.data.streams import missing_file, open_binary, text_lines
from pet.errors import DataError, close_match, shown
from pet.settings.toml import DATA_SUFFIXES

TEXT_COLUMN = "text"
"""The one column of a `.txt` file."""

_MAX_CELL = 2**31 - 1
_BUFFER = 2**20


@dataclass(frozen=True)
class Malformed:
    """A piece of a file that is no row: why, and its text as it stands in the file."""

    reason: str
    text: str


Scanned = tuple[int, Mapping[str, object] | Malformed]


def scan_file(file: File) -> Iterator[Scanned]:
    """Yield (number, row) of a file; blank lines are no rows.

    The number is the line in which the row begins, from 1 and with the header counted, as an editor shows it;
    in JSON and Parquet files, which have no such lines, it is the number of the row.

    Raises `DataError` if the file as a whole cannot be read, or its suffix is not known.
    """
    scanner = _SCANNERS.get(file.suffix)
    if scanner is None:
        known = ", ".join(DATA_SUFFIXES)
        if not os.path.lexists(file.path):
            raise DataError(f"{missing_file(file.path)} Files end in {known} (or one of them with .gz).")
        hint = close_match(file.suffix, DATA_SUFFIXES)
        raise DataError(f"{file.path} does not end in {known} (or one of them with .gz): rename or convert it.{hint}")
    return scanner(file)


def _scan_lines(file: File, parse: Callable[[str], Mapping[str, object] | Malformed]) -> Iterator[Scanned]:
    for number, line in text_lines(file):
        if line.strip():
            yield number, parse(line)


def _parse_object(line: str) -> Mapping[str, object] | Malformed:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return Malformed(f"no JSON object ({error.msg} at column {error.colno})", line)
    except (ValueError, RecursionError) as error:
        return Malformed(f"no JSON object ({error})", line)
    if not isinstance(value, dict):
        return Malformed(f"expected a JSON object with a key per column, found {shown(value)}", line)
    return value


def _scan_json(file: File) -> Iterator[Scanned]:
    text = "".join(line for _, line in text_lines(file))
    if not text.strip():
        return
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file.path}, line {error.lineno}: no valid JSON ({error.msg}); mend it, or name the file .jsonl "
            "if each line is an object."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.path} is no valid JSON ({error}): mend it.") from None
    if not isinstance(rows, list):
        raise DataError(f"{file.path} holds {shown(rows)}: expected a list of objects; put it into [ ].")
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield number, row
        else:
            yield number, Malformed(f"expected a JSON object, found {shown(row)}", json.dumps(row))


def _scan_parquet(file: File) -> Iterator[Scanned]:
    with open_binary(file) as stream:
        try:
            source = pyarrow.BufferReader(stream.read()) if file.packed else stream
            # With a buffer, no whole column of a row group is held.
            table = pyarrow.parquet.ParquetFile(source, buffer_size=_BUFFER)
            _check_columns(file.path, list(table.schema_arrow.names))
            number = 0
            for batch in parquet_batches(table):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:150]
            raise DataError(f"{file.path} is no whole Parquet file ({reason}): write or copy it again.") from None


def parquet_batches(file: Any, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield the rows of a `pyarrow.parquet.ParquetFile` in batches of a thousand, all columns or some."""
    # Group by group: asked for all at once, pyarrow keeps what it has read of the earlier ones.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=1024, row_groups=[group], columns=columns)


def _scan_table(file: File, delimiter: str) -> Iterator[Scanned]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    lines: list[str] = []  # those of the record at hand
    # strict: otherwise a stray quote silently swallows the lines up to the next one.
    reader = csv.reader(_recorded(text_lines(file), lines), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        start = reader.line_num + 1
        lines.clear()
        record = _next_record(reader, file.path, start, lines)
        if record is None:
            return
        if record == []:  # a blank line
            continue
        if header is None:
            if other := _spreadsheet_delimiter(record, delimiter):
                yield from _scan_table(file, other)
                return
            header = _checked_header(file.path, record, delimiter)
        elif isinstance(record, Malformed):
            yield start, record
        elif len(record) == len(header):
            yield start, dict(zip(header, record, strict=True))
        else:
            reason = f"{len(record)} values under {len(header)} columns; quote a text that holds the separator"
            yield start, Malformed(reason, "".join(lines))


def _recorded(source: Iterator[tuple[int, str]], lines: list[str]) -> Iterator[str]:
    """Yield lines, and keep them; behind the last, "" is kept."""
    for _, line in source:
        lines.append(line)
        yield line
    lines.append("")


def _next_record(
    reader: Iterator[list[str]], path: Path, start: int, lines: Sequence[str]
) -> list[str] | Malformed | None:
    """Return the next record, which begins in line `start`, or None at the end; `lines` are those read for it."""
    try:
        return next(reader, None)
    except csv.Error as error:
        if lines[-1] == "":
            raise DataError(
                f"{path}, line {start}: a quote opens here and never closes; double the quotes inside "
                "a text, and put the whole text in quotes."
            ) from None
        reason = str(error).partition(" - ")[0]
        return Malformed(f"not well-formed ({reason}); double the quotes inside a quoted text", "".join(lines))


def _spreadsheet_delimiter(record: list[str] | Malformed, delimiter: str) -> str:
    """Return what separates the columns of a .csv where that is no comma: where commas are decimal, a semicolon."""
    if delimiter != "," or isinstance(record, Malformed) or len(record) > 1:
        return ""
    return next((mark for mark in (";", "\t") if mark in record[0]), "")


def _checked_header(path: Path, record: list[str] | Malformed, delimiter: str) -> list[str]:
    if isinstance(record, Malformed):
        raise DataError(f"{path}, line 1: the header is {record.reason}.")
    _check_columns(path, record)
    other = [mark for mark in (",", ";", "\t", "|") if mark != delimiter and mark in record[0]]
    if len(record) == 1 and other:
        raise DataError(
            f"{path}, line 1: one column {shown(record[0])}, but it looks separated by {other[0]!r}; "
            f"write it with {delimiter!r} (.csv takes commas, .tsv tabs)."
        )
    return record


def _check_columns(path: Path, columns: list[str]) -> None:
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} has two columns named {shown(twice)}: rename one.")


_SCANNERS: Mapping[str, Callable[[File], Iterator[Scanned]]] = {
    ".csv": partial(_scan_table, delimiter=","),
    ".tsv": partial(_scan_table, delimiter="\t"),
    ".jsonl": partial(_scan_lines, parse=_parse_object),
    ".ndjson": partial(_scan_lines, parse=_parse_object),
    ".json": _scan_json,
    ".parquet": _scan_parquet,
    ".txt": partial(_scan_lines, parse=lambda line: {TEXT_COLUMN: line.rstrip("\r\n")}),
}
