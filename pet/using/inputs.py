"""Texts as Python code has them, as rows: lists, and tables of pandas, polars, pyarrow, `datasets` or nobody."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pet.data.columns import same_column
from pet.data.examples import Example
from pet.errors import DataError, close_match, shown
from pet.settings.task import CHOICES

_EXPECTED = "a list of texts, or a table with a column per field"


def rows_of(texts: object, columns: Mapping[str, str]) -> list[Example]:
    """Return texts as rows; `columns` maps the fields of a classifier to their columns, in order.

    A row is a text, a sequence of texts in the order of the fields, or a mapping with a text for each field or column.
    All rows together are any iterable of rows, or a table: a frame, an Arrow table, a data set, a mapping of columns.

    Raises `DataError` if they are something else, or a row lacks a field or holds what is no text.
    """
    names = tuple(columns)
    examples = []
    for i, row in enumerate(_rows(texts, columns)):
        values = _by_name(i, row, columns) if isinstance(row, Mapping) else _in_order(row)
        if len(values) != len(names):
            raise DataError(f"Row {i} has {len(values)} text(s), expected {len(names)}: {', '.join(names)}.")
        values = [_as_list(name, value) for name, value in zip(names, values, strict=True)]
        if wrong := [value for value in values if not _is_text(value)]:
            raise DataError(f"Row {i} holds {_told(wrong[0])}, which is no text: leave it out.")
        if not any(map(str.strip, values)):
            raise DataError(f"Row {i} is blank: leave it out.")
        examples.append(Example(str(i), dict(zip(names, map(str, values), strict=True))))
    return examples


def _as_list(name: str, value: Any) -> Any:
    """Return the candidates of a row as the text of a JSON list, any other field as it is."""
    if name != CHOICES:
        return value
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError):
            value = json.loads(value)
    fits = isinstance(value, list | tuple) and value and all(isinstance(one, str) and one.strip() for one in value)
    if not fits:
        raise DataError(f"The candidates of a row are {_told(value)}, expected a list of texts, such as ['a', 'b'].")
    return json.dumps(list(value), ensure_ascii=False)


def _rows(texts: Any, columns: Mapping[str, str]) -> Iterable[Any]:
    """Return what a table or a list has, row by row, whatever library it is of."""
    if isinstance(texts, str | bytes):
        raise DataError(f"Expected a list of texts, found one text: write [{texts[:40]!r}].")
    if isinstance(texts, Mapping):
        return _of_columns(texts, columns)
    for method in ("to_pylist", "to_dicts"):  # pyarrow, polars
        if callable(convert := getattr(texts, method, None)):
            return _alone(convert(), columns)
    if hasattr(texts, "iloc") and hasattr(texts, "columns"):  # pandas: by itself a frame yields its columns' names
        return _alone(texts.to_dict("records"), columns)
    if isinstance(texts, set | frozenset) or not _is_iterable(texts):
        raise DataError(f"Expected {_EXPECTED}, found {_told(texts)}.")
    return _alone(texts, columns) if hasattr(texts, "column_names") else texts


def _is_iterable(value: object) -> bool:
    try:
        iter(value)  # type: ignore[call-overload]
    except TypeError:  # as of an array without a dimension, which has the method
        return False
    return True


def _alone(rows: Iterable[Any], columns: Mapping[str, str]) -> Iterator[Any]:
    """Yield the rows of a table; where it has one column and the classifier one field, the column may have any name."""
    for row in rows:
        yield (
            dict.fromkeys(columns, *row.values()) if isinstance(row, Mapping) and len(row) == len(columns) == 1 else row
        )


def _of_columns(table: Mapping[Any, Any], columns: Mapping[str, str]) -> Iterator[Any]:
    """Yield the rows of a mapping of columns."""
    if wrong := next(
        (name for name, values in table.items() if isinstance(values, str) or not _is_iterable(values)), None
    ):
        raise DataError(
            f"Expected {_EXPECTED}, found one row, with {shown(table[wrong])} as {shown(wrong)}: put it into [ ]."
        )
    lists = {name: list(values) for name, values in table.items()}
    if len({len(values) for values in lists.values()}) > 1:
        lengths = {name: len(values) for name, values in lists.items()}
        raise DataError(f"The columns differ in length, {shown(lengths, 200)}: give each as many values.")
    return _alone((dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)), columns)


def _by_name(number: int, row: Mapping[Any, Any], columns: Mapping[str, str]) -> list[Any]:
    """Return the texts of a row by the names of the fields, or of their columns."""
    names = [str(name) for name in row]
    values = []
    for field, column in columns.items():
        found = next((name for name in (same_column(field, names), same_column(column, names)) if name in row), None)
        if found is None:
            expected = shown(field) if field == column else f"{shown(field)} or {shown(column)}"
            raise DataError(
                f"Row {number} has no {expected}, found {', '.join(map(shown, names[:12])) or 'nothing'}: rename the "
                f"column of the text.{close_match(column, names)}"
            )
        values.append(row[found])
    return values


def _in_order(row: Any) -> Sequence[Any]:
    """Return the texts of a row; what is neither a text nor a sequence stands for itself, to be refused."""
    return (row,) if isinstance(row, str | bytes | set) or not _is_iterable(row) else tuple(row)


def _is_text(value: object) -> bool:
    """Say whether a tokenizer takes a value: it takes no half of a surrogate pair."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value))


def _told(value: object) -> str:
    """Return a value, shortened, for a message."""
    return f"{value[:40]!a}" if isinstance(value, str) else shown(value)
