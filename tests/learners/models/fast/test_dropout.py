"""Masks of dropout from cheap bits: as often, as even and as repeatable as torch's, and otherwise the same answers."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pet.learners.models import training
from pet.learners.models.fast import dropout
from pet.learners.models.fast.dropout import QuickDropout
from pet.learners.models.training import Trained, fit
from pet.settings.training import OptimizerSettings


def heads(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    query, key, value = (torch.randn(2, 3, 5, 4, dtype=dtype).requires_grad_() for _ in range(3))
    return query, key, value


def gradients(seen: torch.Tensor, *of: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(seen.float().square().sum(), of))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_elements_are_dropped_as_often_as_asked_and_the_rest_are_scaled(p: float, dtype: torch.dtype) -> None:
    x = torch.ones(500, 401, dtype=dtype)
    torch.manual_seed(0)
    with QuickDropout():
        found = functional.dropout(x, p)
    assert found.dtype == dtype
    none, kept = found.unique().tolist()
    assert (none, kept) == (0.0, pytest.approx(1 / (1 - p), rel=1e-4 if dtype == torch.float32 else 1e-2))
    cut = (found == 0).float()
    assert cut.mean() == pytest.approx(p, abs=4 * (p * (1 - p) / x.numel()) ** 0.5)
    rows = cut.sum(1)  # every row a binomial draw of its own
    assert rows.var() == pytest.approx(401 * p * (1 - p), rel=0.3)


def test_the_gradient_goes_where_the_value_went() -> None:
    x = torch.randn(40, 7, requires_grad=True)
    with QuickDropout():
        found = functional.dropout(x, 0.3)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient * x, found)


def test_a_seed_decides_the_masks_and_they_differ_within_it() -> None:
    def two() -> list[torch.Tensor]:
        torch.manual_seed(3)
        with QuickDropout():
            return [nn.Dropout(0.5)(torch.ones(9, 9)) for _ in range(2)]

    first, again = two(), two()
    assert all(map(torch.equal, first, again))
    assert not torch.equal(*first)


@pytest.mark.parametrize("options", [{"training": False}, {"p": 0.0}, {"p": 1e-9}, {"p": 1.0}])
def test_what_draws_nothing_is_torchs(options: dict[str, float]) -> None:
    x = torch.randn(4, 4)
    with QuickDropout():
        found = functional.dropout(x, **options)  # type: ignore[arg-type]
    assert torch.equal(found, functional.dropout(x, **options))  # type: ignore[arg-type]


def test_in_place_stays_in_place() -> None:
    x = torch.ones(100)
    with QuickDropout():
        assert functional.dropout(x, 0.5, inplace=True) is x
    assert 0 in x


MASKS = {
    "none": None,
    "padding": torch.tensor([[True] * 5, [True] * 3 + [False] * 2]).view(2, 1, 1, 5),
    "bias": torch.linspace(-2, 2, 25).view(1, 1, 5, 5),
}


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_attention_that_drops_nothing_is_torchs_with_its_gradients(
    mask: torch.Tensor | None, scale: float | None, dtype: torch.dtype, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropout, "dropout_noise", lambda of, p: torch.ones_like(of))
    of = heads(dtype)
    bias = mask if mask is None or mask.dtype == torch.bool else mask.to(dtype)
    plain = functional.scaled_dot_product_attention(*of, attn_mask=bias, scale=scale)
    with QuickDropout():
        found = functional.scaled_dot_product_attention(*of, attn_mask=bias, dropout_p=0.2, scale=scale)
    torch.testing.assert_close(found, plain, atol=within, rtol=within)
    for mine, theirs in zip(gradients(found, *of), gradients(plain, *of), strict=True):
        torch.testing.assert_close(mine, theirs, atol=4 * within, rtol=4 * within)


def test_attention_drops_weights_and_keeps_their_mean() -> None:
    query, key, value = (of.detach().repeat(400, 1, 1, 1) for of in heads())
    mask = MASKS["padding"].repeat(400, 1, 1, 1)
    plain = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.manual_seed(0)
    with QuickDropout():
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=0.25)
    assert (found != plain).float().mean() > 0.5
    each = [seen.view(400, 2, 3, 5, 4).mean(0) for seen in (found, plain)]
    torch.testing.assert_close(*each, atol=0.15, rtol=0)
    far = value.clone()
    far[1::2, :, 3:] = 1e6  # what is hidden stays hidden
    torch.manual_seed(0)
    with QuickDropout():
        assert torch.equal(
            found, functional.scaled_dot_product_attention(query, key, far, attn_mask=mask, dropout_p=0.25)
        )


@pytest.mark.parametrize("options", [{"is_causal": True}, {"enable_gqa": True}, {"dropout_p": 0.0}])
def test_attention_of_other_kinds_is_torchs(options: dict[str, bool]) -> None:
    of = heads()
    torch.manual_seed(0)
    plain = functional.scaled_dot_product_attention(*of, **{"dropout_p": 0.2, **options})  # type: ignore[arg-type]
    torch.manual_seed(0)
    with QuickDropout():
        found = functional.scaled_dot_product_attention(*of, **{"dropout_p": 0.2, **options})  # type: ignore[arg-type]
    assert torch.equal(found, plain)


def test_a_training_draws_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop that all learners share uses the quick masks: without them a training's losses are others."""

    def losses() -> tuple[float, ...]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 1))
        settings = OptimizerSettings(steps=3, learning_rate=0.01)
        rows = torch.randn(8, 6)
        of = Trained.weights_of(model, settings)
        return fit(of, lambda at: model(rows[at]).square().mean(), 8, settings, np.random.default_rng(0)).losses

    quick = losses()
    assert quick == losses()
    monkeypatch.setattr(training, "QuickDropout", nullcontext)
    assert quick != losses()
