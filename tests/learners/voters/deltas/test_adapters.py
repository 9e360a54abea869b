from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from delta_bench import Bench
from tiny import FAMILIES, save_tiny
from transformers import AutoModelForMaskedLM

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.families import family_of, layers
from pet.learners.voters.deltas.adapters import Adapter, Bottleneck, Layout

H = 32


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layout", ["houlsby", "pfeiffer"])
def test_gate(backbones: dict[str, Backbone], gate: Callable[..., None], family: str, layout: Layout) -> None:
    model = backbones[family].model
    gate(backbones[family], lambda seed: Adapter(model, layout, 2, seed), idle=("down",))


@pytest.mark.parametrize(("layout", "places"), [("houlsby", 2), ("pfeiffer", 1)])
@pytest.mark.parametrize(("reduction", "width"), [(16, 2), (1, 32), (100, 1)])
@pytest.mark.parametrize("family", ["bert", "albert", "modernbert"])
def test_the_number_of_weights(
    bench: Callable[[str], Bench], family: str, layout: Layout, places: int, reduction: int, width: int
) -> None:
    tensors = Adapter(bench(family).model, layout, reduction, 0).tensors()
    found = 1 if family == "albert" else 2
    assert sum(weight.numel() for weight in tensors.values()) == found * places * (2 * H * width + width + H)


def test_a_bottleneck_by_hand() -> None:
    module = Bottleneck(2, 1, torch.nn.ReLU(), torch.Generator())
    with torch.no_grad():
        module.down.weight.copy_(torch.tensor([[1.0, 2.0]]))
        module.down.bias.fill_(-4.0)
        module.up.weight.copy_(torch.tensor([[3.0], [-1.0]]))
        module.up.bias.copy_(torch.tensor([0.5, 0.0]))
    x = torch.tensor([[[1.0, 2.0], [1.0, 1.0]]])  # 1 + 4 - 4 = 1, and 1 + 2 - 4 < 0
    torch.testing.assert_close(module(x), torch.tensor([[[3.5, -1.0], [0.5, 0.0]]]))


def test_a_new_bottleneck_starts_as_described() -> None:
    module = Bottleneck(400, 50, torch.nn.SiLU(), torch.Generator().manual_seed(0))
    bound = 400**-0.5
    assert 0.95 * bound < module.down.weight.detach().abs().max() <= bound
    assert abs(float(module.down.weight.detach().std()) - bound / 3**0.5) < 0.02 * bound
    assert not any(weight.any() for weight in (module.down.bias, module.up.weight, module.up.bias))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("layout", "activation"), [("houlsby", torch.nn.SiLU()), ("pfeiffer", torch.nn.ReLU())])
def test_logits_are_those_of_a_model_with_adapters_in_its_layers(
    bench: Callable[[str], Bench], family: str, layout: Layout, activation: torch.nn.Module
) -> None:
    it = bench(family)
    delta = Adapter(it.model, layout, 4, 0)
    delta.attach()
    it.train(delta, 4)
    with torch.no_grad(), delta.during(it.batch):
        found = it.model(**it.batch.inputs).logits
    delta.detach()

    tensors, names = {name: weight.detach() for name, weight in delta.tensors().items()}, family_of(it.model)
    parts = {"attention": names.attention_output, "ffn": names.ffn_output}

    def swapped(linear: torch.nn.Module, prefix: str) -> Callable[..., Any]:
        down, up = torch.nn.Linear(32, 8), torch.nn.Linear(8, 32)
        for part, module in (("down", down), ("up", up)):
            module.load_state_dict({kind: tensors[f"{prefix}.{part}.{kind}"] for kind in ("weight", "bias")})
        forward = type(linear).forward

        def compute(x: torch.Tensor) -> torch.Tensor:
            x = forward(linear, x)
            return x + up(activation(down(x)))

        return compute

    places = [
        (layer.get_submodule(parts[part]), f"bottlenecks.{i}_{part}")
        for i, layer in enumerate(layers(it.model))
        for part in (parts if layout == "houlsby" else ["ffn"])
    ]
    assert {prefix for _, prefix in places} == {name.rsplit(".", 2)[0] for name in tensors}
    for linear, prefix in places:
        linear.forward = swapped(linear, prefix)
    expected = it.plain()
    for linear, _ in places:
        del linear.forward
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert (found - it.plain()).abs().max() > 1e-3


def test_hooks_are_there_only_during_a_pass(bench: Callable[[str], Bench]) -> None:
    it = bench("bert")
    delta = Adapter(it.model, "houlsby", 16, 0)
    tree = it.tree()
    delta.attach()
    passing = delta.during(it.batch)
    passing.__enter__()
    assert it.tree() != tree
    error = RuntimeError("stop")
    assert not passing.__exit__(RuntimeError, error, None)
    assert it.tree() == tree
    delta.detach()


def test_under_autocast(bench: Callable[[str], Bench]) -> None:
    it = bench("bert")
    delta = Adapter(it.model, "houlsby", 16, 0)
    delta.attach()
    it.train(delta)
    exact = it.scores(delta)
    with torch.no_grad(), delta.during(it.batch), torch.autocast("cpu", torch.bfloat16):
        rough = it.model(**it.batch.inputs).logits[it.batch.rows, it.batch.positions][:, it.words.ids[:, 0, 0]]
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)
    delta.detach()


def test_albert_with_several_groups_has_an_adapter_for_each(tmp_path: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(save_tiny("albert", tmp_path, num_hidden_groups=2))
    assert len(Adapter(model, "pfeiffer", 16, 0).bottlenecks) == 2


def test_an_unknown_family(
    bench: Callable[[str], Bench], refuses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bench("bert").model
    monkeypatch.setattr(model.config, "model_type", "odd")
    refuses(ModelError, lambda: Adapter(model, "houlsby", 16, 0), "'odd'", "bert", "another model")
