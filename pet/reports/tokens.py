"""A row under a pattern token by token, with where each comes from, for a person to look at."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.shortening import shorten

TokenKind = Literal["text", "literal", "tune", "soft", "mask", "special", "shown"]


@dataclass(frozen=True)
class Token:
    """One token: its id, where it comes from, its segment, and whether it is cut off.

    `slot` is the row of the table of trained vectors that stands here, -1 where the token's own does.
    """

    id: int
    kind: TokenKind
    segment: int
    cut: bool = False
    slot: int = -1


def row_tokens(encoder: PatternEncoder, example: Example, slots: int = 1) -> list[Token]:
    """Return all tokens of a row in order, those that are cut off too.

    Raises `PromptError` if the template alone does not fit.
    """
    columns, kept = encoder.columns([example], slots)
    found = []
    for column, length in zip(columns, kept[0].tolist(), strict=True):
        ids = column.ids[0] if isinstance(column.ids, list) else column.ids
        rows = np.full(len(ids), -1) if column.slots is None else column.slots
        length = len(ids) if encoder.truncation == "windows" else length  # all of it is read, in one of them
        read = set(shorten(np.arange(len(ids)), length, encoder.truncation).tolist())
        kind: TokenKind = "text" if column.kind == "field" else column.kind
        for i, (token, row) in enumerate(zip(ids.tolist(), rows.tolist(), strict=True)):
            found.append(Token(token, kind, column.segment, i not in read, row))
    return found
