from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from delta_bench import Bench
from tiny import FAMILIES, save_tiny
from transformers import AutoModelForMaskedLM

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.delta import copy_into
from pet.learners.voters.deltas.selected import Part, Selected

H, F, LAYERS, E = 32, 64, 2, 16  # hidden size, feed-forward size, layers, embedding size of ALBERT and ELECTRA
BIASED = [family for family in FAMILIES if family != "modernbert"]


def biases(family: str) -> int:
    """Count by hand: q, k, v, o, both norms and the feed-forward of a layer, the embedding norm and the transform."""
    layer = 4 * H + 2 * H + F + H
    outer = {"albert": E + H + 2 * E, "electra": E + H + 2 * E, "deberta-v2": H + H + 2 * H}
    return (1 if family == "albert" else LAYERS) * layer + outer.get(family, H + 2 * H)


def norms(family: str) -> int:
    layer = 2 * 2 * H
    outer = {"albert": 2 * E + 2 * E, "electra": 2 * E + 2 * E, "deberta-v2": 3 * 2 * H}
    if family == "modernbert":  # weights alone; the first layer has one norm; embeddings, last norm, head
        return 3 * H + 3 * H
    return (1 if family == "albert" else LAYERS) * layer + outer.get(family, 2 * 2 * H)


def head(family: str, vocabulary: int) -> int:
    inner = E if family in ("albert", "electra") else H
    return vocabulary + H * inner + (H if family == "modernbert" else inner + 2 * inner)


def size(delta: Selected) -> int:
    return sum(weight.numel() for weight in delta.tensors().values())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["bitfit", "layernorm", "head"])
def test_gate(backbones: dict[str, Backbone], gate: Callable[..., None], family: str, part: Part) -> None:
    if (family, part) == ("modernbert", "bitfit"):
        pytest.skip("it has no biases")
    gate(backbones[family], lambda _: Selected(backbones[family].model, part), drawn=False)


@pytest.mark.parametrize("family", BIASED)
def test_bitfit_trains_all_biases_but_that_of_the_vocabulary(bench: Callable[[str], Bench], family: str) -> None:
    model = bench(family).model
    delta = Selected(model, "bitfit")
    assert size(delta) == biases(family)
    assert all(name.endswith(".bias") for name in delta.tensors())
    assert model.config.vocab_size not in {len(bias) for bias in delta.tensors().values()}


@pytest.mark.parametrize("family", FAMILIES)
def test_layernorm_trains_all_norms(bench: Callable[[str], Bench], family: str) -> None:
    assert size(Selected(bench(family).model, "layernorm")) == norms(family)


@pytest.mark.parametrize("family", FAMILIES)
def test_head_leaves_the_tied_decoder(bench: Callable[[str], Bench], family: str) -> None:
    model = bench(family).model
    delta = Selected(model, "head")
    assert size(delta) == head(family, model.config.vocab_size)
    words = model.get_input_embeddings().weight
    assert not any(weight is words for weight in delta.tensors().values())
    delta.attach()
    assert not words.requires_grad
    delta.detach()


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_head_leaves_a_decoder_of_its_own(tmp_path: Path, family: str) -> None:
    model = AutoModelForMaskedLM.from_pretrained(save_tiny(family, tmp_path, tie_word_embeddings=False))
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    delta = Selected(model, "head")
    assert size(delta) == head(family, model.config.vocab_size)
    delta.attach()
    model(input_ids=torch.tensor([[5, 6, 7]])).logits.logsumexp(-1).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in delta.tensors().values())


def test_the_new_head_of_deberta(tmp_path: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(save_tiny("deberta-v2", tmp_path, legacy=False))
    assert size(Selected(model, "head")) == head("deberta-v2", model.config.vocab_size)
    assert size(Selected(model, "bitfit")) == biases("deberta-v2")


def test_a_model_without_biases(bench: Callable[[str], Bench], refuses: Callable[..., None]) -> None:
    model = bench("modernbert").model
    refuses(ModelError, lambda: Selected(model, "bitfit"), '"bitfit"', "'modernbert'", "another model")


def test_a_biased_modernbert_has_bitfit(tmp_path: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(save_tiny("modernbert", tmp_path, attention_bias=True))
    assert size(Selected(model, "bitfit")) == LAYERS * (3 * H + H)


def test_an_unknown_family_has_norms_but_no_bitfit(
    bench: Callable[[str], Bench], refuses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bench("bert").model
    monkeypatch.setattr(model.config, "model_type", "odd")
    assert size(Selected(model, "layernorm")) == norms("bert")
    assert size(Selected(model, "full")) == sum(weight.numel() for weight in model.parameters())
    for part in ("bitfit", "head"):
        refuses(ModelError, lambda part=part: Selected(model, part), "'odd'", "bert", "full")


@pytest.mark.parametrize("family", FAMILIES)
def test_full_trains_every_weight_once_and_the_reset_takes_it_back(bench: Callable[[str], Bench], family: str) -> None:
    it = bench(family)
    weights, plain = it.weights(), it.plain()
    delta = Selected(it.model, "full")
    delta.attach()
    assert size(delta) == sum(weight.numel() for weight in it.model.parameters())
    before = it.scores(delta)
    seen = it.train(delta)
    assert set(seen.values()) == {3}
    scores = it.scores(delta)
    assert (scores - before).abs().max() > 1e-3
    saved = {name: weight.detach().clone() for name, weight in delta.tensors().items()}
    delta.detach()
    it.backbone.reset()
    assert torch.equal(it.plain(), plain)
    assert all(torch.equal(weight, weights[name]) for name, weight in it.weights().items())
    fresh = Selected(it.model, "full")
    fresh.attach()
    copy_into(fresh.tensors(), saved)
    torch.testing.assert_close(it.scores(fresh), scores, atol=1e-6, rtol=1e-6)
    fresh.detach()
    it.backbone.reset()


def test_none_freezes_everything(bench: Callable[[str], Bench]) -> None:
    it = bench("bert")
    plain = it.plain()
    delta = Selected(it.model, "none")
    delta.attach()
    assert delta.tensors() == {}
    assert not any(weight.requires_grad for weight in it.model.parameters())
    assert torch.equal(it.plain(), plain)
    copy_into(delta.tensors(), {})
    delta.detach()
    assert all(weight.requires_grad for weight in it.model.parameters())


def test_two_voters_take_turns(bench: Callable[[str], Bench]) -> None:
    it = bench("roberta")
    voters = [Selected(it.model, "bitfit"), Selected(it.model, "layernorm")]
    scores = []
    for steps, voter in enumerate(voters, 1):
        voter.attach()
        it.train(voter, steps)
        scores.append(it.scores(voter))
        voter.detach()
    for voter, expected in zip(voters, scores, strict=True):
        voter.attach()
        assert torch.equal(it.scores(voter), expected)
        voter.detach()
    it.backbone.reset()


def test_a_saved_voter_of_another_part(bench: Callable[[str], Bench], refuses: Callable[..., None]) -> None:
    it = bench("bert")
    delta = Selected(it.model, "bitfit")
    delta.attach()
    saved = Selected(it.model, "layernorm").tensors()
    refuses(ModelError, lambda: copy_into(delta.tensors(), saved), "another model")
    delta.detach()
