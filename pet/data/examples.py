"""`Example` and `Task`: what is labeled, and with what."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pet.errors import ConfigError, DataError, near_matches
from pet.settings.task import CHOICES


@dataclass(frozen=True)
class Example:
    """One row: its text fields, its label where it is known, and the user's other columns.

    `fields` maps the names that patterns use to texts; `extra` maps the remaining columns of the file to their values,
    kept for the output only.
    """

    id: str
    fields: Mapping[str, str]
    label: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def choices(self) -> tuple[str, ...]:
        """The candidates of the row, where it has some: the label is the index of one."""
        return tuple(json.loads(self.fields[CHOICES])) if CHOICES in self.fields else ()

    @property
    def with_each_choice(self) -> "tuple[Example, ...]":
        """The row once with each of its candidates as the text of the field that holds them all."""
        return tuple(Example(self.id, {**self.fields, CHOICES: choice}) for choice in self.choices)


def made_up(name: str, fields: Iterable[str], text: str, label: str | None = None) -> Example:
    """Return a row with the same text in each field, and twice where candidates are."""
    twice = json.dumps([text, text])
    return Example(name, {field: twice if field == CHOICES else text for field in fields}, label)


@dataclass(frozen=True)
class Task:
    """The labels (their order is the column order of every [n, k] array) and the fields of a task.

    `descriptions` say what some of the labels are about, and `description` what is asked of a row.
    """

    name: str
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=dict, hash=False)
    description: str = ""

    def __post_init__(self) -> None:
        """Raise `DataError` where there are fewer than two labels, `ConfigError` where what is described is none."""
        if len(self.labels) < 2:
            raise DataError(
                f"Task {self.name!r} has {len(self.labels)} label(s) {list(self.labels)}: at least two are needed; "
                "name them all in [task] labels."
            )
        for label in self.descriptions:
            if label not in self.labels:
                raise ConfigError(
                    f"[task.descriptions] describes {label!r}, which is no label of the task: write the label as the "
                    f"rows have it, or take the line out.{near_matches(label, self.labels)}"
                )
