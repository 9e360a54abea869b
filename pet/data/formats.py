"""The file formats: scanners that yield (number, row), or (number, `Malformed`) for what is no row."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from pet.data.parquet import scan_parquet
from pet.data.scanned import Malformed, Scanned
from pet.data.source import File
from pet.data.spreadsheets import scan_workbook
from pet.data.streams import missing_file, text_lines
from pet.data.tables import scan_table
from pet.errors import DataError, close_match, shown
from pet.settings.toml import DATA_SUFFIXES

TEXT_COLUMN = "text"
"""The one column of a `.txt` file."""

_OTHER_WORKBOOKS = (".xls", ".xlsm", ".xlsb", ".ods", ".numbers")


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
        if file.suffix in _OTHER_WORKBOOKS:
            raise DataError(f"{file.path} is a spreadsheet of another kind: save it as .xlsx, or as CSV UTF-8.")
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


_SCANNERS: Mapping[str, Callable[[File], Iterator[Scanned]]] = {
    ".csv": partial(scan_table, delimiter=","),
    ".tsv": partial(scan_table, delimiter="\t"),
    ".jsonl": partial(_scan_lines, parse=_parse_object),
    ".ndjson": partial(_scan_lines, parse=_parse_object),
    ".json": _scan_json,
    ".parquet": scan_parquet,
    ".xlsx": scan_workbook,
    ".txt": partial(_scan_lines, parse=lambda line: {TEXT_COLUMN: line.rstrip("\r\n")}),
}
