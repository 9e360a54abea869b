"""The file formats: scanners that yield (number, row), or (number, `Malformed`) for what is no row."""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


_SWALLOWED = (
    "a quote opens here and closes within {} lines of which each looks like a row: double the quotes that are part of "
    "a text, or, if it is a text of several lines, write quotes around all cells of its row, or .jsonl"
)

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
        raise DataError(f"{file.path} holds {shown(rows)}, expected a list of objects: {_hint(rows)}.")
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield number, row
        else:
            yield number, Malformed(f"expected a JSON object, found {shown(row)}", json.dumps(row))


def _hint(found: object) -> str:
    """Return what to do with JSON that is no list: a single row, a list under a key, or a table as pandas writes it."""
    if not isinstance(found, dict) or not found:
        return "write an object per row"
    for key, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return f"the list of {shown(key)} has to stand alone in the file"
    if all(isinstance(value, dict | list) for value in found.values()):
        return 'write it with orient="records" if it is a table of pandas'
    return "put it into [ ]"


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


@dataclass
class _Table:
    """A .csv or .tsv file, record by record; `lines` are those of the record at hand."""

    file: File
    delimiter: str
    quoted: bool = True
    lines: list[str] = field(default_factory=list)

    @property
    def records(self) -> Iterator[tuple[int, list[str] | Malformed]]:
        """Yield (line in which it begins, record); blank lines and the ``sep=;`` of spreadsheets are none."""
        # strict: otherwise a stray quote silently swallows the lines up to the next one.
        quoting = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        reader = csv.reader(self._recorded(), delimiter=self.delimiter, strict=True, quoting=quoting)
        while True:
            start = reader.line_num + 1
            self.lines.clear()
            record = self._next(reader, start)
            if record is None:
                return
            if record != [] and not (start == 1 and _named_delimiter(self.lines[0])):
                yield start, record

    def _recorded(self) -> Iterator[str]:
        """Yield lines, and keep them; behind the last, "" is kept."""
        for _, line in text_lines(self.file):
            self.lines.append(line)
            yield line
        self.lines.append("")

    def _next(self, reader: Iterator[list[str]], start: int) -> list[str] | Malformed | None:
        """Return the next record, which begins in line `start`, or None at the end."""
        try:
            return next(reader, None)
        except csv.Error as error:
            if self.lines[-1] == "":
                raise DataError(
                    f"{self.file.path}, line {start}: a quote opens here and never closes; double the quotes inside "
                    "a text, and put the whole text in quotes."
                ) from None
            reason = str(error).partition(" - ")[0]
            return Malformed(f"not well-formed ({reason}); double the quotes inside a quoted text", "".join(self.lines))

    def rows(self, header: list[str], records: Iterator[tuple[int, list[str] | Malformed]]) -> Iterator[Scanned]:
        """Yield (number, row) of the records behind the header."""
        for start, record in records:
            text = "".join(self.lines)
            if isinstance(record, Malformed):
                yield start, record
            elif len(record) != len(header):
                reason = f"{len(record)} values under {len(header)} columns; quote a text that holds the separator"
                yield start, Malformed(reason, text)
            elif self.swallowed(len(header)):
                yield start, Malformed(_SWALLOWED.format(len(text.splitlines())), text)
            else:
                yield start, dict(zip(header, record, strict=True))

    def swallowed(self, columns: int) -> bool:
        """Say whether the lines of the record at hand are rows of their own, which two stray quotes hold together.

        A text of several lines in quotes has other numbers of separators in its lines, or blanks behind them.
        """
        lines = [line.rstrip("\r\n") for line in self.lines if line]
        if columns < 2 or len(lines) < 2 or sum(line.replace('""', "").count('"') for line in lines) != 2:
            return False
        values = [[value.strip('"') for value in line.split(self.delimiter)] for line in lines]
        return all(
            len(row) == columns and sum(map(bool, row)) > 1 and not any(value.startswith(" ") for value in row)
            for row in values
        )


def _scan_table(file: File, delimiter: str) -> Iterator[Scanned]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    delimiter = _delimiter(file, delimiter)
    table = _Table(file, delimiter, quoted=delimiter != "\t" or not _has_bare_quotes(file))
    records = table.records
    first = next(records, None)
    if first is not None:
        yield from table.rows(_checked_header(file.path, first[1], delimiter), records)


def _delimiter(file: File, usual: str) -> str:
    """Return what separates the columns: a .csv may have semicolons or tabs, where commas are decimal."""
    lines = (line for _, line in text_lines(file) if line.strip())
    first = next(lines, "")
    if named := _named_delimiter(first):
        return named
    cells = next(iter(csv.reader([first], delimiter=usual)), [])
    if usual != "," or len(cells) != 1:
        return usual
    return next((mark for mark in (";", "\t") if mark in cells[0]), usual)


def _named_delimiter(line: str) -> str:
    """Return the separator that the first line of a spreadsheet's file may name, as ``sep=;``; else nothing."""
    found = re.fullmatch('"?sep=([^\\w\\s"]|\t)"?[,;\t]*', line.rstrip("\r\n"), re.IGNORECASE)
    return found[1] if found else ""


def _has_bare_quotes(file: File) -> bool:
    """Say whether a .tsv file means its quotes as signs of the texts: only so every line is a row."""
    columns, alone = 0, True
    for _, line in text_lines(file):
        if line.strip():
            values = line.count("\t") + 1
            columns = columns or values
            if values != columns:
                return False
            alone = alone and ('"' not in line or _is_record(line, columns))
    if alone:
        return False
    return not _is_quoted(_Table(file, "\t"), columns)


def _is_record(line: str, columns: int) -> bool:
    """Say whether a line with quotes is a whole record."""
    try:
        return len(next(csv.reader([line], delimiter="\t", strict=True))) == columns
    except csv.Error:
        return False


def _is_quoted(table: _Table, columns: int) -> bool:
    """Say whether a table is well-formed by its quotes."""
    try:
        return all(
            not isinstance(record, Malformed) and len(record) == columns and not table.swallowed(columns)
            for _, record in table.records
        )
    except DataError:  # a quote never closes
        return False


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
