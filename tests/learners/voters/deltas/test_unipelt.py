import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from pet.data.examples import Example
from pet.errors import ConfigError, ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.delta import copy_into
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.families import family_of, layers
from pet.learners.models.masked_lm import label_scores
from pet.learners.models.words import LabelWords
from pet.learners.voters.deltas.prefix import PREFIX_FAMILIES, Prefix
from pet.learners.voters.deltas.unipelt import UniPELT
from pet.prompts.patterns import Pattern

TEXTS = ("good", "man plays outside at my city man plays outside at my city movie", "phone code data")
WORDS = LabelWords(("a", "b"), np.array([[[9]], [[30]]]))
P, L, H = 3, 2, 32  # places, layers, hidden size
RANK, WIDTH = 2, 4  # the adapter divides by 8


@pytest.fixture(params=sorted(PREFIX_FAMILIES))
def backbone(request: pytest.FixtureRequest, backbones: dict[str, Backbone]) -> Iterator[Backbone]:
    """A backbone of each family, which is found afterwards as it was."""
    found = backbones[request.param]
    found.reset()
    implementation = found.model.config._attn_implementation
    hooks = [(dict(module._forward_hooks), dict(module._forward_pre_hooks)) for module in found.model.modules()]
    yield found
    found.reset()
    assert found.model.config._attn_implementation == implementation
    assert all(tensor.requires_grad for tensor in found.model.parameters())
    # transformers leaves some of its own once it was asked for the states of all layers.
    assert hooks == [(module._forward_hooks, module._forward_pre_hooks) for module in found.model.modules()]


def new(backbone: Backbone, seed: int = 1) -> UniPELT:
    return UniPELT(backbone.model, RANK, H // WIDTH, P, seed=seed)


def fused(backbone: Backbone) -> bool:
    return backbone.model.config.model_type == "modernbert"


def batch_of(backbone: Backbone, texts: tuple[str, ...] = TEXTS) -> Batch:
    encoder = PatternEncoder(Pattern("p", "It was {mask}. {text}"), backbone.pieces, 64)
    return backbone.batch(encoder.encode([Example(text, {"text": text}) for text in texts], 1))


def scores_of(backbone: Backbone, batch: Batch, delta: Prefix | UniPELT, precision: str = "fp32") -> torch.Tensor:
    with torch.inference_mode(), delta.during(batch):
        return label_scores(backbone.model, batch, WORDS, precision)


@contextmanager
def attached(delta: Prefix | UniPELT) -> Iterator[Prefix | UniPELT]:
    delta.attach()
    try:
        yield delta
    finally:
        delta.detach()


@torch.no_grad()
def fill(delta: UniPELT, *names: str) -> None:
    """Give random numbers to what starts at zero, so that it counts."""
    torch.manual_seed(0)
    for name, tensor in delta.tensors().items():
        if any(part in name for part in names):
            tensor.normal_(std=0.3)


@torch.no_grad()
def set_gates(delta: UniPELT, value: float, gate: slice | int = slice(None)) -> None:
    """Make gates a constant: all of them, or the first (prefix), second (adapter), third on (LoRA)."""
    part: Any  # a module of torch says not what it holds
    for part in delta.layers:
        part.gate.weight[gate] = 0.0
        part.gate.bias[gate] = 1e4 if value == 1 else -1e4 if value == 0 else math.log(value / (1 - value))


def only_prefix(backbone: Backbone, batch: Batch, delta: UniPELT, factor: float = 1.0) -> torch.Tensor:
    """Scores with nothing but the prefix of `delta`, times a factor."""
    plain = Prefix(backbone.model, P)
    with torch.no_grad():
        plain.table.copy_(factor * delta.prefix.table)
    with attached(plain):
        return scores_of(backbone, batch, plain)


def test_the_gates_are_the_mean_over_the_real_tokens(backbone: Backbone) -> None:
    """By hand, row by row, from what enters each layer; the layers of a shared module enter it one after another."""
    batch, delta = batch_of(backbone), new(backbone)
    fill(delta, "up", "lora_b")
    entered = []
    assert delta.gates() == {}
    with attached(delta):
        handles = [
            layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].clone()))
            for layer in layers(backbone.model)
        ]
        scores_of(backbone, batch, delta)
    for handle in handles:
        handle.remove()
    names = ("prefix", "adapter", "lora") if fused(backbone) else ("prefix", "adapter", "query", "value")
    found = delta.gates()
    assert tuple(found) == names
    assert len(entered) == L
    lengths = batch.inputs["attention_mask"].sum(1).tolist()
    for i, name in enumerate(names):
        assert found[name].shape == (len(TEXTS), L) and found[name].dtype == np.float32
        assert ((found[name] > 0) & (found[name] < 1)).all()
        for layer, x in enumerate(entered):
            gate: Any = delta.layers[layer % len(delta.layers)].gate
            w, b = gate.weight[i].detach().double(), gate.bias[i].detach().double()
            for row, length in enumerate(lengths):
                each = [1 / (1 + math.exp(-float(w @ token + b))) for token in x[row, :length].double()]
                assert found[name][row, layer] == pytest.approx(np.mean(each), abs=1e-6)


