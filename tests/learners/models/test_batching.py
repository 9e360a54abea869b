from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import FAMILIES

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import collate, length_groups, token_budget_batches
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.masked_lm import mask_logits
from pet.learners.models.splicing import Encoded
from pet.prompts.pvp import PVP


def encoded(ids: list[int], mask: np.ndarray | list[int]) -> Encoded:
    segments, text = np.asarray([0] * (len(ids) - 1) + [1], np.int32), np.zeros(len(ids), np.bool_)
    return Encoded(np.asarray(ids, np.int32), segments, np.asarray(mask), text)


def test_collate_by_hand() -> None:
    batch = collate([encoded([5, 6, 7], [1]), encoded([8, 9], [0])], pad_id=3, segments=True, device="cpu")
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7], [8, 9, 3]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.inputs["token_type_ids"].tolist() == [[0, 0, 1], [0, 1, 0]]
    assert (batch.rows.tolist(), batch.positions.tolist(), batch.slots, len(batch)) == ([0, 1], [1, 0], 1, 2)
    assert {tensor.dtype for tensor in batch.inputs.values()} == {torch.int64}


def test_collate_several_slots_and_none() -> None:
    batch = collate([encoded([5, 6, 7], [0, 1]), encoded([8, 9], [0, 1])], 3, False, "cpu")
    assert (batch.rows.tolist(), batch.positions.tolist(), batch.slots) == ([0, 0, 1, 1], [0, 1, 0, 1], 2)
    assert "token_type_ids" not in batch.inputs
    assert collate([encoded([5], np.empty(0, np.int64))], 3, False, "cpu").slots == 0


def test_collate_slots_of_trained_vectors() -> None:
    plain = encoded([5, 6, 7], [1])
    soft = replace(encoded([8, 9], [0]), soft_slots=np.array([-1, 4], np.int32))
    batch = collate([plain, soft], 3, False, "cpu", width=4)
    assert batch.soft_slots.tolist() == [[-1, -1, -1, -1], [-1, 4, -1, -1]]
    assert batch.soft_slots.dtype == torch.int64
    assert collate([plain], 3, False, "cpu").soft_slots is None


@given(st.lists(st.integers(0, 90), max_size=60), st.integers(1, 300), st.integers(1, 20))
def test_batches_keep_the_budget_and_hold_each_row_once(lengths: list[int], budget: int, max_rows: int) -> None:
    batches = token_budget_batches(lengths, budget, max_rows)
    assert sorted(np.concatenate([np.empty(0, int), *batches]).tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or len(batch) * longest <= budget


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 300), st.integers(1, 20))
def test_batches_and_groups_without_padding_have_rows_of_one_length(
    lengths: list[int], budget: int, max_rows: int
) -> None:
    batches = token_budget_batches(lengths, budget, max_rows, pads=False)
    groups = length_groups(lengths, overhead=0)
    for parts in (batches, groups):
        assert sorted(np.concatenate([np.empty(0, int), *parts]).tolist()) == list(range(len(lengths)))
        assert all(len({lengths[i] for i in part}) == 1 for part in parts)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(0, 60))
def test_groups_hold_each_row_once_and_no_division_is_cheaper(lengths: list[int], overhead: int) -> None:
    def cost(groups: Sequence[Sequence[int] | np.ndarray]) -> int:
        return sum(len(group) * max(lengths[i] for i in group) + overhead for group in groups)

    groups = length_groups(lengths, overhead)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    for cuts in range(2 ** (len(lengths) - 1)):
        ends = [i + 1 for i in range(len(lengths) - 1) if cuts >> i & 1] + [len(lengths)]
        assert cost(groups) <= cost([order[a:b] for a, b in zip([0, *ends], ends, strict=False)])


def test_rows_of_one_group_keep_their_order() -> None:
    assert [group.tolist() for group in length_groups([5, 3, 4], overhead=1000)] == [[0, 1, 2]]


def test_little_is_wasted_on_real_lengths() -> None:
    """1,000 rows with the lengths of news and reviews: log-normal around 45 tokens, cut at 256."""
    lengths = np.clip(np.random.default_rng(0).lognormal(3.8, 0.6, 1_000).astype(int), 8, 256)
    computed = sum(len(batch) * lengths[batch].max() for batch in token_budget_batches(lengths, 4096))
    assert 1 - lengths.sum() / computed < 0.03


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_depend_neither_on_padding_nor_on_the_other_rows(
    backbones: dict[str, Backbone], pvp: PVP, rows: list[Example], family: str
) -> None:
    backbone = backbones[family]
    backbone.reset()
    encoder = PatternEncoder(pvp.pattern, backbone.pieces, 64)
    some = encoder.encode(rows[:12])
    pad, segments = backbone.tokenizer.pad_token_id, backbone.uses_segments
    with torch.inference_mode():
        alone = [mask_logits(backbone.model, collate([row], pad, segments, "cpu"), "fp32")[0] for row in some]
        together = mask_logits(backbone.model, collate(some, pad, segments, "cpu"), "fp32")
        fewer = mask_logits(backbone.model, collate(some[::-3], pad, segments, "cpu"), "fp32")
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fewer, together[torch.arange(11, -1, -3)], atol=1e-5, rtol=1e-5)
