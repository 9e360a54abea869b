"""A row under a pattern token by token, with where each comes from, for a person to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder, shorten
from pet.prompts.patterns import Part

__all__ = ["Token", "TokenKind", "row_tokens"]

TokenKind = Literal["text", "literal", "tune", "soft", "mask", "special"]


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

    Raises
    ------
    PromptError
        If the template alone does not fit.
    """
    fitted = encoder.fitted(example, slots)
    layout = encoder.layout_of([part for part, _, _ in fitted])
    segments = layout.segments
    found = [Token(token, "special", segments[0]) for token in layout.prefix]
    for second, group in groupby(fitted, key=lambda item: item[0].segment):
        if second:
            found += [Token(token, "special", segments[2]) for token in layout.middle]
        for part, ids, length in group:
            found += _part_tokens(encoder, part, ids, length, segments[3 if second else 1])
    return [*found, *(Token(token, "special", segments[4]) for token in layout.suffix)]


def _part_tokens(encoder: PatternEncoder, part: Part, ids: np.ndarray, length: int, segment: int) -> Iterator[Token]:
    read = set(shorten(np.arange(len(ids)), length, encoder.truncation).tolist())
    offset = next((item.offset for item in encoder.virtual if item.key == part.key), None) if part.key else None
    kind: TokenKind = "text" if part.kind == "field" else part.kind
    for i, token in enumerate(ids.tolist()):
        yield Token(token, kind, segment, i not in read, -1 if offset is None else offset + i)