def test_a_gate_depends_on_the_row(backbone: Backbone) -> None:
    batch, delta = batch_of(backbone), new(backbone)
    with attached(delta):
        scores_of(backbone, batch, delta)
    assert all((gate.std(0) > 1e-5).all() for gate in delta.gates().values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rows_score_the_same_alone_and_padded(backbone: Backbone, precision: str) -> None:
    delta = new(backbone)
    fill(delta, "up", "lora_b")
    found, gates = [], []
    with attached(delta):
        for texts in (TEXTS, TEXTS[:1]):
            found.append(scores_of(backbone, batch_of(backbone, texts), delta, precision)[0])
            gates.append(np.stack([gate[0] for gate in delta.gates().values()]))
    torch.testing.assert_close(*found, atol=1e-5 if precision == "fp32" else 0.05, rtol=0)
    np.testing.assert_allclose(gates[0], gates[1], atol=1e-5 if precision == "fp32" else 0.01)


def test_at_first_only_the_prefix_counts(backbone: Backbone) -> None:
    batch, delta = batch_of(backbone), new(backbone)
    set_gates(delta, 1, 0)
    with attached(delta):
        found = scores_of(backbone, batch, delta)
    assert torch.equal(found, only_prefix(backbone, batch, delta))
    with attached(delta):
        fill(delta, "up", "lora_b")
        assert (scores_of(backbone, batch, delta) - found).abs().max() > 1e-4


def test_closed_gates_leave_a_prefix_of_zeros(backbone: Backbone) -> None:
    """Adapter and LoRA vanish; keys and values of zero still take their share of the softmax."""
    batch, delta = batch_of(backbone), new(backbone)
    fill(delta, "up", "lora_b")
    set_gates(delta, 0)
    with attached(delta):
        found = scores_of(backbone, batch, delta)
    assert all((gate == 0).all() for gate in delta.gates().values())
    torch.testing.assert_close(found, only_prefix(backbone, batch, delta, 0.0), atol=1e-6, rtol=0)
    with torch.inference_mode():
        without = label_scores(backbone.model, batch, WORDS, "fp32")
    assert (found - without).abs().max() > 1e-5


def test_the_prefix_is_multiplied_by_its_gate(backbone: Backbone) -> None:
    batch, delta = batch_of(backbone), new(backbone)
    set_gates(delta, 0.25, 0)
    with attached(delta):
        found = scores_of(backbone, batch, delta)
    torch.testing.assert_close(found, only_prefix(backbone, batch, delta, 0.25), atol=1e-6, rtol=0)
    assert (found - only_prefix(backbone, batch, delta)).abs().max() > 1e-5


def test_lora_adds_the_gated_product_to_the_weight(backbone: Backbone) -> None:
    """Equal to a model whose weights hold W + G B A; the gate takes the place of alpha / r."""
    batch, delta = batch_of(backbone), new(backbone)
    fill(delta, "lora_b")
    set_gates(delta, 1, 0)
    gates = (0.25,) if fused(backbone) else (0.25, 0.5)
    for i, gate in enumerate(gates):
        set_gates(delta, gate, 2 + i)
    with attached(delta):
        found = scores_of(backbone, batch, delta)
    names = dict.fromkeys((family_of(backbone.model).query, family_of(backbone.model).value))
    part: Any
    with torch.no_grad():
        for layer, part in zip(layers(backbone.model), delta.layers, strict=True):
            for name, gate, a, b in zip(names, gates, part.lora_a, part.lora_b, strict=True):
                layer.get_submodule(name).weight += gate * b @ a
    torch.testing.assert_close(found, only_prefix(backbone, batch, delta), atol=1e-6, rtol=0)


def test_the_adapter_adds_a_gated_bottleneck_to_the_feed_forward_output(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, delta = batch_of(backbone), new(backbone)
    fill(delta, "up")
    set_gates(delta, 1, 0)
    set_gates(delta, 0.25, 1)
    with attached(delta):
        found = scores_of(backbone, batch, delta)
    for layer, part in zip(layers(backbone.model), delta.layers, strict=True):
        place = layer.get_submodule(family_of(backbone.model).ffn_output)

        def forward(x: torch.Tensor, place: Any = place, part: Any = part) -> torch.Tensor:
            out = x @ place.weight.T + (0 if place.bias is None else place.bias)
            middle = (out @ part.down.weight.T + part.down.bias).clamp(min=0)
            return out + 0.25 * (middle @ part.up.weight.T + part.up.bias)

        monkeypatch.setattr(place, "forward", forward)
    torch.testing.assert_close(found, only_prefix(backbone, batch, delta), atol=1e-6, rtol=0)


def test_the_number_of_trained_tensors(backbone: Backbone) -> None:
    delta = new(backbone)
    modules = 1 if backbone.model.config.model_type == "albert" else L  # a shared module has one set
    gates = 3 if fused(backbone) else 4
    lora = RANK * (H + 3 * H) if fused(backbone) else 2 * 2 * RANK * H
    expected = P * 2 * L * H + modules * (gates * (H + 1) + 2 * H * WIDTH + WIDTH + H + lora)
    assert sum(tensor.numel() for tensor in delta.tensors().values()) == expected


def test_the_same_seed_draws_the_same_tensors(backbone: Backbone) -> None:
    first, same, other = new(backbone, 3), new(backbone, 3), new(backbone, 4)
    assert all(torch.equal(tensor, same.tensors()[name]) for name, tensor in first.tensors().items())
    zero = {name for name in first.tensors() if ".up." in name or "lora_b" in name}
    for name, tensor in first.tensors().items():
        assert bool((tensor == 0).all()) == (name in zero)
        assert torch.equal(tensor, other.tensors()[name]) == (name in zero)


def train(
    backbone: Backbone, delta: UniPELT, batch: Batch, steps: int, precision: str = "fp32"
) -> dict[str, torch.Tensor]:
    optimizer = torch.optim.AdamW(delta.tensors().values(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        with delta.during(batch):
            scores = label_scores(backbone.model, batch, WORDS, precision)
        functional.cross_entropy(scores, torch.tensor([0, 1, 0])).backward()
        optimizer.step()
    return {name: tensor.grad for name, tensor in delta.tensors().items() if tensor.grad is not None}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_changes_the_new_tensors_alone(backbone: Backbone, precision: str) -> None:
    batch, delta = batch_of(backbone), new(backbone)
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    start = {name: tensor.detach().clone() for name, tensor in delta.tensors().items()}
    with torch.no_grad():
        untouched = backbone.model(**batch.inputs).logits
    with attached(delta):
        # From the second step on, when B and U are no longer zero.
        gradients = train(backbone, delta, batch, 2, precision)
        assert all(gradient.abs().sum() > 0 for gradient in gradients.values())
        assert not any(torch.equal(tensor, start[name]) for name, tensor in delta.tensors().items())
        assert not any(tensor.requires_grad or tensor.grad is not None for tensor in backbone.model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(backbone.model(**batch.inputs).logits, untouched)


def test_saved_tensors_have_the_same_scores_and_train_on(backbone: Backbone) -> None:
    batch, first, second = batch_of(backbone), new(backbone, 1), new(backbone, 2)
    with attached(first):
        train(backbone, first, batch, 2)
        saved = {name: tensor.detach().clone() for name, tensor in first.tensors().items()}
        expected = scores_of(backbone, batch, first)
    with attached(second):
        copy_into(second.tensors(), saved)
        torch.testing.assert_close(scores_of(backbone, batch, second), expected, atol=1e-6, rtol=0)
        train(backbone, second, batch, 1)
        assert not torch.equal(scores_of(backbone, batch, second), expected)


def test_a_pass_that_breaks_leaves_nothing_behind(backbone: Backbone) -> None:
    batch, delta = batch_of(backbone), new(backbone)

    def fail(*_: object) -> None:
        raise RuntimeError("layer")

    with attached(delta):
        expected = scores_of(backbone, batch, delta)
        first = layers(backbone.model)[0].get_submodule(family_of(backbone.model).ffn_output)
        handle = first.register_forward_hook(fail)
        with pytest.raises(RuntimeError, match="layer"):
            scores_of(backbone, batch, delta)
        handle.remove()
        assert delta.gates() == {}
        assert torch.equal(scores_of(backbone, batch, delta), expected)


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet"])
def test_families_that_ignore_a_prefix_are_refused(
    backbones: dict[str, Backbone], refuses: Callable[..., None], family: str
) -> None:
    refuses(ModelError, lambda: new(backbones[family]), repr(family), "ignore a prefix", 'weights = "lora"')


def test_a_prefix_longer_than_half_the_input_is_refused(
    backbones: dict[str, Backbone], refuses: Callable[..., None]
) -> None:
    refuses(ConfigError, lambda: UniPELT(backbones["bert"].model, prefix_length=33), "prefix_length is 33", "1 to 32")
