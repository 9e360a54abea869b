"""Rows under a pattern with a word in the place of the mask, as a model reads them that learns from whole sentences."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.splicing import Encoded
from pet.learners.models.words import LabelWords


def filled_rows(
    encoder: PatternEncoder, words: LabelWords, rows: Sequence[Example], columns: np.ndarray, rng: np.random.Generator
) -> list[Encoded]:
    """Return rows with a word of a label each, `columns` int64 [n], where the mask was; one of its words is drawn.

    A word has as many places as it has tokens. Virtual tokens are left out, for nothing stands there before a voter has
    trained their vectors; words with vectors of their own stand as they are written.

    Raises `PromptError` if the template and its kept fields alone do not fit.
    """
    drawn = [words.drawn(column, rng) for column in columns.tolist()]
    sizes = np.asarray([len(word) for word in drawn])
    virtual = [
        slot for part in encoder.virtual if part.kind == "soft" for slot in range(part.offset, part.offset + part.size)
    ]
    found: dict[int, Encoded] = {}
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size).tolist()
        encoded = encoder.encode([rows[i] for i in places], size)
        found |= {i: _filled(row, drawn[i], virtual) for i, row in zip(places, encoded, strict=True)}
    return [found[i] for i in range(len(rows))]


def _filled(row: Encoded, word: np.ndarray, virtual: Sequence[int]) -> Encoded:
    """Return a row with the tokens of a word, int64 [p], at its masks, and without what stands for virtual tokens."""
    ids = row.input_ids.copy()
    ids[row.mask_positions] = word
    kept = np.ones(len(row), np.bool_) if row.soft_slots is None else ~np.isin(row.soft_slots, virtual)
    return replace(
        row,
        input_ids=ids[kept],
        segment_ids=row.segment_ids[kept],
        mask_positions=np.empty(0, np.int64),
        text_positions=row.text_positions[kept],
        soft_slots=None,
    )
