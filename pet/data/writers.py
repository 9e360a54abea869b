"""Writing tables of columns, whole or not at all, from one piece of them or from very many."""

import codecs
import csv
import gzip
import io
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow
import pyarrow.parquet

from pet.data.formulas import escaped
from pet.data.readers import RejectedRow
from pet.data.source import File
from pet.data.spreadsheets import workbook_library, write_workbook
from pet.data.tables import PLAIN, Dialect
from pet.errors import DataError, close_match, shown

_Columns = Mapping[str, Sequence[object]]

Pieces = Callable[[], Iterator[_Columns]]
"""Returns the pieces of a table, at least one, all of the same columns; it may be asked for them again."""


def check_output(path: Path, *inputs: str | Path) -> None:
    """Check, before long work, that a table can be written to `path` and that it is none of the `inputs`.

    Raises `DataError` if the suffix is not known, the folder is missing or may not be written to, or the file is an
    input.
    """
    file = File.at(path)
    _writer(file)
    if file.suffix == ".xlsx":
        workbook_library(path)
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path} cannot be written: there is no folder {path.parent}; make it, or give another place.")
    if not os.access(path.absolute().parent, os.W_OK):  # it is written beside its place, and moved there
        raise DataError(f"{path} cannot be written (Permission denied): give another place.")
    for source in inputs:
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise DataError(f"{path} is the input itself: give another place, so that nothing is lost.")


def _writer(file: File, delimiter: str = ",") -> "Callable[[BinaryIO, Pieces], None]":
    writers: Mapping[str, Callable[[BinaryIO, Pieces], None]] = {
        ".csv": partial(_write_separated, delimiter=delimiter),
        ".tsv": partial(_write_separated, delimiter="\t"),
        ".jsonl": _write_json_lines,
        ".json": _write_json,
        ".parquet": write_parquet,
        ".xlsx": partial(write_workbook, file.path),
    }
    if file.suffix not in writers or (file.packed and file.suffix in (".parquet", ".xlsx")):
        raise DataError(
            f"{file.path} does not end in .csv, .tsv, .jsonl, .json (each with or without .gz), .parquet or .xlsx."
            f"{close_match(file.suffix, writers)}"
        )
    return writers[file.suffix]


def write_table(path: Path, columns: _Columns) -> None:
    """Write columns of one length as `write_pieces` does."""
    write_pieces(path, lambda: iter((columns,)))


def write_rejected(path: Path, rows: Sequence[RejectedRow]) -> None:
    """Write the rows that were left out, with the reasons, as `write_pieces` does."""
    names = [field.name for field in fields(RejectedRow)]
    write_table(path, {name: [getattr(row, name) for row in rows] for name in names})


def write_pieces(path: Path, pieces: Pieces, dialect: Dialect = PLAIN) -> None:
    """Write a table in the format that its suffix names; one piece is held at a time.

    That is ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` (each also ``.gz``), ``.parquet`` or ``.xlsx``.

    The file appears whole or not at all: it is written beside its place, flushed to the disk and moved there.
    The same pieces give the same bytes, but for the times in a workbook. Lists in a table cell are written as JSON,
    None as an empty cell, and what a spreadsheet would compute with an apostrophe in front; a Parquet column of mixed
    kinds, or of one that Parquet lacks, becomes one of text, and each piece a group of rows. A `dialect` says what
    separates the cells of a .csv, and whether a .csv or .tsv begins with a byte order mark, by which spreadsheets know
    UTF-8.

    Raises `DataError` if the suffix is not known, the lengths differ, a cell cannot be written, or the place is not
    writable.
    """
    file = File.at(path)
    writer = _writer(file, dialect.delimiter)
    try:
        with _replacing(file) as stream:
            if dialect.marked and file.suffix in (".csv", ".tsv"):
                stream.write(codecs.BOM_UTF8)
            writer(stream, lambda: (_even(path, columns) for columns in pieces()))
    except UnicodeEncodeError as error:
        found = shown(error.object[error.start : error.end])
        raise DataError(f"{path}: {found} is half a surrogate pair, no character: write .jsonl instead.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error}): give another place.") from None


def _even(path: Path, columns: _Columns) -> _Columns:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: the columns differ in length, {shown(lengths, 200)}: give each as many values.")
    return columns


@contextmanager
def _replacing(file: File) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of another when the block ends well."""
    draft = file.path.with_name(f".{file.path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("xb") as raw:
            if file.packed:
                # No name and no time in the header: the same rows give the same bytes.
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        draft.replace(file.path)
    finally:
        draft.unlink(missing_ok=True)


def _rows(columns: _Columns) -> Iterator[tuple[object, ...]]:
    return zip(*columns.values(), strict=True)


def _plain(value: object) -> object:
    """Return a value of plain Python in the place of one of numpy."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _json(value: object) -> str:
    """Return one line of JSON; a lone surrogate is written as an escape, as UTF-8 has no bytes for it."""
    text = json.dumps(value, ensure_ascii=False, default=_json_default)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, default=_json_default)
    return text


