from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import save_tiny
from torch.nn import functional
from transformers import AttentionInterface, DynamicCache

from pet.data import Example
from pet.errors import ConfigError, ModelError
from pet.learners import Backbone, ModelSource
from pet.learners.deltas.base import copy_into
from pet.learners.deltas.prefix import PREFIX_FAMILIES, Prefix, check_prefix_length, drawn_from
from pet.learners.encoding import PatternEncoder
from pet.learners.masked_lm import label_scores
from pet.learners.words import LabelWords
from pet.prompts import Pattern

TEXTS = ("good", "man plays outside at my city man plays outside at my city movie", "phone code data")
WORDS = LabelWords(("a", "b"), np.array([[[9]], [[30]]]))
P, L, A, D, H = 3, 2, 4, 8, 32  # places, layers, heads, numbers per head, hidden size


@pytest.fixture(params=sorted(PREFIX_FAMILIES))
def backbone(request, backbones):
    """A backbone of each family that a prefix works on, which is found afterwards as it was."""
    found = backbones[request.param]
    found.reset()
    implementation = found.model.config._attn_implementation
    yield found
    assert found.model.config._attn_implementation == implementation
    assert all(tensor.requires_grad for tensor in found.model.parameters())
    assert not found.model.base_model._forward_hooks and not found.model.base_model._forward_pre_hooks


def batch_of(backbone, texts=TEXTS, width=0):
    encoder = PatternEncoder(Pattern.parse("p", "It was {mask}. {text}"), backbone.pieces, 64)
    return backbone.batch(encoder.encode([Example(text, {"text": text}) for text in texts], 1), width)


def logits_of(backbone, batch, delta=None):
    with torch.no_grad():
        if delta is None:
            return backbone.model(**batch.inputs).logits
        with delta.during(batch):
            return backbone.model(**batch.inputs).logits


def by_hand(tables, window):
    """Attention as its definition has it, in float64, over prefixes [l, 2, p, h] and the tokens of each layer in turn.

    `window` is how far a token of a local layer sees; the mask is remade from the rows' lengths, which `lengths` holds.
    """
    state = SimpleNamespace(layer=0, lengths=None)

    def attend(module, query, key, value, attention_mask, scaling=None, **_):
        assert attention_mask is None  # no mask function is registered for this name
        length = query.shape[2]
        keys, values = (
            torch.cat([part.view(P, A, D).transpose(0, 1).expand(len(query), -1, -1, -1), own], 2).double()
            for part, own in zip(tables[state.layer], (key, value), strict=True)
        )
        scores = query.double() @ keys.transpose(2, 3) * scaling
        at = torch.arange(length)
        hidden = (at[None] >= state.lengths[:, None])[:, None, None].expand(-1, 1, length, -1).clone()
        if getattr(module, "sliding_window", None):
            hidden |= (at[:, None] - at[None]).abs() > window
        scores[..., P:] = scores[..., P:].masked_fill(hidden, -torch.inf)
        state.layer += 1
        return (scores.softmax(-1) @ values).float().transpose(1, 2), None

    return state, attend


def reference(backbone, batch, table):
    """Logits with the prefix put in by hand; `table` is [p, 2 l h]."""
    tables = table.detach().view(P, L, 2, H).permute(1, 2, 0, 3)
    state, attend = by_hand(tables, getattr(backbone.model.config, "local_attention", 0) // 2)
    state.lengths = batch.inputs["attention_mask"].sum(1)
    AttentionInterface.register("by_hand", attend)
    backbone.model.set_attn_implementation("by_hand")
    try:
        return logits_of(backbone, batch)
    finally:
        backbone.model.set_attn_implementation("sdpa")


@pytest.mark.parametrize("padded", [True, False])
def test_a_prefix_equals_the_attention_by_hand(backbone, padded):
    batch = batch_of(backbone, TEXTS if padded else TEXTS[1:2])
    real = batch.inputs["attention_mask"].bool()
    assert bool(real.all()) != padded
    delta = Prefix(backbone.model, P, seed=3)
    expected = reference(backbone, batch, delta.table)[real]
    delta.attach()
    found = logits_of(backbone, batch, delta)[real]
    delta.detach()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert (found - logits_of(backbone, batch)[real]).abs().max() > 1e-3


def test_local_layers_see_tokens_in_their_window_only(backbones, monkeypatch):
    """The hand-written window is a real one: without it the reference differs."""
    backbone = backbones["modernbert"]
    batch = batch_of(backbone, TEXTS[1:2])
    assert batch.inputs["input_ids"].shape[1] > backbone.model.config.local_attention // 2 + 1
    delta = Prefix(backbone.model, P)
    near = reference(backbone, batch, delta.table)
    monkeypatch.setattr(backbone.model.config, "local_attention", 1000)  # the reference alone reads it
    far = reference(backbone, batch, delta.table)
    assert (near - far).abs().max() > 1e-5


@pytest.mark.parametrize("with_mask", [True, False])
def test_no_mask_is_a_mask_of_ones(backbone, with_mask):
    batch = batch_of(backbone, TEXTS[1:2])
    delta = Prefix(backbone.model, P)
    expected = reference(backbone, batch, delta.table)
    if not with_mask:
        del batch.inputs["attention_mask"]
    delta.attach()
    found = logits_of(backbone, batch, delta)
    delta.detach()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "electra"])
