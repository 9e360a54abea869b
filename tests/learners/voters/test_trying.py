"""Every kind of voter is tried on a model before anything trains: what works changes nothing, others are refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_families import save_family
from voters import settings_of, voter_of

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.settings.variants import PRESETS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Backbone]:
    """Open a tiny model of any family, once."""
    known: dict[str, Backbone] = {}

    def make(family: str) -> Backbone:
        if family not in known:
            source = ModelSource(family, save_family(family, tmp_path_factory.mktemp(family)))
            known[family] = Backbone.masked_lm(source, CPU)
        return known[family]

    return make


@pytest.mark.parametrize(
    ("family", "preset", "why"),
    [
        ("bart", "p-tuning", "does not require grad"),
        ("bart", "warp", "does not depend on what trains"),
        ("bart", "prompt-tuning", "does not require grad"),
        ("ibert", "word-tuning", "'tuple' object"),
        ("reformer", "lora", "does not require grad"),
    ],
)
def test_what_does_not_work_on_a_family_is_refused(
    opened: Callable[[str], Backbone],
    machine: Machine,
    pvp: PVP,
    refuses: Callable[..., None],
    family: str,
    preset: str,
    why: str,
) -> None:
    voter = voter_of(opened(family), pvp, machine, settings_of(preset))
    refuses(ModelError, voter.check, f'preset "{preset}"', f"{family!r} models", why, 'train.preset = "pet"')


def test_vectors_of_a_pattern_are_tried_whatever_the_preset_is(
    opened: Callable[[str], Backbone], machine: Machine, pvp: PVP, refuses: Callable[..., None]
) -> None:
    soft = PVP(Pattern("toy/soft", "{soft:3} {mask}: {text}"), pvp.verbalizer)
    voter_of(opened("longformer"), soft, machine, settings_of()).check()
    refuses(ModelError, voter_of(opened("bart"), soft, machine, settings_of()).check, "'bart' models", "choose another")


def state_of(backbone: Backbone) -> dict[str, torch.Tensor]:
    backbone.reset()
    return {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_what_works_is_left_as_it_was(backbones: dict[str, Backbone], machine: Machine, pvp: PVP, preset: str) -> None:
    backbone = backbones["roberta"]
    before = state_of(backbone)
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    voter_of(backbone, pvp, machine, settings_of(preset)).check()
    assert torch.equal(torch.rand(3), wanted)
    assert all(weight.grad is None for weight in backbone.model.parameters())
    assert not backbone.model.training
    after: dict[str, Any] = state_of(backbone)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_virtual_tokens_stand_at_their_places_where_a_model_pads_its_input_itself(
    opened: Callable[[str], Backbone], machine: Machine, few: list[Example], pvp: PVP
) -> None:
    """Words that are tuned score as the words do before they have learned."""
    tuned = PVP(Pattern("toy/tuned", "{tune:It was} {mask}. {text}"), pvp.verbalizer)
    backbone = opened("longformer")
    settings = settings_of(steps=0)
    hard, virtual = (voter_of(backbone, one, machine, settings) for one in (pvp, tuned))
    virtual.parts = virtual.new_parts()
    assert virtual.parts.prompt is not None
    assert virtual.scores(few) == pytest.approx(hard.scores(few), abs=1e-6)
