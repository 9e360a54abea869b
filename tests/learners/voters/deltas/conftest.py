"""What every way to train the weights of a shared model must keep, as one check; the families of a prefix."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from delta_bench import Bench

from pet.learners.models.backbone import Backbone
from pet.learners.models.delta import copy_into
from pet.learners.voters.deltas.prefix import PREFIX_FAMILIES
from pet.prompts.patterns import Pattern

PATTERN = Pattern("toy/about", "It was {mask}. {text}")
TEXTS = ("team game match won", "phone chip", "coach goal score team game", "code software robot data quick chip")
TARGETS = torch.tensor([0, 1, 0, 1])


def copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def check(backbone: Backbone, make: Callable[..., Any], idle: tuple[str, ...] = (), drawn: bool = True) -> None:
    """Train, save, load and detach a delta; `idle` are words in names of weights whose first gradient is zero."""
    with ExitStack() as stack:

        def new(seed: int) -> Any:
            delta = make(seed)
            stack.callback(delta.detach)  # also after a failure: the model is shared
            return delta

        check_each(Bench(backbone), new, idle, drawn)


def check_each(bench: Bench, new: Callable[..., Any], idle: tuple[str, ...], drawn: bool) -> None:
    weights, tree, plain, state = bench.weights(), bench.tree(), bench.plain(), torch.get_rng_state()
    delta, twin, other = new(0), new(0), new(1)
    assert torch.equal(torch.get_rng_state(), state), "drawn from the global generator"
    assert bench.tree() == tree
    delta.attach()
    identity = bench.scores(delta)
    expected = plain[bench.batch.rows, bench.batch.positions][:, bench.words.ids[:, 0, 0]]
    torch.testing.assert_close(identity, expected, atol=1e-6, rtol=1e-6)
    start = copied(delta.tensors())
    names = set(start)
    own = {id(weight) for weight in delta.tensors().values()}
    frozen = [(weight, weight.detach().clone()) for weight in bench.model.parameters() if id(weight) not in own]

    seen = bench.train(delta)
    late = {name for name in names if any(word in name for word in idle)}
    assert {name for name, steps in seen.items() if steps == 3} == names - late
    assert {name for name, steps in seen.items() if steps == 2} == late
    assert all(torch.equal(weight, value) and weight.grad is None for weight, value in frozen)
    trained, scores = copied(delta.tensors()), bench.scores(delta)
    assert not any(torch.equal(trained[name], start[name]) for name in names - late)
    assert (scores - identity).abs().max() > 1e-4

    wide = bench.backbone.batch(bench.rows, 40)
    torch.testing.assert_close(bench.scores(delta, wide), scores, atol=1e-5, rtol=1e-5)
    alone = [bench.scores(delta, bench.backbone.batch([row])) for row in bench.rows]
    torch.testing.assert_close(torch.cat(alone), scores, atol=1e-5, rtol=1e-5)

    delta.detach()
    assert bench.tree() == tree and equal(bench.weights(), weights) and torch.equal(bench.plain(), plain)
    assert all(weight.requires_grad for weight in bench.model.parameters())
    delta.attach()
    assert torch.equal(bench.scores(delta), scores)
    delta.detach()

    other.attach()
    assert drawn != equal(copied(other.tensors()), start)
    copy_into(other.tensors(), trained)
    torch.testing.assert_close(bench.scores(other), scores, atol=1e-6, rtol=1e-6)
    assert any(bench.train(other).values())
    assert not torch.equal(bench.scores(other), scores)
    other.detach()
    twin.attach()
    assert equal(copied(twin.tensors()), start)
    bench.train(twin)
    assert equal(copied(twin.tensors()), trained)
    twin.detach()
    assert bench.tree() == tree and equal(bench.weights(), weights)
    bench.model.zero_grad(set_to_none=True)


@pytest.fixture(params=sorted(PREFIX_FAMILIES))
def backbone(request: pytest.FixtureRequest, backbones: dict[str, Backbone]) -> Iterator[Backbone]:
    """A backbone of each family that a prefix works on, which is found afterwards as it was."""
    found = backbones[request.param]
    found.reset()
    implementation = found.model.config._attn_implementation
    yield found
    assert found.model.config._attn_implementation == implementation
    assert all(tensor.requires_grad for tensor in found.model.parameters())
    assert not found.model.base_model._forward_hooks and not found.model.base_model._forward_pre_hooks


@pytest.fixture
def bench(backbones: dict[str, Backbone]) -> Callable[[str], Bench]:
    return lambda family: Bench(backbones[family])


@pytest.fixture
def gate() -> Callable[..., None]:
    return check
