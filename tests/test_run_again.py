"""Starting a run again: nothing is done twice, nothing of another run is mixed in, nothing missing goes unnoticed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy import content, write_task

import pet
from pet.errors import ConfigError, RunError
from pet.learners.students.classifier import TextClassifier
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.spec import VoterSpec
from pet.method import vote
from pet.method.jobs import Jobs
from pet.method.vote import VoterScores
from pet.pipeline import label

pytestmark = pytest.mark.slow

Config = Callable[..., pet.RunConfig]


def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every training and every scoring fail."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a finished job is done again")

    for owner, name in (
        (PvpVoter, "train"),
        (PvpVoter, "scores"),
        (TextClassifier, "fit"),
        (TextClassifier, "probabilities"),
    ):
        monkeypatch.setattr(owner, name, fail)
    monkeypatch.setattr("pet.method.compare.mean_pooled", fail)


def test_a_second_run_does_no_job_and_leaves_all_bytes(
    copied: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(copied)
    no_work(monkeypatch)
    pet.run(config(), copied, quiet=True)
    assert content(copied) == before


@pytest.mark.parametrize("year", [0, 4_000_000_000])
def test_a_clock_that_jumps_changes_nothing(
    copied: Path, config: Config, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    """Files of the run are from 1970, or from long after now."""
    before = content(copied)
    for path in copied.rglob("*"):
        os.utime(path, (year, year))
    no_work(monkeypatch)
    pet.run(config(), copied, quiet=True)
    assert content(copied) == before


def test_label_then_run_trains_no_voter_again(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labeled = label(config(), tmp_path / "run", quiet=True)
    assert labeled.model is None and labeled.summary is None
    assert not (labeled.directory / "model").exists()
    before = content(labeled.directory)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a voter is trained again")

    monkeypatch.setattr(PvpVoter, "train", fail)
    whole = pet.run(config(), tmp_path / "run", quiet=True)
    after = content(whole.directory)
    assert {name: after[name] for name in before} == before
    assert whole.model is not None


def test_changed_data_and_changed_settings_are_refused_and_forced(
    copied: Path, tmp_path: Path, tiny_model: Path, config: Config
) -> None:
    pipeline = write_task(tmp_path / "task", tiny_model, seed=1)
    other = pet.RunConfig.from_toml(pipeline)
    with pytest.raises(ConfigError, match=r"holds another run \(the data files have changed\)"):
        label(other, copied, quiet=True)
    with pytest.raises(ConfigError, match=r"train\.steps was 16 and is 9"):
        label(config("train.steps=9"), copied, quiet=True)
    label(other, copied, force=True, quiet=True)
    assert not (copied / "model").exists()


def test_a_pattern_that_says_something_else_under_its_name_is_another_run(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path / "task", tiny_model)
    label(pet.RunConfig.from_toml(pipeline), tmp_path / "run", quiet=True)
    patterns = tmp_path / "task" / "registry" / "patterns" / "toy.toml"
    patterns.write_text(patterns.read_text().replace("{mask}: {text}", "{mask} - {text}"))
    with pytest.raises(ConfigError, match="holds another run"):
        label(pet.RunConfig.from_toml(pipeline), tmp_path / "run", quiet=True)


def test_the_files_of_a_run_may_move(
    copied: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = write_task(tmp_path / "elsewhere", tiny_model)
    no_work(monkeypatch)
    pet.run(pet.RunConfig.from_toml(moved), copied, quiet=True)


def test_a_missing_voter_is_an_error_that_names_it(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = vote.vote_of

    def vote_then_lose(jobs: Jobs, spec: VoterSpec, *given: Any) -> VoterScores:
        scores = original(jobs, spec, *given)
        if spec.pvp.pattern.name == "toy/category":
            shutil.rmtree(jobs.runner.store.path(vote.voter_job(jobs, spec, *given)))
        return scores

    monkeypatch.setattr(vote, "vote_of", vote_then_lose)
    with pytest.raises(RunError, match=r"votes of voter/toy/category\+words are missing") as caught:
        label(config(), tmp_path / "run", quiet=True)
    assert "colon" not in str(caught.value)
    assert not (tmp_path / "run" / "pseudo_labels.parquet").exists()


def test_a_damaged_job_is_done_again(copied: Path, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(copied)
    for scores in (copied / "jobs").glob("*/scores.safetensors"):
        scores.write_bytes(scores.read_bytes()[:-4])
    pet.run(config(), copied)
    assert "is damaged" in capsys.readouterr().err
    after = content(copied)
    assert after["pseudo_labels.parquet"] == before["pseudo_labels.parquet"]
    assert after["model/model.safetensors"] == before["model/model.safetensors"]


def test_the_draft_of_a_killed_table_goes(copied: Path, config: Config) -> None:
    before = content(copied)
    (copied / ".pseudo_labels.parquet.2c6387b2.tmp").write_bytes(b"PAR1 half")
    pet.run(config(), copied, quiet=True)
    assert content(copied) == before
