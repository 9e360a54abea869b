"""Workbooks (.xlsx): the rows of the first sheet, and a sheet of rows, by the library openpyxl, which is an extra."""

import datetime
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from pet.data.scanned import Malformed, Scanned, check_columns
from pet.data.source import File
from pet.data.streams import open_binary
from pet.errors import DataError, shown

_MOST_CHARACTERS, _MOST_ROWS = 32_767, 1_048_576
"""A cell and a sheet hold no more, by the specification of Excel."""

_LARGEST_WHOLE = 2**53
"""Numbers of a workbook are decimal ones: beyond this they would be rounded."""

_NO_SIGNS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What XML has no place for."""


def scan_workbook(file: File) -> Iterator[Scanned]:
    """Yield (number of the row in the sheet, row) of the first sheet, whose first row that is not blank has the names.

    Numbers, truths and dates are what they are in the sheet; of a formula its last result is read.

    Raises `DataError` if the file is no workbook, or the library is not installed.
    """
    with open_binary(file) as stream:
        sheet = _first_sheet(file.path, io.BytesIO(stream.read()))
        records = ((number, list(row)) for number, row in enumerate(sheet.iter_rows(values_only=True), 1))
        given = ((number, row) for number, row in records if not all(map(_is_blank, row)))
        try:
            yield from _rows(file.path, given)
        except (KeyError, ValueError, TypeError, OSError) as error:  # openpyxl has no error of its own for a torn sheet
            raise _no_workbook(file.path, error) from None


def _first_sheet(path: Path, stream: BinaryIO) -> Any:
    openpyxl = workbook_library(path)
    try:
        workbook = openpyxl.load_workbook(stream, read_only=True, data_only=True)
        sheet = workbook.worksheets[0]
        sheet.reset_dimensions()  # a sheet may claim more rows and columns than it has
    except Exception as error:  # zip, XML and schema each have their own
        raise _no_workbook(path, error) from None
    return sheet


def _no_workbook(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:150] or type(error).__name__
    return DataError(f"{path} is no whole Excel workbook ({reason}): save it again as .xlsx, or as CSV UTF-8.")


def workbook_library(path: Path) -> Any:
    """Return the library that workbooks need; a `DataError` says how to install it."""
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f'{path}: workbooks need the library openpyxl, which is not installed: `pip install "pet-labeling[xlsx]"`, '
            "or save it as CSV UTF-8."
        ) from None
    return openpyxl


def _rows(path: Path, records: Iterator[tuple[int, list[object]]]) -> Iterator[Scanned]:
    first = next(records, None)
    if first is None:
        return
    header = ["" if _is_blank(name) else str(name) for name in first[1]]
    while header and not header[-1]:
        header.pop()
    if "" in header:
        raise DataError(
            f"{path}, row {first[0]}: the column {header.index('') + 1} has no name; the first row has to name the "
            "columns."
        )
    check_columns(path, header)
    for number, row in records:
        if any(not _is_blank(value) for value in row[len(header) :]):
            reason = f"a value in column {len(header) + 1} or behind it, which has no name in the first row"
            yield number, Malformed(reason, shown(row, 200))
        else:
            yield number, dict(zip_longest(header, row[: len(header)]))


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def write_workbook(
    path: Path, stream: BinaryIO, pieces: Callable[[], Iterator[Mapping[str, Sequence[object]]]]
) -> None:
    """Write a table as a workbook of one sheet, in which no text is a formula; `path` is named in messages.

    Raises `DataError` if it has more rows, or a longer text, than a sheet holds, or the library is not installed.
    """
    openpyxl = workbook_library(path)
    from openpyxl.cell import WriteOnlyCell

    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("rows")
    sheet.freeze_panes = "A2"
    try:
        for number, row in enumerate(_records(pieces()), 1):
            if number > _MOST_ROWS:
                raise DataError(f"{path}: a sheet holds {_MOST_ROWS:,} rows, and there are more: write .csv instead.")
            cells = [WriteOnlyCell(sheet, value=_value(path, number, value)) for value in row]
            for cell in cells:
                # A text that begins with an equals sign would be computed.
                cell.data_type = "s" if cell.data_type == "f" else cell.data_type
            sheet.append(cells)
    finally:
        sheet.close()  # else its draft complains once it is forgotten
    workbook.save(stream)


def _records(pieces: Iterable[Mapping[str, Sequence[object]]]) -> Iterator[Sequence[object]]:
    for number, columns in enumerate(pieces):
        yield from chain(() if number else (tuple(columns),), zip(*columns.values(), strict=True))


def _value(path: Path, number: int, value: Any) -> object:
    """Return a value as a sheet holds it: text where it has no other place for it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_WHOLE else str(value)
    if isinstance(value, datetime.date | datetime.time) and getattr(value, "tzinfo", None) is None:
        return value
    if isinstance(value, list | tuple | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    text = _NO_SIGNS.sub("\ufffd", value if isinstance(value, str) else str(value))
    if len(text) > _MOST_CHARACTERS:
        raise DataError(
            f"{path}, row {number}: a text of {len(text):,} characters, and a cell of a workbook holds "
            f"{_MOST_CHARACTERS:,}: write .csv instead."
        )
    return text
