"""Rows assembled together are those put together token by token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FAMILIES

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.splicing import Column, splice
from pet.prompts.patterns import Pattern
from pet.reports.tokens import row_tokens

TEMPLATES = (
    "It was {mask}. {a}",
    '"{a}" ? || {mask}, {b:keep} {a}',
    "{soft:2} {a} {soft:1 id=x} {mask} || {b} {tune:it was} {soft:1 id=x}",
)
TEXTS = ["", "good", "good bad great", "it was my news of the team " * 3, "[MASK] </s> {a} ||"]


def test_columns_by_hand():
    columns = [
        Column(np.array([7, 8]), 0),
        Column(np.array([1, 2, 3]), 0, "field", np.array([0, 2, 1])),
        Column(np.array([5]), 1, "mask", slots=np.array([4])),
    ]
    spliced = splice(columns, 3)
    assert spliced.ids.tolist() == [7, 8, 5, 7, 8, 1, 2, 5, 7, 8, 3, 5]
    assert spliced.starts.tolist() == [0, 3, 8, 12]
    assert spliced.masks.tolist() == [[2], [4], [3]]
    assert np.flatnonzero(spliced.is_text).tolist() == [5, 6, 10]
    assert spliced.segments.tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert spliced.slots.tolist() == [-1, -1, 4, -1, -1, -1, -1, 4, -1, -1, -1, 4]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(
    template=st.sampled_from(TEMPLATES),
    truncation=st.sampled_from(["tail", "head+tail"]),
    texts=st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(TEXTS[:3])), min_size=1, max_size=5),
)
def test_rows_together_equal_rows_token_by_token(pieces, family, template, truncation, texts):
    encoder = PatternEncoder(Pattern.parse("p", template), pieces[family], 40, truncation)
    examples = [Example(str(i), {"a": a, "b": b}) for i, (a, b) in enumerate(texts)]
    for example, row in zip(examples, encoder.encode(examples, 2), strict=True):
        tokens = row_tokens(encoder, example, 2)
        read = [token for token in tokens if not token.cut]
        assert row.input_ids.tolist() == [token.id for token in read]
        assert row.segment_ids.tolist() == [token.segment for token in read]
        assert row.text_positions.tolist() == [token.kind == "text" for token in read]
        assert row.mask_positions.tolist() == [i for i, token in enumerate(read) if token.kind == "mask"]
        assert row.cut == len(tokens) - len(read)
        slots = [token.slot for token in read]
        assert (row.soft_slots is None and set(slots) == {-1}) or row.soft_slots.tolist() == slots
