"""What the names of labels say: a dot divides a parent from its part, as in ``card.arrival``."""

import re
from collections.abc import Sequence

_DOT = re.compile(r"(?<=[^\W\d_]{2})\.(?=[^\W\d_]{2})")
"""A dot between two parts of a name, each of letters: not that of an abbreviation or a number."""


def name_parts(label: str) -> list[str]:
    """Return the parts of a name that dots divide.

    >>> name_parts("card.arrival"), name_parts("U.S."), name_parts("v1.5")
    (['card', 'arrival'], ['U.S.'], ['v1.5'])
    """
    return _DOT.split(label)


def parents_of(labels: Sequence[str]) -> dict[str, list[int]]:
    """Return the columns of the labels below each parent, the first part of their names; a label alone is its own.

    Nothing where the names have no levels: no parent has two labels, or one has all.

    >>> parents_of(["card.arrival", "card.lost", "rates"]), parents_of(["a", "b"]), parents_of(["node.js", "rates"])
    ({'card': [0, 1], 'rates': [2]}, {}, {})
    """
    found: dict[str, list[int]] = {}
    for column, label in enumerate(labels):
        found.setdefault(name_parts(label)[0], []).append(column)
    return found if 1 < len(found) < len(labels) else {}
