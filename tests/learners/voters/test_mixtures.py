"""Voters between and beside the presets: what every one of them must keep."""

import numpy as np
import pytest
from safetensors.numpy import load_file
from voters import settings_of

from pet.learners.voters.saved import load_voter, save_voter

ADALORA = {"peft_type": "ADALORA", "total_step": 5, "tinit": 1, "tfinal": 1, "init_r": 4, "target_r": 2}
WHOLE = {f"full, {output}": {"output": output} for output in ("soft", "cls", "proto", "weighted", "calibrated")}
SMALL = {
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
def test_it_is_saved_as_what_trained_and_scores_as_before(trained, rows, backbones, machine, tmp_path, name):
    values = {**WHOLE, **SMALL}[name]
    voter = trained(**values)
    before = voter.scores(rows)
    assert np.concatenate([voter.scores([row]) for row in rows[:8]]) == pytest.approx(before[:8], abs=1e-5)
    save_voter(voter, tmp_path)
    saved, pristine = load_file(tmp_path / "voter.safetensors").values(), backbones["bert"]._pristine.values()
    assert not [1 for value in saved for weight in pristine if np.array_equal(value, weight.numpy())]
    assert (tmp_path / "model.safetensors").exists() == (name in WHOLE)
    again = load_voter(tmp_path, backbones["bert"], machine)
    assert again.scores(rows) == pytest.approx(before, abs=1e-6)
    still = settings_of(**{**values, "steps": 1, "learning_rate": 1e-12, "prompt_learning_rate": 1e-12})
    again.train(rows, still, np.random.default_rng(5), rows, anew=False)
    assert again.scores(rows) == pytest.approx(before, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_scores_and_leaves_the_model(trained, rows, backbones, name):
    first, second = (trained(**SMALL[name]).scores(rows) for _ in range(2))
    assert np.array_equal(first, second)
    backbone = backbones["bert"]
    if backbone._worn is not None:
        backbone._worn.detach()
        backbone._worn = None
    now = backbone.model.state_dict()
    assert all(np.array_equal(now[key], weight) for key, weight in backbone._pristine.items())
