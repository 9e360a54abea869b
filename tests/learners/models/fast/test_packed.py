"""Forward passes in bfloat16: every product and every attention against torch's own."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from tiny import FAMILIES
from torch import nn
from torch.nn import functional

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.fast import packed
from pet.learners.models.fast.packed import PackedForward
from pet.learners.models.inference import Inference
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import autocast
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import ModelSettings

CPU = torch.device("cpu")
attention: Callable[..., torch.Tensor] = functional.scaled_dot_product_attention


def states(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def heads(
    b: int = 3, a: int = 4, q: int = 20, t: int = 20, d: int = 8
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values in bfloat16."""
    sizes = ((b, a, q, d), (b, a, t, d), (b, a, t, d))
    query, key, value = (states(*size, seed=seed).bfloat16() for seed, size in enumerate(sizes))
    return query, key, value


def padding(b: int = 3, q: int = 20, t: int = 20, hidden: tuple[int, int, int] = (0, 5, 13)) -> torch.Tensor:
    """A mask that hides the last keys of each row."""
    seen = torch.arange(t) < t - torch.tensor(hidden)[:, None]
    return seen[:, None, None].expand(b, 1, q, t)


def run(call: Callable[..., torch.Tensor], *args: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    with torch.inference_mode(), autocast(CPU, "bf16"), PackedForward():
        return call(*args, **kwargs)


def plainly(call: Callable[..., torch.Tensor], *args: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    with torch.inference_mode(), autocast(CPU, "bf16"):
        return call(*args, **kwargs)


@pytest.mark.skipif(not packed.can_pack(), reason="torch packs no weights in bfloat16 here")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 32), (3, 50, 32), (1, 1, 32)])
def test_a_packed_product_is_the_product(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = nn.Linear(32, 48, bias), states(*shape)
    with torch.inference_mode(), autocast(CPU, "bf16"), PackedForward() as mode:
        found = layer(x)
    assert len(mode.packed) == 1
    assert found.dtype == torch.bfloat16
    exact = functional.linear(x.bfloat16().double(), layer.weight.bfloat16().double())
    exact = exact + (layer.bias.bfloat16().double() if bias else 0.0)
    torch.testing.assert_close(found.double(), exact.detach(), atol=2**-9, rtol=2**-8)  # rounded once, at the end


def test_products_that_are_not_those_of_layers_are_left_to_torch() -> None:
    layer, x = nn.Linear(32, 48), states(5, 32)
    with PackedForward() as mode:
        assert layer(x).dtype == torch.float32  # no autocast
        with autocast(CPU, "bf16"):
            assert layer(x).requires_grad  # it trains
        with torch.inference_mode(), autocast(CPU, "bf16"):
            functional.linear(x, layer.weight * 2)  # made on the way
            assert layer(x[:0]).shape == (0, 48)
        assert not mode.packed


def test_a_layer_that_has_changed_is_packed_anew() -> None:
    layer, x = nn.Linear(32, 48), states(5, 32)
    before = run(layer, x)
    with torch.no_grad():
        layer.weight.zero_()
    torch.testing.assert_close(run(layer, x)[0], layer.bias.detach().bfloat16())
    assert before.abs().max() > 0.5


def test_torch_without_packed_products(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.Linear(32, 48), states(5, 32)
    monkeypatch.setattr(packed, "can_pack", lambda: False)
    assert torch.equal(run(layer, x), plainly(layer, x))


def test_a_function_of_torch_that_is_no_more_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert not packed.can_pack.__wrapped__()


def test_even_weights_give_the_mean_of_the_values_that_are_seen() -> None:
    """Queries of 0: of values 0 to 19 in the first row, 0 to 14 in the second and 0 to 6 in the third."""
    _, key, _ = heads()
    value = torch.arange(20.0).view(1, 1, 20, 1).expand(3, 4, 20, 8).bfloat16()
    found = run(attention, torch.zeros(3, 4, 20, 8).bfloat16(), key, value, attn_mask=padding())
    assert found[:, 0, 0, 0].tolist() == [9.5, 7.0, 3.0]
    assert (found == found[:, :1, :1, :1]).all()


@pytest.mark.parametrize("mask", [None, padding()], ids=["no mask", "padding"])
@pytest.mark.parametrize("scale", [None, 0.5])
@pytest.mark.parametrize("cached", [2**20, 900, 1])
def test_attention_is_that_of_torch(
    monkeypatch: pytest.MonkeyPatch, mask: torch.Tensor | None, scale: float | None, cached: int
) -> None:
    monkeypatch.setattr(packed, "CACHED_SCORES", cached)  # in one go, two heads at a time, one
    parts, options = heads(), {} if scale is None else {"scale": scale}
    found = run(attention, *parts, attn_mask=mask, **options)
    exact = attention(*(part.double() for part in parts), attn_mask=mask, **options)
    assert found.dtype == torch.bfloat16
    assert not torch.equal(found, plainly(attention, *parts, attn_mask=mask, **options))  # it is another computation
    torch.testing.assert_close(found.double(), exact, atol=0.02, rtol=0.02)


def test_queries_and_keys_of_different_number() -> None:
    parts = heads(q=17, t=40)
    exact = attention(*(part.double() for part in parts))
    torch.testing.assert_close(run(attention, *parts).double(), exact, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("spoiled", ["large", "small", "nan"])
def test_heads_whose_scores_bfloat16_does_not_hold_are_left_to_torch(spoiled: str) -> None:
    """One head of four: its scores reach 90, or none of a row's reaches -100, or one is not a number."""
    query, key, value = heads()
    if spoiled == "large":
        query[1, 2] *= 40
    elif spoiled == "small":
        query[1, 2], key[1, 2] = -8.0, 16.0
    else:
        query[1, 2, 3, 4] = torch.nan
    mask = padding()
    found, other = (call(attention, query, key, value, attn_mask=mask) for call in (run, plainly))
    torch.testing.assert_close(found[:, 2], other[:, 2], rtol=0, atol=0, equal_nan=True)
    rest = [0, 1, 3]
    assert not torch.equal(found[:, rest], other[:, rest])
    torch.testing.assert_close(found[:, rest], other[:, rest], atol=0.02, rtol=0.02)


def test_what_a_hidden_key_holds_does_not_matter() -> None:
    query, key, value = heads()
    mask = padding()
    expected = run(attention, query, key, value, attn_mask=mask)
    key[2, :, 10:], value[2, :, 10:] = 1000.0, -1000.0  # row 2 sees 7 keys
    torch.testing.assert_close(run(attention, query, key, value, attn_mask=mask), expected, atol=0.02, rtol=0.02)


def test_attention_of_another_kind_is_left_to_torch() -> None:
    window = (torch.arange(20)[:, None] - torch.arange(20)).abs() < 6
    cases: tuple[tuple[tuple[torch.Tensor, ...], dict[str, Any]], ...] = (
        (heads(), {"attn_mask": window[None, None]}),
        (heads(), {"attn_mask": torch.zeros(3, 1, 20, 20, dtype=torch.bfloat16)}),
        (heads(), {"is_causal": True}),
        (heads(q=15), {}),
        (tuple(part.float() for part in heads()), {}),
    )
    for parts, options in cases:
        assert torch.equal(run(attention, *parts, **options), plainly(attention, *parts, **options))
    expected = attention(*heads())
    with torch.inference_mode(), PackedForward():
        assert torch.equal(attention(*heads()), expected)  # no autocast


@pytest.mark.parametrize("family", FAMILIES)
def test_the_scores_of_a_voter_are_near_those_in_float32(
    backbones: dict[str, Backbone], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = backbones[family]
    pvp = PVP(Pattern("p", "It was {mask}. {text}"), Verbalizer("v", {"a": ("good",), "b": ("bad",)}))
    rows = [Example(str(i), {"text": "man plays outside at my city " * (3 + i % 3)}) for i in range(9)]
    voters = [PvpVoter(backbone, pvp, ModelSettings(), Machine(CPU, precision)) for precision in ("fp32", "bf16")]
    exact, found = (voter.scores(rows) for voter in voters)
    monkeypatch.setattr("pet.learners.models.inference.PackedForward", nullcontext)
    plain = voters[1].scores(rows)
    assert not np.array_equal(found, exact)
    assert np.abs(found - exact).max() < 2 * np.abs(plain - exact).max() + 0.01


def test_float32_and_a_gpu_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    packing, counts = mock.Mock(side_effect=nullcontext), []
    monkeypatch.setattr("pet.learners.models.inference.PackedForward", packing)
    machines = (Machine(CPU, "bf16"), Machine(CPU, "bf16", "fp32"), Machine(CPU, "fp32"))
    for machine in (*machines, Machine(torch.device("cuda"), "bf16")):
        Inference(machine, lambda _: [], lambda _: torch.empty(0, 1)).run([], 1)
        counts.append(packing.call_count)
    assert counts == [1, 1, 1, 1]  # the first alone
