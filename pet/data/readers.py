"""Rows of a file or a hub data set become `Example`s; what is wrong with a row is said with its number."""

import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from pet.data.columns import check_label_column, resolve_fields
from pet.data.examples import Example
from pet.data.formats import Malformed, Scanned, row_unit, scan_rows
from pet.data.hub import is_hub_name, read_hub_rows
from pet.data.keys import Keys, key_of
from pet.data.rows import Rows, RowWriter
from pet.data.streams import close_match, shown
from pet.errors import DataError

__all__ = ["ReadOptions", "ReadResult", "RejectedRow", "Role", "read_examples"]

Role = Literal["train", "unlabeled", "test", "input"]

_SPLITS: Mapping[str, str] = {"train": "train", "unlabeled": "train", "test": "test", "input": "test"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_HEAD = 100
"""So many rows are looked at to learn the columns of a file whose rows may differ (JSON)."""


@dataclass(frozen=True)
class ReadOptions:
    """What rows are read as. Empty `fields`: find them out; `labels` None: any label will do.

    `mapped` says whether settings name the columns, which a message then tells to change.
    """

    role: Role
    fields: Mapping[str, str] = field(default_factory=dict)
    label_column: str = "label"
    id_column: str = "id"
    labels: tuple[str, ...] | None = None
    on_bad_row: Literal["error", "skip"] = "error"
    mapped: bool = True


@dataclass(frozen=True)
class RejectedRow:
    """A row left out: where it stands, why, and its columns (``{"line": ...}`` if it was never parsed)."""

    file: str
    line: int
    reason: str
    row: Mapping[str, object]


@dataclass(frozen=True)
class ReadResult:
    """What was read; `fields` maps each field to the column it came from. `examples` lie in a file of their own.

    `labels_seen` says that labels stood in the file, also where the role has them dropped; `columns` are those of its
    first rows.
    """

    examples: Rows
    rejected: tuple[RejectedRow, ...]
    labels_seen: bool
    fields: Mapping[str, str]
    columns: tuple[str, ...]


def read_examples(source: str, options: ReadOptions) -> ReadResult:
    """Read a file, a hub data set (``"owner/name:split"``) or a folder of one.

    Labels are kept as words, save for the role "unlabeled", where they are dropped here. A row without an id
    is named after its role and its number, such as ``"train-17"``. The other columns go to `Example.extra`.

    Raises
    ------
    DataError
        If the source cannot be read, a column is missing, two rows share an id or no row is left; and, unless
        `options.on_bad_row` is "skip", if one row cannot be used.
    """
    scanned = _scan(source, options.role)
    head = list(islice(scanned, _HEAD))
    plan = _Plan.from_head(source, head, options)
    intake = _Intake(plan)
    try:
        for number, row in chain(head, scanned):
            intake.add(number, row)
    except DataError:
        intake.refuse_repeated_ids()  # two equal ids before the place of the error come first
        raise
    intake.refuse_repeated_ids()
    rejected = intake.rejected
    if not intake.numbers:
        raise DataError(f"{source}: none of its {len(rejected)} rows can be used; {plan.first_of(rejected)}.")
    return ReadResult(intake.rows.close(), tuple(rejected), intake.labels_seen, plan.fields, plan.columns)


def _scan(source: str, role: Role) -> Iterator[Scanned]:
    if is_hub_name(source):
        yield from read_hub_rows(source, _SPLITS[role])
    else:
        yield from scan_rows(Path(source))


class _BadRowError(Exception):
    """The reason why one row cannot be used."""


@dataclass(frozen=True)
class _Plan:
    """How the rows of one source become examples."""

    source: str
    options: ReadOptions
    fields: Mapping[str, str]
    columns: tuple[str, ...]

    @classmethod
    def from_head(cls, source: str, head: list[Scanned], options: ReadOptions) -> "_Plan":
        """Resolve the columns from the first rows."""
        if not head:
            raise DataError(f"{source} has no rows: give a file with at least one.")
        rows = [row for _, row in head if not isinstance(row, Malformed)]
        columns = tuple(dict.fromkeys(column for row in rows for column in row))
        if not rows:
            place = f"{_unit(source)} {head[0][0]}"
            raise DataError(f"{source}: none of its first rows can be read; {place}: {_reason(head)}.")
        reserved = (options.label_column, options.id_column)
        fields = resolve_fields(source, columns, options.fields, reserved, options.mapped)
        if options.role in ("train", "test"):
            check_label_column(source, columns, options.label_column, options.mapped)
        return cls(source, options, fields, columns)

    def example(self, number: int, row: Mapping[str, object] | Malformed) -> Example:
        """Return the example of one row, or raise `_BadRowError`."""
        if isinstance(row, Malformed):
            raise _BadRowError(row.reason)
        _check_characters(row)
        options = self.options
        used = {options.label_column, options.id_column, *self.fields.values()}
        return Example(
            id=_as_word(row.get(options.id_column)) or f"{options.role}-{number}",
            fields=self._texts(row),
            label=None if options.role == "unlabeled" else self._label(row),
            extra={column: value for column, value in row.items() if column not in used},
        )

    def _texts(self, row: Mapping[str, object]) -> dict[str, str]:
        texts = {}
        for name, column in self.fields.items():
            value = row.get(column)
            if isinstance(value, list | dict | bytes):
                raise _BadRowError(f"the column {column!r} holds {shown(value)}, not a text")
            if _is_missing(value):
                raise _BadRowError(f"no text in the column {column!r}")
            texts[name] = str(value)
        if not any(text.strip() for text in texts.values()):
            raise _BadRowError(f"only blank text in {', '.join(map(repr, self.fields.values()))}")
        return texts

    def _label(self, row: Mapping[str, object]) -> str | None:
        options = self.options
        value = row.get(options.label_column)
        if isinstance(value, list | dict | bytes):
            raise _BadRowError(f"the label is {shown(value)}, not one word")
        label = _as_word(value)
        if label is None:
            if options.role == "input":
                return None
            raise _BadRowError(f"no label in the column {options.label_column!r}")
        if options.labels is not None and label not in options.labels:
            known = ", ".join(map(shown, options.labels[:12])) + (", ..." if len(options.labels) > 12 else "")
            hint = close_match(label, options.labels).strip()
            raise _BadRowError(f"the label {shown(label)} is none of {known}" + (f" ({hint})" if hint else ""))
        return label

    def has_label(self, row: Mapping[str, object] | Malformed) -> bool:
        """Say whether a row holds a label."""
        return not isinstance(row, Malformed) and _as_word(row.get(self.options.label_column)) is not None

    def rejected(self, number: int, row: Mapping[str, object] | Malformed, reason: str) -> RejectedRow:
        """Return the record of a row left out, or raise the `DataError` where none may be."""
        if self.options.on_bad_row == "error":
            raise DataError(
                f"{self.source}, {self._place(number)}: {reason}; mend the row, or leave such rows out with "
                "--on-bad-row skip."
            )
        content = {"line": row.text} if isinstance(row, Malformed) else row
        return RejectedRow(self.source, number, reason, content)

    def first_of(self, rejected: list[RejectedRow]) -> str:
        """Describe the first row left out."""
        return f"{self._place(rejected[0].line)}: {rejected[0].reason}"

    def duplicate(self, name: str, first: int, second: int) -> str:
        """Describe two rows with one id."""
        return (
            f"{self.source}, {self._place(second)}: the id {shown(name)} stands in {self._place(first)} "
            "already; make the ids unique, or name another column in [task] id_column."
        )

    def _place(self, number: int) -> str:
        return f"{_unit(self.source)} {number}"


@dataclass
class _Intake:
    """The rows read so far: the examples in a file, of their ids 16 bytes each, and their numbers."""

    plan: _Plan
    rows: RowWriter = field(default_factory=RowWriter)
    ids: Keys = field(default_factory=Keys)
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    rejected: list[RejectedRow] = field(default_factory=list)
    labels_seen: bool = False

    def add(self, number: int, row: Mapping[str, object] | Malformed) -> None:
        """Take a row as an example, or leave it out."""
        try:
            example = self.plan.example(number, row)
        except _BadRowError as bad:
            self.rejected.append(self.plan.rejected(number, row, str(bad)))
            return
        self.rows.add(example)
        self.ids.add(key_of(example.id))
        self.numbers.append(number)
        self.labels_seen = self.labels_seen or self.plan.has_label(row)

    def refuse_repeated_ids(self) -> None:
        """Refuse the first row whose id an earlier one has."""
        repeats = self.ids.repeats()
        if len(repeats):
            earlier, later = self.ids.first_of(int(repeats[0])), int(repeats[0])
            name = self.rows.close()[later].id
            raise DataError(self.plan.duplicate(name, self.numbers[earlier], self.numbers[later]))


def _unit(source: str) -> str:
    return "row" if is_hub_name(source) else row_unit(Path(source))


def _reason(head: list[Scanned]) -> str:
    """Return why the first piece is no row."""
    return next(row.reason for _, row in head if isinstance(row, Malformed))


def _is_missing(value: object) -> bool:
    """Say whether a cell is empty: null, or the NaN by which tables of numbers say it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _as_word(value: object) -> str | None:
    """Return a label or an id as text: 1 and 1.0 are "1", True is "true"; None where there is nothing."""
    if _is_missing(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


def _check_characters(value: object) -> None:
    """Refuse what no tokenizer and no file takes: half a surrogate pair, or a NUL, anywhere in a row."""
    if isinstance(value, str):
        if "\0" in value:
            raise _BadRowError(f"a NUL character in {shown(value)}")
        if not value.isascii() and _SURROGATE.search(value):
            raise _BadRowError(f"half a surrogate pair (no character) in {shown(value)}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check_characters(key)
            _check_characters(item)
    elif isinstance(value, list):
        for item in value:
            _check_characters(item)
