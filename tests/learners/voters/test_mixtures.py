"""Voters between and beside the presets: what every one of them must keep."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.voters.pvp import PvpVoter

ADALORA = {"peft_type": "ADALORA", "total_step": 5, "tinit": 1, "tfinal": 1, "init_r": 4, "target_r": 2}
WHOLE: dict[str, dict[str, Any]] = {
    f"full, {output}": {"output": output} for output in ("soft", "cls", "proto", "weighted", "calibrated")
}
SMALL: dict[str, dict[str, Any]] = {
    "layernorm": {"weights": "layernorm"},
    "head": {"weights": "head"},
    "none, proto": {"weights": "none", "output": "proto"},
    "none, weighted": {"weights": "none", "output": "weighted"},
    "lora, proto": {"preset": "lora", "output": "proto"},
    "lora, calibrated": {"preset": "lora", "output": "calibrated"},
    "lora, tune": {"preset": "lora", "input": "tune"},
    "lora, checkpointing": {"preset": "lora", "gradient_checkpointing": True},
    "unipelt, soft": {"preset": "unipelt", "output": "soft"},
    "unipelt, proto": {"preset": "unipelt", "output": "proto"},
    "unipelt, shifted": {"preset": "unipelt", "prefix_shifts_positions": True},
    "adapet, lora": {"preset": "adapet", "weights": "lora"},
    "adapet, tune": {"preset": "adapet", "weights": "none", "input": "tune"},
    "adapet, lstm": {"preset": "adapet", "weights": "none", "input": "soft", "prompt_encoder": "lstm"},
    "p-tuning, lstm": {"preset": "p-tuning", "prompt_encoder": "lstm"},
    "word-tuning, checkpointing": {"preset": "word-tuning", "gradient_checkpointing": True},
    "prefix-tuning, shifted": {"preset": "prefix-tuning", "prefix_shifts_positions": True, "restarts": 1},
    "pfeiffer": {"preset": "adapter", "adapter_layout": "pfeiffer"},
    "bitfit, auxiliary": {"preset": "bitfit", "auxiliary_mlm": 0.3},
    "warp, auxiliary": {"preset": "warp", "auxiliary_mlm": 0.3},
    "ia3": {"weights": "peft", "peft": {"peft_type": "IA3"}},
    "dora": {"weights": "peft", "peft": {"peft_type": "LORA", "use_dora": True, "r": 4}},
    "adalora": {"weights": "peft", "peft": ADALORA},
    "loha": {"weights": "peft", "peft": {"peft_type": "LOHA", "target_modules": ["query", "value"]}},
}


@pytest.mark.parametrize("name", [*WHOLE, *SMALL])
def test_it_is_saved_as_what_trained_and_scores_as_before(
    trained: Callable[..., Any],
    rows: list[Example],
    backbones: dict[str, Backbone],
    machine: Machine,
    tmp_path: Path,
    name: str,
) -> None:
    backbones["bert"].reset()
    start = [weight.numpy().copy() for weight in backbones["bert"].model.state_dict().values()]
    voter = trained(**{**WHOLE, **SMALL}[name])
    before = voter.scores(rows)
    assert np.concatenate([voter.scores([row]) for row in rows[:8]]) == pytest.approx(before[:8], abs=1e-5)
    voter.save(tmp_path)
    saved = load_file(tmp_path / "voter.safetensors").values()
    assert not [1 for value in saved for weight in start if np.array_equal(value, weight)]
    assert (tmp_path / "model.safetensors").exists() == (name in WHOLE)
    again = PvpVoter.load(tmp_path, backbones["bert"], machine)
    assert again.scores(rows) == pytest.approx(before, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_scores_and_leaves_the_model(
    trained: Callable[..., Any], rows: list[Example], backbones: dict[str, Backbone], name: str
) -> None:
    backbone = backbones["bert"]
    backbone.reset()
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    first = trained(**SMALL[name]).scores(rows)
    voter = trained(**SMALL[name])
    assert np.array_equal(voter.scores(rows), first)
    voter.parts.delta.detach()
    now = backbone.model.state_dict()
    assert all(np.array_equal(now[key], weight) for key, weight in before.items())
