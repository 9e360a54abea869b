"""Which columns of a file hold numbers, though in a table of separated values every cell is text."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.([0-9]{1,15})")

Number = type[int] | type[float]

Kinds = Mapping[str, Number | None]


@dataclass
class _Column:
    """What the cells of a column have been so far: how many decimals they have, and whether all are read exactly."""

    decimals: set[int] = field(default_factory=set)
    exact: bool = True
    is_text: bool = False

    def see(self, text: str) -> None:
        """Look at a cell."""
        found = _DECIMAL.fullmatch(text)
        if not (found or _WHOLE.fullmatch(text)):
            self.is_text = True
            return
        self.decimals.add(len(found[1]) if found else 0)
        self.exact = self.exact and (found is None or repr(float(text)) == text)
        self.is_text = not (self.exact or len(self.decimals) == 1)

    @property
    def kind(self) -> Number:
        """The type of its numbers."""
        return float if max(self.decimals) else int


@dataclass
class NumberColumns:
    """What is known of columns while their rows are read; where cells are `typed`, a number is no text.

    A column holds numbers if nothing is lost when they are read as such: "007" is text, and so are "1.1" and "1.10" in
    one column, for they are other words.

    >>> found = NumberColumns()
    >>> for row in ({"n": "1", "p": "2.50", "zip": "01", "v": "1.10"}, {"n": "", "p": "3.00", "zip": "2", "v": "1.1"}):
    ...     found.see(row)
    >>> found.kinds
    {'n': <class 'int'>, 'p': <class 'float'>, 'zip': None, 'v': None}
    """

    typed: bool = False
    _columns: dict[str, _Column] = field(default_factory=dict)

    def see(self, row: Mapping[str, object]) -> None:
        """Look at the cells of a row; empty ones say nothing."""
        for name, value in row.items():
            column = self._columns.setdefault(name, _Column())
            if self.typed:
                column.is_text = column.is_text or isinstance(value, str)
            elif value and not column.is_text:
                column.see(str(value))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that any row had."""
        return tuple(self._columns)

    @property
    def kinds(self) -> Kinds:
        """What cells that are text mean: numbers of a kind, or None, text; nothing of a column without any."""
        known = ((name, column) for name, column in self._columns.items() if column.is_text or column.decimals)
        return {name: None if column.is_text else column.kind for name, column in known}


def joined(several: Iterable[Kinds]) -> Mapping[str, Number]:
    """Return the columns that hold numbers in each of several files, where they hold anything."""
    found: dict[str, Number | None] = {}
    for kinds in several:
        for name, kind in kinds.items():
            before = found.get(name, kind)
            found[name] = None if kind is None or before is None else float if float in (kind, before) else int
    return {name: kind for name, kind in found.items() if kind is not None}


def as_numbers(values: Iterable[object], kind: Number | None) -> list[object]:
    """Return the cells of a column as numbers of a kind, None for empty ones; as they are where it has none."""
    if kind is None:
        return list(values)
    return [(kind(value) if value else None) if isinstance(value, str) else value for value in values]
