"""Every preset as a voter: it trains, is saved, loaded and trained on, and leaves the shared backbone as it was."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from voters import settings_of, voter_of

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.training import Trained, TrainLog, fit
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import ModelSettings
from pet.settings.variants import PRESETS

EFFICIENT = sorted(set(PRESETS) - {"pet", "adapet"})
"""The presets that leave the backbone's matrices alone."""


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_everything_that_trains_moves(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    start = {}

    def watched(given: Trained, *more: Any) -> TrainLog:
        start.update({tensor.data_ptr(): tensor.detach().clone() for tensor in given.tensors})
        return fit(given, *more)

    monkeypatch.setattr("pet.learners.voters.pvp.fit", watched)
    voter = trained(preset, restarts=1)
    assert voter.log.updates == 5
    found = voter.parts.tensors()
    still = [name for name, value in found.items() if torch.equal(value, start.get(value.data_ptr(), value))]
    # Tokens and positions that no row has get no gradient, and a bias before a normalization none but noise.
    assert not [name for name in still if "embeddings" not in name]
    assert len(found) > len(still)


@pytest.mark.parametrize("preset", EFFICIENT)
def test_the_backbone_is_as_it_was(backbones: dict[str, Backbone], trained: Callable[..., Any], preset: str) -> None:
    backbones["bert"].reset()
    before = {name: tensor.clone() for name, tensor in backbones["bert"].model.state_dict().items()}
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
def test_the_same_seed_gives_the_same_scores(trained: Callable[..., Any], rows: list[Example], preset: str) -> None:
    first, second, other = (trained(preset, seed).scores(rows) for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("preset", EFFICIENT)
def test_voters_take_turns_on_one_backbone(trained: Callable[..., Any], rows: list[Example], preset: str) -> None:
    voter = trained(preset)
    before = voter.scores(rows)
    other = trained("lora" if preset != "lora" else "bitfit", 1)
    assert np.array_equal(voter.scores(rows), before)
    assert not np.array_equal(other.scores(rows), before)
    assert np.array_equal(voter.scores(rows), before)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_scores_do_not_depend_on_the_batch(trained: Callable[..., Any], rows: list[Example], preset: str) -> None:
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
from pet.learners.voters.pvp import PvpVoter
quiet_transformers()
cpu, root = torch.device("cpu"), Path(sys.argv[1])
backbone = Backbone.masked_lm(ModelSource("bert", Path(sys.argv[2])), cpu)
rows = [Example(str(i), {"text": text}) for i, text in enumerate((root / "rows.txt").read_text().splitlines())]
for folder in sorted(path for path in root.iterdir() if path.is_dir()):
    np.save(folder / "scores.npy", PvpVoter.load(folder, backbone, Machine(cpu, "fp32")).scores(rows))
"""


@pytest.mark.slow
def test_a_saved_voter_scores_the_same_in_another_process(
    tmp_path: Path, trained: Callable[..., Any], rows: list[Example], folders: dict[str, Path]
) -> None:
    (tmp_path / "rows.txt").write_text("\n".join(row.fields["text"] for row in rows), encoding="utf-8")
    expected: dict[str, np.ndarray] = {}
    for preset in sorted(PRESETS):
        voter = trained(preset)
        expected[preset] = voter.scores(rows)
        voter.save(tmp_path / preset)
    subprocess.run([sys.executable, "-c", _ELSEWHERE, tmp_path, folders["bert"]], check=True, timeout=300)
    for name, scores in expected.items():
        assert np.load(tmp_path / name / "scores.npy") == pytest.approx(scores, abs=1e-6), name


@pytest.mark.parametrize("preset", EFFICIENT)
def test_a_saved_voter_holds_what_trained(
    tmp_path: Path,
    trained: Callable[..., Any],
    rows: list[Example],
    backbones: dict[str, Backbone],
    machine: Machine,
    preset: str,
) -> None:
    backbone = backbones["bert"]
    backbone.reset()
    before = [weight.numpy().copy() for weight in backbone.model.state_dict().values()]
    voter = trained(preset)
    voter.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"voter.json", "voter.safetensors"}
    saved = load_file(tmp_path / "voter.safetensors").values()
    assert not [1 for value in saved for weight in before if np.array_equal(value, weight)]
    again = PvpVoter.load(tmp_path, backbone, machine)
    assert again.scores(rows) == pytest.approx(voter.scores(rows), abs=1e-6)


def test_a_voter_of_all_weights_is_not_silently_another(
    trained: Callable[..., Any], rows: list[Example], refuses: Callable[..., None], tmp_path: Path
) -> None:
    voter = trained("pet")
    voter.scores(rows)
    trained("lora")
    refuses(ModelError, lambda: voter.scores(rows), "are gone", "save it before")
    refuses(ModelError, lambda: voter.save(tmp_path), "are gone")


def test_a_whole_voter_that_trained_on_still_belongs_to_its_base(
    tmp_path: Path,
    trained: Callable[..., Any],
    rows: list[Example],
    backbones: dict[str, Backbone],
    machine: Machine,
) -> None:
    trained("pet").save(tmp_path / "first")
    again = PvpVoter.load(tmp_path / "first", backbones["bert"], machine)
    again.train(rows, settings_of("pet", steps=2), np.random.default_rng(1))
    again.save(tmp_path / "second")
    last = PvpVoter.load(tmp_path / "second", backbones["bert"], machine)
    assert last.scores(rows) == pytest.approx(again.scores(rows), abs=1e-6)


@pytest.mark.parametrize("preset", ["prefix-tuning", "unipelt"])
def test_shifted_positions_leave_room_for_the_prefix(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, preset: str
) -> None:
    settings = settings_of(preset, restarts=1, steps=2, prefix_shifts_positions=True)
    voter = voter_of(backbones["bert"], pvp, machine, settings)
    long = [Example(str(i), {"text": "coach " * 80}, label) for i, label in enumerate(("Sports", "Tech"))]
    voter.train(long, settings, np.random.default_rng(0))
    assert len(voter.encode(long)[0]) == voter.backbone.longest_input - 3
    assert np.isfinite(voter.scores(long)).all()


@pytest.mark.parametrize("preset", ["prefix-tuning", "p-tuning-v2", "unipelt"])
def test_shifted_positions_are_others(trained: Callable[..., Any], rows: list[Example], preset: str) -> None:
    plain, shifted = (trained(preset, steps=0, prefix_shifts_positions=shifts) for shifts in (False, True))
    assert all(map(torch.equal, plain.parts.tensors().values(), shifted.parts.tensors().values()))
    assert np.abs(plain.scores(rows) - shifted.scores(rows)).max() > 1e-4


def test_another_backbone_is_refused(
    tmp_path: Path,
    trained: Callable[..., Any],
    backbones: dict[str, Backbone],
    machine: Machine,
    refuses: Callable[..., None],
) -> None:
    trained("lora").save(tmp_path)
    refuses(
        ModelError, lambda: PvpVoter.load(tmp_path, backbones["roberta"], machine), "voter on bert", "found roberta"
    )


@pytest.mark.parametrize("damage", ["", "{", '{"backbone": 1}', "[]"])
def test_a_folder_without_a_voter_is_refused(
    tmp_path: Path, backbones: dict[str, Backbone], machine: Machine, refuses: Callable[..., None], damage: str
) -> None:
    if damage:
        (tmp_path / "voter.json").write_text(damage)
        (tmp_path / "voter.safetensors").write_bytes(b"torn")
    refuses(ModelError, lambda: PvpVoter.load(tmp_path, backbones["bert"], machine), str(tmp_path), "no saved voter")


def test_an_untrained_voter_cannot_be_saved(
    tmp_path: Path, backbones: dict[str, Backbone], pvp: PVP, machine: Machine, refuses: Callable[..., None]
) -> None:
    voter = PvpVoter(backbones["bert"], pvp, ModelSettings(), machine)
    refuses(ModelError, lambda: voter.save(tmp_path), "was not trained")


def test_nothing_to_train_makes_no_step(
    trained: Callable[..., Any], rows: list[Example], backbones: dict[str, Backbone], pvp: PVP, machine: Machine
) -> None:
    voter = trained("pet", weights="none")
    assert voter.log.losses == ()
    backbones["bert"].reset()
    assert np.array_equal(voter.scores(rows), PvpVoter(backbones["bert"], pvp, ModelSettings(), machine).scores(rows))


def test_prototypes_of_the_pretrained_model_need_no_step(trained: Callable[..., Any], rows: list[Example]) -> None:
    voter = trained("pet", weights="none", output="proto")
    gold = [voter.words.labels.index(row.label) for row in rows]
    assert voter.log.losses == ()
    assert (voter.scores(rows).argmax(1) == gold).mean() > 0.7


def test_a_prompt_rate_of_zero_keeps_the_vectors(trained: Callable[..., Any]) -> None:
    voter = trained("word-tuning", weights="bitfit", prompt_learning_rate=0.0)
    start = voter.new_parts().prompt.table
    assert voter.log.updates == 5
    assert torch.equal(voter.parts.prompt.table.detach(), start.detach())


def test_of_several_starts_the_one_of_the_lowest_loss_is_kept(
    trained: Callable[..., Any], rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def watched(given: Trained, *more: Any) -> TrainLog:
        log = fit(given, *more)
        found.append((log.last, [tensor.detach().clone() for tensor in given.tensors]))
        return log

    monkeypatch.setattr("pet.learners.voters.pvp.fit", watched)
    voter = trained("prefix-tuning", restarts=3, steps=4)
    assert len({last for last, _ in found}) == 3
    best = min(found, key=lambda one: one[0])
    assert voter.log.last == best[0]
    assert all(map(torch.equal, voter.parts.trained(settings_of("prefix-tuning")).tensors, best[1]))


@pytest.mark.parametrize("family", ["roberta", "albert", "modernbert"])
@pytest.mark.parametrize("preset", ["lora", "adapter", "prefix-tuning", "unipelt", "p-tuning", "word-tuning", "warp"])
def test_other_families(trained: Callable[..., Any], rows: list[Example], family: str, preset: str) -> None:
    voter = trained(preset, family=family, steps=4, restarts=1)
    before = voter.scores(rows)
    assert np.isfinite(before).all()
    trained("lora", family=family, steps=2)
    assert np.array_equal(voter.scores(rows), before)


def test_calibrated_words_start_without_a_preference(
    backbones: dict[str, Backbone], machine: Machine, rows: list[Example]
) -> None:
    """On the rows that they were averaged over, every label has the same mean score before training."""
    words = Verbalizer("toy/words", {"Sports": ("sports",), "Tech": ("tech", "phone")})
    pvp = PVP(Pattern("toy/about", "It was {mask}. {text}"), words)
    settings = settings_of("pet", weights="none", output="calibrated")
    voter = voter_of(backbones["bert"], pvp, machine, settings)
    voter.train(rows[:4], settings, np.random.default_rng(0), rows)
    assert voter.scores(rows).mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-5)


def test_rows_of_the_pool_change_nothing_but_calibration(
    trained: Callable[..., Any], backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example]
) -> None:
    settings = settings_of("lora")
    found = []
    for pool in ((), [Example("p", {"text": "goal"})]):
        voter = voter_of(backbones["bert"], pvp, machine, settings)
        voter.train(rows, settings, np.random.default_rng(0), pool)
        found.append(voter.scores(rows))
    first, second = found
    assert np.array_equal(first, second)
