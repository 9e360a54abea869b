"""Rows of a file or a hub data set become `Example`s; what is wrong with a row is said with its number."""

import json
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Literal

from pet.data.columns import check_label_column, resolve_fields, same_column
from pet.data.examples import Example
from pet.data.formats import scan_file
from pet.data.hub import scan_data_set
from pet.data.keys import first_of, key_of, repeats
from pet.data.labels import ONE_LABEL, has_several, is_placeholder
from pet.data.numbers import Kinds, NumberColumns
from pet.data.other_labels import other_labels
from pet.data.rows import Rows
from pet.data.scanned import Malformed, Scanned
from pet.data.source import File, Source
from pet.errors import DataError, close_match, shown
from pet.settings.task import CHOICES, label_word, number_as_word

Role = Literal["train", "unlabeled", "row", "test", "input"]
"""What rows are for; a "row" is labeled or not, as its label says."""

_SPLITS: Mapping[str, str] = {"train": "train", "unlabeled": "train", "row": "train", "test": "test", "input": "test"}
_LABELED: tuple[Role, ...] = ("train", "row", "test")
_SURROGATE = re.compile("[\ud800-\udfff]")
HEAD_ROWS = 100
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
    first rows, `extras` all that any row has beside its texts; `numbers` say which of them hold numbers as text, as all
    of a table of separated values are; `notes` say what is doubtful about the file.
    """

    examples: Rows
    rejected: tuple[RejectedRow, ...]
    labels_seen: bool
    fields: Mapping[str, str]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    numbers: Kinds = field(default_factory=dict)
    extras: tuple[str, ...] = ()


def read_examples(source: Source, options: ReadOptions) -> ReadResult:
    """Read the rows of a source.

    Labels are kept as words, save for the role "unlabeled", where they are dropped here, and "input", where they are a
    column like any other; for the role "row" they may be missing. A row without an id is named after its role and its
    number, such as ``"train-17"``. The other columns go to `Example.extra` as they are, and so do those of ids and
    labels which are called otherwise.

    Raises `DataError` if the source cannot be read, a column is missing, two rows share an id (but for the role
    "input") or no row is left; and, unless `options.on_bad_row` is "skip", if one row cannot be used.
    """
    scanned = scan_file(source) if isinstance(source, File) else scan_data_set(source, _SPLITS[options.role])
    head = list(islice(scanned, HEAD_ROWS))
    parser = _RowParser.from_head(source, head, options)
    reading = _Reading(parser)
    rows = Rows.of(reading.examples(chain(head, scanned)))
    reading.refuse_repeated_ids(rows)  # two equal ids before the place of another error come first
    if reading.failure:
        raise reading.failure
    rejected = reading.rejected
    if not rows:
        reason = f"{source.unit} {rejected[0].line}: {rejected[0].reason}"
        raise DataError(f"{source.text}: none of its {len(rejected)} rows can be used; {reason}.")
    kinds = reading.kinds
    return ReadResult(
        examples=rows,
        rejected=tuple(rejected),
        labels_seen=reading.labels_seen,
        fields=parser.fields,
        columns=parser.columns,
        notes=reading.notes,
        numbers=kinds.kinds,
        extras=kinds.names,
    )


class _BadRowError(Exception):
    """The reason why one row cannot be used."""


class _OtherLabelError(_BadRowError):
    """The reason where the row has a label that is none of the task's; that `label` stands in other rows, too."""

    def __init__(self, reason: str, label: str) -> None:
        super().__init__(reason)
        self.label = label


