"""Voters of any variant on a tiny model, as a few fast steps train them.

settings = settings_of("lora", rank=3)
voter = voter_of(backbone, pvp, machine, settings)
voter.train(rows, settings, np.random.default_rng(0))
"""

from typing import Any

from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.inputs import with_input
from pet.prompts.pvp import PVP
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings

_FAST: dict[str, Any] = {
    "steps": 5,
    "batch_size": 8,
    "learning_rate": 2e-2,
    "prompt_learning_rate": 2e-2,
    "warmup": 0.0,
}


def settings_of(preset: str = "pet", **values: Any) -> TrainSettings:
    """Return the settings of a preset with its parts, five large steps where nothing else is said."""
    return TrainSettings(preset=preset, **{**_FAST, "prefix_length": 3, **values}).with_preset()


def voter_of(backbone: Backbone, pvp: PVP, machine: Machine, settings: TrainSettings) -> PvpVoter:
    """Return an untrained voter, its pattern as the settings' `input` has it."""
    assert settings.input is not None
    pattern = with_input(pvp.pattern, settings.input, settings.virtual_tokens)
    return PvpVoter(backbone, PVP(pattern, pvp.verbalizer), ModelSettings(), machine, variant=settings)
