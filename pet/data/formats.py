"""The file formats: scanners that yield (number, row), or (number, `Malformed`) for what is no row."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pet.data.streams import close_match, file_suffix, is_packed, missing_file, open_binary, shown, text_lines
from pet.errors import DataError

__all__ = ["SUFFIXES", "TEXT_COLUMN", "Malformed", "Scanned", "parquet_batches", "read_rows", "row_unit", "scan_rows"]

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


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (number, row) of a file; blank lines are no rows.

    The number is the line in which the row begins, from 1 and with the header counted, as an editor shows it;
    in JSON and Parquet files, which have no such lines, it is the number of the row.

    Raises
    ------
    DataError
        If the file or one of its rows cannot be read.
    """
    for number, row in scan_rows(path):
        if isinstance(row, Malformed):
            raise DataError(f"{path}, {row_unit(path)} {number}: {row.reason}.")
        yield number, row


def scan_rows(path: Path) -> Iterator[Scanned]:
    """Yield what `read_rows` does, with `Malformed` in the place of a row that cannot be parsed.

    Raises
    ------
    DataError
        If the file as a whole cannot be read, or its suffix is not known.
    """
    scanner = _SCANNERS.get(file_suffix(path))
    if scanner is None:
        known = ", ".join(SUFFIXES)
        if not os.path.lexists(path):
            raise DataError(f"{missing_file(path)} Files end in {known} (or one of them with .gz).")
        hint = close_match(file_suffix(path), SUFFIXES)
        raise DataError(f"{path} does not end in {known} (or one of them with .gz): rename or convert it.{hint}")
    return scanner(path)


def row_unit(path: Path) -> str:
    """Say what the numbers of a file count: ``"line"`` or ``"row"``."""
    return "line" if file_suffix(path) in _LINED else "row"


def _scan_text(path: Path) -> Iterator[Scanned]:
    for number, line in text_lines(path):
        if line.strip():
            yield number, {TEXT_COLUMN: line.rstrip("\r\n")}


def _scan_json_lines(path: Path) -> Iterator[Scanned]:
    for number, line in text_lines(path):
        if line.strip():
            yield number, _parse_object(line)


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


def _scan_json(path: Path) -> Iterator[Scanned]:
    text = "".join(line for _, line in text_lines(path))
    if not text.strip():
        return
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: no valid JSON ({error.msg}); mend it, or name the file .jsonl "
            "if each line is an object."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no valid JSON ({error}): mend it.") from None
    if not isinstance(rows, list):
        raise DataError(f"{path} holds {shown(rows)}: expected a list of objects; put it into [ ].")
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield number, row
        else:
            yield number, Malformed(f"expected a JSON object, found {shown(row)}", json.dumps(row))


def _scan_parquet(path: Path) -> Iterator[Scanned]:
    import pyarrow
    import pyarrow.parquet

    with open_binary(path) as stream:
        try:
            source = pyarrow.BufferReader(stream.read()) if is_packed(path) else stream
            # With a buffer, no whole column of a row group is held.
            table = pyarrow.parquet.ParquetFile(source, buffer_size=_BUFFER)
            _check_columns(path, list(table.schema_arrow.names))
            number = 0
            for batch in parquet_batches(table):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:150]
            raise DataError(f"{path} is no whole Parquet file ({reason}): write or copy it again.") from None


def parquet_batches(file: Any, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield the rows of a `pyarrow.parquet.ParquetFile` in batches of a thousand, all columns or some."""
    # Group by group: asked for all at once, pyarrow keeps what it has read of the earlier ones.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=1024, row_groups=[group], columns=columns)


def _scan_commas(path: Path) -> Iterator[Scanned]:
    return _scan_table(path, ",")


def _scan_tabs(path: Path) -> Iterator[Scanned]:
    return _scan_table(path, "\t")


def _scan_table(path: Path, delimiter: str) -> Iterator[Scanned]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    tape = _Tape(text_lines(path))
    # strict: otherwise a stray quote silently swallows the lines up to the next one.
    reader = csv.reader(tape, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        start = reader.line_num + 1
        record = _next_record(path, reader, tape)
        if record is None:
            return
        if record == []:  # a blank line
            continue
        if header is None:
            if other := _spreadsheet_delimiter(record, delimiter):
                yield from _scan_table(path, other)
                return
            header = _checked_header(path, record, delimiter)
        elif isinstance(record, Malformed):
            yield start, record
        elif len(record) == len(header):
            yield start, dict(zip(header, record, strict=True))
        else:
            reason = f"{len(record)} values under {len(header)} columns; quote a text that holds the separator"
            yield start, Malformed(reason, "".join(tape.lines))


def _spreadsheet_delimiter(record: list[str] | Malformed, delimiter: str) -> str:
    """Return what separates the columns of a .csv where that is no comma: where commas are decimal, a semicolon."""
    if delimiter != "," or isinstance(record, Malformed) or len(record) > 1:
        return ""
    return next((mark for mark in (";", "\t") if mark in record[0]), "")


class _Tape:
    """The lines of a table for the csv module, with those of the record at hand kept."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._source = lines
        self.lines: list[str] = []
        self.ended = False

    def __iter__(self) -> "_Tape":
        return self

    def __next__(self) -> str:
        for _, line in self._source:
            self.lines.append(line)
            return line
        self.ended = True
        raise StopIteration


def _next_record(path: Path, reader: Iterator[list[str]], tape: _Tape) -> list[str] | Malformed | None:
    """Return the next record, or None at the end."""
    first = reader.line_num + 1  # type: ignore[attr-defined]
    tape.lines.clear()
    try:
        return next(reader, None)
    except csv.Error as error:
        if tape.ended:
            raise DataError(
                f"{path}, line {first}: a quote opens here and never closes; double the quotes inside "
                "a text, and put the whole text in quotes."
            ) from None
        reason = str(error).partition(" - ")[0]
        return Malformed(f"not well-formed ({reason}); double the quotes inside a quoted text", "".join(tape.lines))


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


_LINED: Mapping[str, Callable[[Path], Iterator[Scanned]]] = {
    ".csv": _scan_commas,
    ".tsv": _scan_tabs,
    ".jsonl": _scan_json_lines,
    ".ndjson": _scan_json_lines,
    ".txt": _scan_text,
}
_SCANNERS = {**_LINED, ".json": _scan_json, ".parquet": _scan_parquet}

SUFFIXES = tuple(_SCANNERS)
"""The suffixes that are read; each may be followed by ``.gz``."""