@dataclass(frozen=True)
class _RowParser:
    """How the rows of one source become examples."""

    source: Source
    options: ReadOptions
    fields: Mapping[str, str]
    columns: tuple[str, ...]

    @classmethod
    def from_head(cls, source: Source, head: list[Scanned], options: ReadOptions) -> "_RowParser":
        """Resolve the columns from the first rows."""
        if not head:
            raise DataError(f"{source.text} has no rows: give a file with at least one.")
        number, first = head[0]
        rows = [row for _, row in head if not isinstance(row, Malformed)]
        columns = tuple(dict.fromkeys(column for row in rows for column in row))
        if not rows and isinstance(first, Malformed):
            raise DataError(
                f"{source.text}: none of its first rows can be read; {source.unit} {number}: {first.reason}."
            )
        reserved = (same_column(options.label_column, columns), same_column(options.id_column, columns))
        options = replace(options, label_column=reserved[0], id_column=reserved[1])
        fields = resolve_fields(source, columns, options.fields, reserved, options.mapped)
        if options.role in _LABELED:
            check_label_column(source, columns, options.label_column, options.mapped)
        return cls(source, options, fields, columns)

    def example(self, number: int, row: Mapping[str, object]) -> Example:
        """Return the example of one row, or raise `_BadRowError`."""
        _check_characters(row)
        options = self.options
        example = Example(
            id=_as_word(row.get(options.id_column)) or f"{options.role}-{number}",
            fields=self._texts(row),
            label=self._label(row) if options.role in _LABELED else None,
            extra={column: value for column, value in row.items() if not self._is_ours(column, value)},
        )
        _check_index(example)
        return example

    def _is_ours(self, column: str, value: object) -> bool:
        """Say whether a cell is told by a row's id, texts and label, so that it need not be kept beside them."""
        if column in self.fields.values():
            return isinstance(value, str) or self.options.role != "input"
        if self.options.role == "input":  # its columns are written as they are
            return False
        hidden = self.options.label_column if self.options.role == "unlabeled" else "label"
        return column in ("id", hidden) and column in (self.options.id_column, self.options.label_column)

    def _texts(self, row: Mapping[str, object]) -> dict[str, str]:
        texts = {}
        for name, column in self.fields.items():
            value = row.get(column)
            if name == CHOICES:
                texts[name] = _candidates(column, value)
                continue
            if isinstance(value, list | dict | bytes):
                raise _BadRowError(f"the column {column!r} holds {shown(value)}, not a text")
            if _is_missing(value):
                raise _BadRowError(f"no text in the column {column!r}")
            texts[name] = str(value)
        if not any(text.strip() for name, text in texts.items() if name != CHOICES):
            raise _BadRowError(f"only blank text in {', '.join(map(repr, self.fields.values()))}")
        return texts

    def label_of(self, row: Mapping[str, object]) -> str:
        """Return the label of a row, whether the task has it or not ("": none), or raise `_BadRowError`."""
        options = self.options
        value = row.get(options.label_column)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if has_several(value, options.labels):
            raise _BadRowError(f"the label is {shown(value)}, not one word, and {ONE_LABEL}")
        if isinstance(value, list | dict | bytes) and (value or options.role != "row"):
            raise _BadRowError(f"the label is {shown(value)}, not one word")
        label = label_word(value) if is_given(value) else ""
        return "" if options.role == "row" and self.is_placeholder(value) else label

    def _label(self, row: Mapping[str, object]) -> str | None:
        options, label = self.options, self.label_of(row)
        if options.role == "row" and not label:
            return None
        if not label:
            raise _BadRowError(f"no label in the column {options.label_column!r}")
        if options.labels is not None and label not in options.labels:
            known = ", ".join(map(shown, options.labels[:12])) + (", ..." if len(options.labels) > 12 else "")
            hint = close_match(label, options.labels).strip()
            reason = f"the label {shown(label)} is none of {known}" + (f" ({hint})" if hint else "")
            raise _OtherLabelError(reason, label)
        return label

    def is_placeholder(self, value: object) -> bool:
        """Say whether a label says that there is none, and is none of those that were named."""
        return is_placeholder(value) and label_word(value) not in (self.options.labels or ())

    def rejected(self, number: int, row: Mapping[str, object] | Malformed, reason: str) -> RejectedRow:
        """Return the record of a row left out, or raise the `DataError` where none may be."""
        source = self.source
        if self.options.on_bad_row == "error":
            raise DataError(
                f"{source.text}, {source.unit} {number}: {reason}; mend the row, or leave such rows out with "
                "--on-bad-row skip."
            )
        return RejectedRow(source.text, number, reason, {"line": row.text} if isinstance(row, Malformed) else row)


