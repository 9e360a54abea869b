import numpy as np
import pytest
import torch
from tiny import FAMILIES

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import collate
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.losses import IGNORED, distillation_loss, mask_tokens, masked_lm_loss, soften
from pet.learners.models.splicing import Encoded
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP


def test_soften_by_hand() -> None:
    """At temperature 2 the odds are square roots: 0.9 to 0.1 become 3 to 1."""
    assert soften(np.array([[0.9, 0.1]]), 2.0) == pytest.approx(np.array([[0.75, 0.25]]))
    assert soften(np.array([[0.2, 0.3, 0.5]]), 1.0) == pytest.approx(np.array([[0.2, 0.3, 0.5]]))
    assert soften(np.eye(2), 1.0) == pytest.approx(np.eye(2), abs=1e-9)
    assert soften(np.eye(2), 2.0).dtype == np.float32


def test_distillation_loss_by_hand() -> None:
    """Teacher (3/4, 1/4); the student's logits (ln 9, 0) at temperature 2 are (3/4, 1/4) too, and (0, 0) is even."""
    teacher = torch.tensor([[0.75, 0.25]])
    assert distillation_loss(torch.tensor([[np.log(9.0), 0.0]]), teacher, 2.0).item() == pytest.approx(0.0, abs=1e-6)
    divergence = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert distillation_loss(torch.zeros(1, 2), teacher, 2.0).item() == pytest.approx(4 * divergence)
    two = distillation_loss(torch.tensor([[np.log(9.0), 0.0], [0.0, 0.0]]), teacher.expand(2, 2), 2.0)
    assert two.item() == pytest.approx(2 * divergence)


def test_distillation_is_zero_where_student_and_teacher_agree() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()
    for temperature in (1.0, 2.0, 5.0):
        teacher = torch.softmax(logits / temperature, dim=-1)
        assert distillation_loss(logits, teacher, temperature).item() == pytest.approx(0.0, abs=1e-12)


def test_one_hot_targets_at_temperature_one_are_plain_cross_entropy() -> None:
    logits, targets = torch.tensor([[1.0, -2.0, 0.5]]), np.array([[0.0, 0.0, 1.0]])
    loss = distillation_loss(logits, torch.from_numpy(soften(targets, 1.0)), 1.0)
    assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, torch.tensor([2])).item(), abs=1e-6)


def text_row(size: int) -> Encoded:
    """Two tokens of a template, one of them the mask, around `size` tokens of text."""
    text = np.array([False, False, *[True] * size, False])
    return Encoded(np.arange(size + 3, dtype=np.int32), np.zeros(size + 3, np.int32), np.array([1]), text)


def test_fifteen_in_a_hundred_text_tokens_are_masked() -> None:
    rows = [text_row(1_000) for _ in range(50)]
    before = [row.input_ids.copy() for row in rows]
    changed, targets = mask_tokens(rows, vocabulary=10**6, mask_id=-7, rng=np.random.default_rng(0))
    ids, wanted = (np.concatenate(parts) for parts in ([row.input_ids for row in changed], targets))
    original = np.concatenate(before)
    chosen = wanted != IGNORED
    assert 0.145 < chosen.sum() / 50_000 < 0.155
    assert (wanted[chosen] == original[chosen]).all()
    assert (ids[~chosen] == original[~chosen]).all()
    masked, kept = (ids[chosen] == -7).mean(), (ids[chosen] == original[chosen]).mean()
    assert 0.78 < masked < 0.82
    assert 0.085 < kept < 0.115
    assert 0.085 < 1 - masked - kept < 0.115
    assert all((row.input_ids == old).all() for row, old in zip(rows, before, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_only_text_is_masked(pieces: dict[str, PieceTokenizer], family: str) -> None:
    """At a rate of 1 every text token is chosen, and nothing of the template, the special tokens and the cloze mask."""
    known = pieces[family]
    template = "{tune:It was} {mask}. {text} {soft:2} || Question: {text}"
    encoder = PatternEncoder(Pattern("p", template), known, 64)
    rows = encoder.encode([Example("1", {"text": "good film"}), Example("2", {"text": ""})])
    changed, targets = mask_tokens(rows, 5, known.tokenizer.mask_token_id, np.random.default_rng(0), rate=1.1)
    for row, new, wanted in zip(rows, changed, targets, strict=True):
        assert np.array_equal(wanted != IGNORED, row.text_positions)
        assert np.array_equal(new.input_ids[~row.text_positions], row.input_ids[~row.text_positions])
        assert np.array_equal(new.mask_positions, row.mask_positions)
        assert new.soft_slots is not None and row.soft_slots is not None
        assert np.array_equal(new.soft_slots, row.soft_slots)


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_lm_loss_equals_the_full_computation(
    backbones: dict[str, Backbone], rows: list[Example], pvp: PVP, family: str
) -> None:
    backbone = backbones[family]
    backbone.reset()
    tokenizer = backbone.tokenizer
    encoded = PatternEncoder(pvp.pattern, backbone.pieces, 64).encode(rows[:8])
    changed, targets = mask_tokens(encoded, len(tokenizer), tokenizer.mask_token_id, np.random.default_rng(0))
    batch = collate(changed, tokenizer.pad_token_id, backbone.uses_segments, "cpu")
    padded = torch.full_like(batch.inputs["input_ids"], IGNORED)
    for i, row in enumerate(targets):
        padded[i, : len(row)] = torch.from_numpy(row)
    with torch.inference_mode():
        logits = backbone.model(**batch.inputs).logits
        full = torch.nn.functional.cross_entropy(logits.flatten(0, 1), padded.flatten(), ignore_index=IGNORED)
        found = masked_lm_loss(backbone.model, batch, targets, "fp32")
    assert found.item() == pytest.approx(full.item(), abs=1e-5)


def test_no_chosen_token_is_no_loss(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    row = PatternEncoder(Pattern("p", "{mask} {text}"), backbone.pieces, 64).encode([Example("1", {"text": ""})])
    batch = collate(row, backbone.tokenizer.pad_token_id, True, "cpu")
    _, targets = mask_tokens(row, 5, 4, np.random.default_rng(0))
    assert masked_lm_loss(backbone.model, batch, targets, "fp32").item() == 0.0
