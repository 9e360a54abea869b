from collections.abc import Callable
from typing import Any

import pytest
import torch
from delta_bench import Bench
from tiny import FAMILIES

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.delta import copy_into
from pet.learners.voters.deltas.peft_deltas import PeftDelta

H = 32
TARGETS = {"target_modules": ["query", "value", "output.dense"]}
DORA = {"peft_type": "LORA", "r": 4, "use_dora": True, **TARGETS}
IA3 = {"peft_type": "IA3", "feedforward_modules": ["output.dense"], **TARGETS}
ADALORA = {"peft_type": "ADALORA", "total_step": 6, "tinit": 1, "tfinal": 1, "init_r": 4, "target_r": 2, **TARGETS}


def size(delta: PeftDelta) -> int:
    return sum(weight.numel() for weight in delta.tensors().values())


@pytest.mark.parametrize("family", FAMILIES)
def test_gate_lora(backbones: dict[str, Backbone], gate: Callable[..., None], family: str) -> None:
    model = backbones[family].model
    gate(backbones[family], lambda seed: PeftDelta(model, 4, seed), idle=("lora_A",))


@pytest.mark.parametrize(
    ("config", "idle", "drawn"),
    [
        (DORA, ("lora_A",), True),
        (IA3, (), False),
        ({"peft_type": "LORA", "r": 2, "modules_to_save": ["transform"]}, ("lora_A",), True),
        ({"peft_type": "LOHA", **TARGETS}, ("hada_w1", "hada_w2_a"), True),
        ({"peft_type": "ln_tuning", "target_modules": ["LayerNorm"]}, (), False),
    ],
)
@pytest.mark.filterwarnings("ignore:Unsupported layer type")
def test_gate_of_other_deltas(
    backbones: dict[str, Backbone],
    gate: Callable[..., None],
    config: dict[str, Any],
    idle: tuple[str, ...],
    drawn: bool,
) -> None:
    model = backbones["bert"].model
    gate(backbones["bert"], lambda seed: PeftDelta(model, config, seed), idle=idle, drawn=drawn)


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_is_on_queries_and_values(bench: Callable[[str], Bench], family: str) -> None:
    """4 h r weights per layer; A and B on the fused projection of ModernBERT: h r + 3 h r."""
    delta = PeftDelta(bench(family).model, 4, 0)
    assert size(delta) == (1 if family == "albert" else 2) * 4 * H * 4
    assert {name.split(".lora_")[1] for name in delta.tensors()} == {"A.weight", "B.weight"}


def test_lora_by_hand(bench: Callable[[str], Bench]) -> None:
    """W x + b + 2 B A x, since alpha is twice the rank."""
    it = bench("bert")
    delta = PeftDelta(it.model, 3, 0)
    delta.attach()
    it.train(delta)
    expected = it.scores(delta)
    tensors = {name: weight.detach() for name, weight in delta.tensors().items()}
    delta.detach()
    for name in [name.removesuffix(".lora_A.weight") for name in tensors if "lora_A" in name]:
        down, up = (tensors[f"{name}.lora_{part}.weight"] for part in "AB")
        assert down.shape == (3, H)
        with torch.no_grad():
            it.model.get_submodule(name).weight.add_(2.0 * up @ down)
    torch.testing.assert_close(it.scores(delta), expected, atol=1e-6, rtol=1e-6)
    it.backbone.reset()


def test_names_in_a_saved_file_are_those_of_peft(bench: Callable[[str], Bench]) -> None:
    from peft import get_peft_model_state_dict

    for config in (2, DORA, IA3):
        model = bench("bert").model
        delta = PeftDelta(model, config, 0)
        delta.attach()
        model.peft_config = delta._tuner.peft_config
        expected = get_peft_model_state_dict(model, save_embedding_layers=False)
        del model.peft_config
        delta.detach()
        found = delta.tensors()
        # peft strips the layer from its single vector per module.
        assert {name.replace("vector.weight", "vector") for name in found} == set(expected)


def test_an_unknown_family_gets_lora_on_every_linear_layer(
    bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bench("bert").model
    monkeypatch.setattr(model.config, "model_type", "odd")
    places = {name.split(".lora_")[0] for name in PeftDelta(model, 2, 0).tensors()}
    assert len(places) == 2 * 6 + 1  # q, k, v, o and two of the feed-forward part; the transform of the head
    assert not any("decoder" in place for place in places)


def test_new_layers_follow_the_model_into_evaluation_and_training(bench: Callable[[str], Bench]) -> None:
    it = bench("bert")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 100, "lora_dropout": 0.5}
    delta, fresh = PeftDelta(it.model, config, 0), PeftDelta(it.model, config, 1)
    delta.attach()
    it.train(delta)
    scores = it.scores(delta)
    delta.detach()
    fresh.attach()
    copy_into(fresh.tensors(), delta.tensors())
    assert torch.equal(it.scores(fresh), scores)
    fresh.detach()
    it.model.train()
    fresh.attach()
    assert not torch.equal(it.scores(fresh), it.scores(fresh))
    assert all(module.training for module in it.model.modules())
    fresh.detach()
    it.model.eval()