@dataclass
class _Reading:
    """What is noted while rows are read: their numbers, 16 bytes of each id, those left out, and what ended it."""

    parser: _RowParser
    ids: bytearray = field(default_factory=bytearray)
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    rejected: list[RejectedRow] = field(default_factory=list)
    labels_seen: bool = False
    labels: set[str | None] = field(default_factory=set)
    failure: DataError | None = None
    kinds: NumberColumns = field(init=False)
    placeholders: Counter[str] = field(default_factory=Counter)
    long_cells: int = 0
    first_long: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.kinds = NumberColumns(typed=not self._is_table)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is doubtful about the file as a whole."""
        notes = [
            f"{count} rows have {shown(word)} for a label, which is taken for none: if it is one, name it in [task] "
            "labels with the others"
            for word, count in self.placeholders.items()
        ]
        if self.long_cells:
            number, lines = self.first_long
            cells = "a cell goes" if self.long_cells == 1 else f"{self.long_cells} cells go"
            notes.append(
                f"{cells} over several lines in {self.parser.source.text}, such as the one that begins in line "
                f"{number}, over {lines}: if its lines are rows, a quote is wrong there"
            )
        return tuple(notes)

    @property
    def _is_table(self) -> bool:
        """Whether every cell is text, also one that means a number."""
        return isinstance(self.parser.source, File) and self.parser.source.suffix in (".csv", ".tsv")

    def _look_at_lines(self, number: int, example: Example) -> None:
        """Note a cell of several lines where it is the only one of its row: nothing tells it from several rows."""
        if len(self.parser.columns) == 1 and self._is_table:
            lines = len(next(iter(example.fields.values())).splitlines())
            if lines > 1:
                self.first_long = self.first_long if self.long_cells else (number, lines)
                self.long_cells += 1

    def examples(self, scanned: Iterable[Scanned]) -> Iterator[Example]:
        """Yield the rows as examples, up to a `failure`; a row that cannot be used is left out."""
        try:
            for number, row in scanned:
                try:
                    if isinstance(row, Malformed):
                        raise _BadRowError(row.reason)
                    example = self.parser.example(number, row)
                except _BadRowError as bad:
                    if isinstance(bad, _OtherLabelError) and self.parser.options.on_bad_row == "error":
                        self._refuse_other_labels(bad.label, scanned)
                    self.rejected.append(self.parser.rejected(number, row, str(bad)))
                    continue
                if self.parser.options.role != "input":  # nobody looks for one of its rows by the id
                    self.ids += key_of(example.id)
                    self.numbers.append(number)
                self.labels.add(example.label)
                value = row.get(self.parser.options.label_column)
                self.labels_seen |= is_given(value)
                if self.parser.options.role == "row" and self.parser.is_placeholder(value):
                    self.placeholders[str(value).strip()] += 1
                self._look_at_lines(number, example)
                self.kinds.see(example.extra)
                yield example
        except DataError as error:
            self.failure = error

    def _refuse_other_labels(self, label: str, rest: Iterable[Scanned]) -> None:
        """Refuse a label that is none of the task's where rows behind it have it too: no slip of a single row."""
        found, known = Counter([label]), self.parser.options.labels or ()
        for _, row in rest:
            with suppress(_BadRowError):
                found[self.parser.label_of(row) if isinstance(row, Mapping) else ""] += 1
        if found[label] > 1:
            kept = {name for name in known if found[name] or name in self.labels}
            raise other_labels(self.parser.source, self.parser.options.mapped, found, known, kept)

    def refuse_repeated_ids(self, rows: Rows) -> None:
        """Refuse the first row whose id an earlier one has."""
        if len(places := repeats(self.ids)):
            later = int(places[0])
            earlier = first_of(self.ids, later)
            source, one, other = self.parser.source, rows[later], rows[earlier]
            here, there = (f"{source.unit} {self.numbers[place]}" for place in (later, earlier))
            if one.fields == other.fields and one.label != other.label:
                advice = f"with the same text and another label; {ONE_LABEL}."
            else:
                advice = "make the ids unique, or name another column in [task] id_column."
            raise DataError(f"{source.text}, {here}: the id {shown(one.id)} stands in {there} already; {advice}")


def _candidates(column: str, value: object) -> str:
    """Return the candidates of a row as the text of a JSON list; a cell of a table holds such a text."""
    found = value
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError):
            found = json.loads(value)
    if _is_missing(value) or found in ("", []):
        raise _BadRowError(f"no candidates in the column {column!r}")
    if not isinstance(found, list):
        raise _BadRowError(
            f'the column {column!r} holds {shown(value)}, expected a list of candidates, such as ["a dog", "a cat"]'
        )
    for one in found:
        if isinstance(one, bool) or not isinstance(one, str | int | float) or not str(one).strip():
            raise _BadRowError(f"a candidate in the column {column!r} is {shown(one)}, expected a text")
    return json.dumps([str(one) for one in found], ensure_ascii=False)


def _check_index(example: Example) -> None:
    """Refuse a label that is no index of the row's candidates."""
    count = len(example.choices)
    if example.label is not None and count and example.label not in map(str, range(count)):
        raise _BadRowError(
            f"the label is {shown(example.label)}, expected the index of a candidate, from 0 to {count - 1}"
        )


def _is_missing(value: object) -> bool:
    """Say whether a cell is empty: null, or the NaN by which tables of numbers say it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_given(value: object) -> bool:
    """Say whether a cell holds anything: it is neither missing, nor blank, nor an empty list."""
    return not (_is_missing(value) or value in ([], {}) or not str(value).strip())


def _as_word(value: object) -> str | None:
    """Return a label or an id as text; None where there is nothing."""
    if _is_missing(value):
        return None
    return number_as_word(value) if isinstance(value, int | float) else str(value).strip() or None


_MOST_LEVELS = 64
"""Lists and objects of a row may lie within each other so deep: formats and libraries have bounds of their own."""


def _check_characters(value: object, level: int = 0) -> None:
    """Refuse what no tokenizer and no file takes: half a surrogate pair, a NUL, or too many levels."""
    if level > _MOST_LEVELS:
        raise _BadRowError(f"more than {_MOST_LEVELS} lists or objects within each other")
    if isinstance(value, str):
        if "\0" in value:
            raise _BadRowError(f"a NUL character in {shown(value)}")
        if not value.isascii() and _SURROGATE.search(value):
            raise _BadRowError(f"half a surrogate pair (no character) in {shown(value)}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check_characters(key)
            _check_characters(item, level + 1)
    elif isinstance(value, list):
        for item in value:
            _check_characters(item, level + 1)
