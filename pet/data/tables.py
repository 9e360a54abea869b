"""Tables of separated values (.csv, .tsv), record by record, with the numbers of their lines.

Quotes are those of RFC 4180. A .tsv without any such quoting, as many data sets come, is read as it stands; and where a
stray quote holds rows together, its record is no row.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pet.data.formulas import unescaped
from pet.data.scanned import Malformed, Scanned, check_columns
from pet.data.source import File, Source
from pet.data.streams import has_byte_order_mark, text_lines
from pet.errors import DataError, shown

_MAX_CELL = 2**31 - 1

_SWALLOWED = (
    "a quote opens here and closes within {} lines of which each looks like a row: double the quotes that are part of "
    "a text, or, if it is a text of several lines, write quotes around all cells of its row, or .jsonl"
)


@dataclass(frozen=True)
class Dialect:
    """How a table is written: what separates its cells, and whether a byte order mark begins it."""

    delimiter: str = ","
    marked: bool = False


PLAIN = Dialect()
"""Commas, and no mark."""


def dialect_of(source: Source) -> Dialect:
    """Return how a source is written, for what is written after it; commas where it is no .csv file."""
    if not (isinstance(source, File) and source.path.is_file()):
        return PLAIN
    delimiter = _delimiter(source, ",") if source.suffix == ".csv" else ","
    return Dialect(delimiter, has_byte_order_mark(source))


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
        if self.quoted:
            reader = csv.reader(self._recorded(), delimiter=self.delimiter, strict=True)
        else:
            reader = csv.reader(self._recorded(), delimiter=self.delimiter, strict=True, quoting=csv.QUOTE_NONE)
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
                yield start, dict(zip(header, map(unescaped, record), strict=True))

    def swallowed(self, columns: int) -> bool:
        """Say whether the lines of the record at hand are rows of their own, which two stray quotes hold together.

        A text of several lines in quotes has other numbers of separators in its lines, or blanks behind them.
        """
        if columns < 2 or len(self.lines) < 2:
            return False
        lines = [line.rstrip("\r\n") for line in self.lines if line]
        if len(lines) < 2 or sum(line.replace('""', "").count('"') for line in lines) != 2:
            return False
        values = [[value.strip('"') for value in line.split(self.delimiter)] for line in lines]
        return all(
            len(row) == columns and sum(map(bool, row)) > 1 and not any(value.startswith(" ") for value in row)
            for row in values
        )


def scan_table(file: File, delimiter: str) -> Iterator[Scanned]:
    """Yield (line in which it begins, row) of a table whose columns a delimiter separates, unless it names another.

    Raises `DataError` if the header cannot be used, or a quote never closes.
    """
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
    try:
        cells = next(iter(csv.reader([first], delimiter=usual)), [])
    except csv.Error:  # it is told of as the header that it is
        return usual
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
    record = [unescaped(name) for name in record]
    check_columns(path, record)
    other = [mark for mark in (",", ";", "\t", "|") if mark != delimiter and mark in record[0]]
    if len(record) == 1 and other:
        raise DataError(
            f"{path}, line 1: one column {shown(record[0])}, but it looks separated by {other[0]!r}; "
            f"write it with {delimiter!r} (.csv takes commas, .tsv tabs)."
        )
    return record