def test_shifted_positions_equal_past_keys_and_values(backbones, family):
    backbone = backbones[family]
    batch = batch_of(backbone)
    delta = Prefix(backbone.model, P, shifts_positions=True)
    delta.attach()
    found = logits_of(backbone, batch, delta)
    delta.detach()
    cache = DynamicCache(config=backbone.model.config)
    for layer, pair in enumerate(delta.table.detach().view(P, L, 2, A, D).permute(1, 2, 3, 0, 4)):
        cache.update(*(part.expand(len(TEXTS), -1, -1, -1) for part in pair), layer)
    mask = functional.pad(batch.inputs["attention_mask"], (P, 0), value=1)
    with torch.no_grad():
        expected = backbone.model(**batch.inputs | {"attention_mask": mask}, past_key_values=cache).logits
    real = batch.inputs["attention_mask"].bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", sorted(set(PREFIX_FAMILIES) - {"modernbert"}))
def test_shifted_positions_are_those_behind_the_prefix(backbones, family):
    """Seen at the table of positions: row i of a real token i is p further down than without a shift."""
    backbone = backbones[family]
    batch = batch_of(backbone)
    seen = []
    table = next(m for name, m in backbone.model.named_modules() if name.endswith("position_embeddings"))
    handle = table.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].expand(len(TEXTS), -1)))
    for shifts in (False, True):
        delta = Prefix(backbone.model, P, shifts_positions=shifts)
        delta.attach()
        seen.clear()
        logits_of(backbone, batch, delta)
        delta.detach()
        if not shifts:
            plain = seen[0]
    handle.remove()
    real = batch.inputs["attention_mask"].bool()
    assert torch.equal(seen[0][real], plain[real] + P)


@pytest.mark.parametrize(("family", "most"), [("bert", 61), ("roberta", 61)])
def test_a_shifted_input_has_to_fit(backbones, refuses, family, most):
    backbone = backbones[family]
    delta = Prefix(backbone.model, P, shifts_positions=True)
    delta.attach()
    try:
        logits_of(backbone, batch_of(backbone, width=most), delta)
        wide = batch_of(backbone, width=most + 1)
        refuses(ModelError, lambda: logits_of(backbone, wide, delta), "62 tokens", "set max_length to 61")
    finally:
        delta.detach()


def test_rotary_positions_are_not_shifted(backbones, refuses):
    model = backbones["modernbert"].model
    refuses(ModelError, lambda: Prefix(model, P, shifts_positions=True), "'modernbert'", "rotary", "leave")


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet"])
def test_families_that_ignore_a_prefix_are_refused(backbones, refuses, family, monkeypatch):
    model = backbones[family].model
    refuses(ModelError, lambda: Prefix(model, P), repr(family), "ignore a prefix", "own way", 'weights = "lora"')
    # Were the name believed to be fine, the probe tells.
    monkeypatch.setattr("pet.learners.deltas.prefix._OWN_ATTENTION", ())
    refuses(ModelError, lambda: Prefix(model, P), repr(family), "not known")
    monkeypatch.setattr("pet.learners.deltas.prefix.PREFIX_FAMILIES", {family: "zero"})
    before = model.config._attn_implementation
    refuses(ModelError, Prefix(model, P).attach, repr(family), "ignore a prefix")
    assert model.config._attn_implementation == before
    assert all(tensor.requires_grad for tensor in model.parameters())


def test_a_prefix_that_does_not_reach_every_layer_is_refused(backbones, refuses):
    delta = Prefix(backbones["bert"].model, P)
    delta.depth += 1
    delta.table = torch.nn.Parameter(torch.randn(P, 2 * (L + 1) * H))
    refuses(ModelError, delta.attach, "'bert'")


def test_the_probe_leaves_a_training_model_and_the_generator_alone(backbones):
    """Dropout would draw numbers, and make any two passes differ."""
    model = backbones["bert"].model
    delta, state = Prefix(model, P), torch.get_rng_state()
    model.train()
    delta.attach()
    found = model.training, torch.get_rng_state()
    model.eval()
    delta.detach()
    assert found[0]
    assert torch.equal(found[1], state)


def test_a_prefix_that_changes_nothing_is_refused(backbones, refuses, monkeypatch):
    monkeypatch.setattr("pet.learners.deltas.prefix._before", lambda prefix, tokens: tokens)
    refuses(ModelError, Prefix(backbones["bert"].model, P).attach, "'bert'", "ignore a prefix")