def _json_default(value: object) -> object:
    plain = _plain(value)
    return str(value) if plain is value else plain


def _cell(value: object) -> str:
    plain = _plain(value)
    if plain is None or isinstance(plain, str):
        return plain or ""
    return _json(plain) if isinstance(plain, bool | list | tuple | dict) else str(plain)


def _objects(pieces: Pieces) -> Iterator[bytes]:
    for columns in pieces():
        for row in _rows(columns):
            line = {name: _finite(_plain(value)) for name, value in zip(columns, row, strict=True)}
            yield _json(line).encode()


def _write_json_lines(stream: BinaryIO, pieces: Pieces) -> None:
    for line in _objects(pieces):
        stream.write(line + b"\n")


def _write_json(stream: BinaryIO, pieces: Pieces) -> None:
    """Write a list with an object a line."""
    stream.write(b"[")
    for number, line in enumerate(_objects(pieces)):
        stream.write((b",\n" if number else b"\n") + line)
    stream.write(b"\n]\n")


def _finite(value: object) -> object:
    """Return a value with None for NaN and infinity, which JSON has no words for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_separated(stream: BinaryIO, pieces: Pieces, delimiter: str) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    plain = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    quoted = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    try:
        for number, columns in enumerate(pieces()):
            for row in chain(() if number else (tuple(columns),), _rows(columns)):
                cells = [escaped(_cell(value)) if isinstance(value, str) else _cell(value) for value in row]
                # The csv module leaves a lone carriage return bare, and then refuses to read it. And a row over several
                # lines with quotes around one cell alone may look like rows that a stray quote holds together.
                (quoted if any("\r" in cell or "\n" in cell for cell in cells) else plain).writerow(cells)
    finally:
        text.detach()


def write_parquet(stream: BinaryIO, pieces: Pieces) -> None:
    """Write a table as Parquet, a group of rows per piece; what Parquet has no way to hold becomes text."""
    texts: set[str] = set()
    while misfit := _attempt_parquet(stream, pieces, texts):
        texts.add(misfit)
        stream.seek(0)
        stream.truncate()


FILE_PIECES = 10
"""In a folder of Parquet files each holds so many pieces, 100,000 rows of most outputs."""


def write_part_files(folder: Path, pieces: Pieces) -> None:
    """Write a table into an empty folder as Parquet files ``part-00000.parquet`` and so on, of the same types."""
    whole = folder / ".whole"
    with whole.open("x+b") as stream:
        write_parquet(stream, pieces)
    with pyarrow.parquet.ParquetFile(whole) as file:
        groups = range(file.num_row_groups)
        for number, first in enumerate(groups[::FILE_PIECES]):
            with pyarrow.parquet.ParquetWriter(folder / f"part-{number:05}.parquet", file.schema_arrow) as writer:
                for group in groups[first : first + FILE_PIECES]:
                    writer.write_table(file.read_row_group(group))
    whole.unlink()


def _attempt_parquet(stream: BinaryIO, pieces: Pieces, texts: set[str]) -> str:
    """Write a table; return the name of a column that its type does not fit after all, or nothing."""
    schema = _schema(pieces, texts)
    with pyarrow.parquet.ParquetWriter(stream, schema) as writer:
        for columns in pieces():
            arrays = []
            for field in schema:
                try:
                    arrays.append(_arrow_array(columns[field.name], field.type))
                except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
                    return str(field.name)
            writer.write_table(pyarrow.table(arrays, schema))
    return ""


def _schema(pieces: Pieces, texts: set[str]) -> Any:
    """Return types for the columns that hold what is in all pieces: text for `texts`, and where no other is fit."""
    types: dict[str, Any] = {}
    for columns in pieces():
        for name, values in columns.items():
            found = pyarrow.string() if name in texts else _arrow_array(values).type
            types[name] = _joined(types.get(name, pyarrow.null()), found)
    return pyarrow.schema({name: kind if _is_held(kind) else pyarrow.string() for name, kind in types.items()})


def _is_held(kind: Any) -> bool:
    """Say whether Parquet holds values of a type: it has no place for objects without a key (`{}`), for instance."""
    try:
        pyarrow.parquet.ParquetWriter(io.BytesIO(), pyarrow.schema([("", kind)])).close()
    except pyarrow.ArrowException:
        return False
    return True


def _joined(one: Any, other: Any) -> Any:
    """Return a type for the values of both, text if there is no other."""
    if one.equals(other):
        return one
    try:
        schemas = [pyarrow.schema([("", kind)]) for kind in (one, other)]
        return pyarrow.unify_schemas(schemas, promote_options="permissive").types[0]
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        return pyarrow.string()


def _arrow_array(values: Sequence[object], kind: Any = None) -> Any:
    """Return values as an array of a type, or of the one they have; cells as text, where no other type is there."""
    if isinstance(values, np.ndarray):
        values = list(values) if values.ndim > 1 else values
    try:
        return pyarrow.array(values, kind)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        if kind not in (None, pyarrow.string()):
            raise
        return pyarrow.array([None if value is None else _cell(value) for value in values], pyarrow.string())
