"""A prefix before the keys and values of every layer: against attention by hand, and where none can be."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from prefixes import TEXTS, A, D, H, L, P, batch_of, logits_of
from torch.nn import functional
from transformers import AttentionInterface, DynamicCache
from transformers.integrations import sdpa_attention

from pet.errors import ConfigError, ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.voters.deltas.prefix import PREFIX_FAMILIES, Prefix, check_prefix_length


def by_hand(tables: torch.Tensor, window: int) -> tuple[SimpleNamespace, Callable[..., Any]]:
    """Attention as its definition has it, in float64, over prefixes [l, 2, p, h] and the tokens of each layer in turn.

    `window` is how far a token of a local layer sees; the mask is remade from the rows' lengths, which `lengths` holds.
    """
    state = SimpleNamespace(layer=0, lengths=None)

    def attend(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: None,
        scaling: Any = None,
        **_: object,
    ) -> tuple[torch.Tensor, None]:
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


def reference(backbone: Backbone, batch: Batch, table: torch.Tensor) -> torch.Tensor:
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
def test_a_prefix_equals_the_attention_by_hand(backbone: Backbone, padded: bool) -> None:
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


def test_local_layers_see_tokens_in_their_window_only(
    backbones: dict[str, Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_no_mask_is_a_mask_of_ones(backbone: Backbone, with_mask: bool) -> None:
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
def test_shifted_positions_equal_past_keys_and_values(backbones: dict[str, Backbone], family: str) -> None:
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
def test_shifted_positions_are_those_behind_the_prefix(backbones: dict[str, Backbone], family: str) -> None:
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
def test_a_shifted_input_has_to_fit(
    backbones: dict[str, Backbone], refuses: Callable[..., None], family: str, most: int
) -> None:
    backbone = backbones[family]
    delta = Prefix(backbone.model, P, shifts_positions=True)
    delta.attach()
    try:
        logits_of(backbone, batch_of(backbone, width=most), delta)
        wide = batch_of(backbone, width=most + 1)
        refuses(ModelError, lambda: logits_of(backbone, wide, delta), "62 tokens", "set max_length to 61")
    finally:
        delta.detach()


def test_rotary_positions_are_not_shifted(backbones: dict[str, Backbone], refuses: Callable[..., None]) -> None:
    model = backbones["modernbert"].model
    refuses(ModelError, lambda: Prefix(model, P, shifts_positions=True), "'modernbert'", "rotary", "leave")


def test_an_unknown_family_is_refused(
    backbones: dict[str, Backbone], refuses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = backbones["bert"].model
    monkeypatch.setattr(model.config, "model_type", "odd")
    refuses(ModelError, lambda: Prefix(model, P), "'odd'", "not known")


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet"])
def test_families_that_ignore_a_prefix_are_refused(
    backbones: dict[str, Backbone], refuses: Callable[..., None], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = backbones[family].model
    refuses(ModelError, lambda: Prefix(model, P), repr(family), "ignore a prefix", "own way", 'weights = "lora"')
    # Were the name believed to be fine, the probe tells.
    monkeypatch.setattr("pet.learners.voters.deltas.prefix.PREFIX_FAMILIES", {family: "zero"})
    before = model.config._attn_implementation
    refuses(ModelError, Prefix(model, P).attach, repr(family), "ignore a prefix")
    assert model.config._attn_implementation == before
    assert all(tensor.requires_grad for tensor in model.parameters())


def test_a_prefix_that_does_not_reach_every_layer_is_refused(
    backbones: dict[str, Backbone], refuses: Callable[..., None]
) -> None:
    delta = Prefix(backbones["bert"].model, P)
    delta.depth += 1
    delta.table = torch.nn.Parameter(torch.randn(P, 2 * (L + 1) * H))
    refuses(ModelError, delta.attach, "'bert'")


def test_the_probe_leaves_a_training_model_and_the_generator_alone(backbones: dict[str, Backbone]) -> None:
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


def test_a_prefix_that_changes_nothing_is_refused(
    backbones: dict[str, Backbone], refuses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, None]:
        before = key.shape[2] - query.shape[2]
        mask = mask if mask is None else mask[..., before:]
        return attend(module, query, key[:, :, before:], value[:, :, before:], mask, **options)

    name = "pet.learners.voters.deltas.prefix.sdpa_attention_forward"
    attend = sdpa_attention.sdpa_attention_forward
    monkeypatch.setattr(name, without)
    refuses(ModelError, Prefix(backbones["bert"].model, P).attach, "'bert'", "ignore a prefix")


@pytest.mark.parametrize(("length", "fits"), [(0, False), (-1, False), (1, True), (32, True), (33, False)])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_prefix_is_at_most_half_of_the_input(
    backbones: dict[str, Backbone], refuses: Callable[..., None], family: str, length: int, fits: bool
) -> None:
    model = backbones[family].model
    if fits:
        Prefix(model, length)
        check_prefix_length(length, 64)
    else:
        refuses(ConfigError, lambda: Prefix(model, length), f"prefix_length is {length}", "1 to 32", "64 tokens")
        refuses(ConfigError, lambda: check_prefix_length(length, 64), "1 to 32")