@pytest.mark.parametrize(("length", "fits"), [(0, False), (-1, False), (1, True), (32, True), (33, False)])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_prefix_is_at_most_half_of_the_input(backbones, refuses, family, length, fits):
    model = backbones[family].model
    if fits:
        Prefix(model, length)
        check_prefix_length(length, 64)
    else:
        refuses(ConfigError, lambda: Prefix(model, length), f"prefix_length is {length}", "1 to 32", "64 tokens")
        refuses(ConfigError, lambda: check_prefix_length(length, 64), "1 to 32")


@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_the_numbers_of_a_prefix(backbone, encoder):
    delta = Prefix(backbone.model, P, encoder, seed=5)
    flat, mlp = P * 2 * L * H, P * H + 512 * H + 512 + 513 * 2 * L * H
    assert sum(tensor.numel() for tensor in delta.parameters()) == (flat if encoder == "none" else mlp)
    same, other = Prefix(backbone.model, P, encoder, seed=5), Prefix(backbone.model, P, encoder, seed=6)
    assert all(torch.equal(tensor, same.tensors()[name]) for name, tensor in delta.tensors().items())
    assert not any(torch.equal(tensor, other.tensors()[name]) for name, tensor in delta.tensors().items())


def test_the_table_is_drawn_from_a_standard_normal(backbones):
    state = torch.get_rng_state()
    table = Prefix(backbones["bert"].model, 30).table.detach()  # 3840 numbers
    assert torch.equal(state, torch.get_rng_state())
    assert abs(float(table.mean())) < 0.05
    assert abs(float(table.std()) - 1) < 0.05


def test_what_is_drawn_from_a_seed_leaves_the_generator_alone():
    with drawn_from(7):
        first = torch.rand(3)
    torch.manual_seed(1)
    with drawn_from(7):
        again = torch.rand(3)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(first, again)
    assert torch.equal(after, torch.rand(3))


def test_the_mlp_is_linear_tanh_linear(backbones):
    delta = Prefix(backbones["bert"].model, P, "mlp")
    weights = {name: tensor.detach() for name, tensor in delta.tensors().items()}
    middle = torch.tanh(weights["table"] @ weights["encoder.0.weight"].T + weights["encoder.0.bias"])
    expected = middle @ weights["encoder.2.weight"].T + weights["encoder.2.bias"]
    torch.testing.assert_close(delta.folded().table.detach(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_folded_prefix_has_equal_scores(backbone, precision):
    batch = batch_of(backbone)
    found = []
    mlp = Prefix(backbone.model, P, "mlp")
    for delta in (mlp, mlp.folded()):
        delta.attach()
        with torch.inference_mode(), delta.during(batch):
            found.append(label_scores(backbone.model, batch, WORDS, precision))
        delta.detach()
    torch.testing.assert_close(*found, atol=1e-6, rtol=0)
    assert set(delta.tensors()) == {"table"} and delta.table.requires_grad


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_rows_score_the_same_alone_and_padded(backbone, encoder, precision):
    delta = Prefix(backbone.model, P, encoder)
    delta.attach()
    scores = []
    for texts in (TEXTS, TEXTS[:1]):
        batch = batch_of(backbone, texts)
        with torch.inference_mode(), delta.during(batch):
            scores.append(label_scores(backbone.model, batch, WORDS, precision)[0])
    delta.detach()
    torch.testing.assert_close(*scores, atol=1e-5 if precision == "fp32" else 0.02, rtol=0)


def train(backbone, delta, batch, steps, rate=1e-2):
    """Make AdamW steps on the scores of a batch, and return the gradients of the last one by name."""
    optimizer = torch.optim.AdamW(delta.tensors().values(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        with delta.during(batch):
            scores = label_scores(backbone.model, batch, WORDS, "fp32")
        functional.cross_entropy(scores, torch.tensor([0, 1, 0])).backward()
        optimizer.step()
    return {name: tensor.grad for name, tensor in delta.tensors().items()}


@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_training_changes_the_prefix_alone(backbone, encoder):
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
def test_a_saved_prefix_has_the_same_scores_and_trains_on(backbone, encoder):
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


def test_only_a_table_that_trains_has_dropout(tmp_path):
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


def test_the_prefix_is_there_only_during_a_batch_and_for_its_model(backbones):
    backbone, other = backbones["bert"], backbones["roberta"]
    batch, others = batch_of(backbone), batch_of(other)
    untouched, others_untouched = logits_of(backbone, batch), logits_of(other, others)
    delta, second = Prefix(backbone.model, P), Prefix(other.model, P)
    delta.attach()
    second.attach()

    def fail(*_):
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

    def interrupt(*_):
        raise KeyboardInterrupt  # no forward hook is called after this one

    handle = backbone.model.bert.encoder.layer[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        logits_of(backbone, batch, delta)
    handle.remove()
    assert torch.equal(logits_of(backbone, batch), untouched)
    assert not torch.equal(expected, untouched)
    delta.detach()
    second.detach()
