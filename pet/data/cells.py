"""The cells of a row: what they hold, and what of it cannot be used."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress

from pet.data.examples import Example
from pet.errors import shown
from pet.settings.task import number_as_word

_SURROGATE = re.compile("[\ud800-\udfff]")


class BadRowError(Exception):
    """The reason why one row cannot be used."""


def candidates_text(column: str, value: object) -> str:
    """Return the candidates of a row as the text of a JSON list; a cell of a table holds such a text."""
    found = value
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError):
            found = json.loads(value)
    if is_missing(value) or found in ("", []):
        raise BadRowError(f"no candidates in the column {column!r}")
    if not isinstance(found, list):
        raise BadRowError(
            f'the column {column!r} holds {shown(value)}, expected a list of candidates, such as ["a dog", "a cat"]'
        )
    for one in found:
        if isinstance(one, bool) or not isinstance(one, str | int | float) or not str(one).strip():
            raise BadRowError(f"a candidate in the column {column!r} is {shown(one)}, expected a text")
    return json.dumps([str(one) for one in found], ensure_ascii=False)


def check_index(example: Example) -> None:
    """Refuse a label that is no index of the row's candidates."""
    count = len(example.choices)
    if example.label is not None and count and example.label not in map(str, range(count)):
        raise BadRowError(
            f"the label is {shown(example.label)}, expected the index of a candidate, from 0 to {count - 1}"
        )


def is_missing(value: object) -> bool:
    """Say whether a cell is empty: null, or the NaN by which tables of numbers say it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_given(value: object) -> bool:
    """Say whether a cell holds anything: it is neither missing, nor blank, nor an empty list."""
    return not (is_missing(value) or value in ([], {}) or not str(value).strip())


def as_word(value: object) -> str | None:
    """Return a label or an id as text; None where there is nothing."""
    if is_missing(value):
        return None
    return number_as_word(value) if isinstance(value, int | float) else str(value).strip() or None


_MOST_LEVELS = 64
"""Lists and objects of a row may lie within each other so deep: formats and libraries have bounds of their own."""


def check_characters(value: object, level: int = 0) -> None:
    """Refuse what no tokenizer and no file takes: half a surrogate pair, a NUL, or too many levels."""
    if level > _MOST_LEVELS:
        raise BadRowError(f"more than {_MOST_LEVELS} lists or objects within each other")
    if isinstance(value, str):
        if "\0" in value:
            raise BadRowError(f"a NUL character in {shown(value)}")
        if not value.isascii() and _SURROGATE.search(value):
            raise BadRowError(f"half a surrogate pair (no character) in {shown(value)}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_characters(key)
            check_characters(item, level + 1)
    elif isinstance(value, list):
        for item in value:
            check_characters(item, level + 1)
