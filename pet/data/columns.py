"""Which columns of a file hold the fields of a task, its labels and its ids."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from pet.data.formats import TEXT_COLUMN
from pet.data.source import File, Source
from pet.errors import ColumnError, DataError, close_match, shown
from pet.settings.task import CHOICES

_USUAL = re.compile(r"text(_[a-z])?")


def resolve_fields(
    source: Source, columns: tuple[str, ...], fields: Mapping[str, str], reserved: tuple[str, ...], mapped: bool = True
) -> dict[str, str]:
    """Return field name -> column of one file; `columns` are those found, `reserved` those of labels and ids.

    An empty `fields` means: the columns `text`, `text_a`, `text_b`, ...; else the only column that is not
    reserved, as the field `text`. The one column of a ``.txt`` file serves whatever single field is asked
    for. Unless they are `mapped` by settings, as those of a finished classifier, the columns have to be renamed.

    Raises `ColumnError` if a column is missing, or the fields cannot be told from the columns.
    """
    if not fields:
        return _inferred(source, columns, reserved)
    if len(fields) == 1 and isinstance(source, File) and source.suffix == ".txt":
        return dict.fromkeys(fields, TEXT_COLUMN)
    fields = {name: same_column(column, columns) for name, column in fields.items()}
    for name, column in fields.items():
        if column not in columns:
            way = "name it in [task] choices" if name == CHOICES else "map it in [task.fields]"
            raise ColumnError(
                f"{source.text} has no column {shown(column)} for the field {name!r}; found {_listed(columns)}: "
                f"{way if mapped else 'rename that of the text'}.{close_match(column, columns)}"
            )
        if column == reserved[0]:
            raise ColumnError(
                f"{source.text}: the field {name!r} is mapped to {shown(column)}, the column of the labels: "
                "map another column in [task.fields], or name that of the labels in [task] label_column."
            )
    return fields


def same_column(name: str, columns: Iterable[str]) -> str:
    """Return the column of a name: files may compose its letters in another way (NFC, NFD); else the name as it is."""
    same = {unicodedata.normalize("NFC", column): column for column in columns}
    return name if name in same.values() else same.get(unicodedata.normalize("NFC", name), name)


def check_label_column(source: Source, columns: tuple[str, ...], label_column: str, mapped: bool = True) -> None:
    """Check that a file which must be labeled has a column of labels.

    Raises `DataError` if it has none.
    """
    if label_column not in columns:
        raise DataError(
            f"{source.text} has no column {shown(label_column)} for the labels; found {_listed(columns)}: "
            f"{'name it in [task] label_column' if mapped else 'rename that of the labels'}."
            f"{close_match(label_column, columns)}"
        )


def _inferred(source: Source, columns: tuple[str, ...], reserved: tuple[str, ...]) -> dict[str, str]:
    candidates = tuple(column for column in columns if column not in reserved)
    usual = sorted(column for column in candidates if _USUAL.fullmatch(column))
    if usual:
        return {column: column for column in usual}
    if len(candidates) == 1:
        return {TEXT_COLUMN: candidates[0]}
    raise ColumnError(
        f"{source.text}: which column holds the text? Found {_listed(columns)}, expected 'text', "
        "or 'text_a' and 'text_b': "
        'map fields to columns in [task.fields], such as text = "sentence".'
    )


def _listed(columns: tuple[str, ...]) -> str:
    """Return the columns for a message, a dozen at most."""
    names = ", ".join(shown(column, 40) for column in columns[:12])
    return (names or "none") + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