def test_the_number_of_weights_of_other_deltas(bench: Callable[[str], Bench]) -> None:
    """In two layers: three places of 32 inputs and outputs, and the one that ends the feed-forward part, 64 to 32."""
    model = bench("bert").model
    assert size(PeftDelta(model, DORA, 0)) == 2 * (3 * (4 * 2 * H + H) + 4 * 3 * H + H)
    assert size(PeftDelta(model, IA3, 0)) == 2 * (2 * H + H + 2 * H)


def test_adalora_divides_its_ranks(bench: Callable[[str], Bench]) -> None:
    it = bench("bert")
    delta = PeftDelta(it.model, ADALORA, 0)
    plain = it.tree()
    delta.attach()
    it.train(delta, 6)
    scores = it.scores(delta)
    singular = [weight.detach() for name, weight in delta.tensors().items() if "lora_E" in name]
    assert size(delta) == 2 * 4 * (2 * 2 * H + 2 + H + H + H + 2 * H + 2)
    assert sum(int((values != 0).sum()) for values in singular) == 8 * 2  # of 8 places with 4 ranks each, 2 per place
    delta.detach()
    assert it.tree() == plain
    fresh = PeftDelta(it.model, ADALORA, 1)
    fresh.attach()
    copy_into(fresh.tensors(), delta.tensors())
    torch.testing.assert_close(it.scores(fresh), scores, atol=1e-6, rtol=1e-6)
    fresh.detach()


def test_two_voters_take_turns(bench: Callable[[str], Bench]) -> None:
    it = bench("bert")
    voters, scores = [PeftDelta(it.model, config, 0) for config in (2, DORA, IA3)], []
    for voter in voters:
        voter.attach()
        it.train(voter)
        scores.append(it.scores(voter))
        voter.detach()
    for voter, expected in zip(voters, scores, strict=True):
        voter.attach()
        assert torch.equal(it.scores(voter), expected)
        voter.detach()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"peft_type": "P_TUNING", "num_virtual_tokens": 3}, ('preset = "p-tuning"', "prompt learning")),
        ({"peft_type": "prompt_tuning"}, ('preset = "prompt-tuning"',)),
        ({"peft_type": "PREFIX_TUNING"}, ('preset = "prefix-tuning"',)),
        ({"peft_type": "CPT"}, ('"prompt-tuning", "p-tuning", "prefix-tuning"',)),
        ({"peft_type": "LOAR"}, ("'LOAR'", "LORA")),
        ({"peft_type": "XLORA"}, ("'XLORA'", "nothing but the model", "LORA")),
        ({"peft_type": "lily", "target_modules": ["query"]}, ("'LILY'", "depend on the rows beside it")),
        ({"r": 4}, ("peft_type is None", "ADALORA")),
        ({"peft_type": "LORA", "lora_alfa": 4}, ("LORA", "'lora_alfa'", "Did you mean lora_alpha")),
        ({"peft_type": "LORA", "r": -1}, ("LORA", "positive")),
        ({"peft_type": "LORA", "r": "x"}, ("LORA",)),
        ({"peft_type": "LORA", "target_modules": ["nope"]}, ("LORA", "nope", "'bert'")),
        ({"peft_type": "ADALORA"}, ("total_step",)),
        ({"peft_type": "LN_TUNING"}, ("LN_TUNING", "target_modules")),
        ({"peft_type": "LORA", "bias": "all"}, ("bias", 'weights = "bitfit"')),
        ({"peft_type": "LORA", "inference_mode": True}, ("'nothing'", "inference_mode")),
        ({"peft_type": "LORA", "init_lora_weights": "pissa"}, ("LORA", "own weights", "init_lora_weights = true")),
        ({"peft_type": "ROAD", "target_modules": ["query"]}, ("ROAD", "group_size")),
    ],
)
def test_bad_configurations(
    bench: Callable[[str], Bench], refuses: Callable[..., None], config: dict[str, Any], words: tuple[str, ...]
) -> None:
    it = bench("bert")
    before, tree, plain = it.weights(), it.tree(), it.plain()
    refuses(ModelError, lambda: PeftDelta(it.model, config, 0), *words)
    assert it.tree() == tree
    assert torch.equal(it.plain(), plain)
    assert all(torch.equal(weight, before[name]) for name, weight in it.weights().items())
    assert all(weight.requires_grad for weight in it.model.parameters())


def test_a_configuration_is_left_as_it_is(bench: Callable[[str], Bench]) -> None:
    config = {"peft_type": "lora", "target_modules": ["query"]}
    PeftDelta(bench("bert").model, config, 0)
    assert config == {"peft_type": "lora", "target_modules": ["query"]}
