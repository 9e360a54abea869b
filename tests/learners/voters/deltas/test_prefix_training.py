"""The numbers of a prefix: how they are drawn, encoded, trained and saved, and when they are there."""

from pathlib import Path

import pytest
import torch
from prefixes import TEXTS, WORDS, H, L, P, batch_of, logits_of
from tiny import save_tiny
from torch.nn import functional

from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.delta import copy_into, drawn_from
from pet.learners.models.masked_lm import label_scores
from pet.learners.models.sources import ModelSource
from pet.learners.voters.deltas.prefix import Encoder, Prefix


@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_the_numbers_of_a_prefix(backbone: Backbone, encoder: Encoder) -> None:
    delta = Prefix(backbone.model, P, encoder, seed=5)
    flat, mlp = P * 2 * L * H, P * H + 512 * H + 512 + 513 * 2 * L * H
    assert sum(tensor.numel() for tensor in delta.parameters()) == (flat if encoder == "none" else mlp)
    same, other = Prefix(backbone.model, P, encoder, seed=5), Prefix(backbone.model, P, encoder, seed=6)
    assert all(torch.equal(tensor, same.tensors()[name]) for name, tensor in delta.tensors().items())
    assert not any(torch.equal(tensor, other.tensors()[name]) for name, tensor in delta.tensors().items())


def test_the_table_is_drawn_from_a_standard_normal(backbones: dict[str, Backbone]) -> None:
    state = torch.get_rng_state()
    table = Prefix(backbones["bert"].model, 30).table.detach()  # 3840 numbers
    assert torch.equal(state, torch.get_rng_state())
    assert abs(float(table.mean())) < 0.05
    assert abs(float(table.std()) - 1) < 0.05


def test_what_is_drawn_from_a_seed_leaves_the_generator_alone() -> None:
    with drawn_from(7):
        first = torch.rand(3)
    torch.manual_seed(1)
    with drawn_from(7):
        again = torch.rand(3)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(first, again)
    assert torch.equal(after, torch.rand(3))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_mlp_is_linear_tanh_linear(backbone: Backbone, precision: str) -> None:
    """A prefix with it scores as the table that it makes."""
    batch, mlp, flat = batch_of(backbone), Prefix(backbone.model, P, "mlp"), Prefix(backbone.model, P, "none")
    weights = {name: tensor.detach() for name, tensor in mlp.tensors().items()}
    middle = torch.tanh(weights["table"] @ weights["encoder.0.weight"].T + weights["encoder.0.bias"])
    with torch.no_grad():
        flat.table.copy_(middle @ weights["encoder.2.weight"].T + weights["encoder.2.bias"])
    found = []
    for delta in (mlp, flat):
        delta.attach()
        with torch.inference_mode(), delta.during(batch):
            found.append(label_scores(backbone.model, batch, WORDS, precision))
        delta.detach()
    torch.testing.assert_close(*found, atol=1e-6, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_rows_score_the_same_alone_and_padded(backbone: Backbone, encoder: Encoder, precision: str) -> None:
    delta = Prefix(backbone.model, P, encoder)
    delta.attach()
    scores = []
    for texts in (TEXTS, TEXTS[:1]):
        batch = batch_of(backbone, texts)
        with torch.inference_mode(), delta.during(batch):
            scores.append(label_scores(backbone.model, batch, WORDS, precision)[0])
    delta.detach()
    torch.testing.assert_close(*scores, atol=1e-5 if precision == "fp32" else 0.02, rtol=0)


def train(backbone: Backbone, delta: Prefix, batch: Batch, steps: int, rate: float = 1e-2) -> dict[str, torch.Tensor]:
    """Make AdamW steps on the scores of a batch, and return the gradients of the last one by name."""
    optimizer = torch.optim.AdamW(delta.tensors().values(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        with delta.during(batch):
            scores = label_scores(backbone.model, batch, WORDS, "fp32")
        functional.cross_entropy(scores, torch.tensor([0, 1, 0])).backward()
        optimizer.step()
    return {name: tensor.grad for name, tensor in delta.tensors().items() if tensor.grad is not None}


@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_training_changes_the_prefix_alone(backbone: Backbone, encoder: Encoder) -> None:
    batch = batch_of(backbone)
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    untouched = logits_of(backbone, batch)
    delta = Prefix(backbone.model, P, encoder)
    start = {name: tensor.detach().clone() for name, tensor in delta.tensors().items()}
    delta.attach()
    gradients = train(backbone, delta, batch, 2)
    assert all(gradient.abs().sum() > 0 for gradient in gradients.values())
    assert not any(torch.equal(tensor, start[name]) for name, tensor in delta.tensors().items())
    assert not any(tensor.requires_grad or tensor.grad is not None for tensor in backbone.model.parameters())
    delta.detach()
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    assert torch.equal(logits_of(backbone, batch), untouched)


@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_a_saved_prefix_has_the_same_scores_and_trains_on(backbone: Backbone, encoder: Encoder) -> None:
    batch = batch_of(backbone)
    first, second = Prefix(backbone.model, P, encoder, seed=1), Prefix(backbone.model, P, encoder, seed=2)
    first.attach()
    train(backbone, first, batch, 2)
    saved = {name: tensor.detach().clone() for name, tensor in first.tensors().items()}
    expected = logits_of(backbone, batch, first)
    first.detach()
    second.attach()
    copy_into(second.tensors(), saved)
    torch.testing.assert_close(logits_of(backbone, batch, second), expected, atol=1e-6, rtol=0)
    train(backbone, second, batch, 1)
    assert not torch.equal(logits_of(backbone, batch, second), expected)
    second.detach()


def test_only_a_table_that_trains_has_dropout(tmp_path: Path) -> None:
    folder = save_tiny("bert", tmp_path, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.0)
    backbone = Backbone.masked_lm(ModelSource("bert", folder), torch.device("cpu"))
    for encoder in ("none", "mlp"):
        delta = Prefix(backbone.model, P, encoder)
        delta.eval()  # the model alone tells
        backbone.model.train()
        torch.manual_seed(0)
        dropped = delta._by_layer() == 0
        backbone.model.eval()
        assert float(dropped.float().mean()) == (pytest.approx(0.5, abs=0.1) if encoder == "none" else 0.0)
        assert not (delta._by_layer() == 0).any()


def test_the_prefix_is_there_only_during_a_batch_and_for_its_model(backbones: dict[str, Backbone]) -> None:
    backbone, other = backbones["bert"], backbones["roberta"]
    batch, others = batch_of(backbone), batch_of(other)
    untouched, others_untouched = logits_of(backbone, batch), logits_of(other, others)
    delta, second = Prefix(backbone.model, P), Prefix(other.model, P)
    delta.attach()
    second.attach()

    def fail(*_: object) -> None:
        raise RuntimeError("layer")

    with delta.during(batch):
        expected = logits_of(backbone, batch)
        assert torch.equal(expected, logits_of(backbone, batch))
        handle = backbone.model.bert.encoder.layer[1].register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="layer"):
            logits_of(backbone, batch)
        handle.remove()
        assert torch.equal(logits_of(other, others), others_untouched)
        assert torch.equal(logits_of(backbone, batch), expected)
    assert torch.equal(logits_of(backbone, batch), untouched)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt  # no forward hook is called after this one

    handle = backbone.model.bert.encoder.layer[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        logits_of(backbone, batch, delta)
    handle.remove()
    assert torch.equal(logits_of(backbone, batch), untouched)
    assert not torch.equal(expected, untouched)
    delta.detach()
    second.detach()
