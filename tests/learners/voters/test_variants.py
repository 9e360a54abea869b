"""Every preset as a voter: it trains, is saved, loaded and trained on, and leaves the shared backbone as it was."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from voters import settings_of, voter_of

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.voters.pvp import Voter
from pet.learners.voters.saved import load_voter, save_voter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import ModelSettings
from pet.settings.variants import PRESETS

EFFICIENT = sorted(set(PRESETS) - {"pet", "adapet"})
"""The presets that leave the backbone's matrices alone."""


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_everything_that_trains_moves(trained, monkeypatch, preset):
    start, fit = {}, Voter._fit

    def watched(self, parts, *given):
        start.update({name: value.detach().clone() for name, value in parts.tensors().items()})
        return fit(self, parts, *given)

    monkeypatch.setattr(Voter, "_fit", watched)
    voter = trained(preset, restarts=1)
    assert voter.log.updates == 5
    found = voter.parts.tensors()
    still = [name for name, value in found.items() if torch.equal(value, start[name])]
    # Tokens and positions that no row has get no gradient, and a bias before a normalization none but noise.
    assert not [name for name in still if "embeddings" not in name]
    assert len(found) > len(still)


@pytest.mark.parametrize("preset", EFFICIENT)
def test_the_backbone_is_as_it_was(backbones, trained, preset):
    before = {name: tensor.clone() for name, tensor in backbones["bert"]._pristine.items()}
    voter = trained(preset)
    own = {name.removeprefix("weights.") for name in voter.parts.tensors()}
    now = voter.backbone.model.state_dict()
    same = [name for name in before if name in now and name not in own]
    assert len(same) > 10
    assert all(torch.equal(now[name], before[name]) for name in same)
    backbones["bert"].reset()
    now = backbones["bert"].model.state_dict()
    assert now.keys() == before.keys()
    assert all(torch.equal(now[name], before[name]) for name in before)
    assert all(weight.requires_grad for weight in backbones["bert"].model.parameters())


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_same_seed_gives_the_same_scores(trained, rows, preset):
    first, second, other = (trained(preset, seed).scores(rows) for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("preset", EFFICIENT)
def test_voters_take_turns_on_one_backbone(trained, rows, preset):
    voter = trained(preset)
    before = voter.scores(rows)
    other = trained("lora" if preset != "lora" else "bitfit", 1)
    assert np.array_equal(voter.scores(rows), before)
    assert not np.array_equal(other.scores(rows), before)
    assert np.array_equal(voter.scores(rows), before)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_scores_do_not_depend_on_the_batch(trained, rows, preset):
    voter = trained(preset)
    together = voter.scores(rows)
    assert np.concatenate([voter.scores([row]) for row in rows]) == pytest.approx(together, abs=1e-5)


_ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np, torch
from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, quiet_transformers
from pet.learners.voters.saved import load_voter
quiet_transformers()
cpu, root = torch.device("cpu"), Path(sys.argv[1])
backbone = Backbone.masked_lm(ModelSource("bert", Path(sys.argv[2])), cpu)
rows = [Example(str(i), {"text": text}) for i, text in enumerate((root / "rows.txt").read_text().splitlines())]
for folder in sorted(path for path in root.iterdir() if path.is_dir()):
    np.save(folder / "scores.npy", load_voter(folder, backbone, Machine(cpu, "fp32")).scores(rows))
"""


@pytest.mark.slow
def test_a_saved_voter_scores_the_same_in_another_process(tmp_path, trained, rows, folders):
    (tmp_path / "rows.txt").write_text("\n".join(row.fields["text"] for row in rows), encoding="utf-8")
    expected = {}
    for preset in sorted(PRESETS):
        voter = trained(preset)
        expected[preset] = voter.scores(rows)
        save_voter(voter, tmp_path / preset)
        if preset in ("p-tuning", "warp"):
            save_voter(voter, tmp_path / f"{preset}-folded", folded=True)
            expected[f"{preset}-folded"] = expected[preset]
    subprocess.run([sys.executable, "-c", _ELSEWHERE, tmp_path, folders["bert"]], check=True, timeout=300)
    for name, scores in expected.items():
        assert np.load(tmp_path / name / "scores.npy") == pytest.approx(scores, abs=1e-6), name


@pytest.mark.parametrize("preset", EFFICIENT)
def test_a_saved_voter_holds_what_trained_and_trains_on(tmp_path, trained, rows, backbones, machine, preset):
    voter = trained(preset)
    save_voter(voter, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"voter.json", "voter.safetensors"}
    backbone = backbones["bert"]
    saved = load_file(tmp_path / "voter.safetensors").values()
    assert not [1 for value in saved for weight in backbone._pristine.values() if np.array_equal(value, weight.numpy())]
    again = load_voter(tmp_path, backbone, machine)
    before = again.scores(rows)
    assert before == pytest.approx(voter.scores(rows), abs=1e-6)
    still = settings_of(preset, steps=1, learning_rate=1e-12, prompt_learning_rate=1e-12)
    again.train(rows, still, np.random.default_rng(5), rows, anew=False)
    assert again.scores(rows) == pytest.approx(before, abs=1e-6)  # it goes on from where it was, not from the start
    log = again.train(rows, settings_of(preset, steps=3), np.random.default_rng(5), rows, anew=False)
    assert log.updates == 3
    assert again.scores(rows) != pytest.approx(before, abs=1e-6)


def test_a_folded_prompt_has_no_encoder(tmp_path, trained):
    voter = trained("p-tuning", prompt_encoder="lstm")
    save_voter(voter, tmp_path / "whole")
    save_voter(voter, tmp_path / "folded", folded=True)
    whole, folded = (load_file(tmp_path / name / "voter.safetensors") for name in ("whole", "folded"))
    assert set(folded) == {"prompt.table"}
    assert len(whole) > 10


def test_a_voter_of_all_weights_is_not_silently_another(trained, rows, refuses, tmp_path):
    voter = trained("pet")
    voter.scores(rows)
    trained("lora")
    refuses(ModelError, lambda: voter.scores(rows), "are gone", "save it before")
    refuses(ModelError, lambda: save_voter(voter, tmp_path), "are gone")


def test_a_whole_voter_that_trained_on_still_belongs_to_its_base(tmp_path, trained, rows, backbones, machine):
    save_voter(trained("pet"), tmp_path / "first")
    again = load_voter(tmp_path / "first", backbones["bert"], machine)
    again.train(rows, settings_of("pet", steps=2), np.random.default_rng(1), anew=False)
    save_voter(again, tmp_path / "second")
    last = load_voter(tmp_path / "second", backbones["bert"], machine)
    assert last.scores(rows) == pytest.approx(again.scores(rows), abs=1e-6)


@pytest.mark.parametrize("preset", ["prefix-tuning", "unipelt"])
def test_shifted_positions_leave_room_for_the_prefix(backbones, pvp, machine, preset):
    settings = settings_of(preset, restarts=1, steps=2, prefix_shifts_positions=True)
    voter = voter_of(backbones["bert"], pvp, machine, settings)
    long = [Example(str(i), {"text": "coach " * 80}, label) for i, label in enumerate(("Sports", "Tech"))]
    voter.train(long, settings, np.random.default_rng(0))
    assert len(voter.encode(long)[0]) == voter.backbone.longest_input - 3
    assert np.isfinite(voter.scores(long)).all()


@pytest.mark.parametrize("preset", ["prefix-tuning", "p-tuning-v2", "unipelt"])
def test_shifted_positions_are_others(trained, rows, preset):
    plain, shifted = (trained(preset, steps=0, prefix_shifts_positions=shifts) for shifts in (False, True))
    assert all(map(torch.equal, plain.parts.tensors().values(), shifted.parts.tensors().values()))
    assert np.abs(plain.scores(rows) - shifted.scores(rows)).max() > 1e-4


def test_another_backbone_is_refused(tmp_path, trained, backbones, machine, refuses):
    save_voter(trained("lora"), tmp_path)
    refuses(ModelError, lambda: load_voter(tmp_path, backbones["roberta"], machine), "voter on bert", "found roberta")


@pytest.mark.parametrize("damage", ["", "{", '{"backbone": 1}', "[]"])
def test_a_folder_without_a_voter_is_refused(tmp_path, backbones, machine, refuses, damage):
    if damage:
        (tmp_path / "voter.json").write_text(damage)
        (tmp_path / "voter.safetensors").write_bytes(b"torn")
    refuses(ModelError, lambda: load_voter(tmp_path, backbones["bert"], machine), str(tmp_path), "no saved voter")


def test_an_untrained_voter_cannot_be_saved(tmp_path, backbones, pvp, machine, refuses):
    voter = Voter(backbones["bert"], pvp, ModelSettings(), machine)
    refuses(ModelError, lambda: save_voter(voter, tmp_path), "was not trained")


def test_nothing_to_train_makes_no_step(trained, rows, backbones, pvp, machine):
    voter = trained("pet", weights="none")
    assert voter.log.losses == ()
    backbones["bert"].reset()
    assert np.array_equal(voter.scores(rows), Voter(backbones["bert"], pvp, ModelSettings(), machine).scores(rows))


def test_prototypes_of_the_pretrained_model_need_no_step(trained, rows):
    voter = trained("pet", weights="none", output="proto")
    gold = [voter.words.labels.index(row.label) for row in rows]
    assert voter.log.losses == ()
    assert (voter.scores(rows).argmax(1) == gold).mean() > 0.7


def test_a_prompt_rate_of_zero_keeps_the_vectors(trained):
    voter = trained("word-tuning", weights="bitfit", prompt_learning_rate=0.0)
    start = voter.new_parts().prompt.table
    assert voter.log.updates == 5
    assert torch.equal(voter.parts.prompt.table.detach(), start.detach())


def test_of_several_starts_the_one_of_the_lowest_loss_is_kept(trained, rows, monkeypatch):
    found = []
    fit = Voter._fit

    def watched(self, parts, *given):
        log = fit(self, parts, *given)
        found.append((log.last, {name: value.detach().clone() for name, value in parts.tensors().items()}))
        return log

    monkeypatch.setattr(Voter, "_fit", watched)
    voter = trained("prefix-tuning", restarts=3, steps=4)
    assert len({last for last, _ in found}) == 3
    best = min(found, key=lambda one: one[0])
    assert voter.log.last == best[0]
    assert all(torch.equal(value, best[1][name]) for name, value in voter.parts.tensors().items())


@pytest.mark.parametrize("family", ["roberta", "albert", "modernbert"])
@pytest.mark.parametrize("preset", ["lora", "adapter", "prefix-tuning", "unipelt", "p-tuning", "word-tuning", "warp"])
def test_other_families(trained, rows, family, preset):
    voter = trained(preset, family=family, steps=4, restarts=1)
    before = voter.scores(rows)
    assert np.isfinite(before).all()
    trained("lora", family=family, steps=2)
    assert np.array_equal(voter.scores(rows), before)


def test_calibrated_words_start_without_a_preference(backbones, machine, rows):
    """On the rows that they were averaged over, every label has the same mean score before training."""
    words = Verbalizer("toy/words", {"Sports": ("sports",), "Tech": ("tech", "phone")})
    pvp = PVP(Pattern.parse("toy/about", "It was {mask}. {text}"), words)
    settings = settings_of("pet", weights="none", output="calibrated")
    voter = voter_of(backbones["bert"], pvp, machine, settings)
    voter.train(rows[:4], settings, np.random.default_rng(0), rows)
    assert voter.scores(rows).mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-5)


def test_rows_of_the_pool_change_nothing_but_calibration(trained, backbones, pvp, machine, rows):
    settings = settings_of("lora")
    found = []
    for pool in ((), [Example("p", {"text": "goal"})]):
        voter = voter_of(backbones["bert"], pvp, machine, settings)
        voter.train(rows, settings, np.random.default_rng(0), pool)
        found.append(voter.scores(rows))
    assert np.array_equal(*found)
