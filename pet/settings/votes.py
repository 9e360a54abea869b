"""Votes that come from elsewhere: of a language model, of rules, of an older classifier, of people."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from pet.settings.base import Section, expecting

_check_name = expecting("letters, digits, '.', '_' and '-'", re.compile(r"[\w.-]*").fullmatch)


class VotesSettings(Section):
    """`[[votes]]`: labels that somebody else gives to rows, a table each.

    Of a `file` of rows with an id and a label, or ``prob_<label>`` columns, or of a `column` of the train and unlabeled
    files. Empty cells are no votes. `name` is what the votes are called; by default that of the file or the column.
    """

    file: str | None = None
    """A file with the ids of rows, and labels or columns prob_LABEL; relative to the pipeline."""

    column: str | None = None
    """A column of the unlabeled and the labeled rows that has labels."""

    name: Annotated[str, AfterValidator(_check_name)] = ""
    """What the votes are called."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if bool(self.file) == bool(self.column):
            found = "both" if self.file else "neither"
            raise ValueError(f'expected file = "votes.csv" or column = "rule", found {found}')
        return self

    @property
    def called(self) -> str:
        """The name of the votes.

        >>> VotesSettings(file="from/my llm.csv").called, VotesSettings(column="rule_a").called
        ('my-llm', 'rule_a')
        """
        source = Path(self.file).name.partition(".")[0] if self.file else str(self.column)
        return self.name or re.sub(r"[^\w.-]+", "-", source)


def _names_differ(tables: Sequence[VotesSettings]) -> Sequence[VotesSettings]:
    names = [table.called for table in tables]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two tables are called {twice!r}: give one of them another name")
    return tables


VotesTables = Annotated[
    tuple[VotesSettings, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, dict) else value),
    AfterValidator(_names_differ),
]
"""All tables of votes; a single one may be written `[votes]`."""
