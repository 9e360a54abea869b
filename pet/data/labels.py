"""What stands in the cells of labels: one, none, or several, which a row of a task here never has."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from pet.errors import shown
from pet.settings.task import label_word

ONE_LABEL = (
    "a row has one label here: where rows have several, set [task] multi_label = true (and label_separator, where a "
    "cell is text); else keep the one that matters most"
)
"""What to do where a row has several labels."""

_EMPTY = frozenset({"NaN", "nan", "None", "NULL", "null", "<NA>", "N/A", "#N/A"})
_LIST = re.compile(r"\[(.*)\]", re.DOTALL)
_BETWEEN = re.compile(r"[;|,\n]")


def shown_labels(labels: Sequence[str], most: int = 12) -> str:
    """Return the first labels of a task for a message.

    >>> shown_labels(["a", "b", "c"], 2)
    "'a', 'b', ..."
    """
    return ", ".join(map(shown, labels[:most])) + (", ..." if len(labels) > most else "")


def is_placeholder(value: object) -> bool:
    """Say whether a cell holds the word that stands for an empty one where its writer had nothing else for it.

    >>> is_placeholder("NaN"), is_placeholder("none")  # in small letters it may be a label
    (True, False)
    """
    return isinstance(value, str) and value.strip() in _EMPTY


def label_parts(value: object) -> list[str]:
    """Return the labels that a cell may be made of, in order; one where nothing divides it.

    >>> label_parts("billing; account"), label_parts('["a", "b"]'), label_parts(["a", "b"]), label_parts("Sci/Tech")
    (['billing', 'account'], ['a', 'b'], ['a', 'b'], ['Sci/Tech'])
    """
    if isinstance(value, list):
        return [label_word(part) for part in value]
    text = str(value).strip()
    listed = _LIST.fullmatch(text)
    parts = [part.strip(" \t\"'") for part in _BETWEEN.split(listed[1] if listed else text)]
    return [label_word(part) for part in parts if part]


def has_several(value: object, known: Collection[str] | None) -> bool:
    """Say whether a cell holds several labels: it is a list, or made of some that are `known`.

    >>> has_several("billing;account", {"billing", "account"}), has_several("Sci, Tech", {"Sci, Tech"})
    (True, False)
    """
    parts = label_parts(value)
    if len(parts) < 2 or (known and label_word(value) in known):
        return False
    return isinstance(value, list) or bool(known and all(part in known for part in parts))


def joined_labels(labels: Iterable[str]) -> list[str]:
    """Return those of a file's labels that are several in one: each part stands in another label, too, or alone.

    >>> joined_labels(["a;b", "a", "b", "Sci, Tech"]), joined_labels(["a|b", "b|c", "a|c"])
    (['a;b'], ['a|b', 'b|c', 'a|c'])
    """
    parts = {label: label_parts(label) for label in labels}
    uses = Counter(part for found in parts.values() for part in set(found))
    return [label for label, found in parts.items() if len(found) > 1 and all(uses[part] > 1 for part in found)]
