"""Rows assembled together are those put together token by token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FAMILIES

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.splicing import Column, splice
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.patterns import Pattern
from pet.reports.tokens import row_tokens
from pet.settings.task import Truncation

TEMPLATES = (
    "It was {mask}. {a}",
    '"{a}" ? || {mask}, {b:keep} {a}',
    "{soft:2} {a} {soft:1 id=x} {mask} || {b} {tune:it was} {soft:1 id=x}",
)
TEXTS = ["", "good", "good bad great", "it was my news of the team " * 3, "[MASK] </s> {a} ||"]


def test_columns_by_hand() -> None:
    columns = [
        Column(np.array([7, 8]), 0),
        Column([np.array([], int), np.array([1, 2]), np.array([3])], 0, "field"),
        Column(np.array([5]), 1, "mask", slots=np.array([4])),
    ]
    rows = splice(columns, [2, 0, 1])
    assert [row.input_ids.tolist() for row in rows] == [[7, 8, 5], [7, 8, 1, 2, 5], [7, 8, 3, 5]]
    assert [row.mask_positions.tolist() for row in rows] == [[2], [4], [3]]
    assert [np.flatnonzero(row.text_positions).tolist() for row in rows] == [[], [2, 3], [2]]
    assert [row.segment_ids.tolist() for row in rows] == [[0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 1]]
    assert [row.soft_slots.tolist() for row in rows] == [[-1, -1, 4], [-1, -1, -1, -1, 4], [-1, -1, -1, 4]]
    assert [row.cut for row in rows] == [2, 0, 1]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(
    template=st.sampled_from(TEMPLATES),
    truncation=st.sampled_from(["tail", "head", "head+tail"]),
    texts=st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(TEXTS[:3])), min_size=1, max_size=5),
)
def test_rows_together_equal_rows_token_by_token(
    pieces: dict[str, PieceTokenizer], family: str, template: str, truncation: Truncation, texts: list[tuple[str, str]]
) -> None:
    encoder = PatternEncoder(Pattern("p", template), pieces[family], 40, truncation)
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
        assert set(slots) == {-1} if row.soft_slots is None else row.soft_slots.tolist() == slots
