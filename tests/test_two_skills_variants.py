"""What each prompt variant reaches on the toy model, from a cue that asks for the wrong skill or from none."""

from typing import Any

import numpy as np
import pytest
import torch
from two_skills.data import (
    LABELS,
    PREPENDED,
    SOFT,
    TUNED,
    VERBALIZER,
    WRONG_CUE,
    held_out_rows,
    labeled_rows,
)
from two_skills.make import FOLDER

from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, quiet_transformers
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings

CPU = Machine(torch.device("cpu"), "fp32")
FROZEN: dict[str, Any] = {"weights": "none"}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    quiet_transformers()
    return Backbone.masked_lm(ModelSource("two-skills", FOLDER), CPU.device)


def reached(backbone: Backbone, template: str, seed: int, rate: float, steps: int = 300, **variant: Any) -> float:
    """Return the accuracy on the held-out rows after training on 16 rows per label."""
    settings = TrainSettings(steps=steps, learning_rate=rate, prompt_learning_rate=rate, **variant)
    pvp = PVP(Pattern("two-skills/cue", template), VERBALIZER)
    voter = PvpVoter(backbone, pvp, ModelSettings(), CPU, variant=settings)
    voter.train(labeled_rows(seed), settings, np.random.default_rng(seed))
    rows = held_out_rows(500)
    return float(np.mean([LABELS[i] == row.label for i, row in zip(voter.scores(rows).argmax(1), rows, strict=True)]))


@pytest.mark.slow
def test_tuned_words_of_the_wrong_cue(backbone: Backbone) -> None:
    found = [reached(backbone, TUNED, seed, 3e-2, **FROZEN) for seed in range(5)]
    assert np.mean(found) >= 0.88
    assert min(found) >= 0.85


VARIANTS: dict[str, tuple[str, float, dict[str, Any]]] = {
    "soft at the mask": (SOFT, 3e-2, FROZEN),
    "P-tuning, MLP": (SOFT, 5e-3, FROZEN | {"prompt_encoder": "mlp"}),
    "P-tuning, LSTM": (SOFT, 1e-3, FROZEN | {"prompt_encoder": "lstm"}),
    "LoRA": (WRONG_CUE, 1e-3, {"weights": "lora", "rank": 4}),
    "BitFit": (WRONG_CUE, 5e-3, {"weights": "bitfit"}),
    "adapter": (WRONG_CUE, 5e-3, {"weights": "adapter", "adapter_layout": "pfeiffer", "adapter_reduction": 8}),
    "UniPELT": (WRONG_CUE, 5e-3, {"weights": "unipelt", "rank": 4, "adapter_reduction": 8, "prefix_length": 5}),
    "prompt tuning": (PREPENDED, 5e-2, FROZEN | {"steps": 900}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_variants_reach_what_words_do(backbone: Backbone, name: str) -> None:
    template, rate, variant = VARIANTS[name]
    assert np.mean([reached(backbone, template, seed, rate, **variant) for seed in range(3)]) >= 0.88


@pytest.mark.slow
def test_the_best_of_three_prefixes(backbone: Backbone) -> None:
    variant: dict[str, Any] = {"weights": "prefix", "prefix_encoder": "none", "prefix_length": 5, "restarts": 3}
    assert np.mean([reached(backbone, WRONG_CUE, seed, 3e-2, **variant) for seed in range(3)]) >= 0.85
