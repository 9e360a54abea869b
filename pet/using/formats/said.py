"""What people say of one row in another tool: their labels, of which the majority counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """The `data` of a row, the labels that people gave it (None: several at once), and who they are, in this order.

    `before` is the label that it was given to the tool with, where the tool does not keep that apart.
    """

    data: Mapping[str, Any]
    labels: Sequence[str | None]
    people: Sequence[str]
    before: str | None = None

    @property
    def label(self) -> str | None:
        """The label of the majority; None where nobody says anything, or no label has more votes than another."""
        ranked = Counter(self.labels).most_common(2)
        if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
            return None
        return ranked[0][0]

    @property
    def reviewer(self) -> str:
        """The person, if it is one."""
        return self.people[0] if len(set(self.people)) == 1 else ""
