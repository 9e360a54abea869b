"""What every way to train the weights of a shared model must keep, as one check; the families of a prefix."""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from pet.data.examples import Example
from pet.learners.models.delta import copy_into
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.masked_lm import label_scores
from pet.learners.voters.deltas.prefix import PREFIX_FAMILIES
from pet.learners.voters.words import LabelWords
from pet.prompts.patterns import Pattern

PATTERN = Pattern.parse("toy/about", "It was {mask}. {text}")
TEXTS = ("team game match won", "phone chip", "coach goal score team game", "code software robot data quick chip")
TARGETS = torch.tensor([0, 1, 0, 1])


class Bench:
    """One model with a batch of four rows and two label words of one piece each."""

    def __init__(self, backbone):
        self.backbone, self.model = backbone, backbone.model
        backbone.reset()
        backbone.model.eval()
        encoder = PatternEncoder(PATTERN, backbone.pieces, 64)
        self.rows = encoder.encode([Example(text, {"text": text}) for text in TEXTS], 1)
        ids = [[[int(backbone.pieces.ids(word, True)[0])]] for word in ("good", "bad")]
        self.words = LabelWords(("Sports", "Tech"), np.array(ids))
        self.batch = backbone.batch(self.rows)

    def scores(self, delta, batch=None):
        batch = batch or self.batch
        with torch.no_grad(), delta.during(batch):
            return label_scores(self.model, batch, self.words, "fp32")

    def plain(self):
        with torch.no_grad():
            return self.model(**self.batch.inputs).logits

    def train(self, delta, steps=3):
        """Make AdamW steps; return by name the number of steps in which a weight had a gradient that is not zero."""
        seen = dict.fromkeys(delta.tensors(), 0)
        optimizer = torch.optim.AdamW(delta.tensors().values(), lr=1e-2)
        self.model.train()
        torch.manual_seed(0)
        for step in range(steps):
            with delta.during(self.batch):
                scores = label_scores(self.model, self.batch, self.words, "fp32")
            torch.nn.functional.cross_entropy(scores, TARGETS).backward()
            for name, weight in delta.tensors().items():
                seen[name] += weight.grad is not None and bool(weight.grad.any())
            optimizer.step()
            delta.updated(step)
            optimizer.zero_grad()
        self.model.eval()
        return seen

    def weights(self):
        return {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}

    def tree(self):
        hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in self.model.modules()]
        return [(name, id(module)) for name, module in self.model.named_modules()], hooks, set(vars(self.model))


def copied(tensors):
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def check(backbone, make, idle=(), drawn=True):
    """Train, save, load and take off a delta; `idle` are words in names of weights whose first gradient is zero."""
    with ExitStack() as stack:

        def new(seed):
            delta = make(seed)
            stack.callback(delta.detach)  # also after a failure: the model is shared
            return delta

        check_each(Bench(backbone), new, idle, drawn)


def check_each(bench, new, idle, drawn):
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
    frozen = {id(weight) for weight in bench.model.parameters()} - {id(weight) for weight in delta.tensors().values()}
    frozen = [(weight, weight.detach().clone()) for weight in bench.model.parameters() if id(weight) in frozen]

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
def backbone(request, backbones):
    """A backbone of each family that a prefix works on, which is found afterwards as it was."""
    found = backbones[request.param]
    found.reset()
    implementation = found.model.config._attn_implementation
    yield found
    assert found.model.config._attn_implementation == implementation
    assert all(tensor.requires_grad for tensor in found.model.parameters())
    assert not found.model.base_model._forward_hooks and not found.model.base_model._forward_pre_hooks


@pytest.fixture
def bench(backbones) -> Callable[[str], Bench]:
    return lambda family: Bench(backbones[family])


@pytest.fixture
def gate() -> Callable[..., None]:
    return check
