"""Rows with candidates of their own under a pattern: as many masks as the longest candidate has tokens."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pet.data.examples import Example
from pet.errors import PromptError
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.splicing import Encoded

ABSENT = -1e4
"""The score of a candidate that a row does not have: a softmax gives it nothing, and it is finite."""


def encode_with_candidates(encoder: PatternEncoder, rows: Sequence[Example]) -> list[Encoded]:
    """Return rows under the pattern, each with the tokens of its candidates as they stand at the mask.

    Raises `PromptError` if a candidate is no token for the tokenizer, or the template, its kept fields and the masks
    do not fit.
    """
    words = [_tokens(encoder, row) for row in rows]
    slots = np.asarray([max(map(len, own)) for own in words])
    found: dict[int, Encoded] = {}
    for size in np.unique(slots).tolist():
        places = np.flatnonzero(slots == size).tolist()
        encoded = encoder.encode([rows[i] for i in places], size)
        found |= {i: replace(one, words=words[i]) for i, one in zip(places, encoded, strict=True)}
    return [found[i] for i in range(len(rows))]


def _tokens(encoder: PatternEncoder, row: Example) -> tuple[tuple[int, ...], ...]:
    spaced = next(part.spaced for part in encoder.pattern.render(row) if part.kind == "mask")
    found = tuple(tuple(encoder.pieces.ids(choice.strip(), spaced).tolist()) for choice in row.choices)
    for choice, ids in zip(row.choices, found, strict=True):
        if not ids:
            raise PromptError(
                f"The candidate {choice!r} of row {row.id!r} is no token for the tokenizer of "
                f"{encoder.pieces.tokenizer.name_or_path}: write it in other letters, or choose another model."
            )
        if len(ids) >= encoder.max_length:
            raise PromptError(
                f"The candidate {choice[:40]!r} of row {row.id!r} has {len(ids)} tokens, and {encoder.max_length} at "
                "most are read of a row: shorten it, or raise model.max_length as far as the model allows."
            )
    return found
