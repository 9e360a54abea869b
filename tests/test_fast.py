"""Runs without patterns, and the labels of the voters that take seconds, which come first."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mistakes import command
from toy import write_task

import pet
from pet.errors import ConfigError
from pet.method.judge import judge
from pet.method.plan.plan import prepare
from pet.method.vote import vote
from pet.pipeline import distill, label
from pet.runs.directory import RunDirectory

Config = Callable[..., pet.RunConfig]

VECTORS, TUNED = "embedding+tiny-encoder", "contrastive+tiny-encoder"
VOTES = [f"vote_{VECTORS}", f"vote_{TUNED}"]


@pytest.fixture
def planned(both_pipeline: Path) -> Config:
    """Build the config of the toy task with both families, with overrides."""
    return lambda *overrides: pet.RunConfig.from_toml(both_pipeline, overrides)


def votes_in(path: Path) -> list[str]:
    return [name for name in pq.read_schema(path).names if name.startswith("vote_")]


def test_a_fast_run_has_no_pattern_and_a_fitted_classifier(planned: Config) -> None:
    plan = prepare(planned("train.preset=fast", "distill.size=auto"))
    assert not plan.patterns and plan.quickest is not None
    assert plan.config.distill.size == "logistic"
    assert "no voter has a pattern, so not used: toy/colon, toy/category" in plan.messages
    assert prepare(planned("train.preset=fast", "distill.size=same")).config.distill.size == "same"


@pytest.mark.parametrize("change", ["encoder.name=none", "train.embedding=false", 'train.voters=[{learner="pvp"}]'])
def test_a_fast_run_of_patterns_alone_is_refused(planned: Config, change: str) -> None:
    with pytest.raises(ConfigError, match=r"does without patterns and leaves the voters on the vectors of an encoder"):
        prepare(planned("train.preset=fast", change))


def test_a_check_of_a_fast_run_reads_with_the_encoder_alone(both_pipeline: Path) -> None:
    found = command("check", str(both_pipeline), "--fast")
    assert found.exit_code == 0, found.output
    assert re.findall(r"([\w-]+) reads the texts", found.output) == [VECTORS.partition("+")[2]]
    assert "words" not in found.output.splitlines()


def test_a_pattern_is_shown_though_a_fast_run_does_without(both_pipeline: Path) -> None:
    asked = ("explain-prompt", "{text} {mask}", "--config", str(both_pipeline), "--set", "train.preset=fast")
    found = command(*asked)
    assert found.exit_code == 0, found.output
    assert "mask" in found.output


def test_a_table_of_voters_cannot_be_fast(planned: Config) -> None:
    with pytest.raises(ConfigError, match=r"train\.voters\.0\.preset"):
        planned('train.voters=[{preset="fast"}]')


@pytest.mark.slow
def test_the_flag_labels_without_patterns(both_pipeline: Path, tmp_path: Path) -> None:
    found = command("run", str(both_pipeline), "--fast", "--output-dir", str(tmp_path / "run"))
    assert found.exit_code == 0, found.output
    assert votes_in(tmp_path / "run" / "pseudo_labels.parquet") == VOTES
    done = RunDirectory(tmp_path / "run").store().finished()
    work = prepare(pet.RunConfig.from_toml(both_pipeline, ["train.preset=fast"])).workload
    assert Counter(job.name for job in work.jobs()) == done
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["summary"]


@pytest.mark.slow
def test_the_first_labels_are_there_while_the_others_vote(
    planned: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def interrupted(voters: Any, *others: Any) -> object:
        asked.append(len(voters))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return vote(voters, *others)

    root = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("pet.pipeline.vote", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pet.run(planned(), root, quiet=True)
    assert asked == [1, 4]
    assert votes_in(root / "pseudo_labels.parquet") == VOTES[:1]
    assert json.loads((root / "metrics.json").read_text())["preliminary"] == [VECTORS]
    distill(root, ["distill.size=logistic"], tmp_path / "early", quiet=True)  # they are of use as they are
    assert pet.predict(tmp_path / "early", ["the coach won the game"])
    assert f"warning: the labels are the preliminary ones, by {VECTORS} alone" in (root / "run.log").read_text()
    corrected = Path(shutil.copytree(root, tmp_path / "corrected"))
    pq.write_table(pq.read_table(corrected / "pseudo_labels.parquet").slice(1), corrected / "pseudo_labels.parquet")
    with monkeypatch.context() as patched:
        patched.setattr("pet.pipeline.vote", interrupted)
        with pytest.raises(ConfigError, match="has been changed since it was written"):  # before the others vote
            pet.run(planned(), corrected, quiet=True)
    assert asked == [1, 4, 1]

    label(planned(), root, quiet=True)
    assert len(votes_in(root / "pseudo_labels.parquet")) == 4
    assert not (root / "metrics.json").exists()
    log = (root / "run.log").read_text()
    assert len(re.findall("preliminary labels, by embedding", log)) == 1


@pytest.mark.slow
def test_first_labels_that_a_kill_left_are_nobodys_corrections(
    planned: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: RunDirectory) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "labels_written", killed)
        with pytest.raises(KeyboardInterrupt):
            label(planned(), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "pseudo_labels.parquet").is_file()
    done = label(planned(), tmp_path / "run", quiet=True)
    assert len(votes_in(done.pseudo_labels)) == 4


@pytest.mark.slow
def test_labels_corrected_meanwhile_are_not_overwritten(
    planned: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run"

    def corrected(*asked: Any) -> object:
        table = pq.read_table(root / "pseudo_labels.parquet")
        pq.write_table(table.slice(1), root / "pseudo_labels.parquet")
        return judge(*asked)

    monkeypatch.setattr("pet.pipeline.judge", corrected)
    with pytest.raises(ConfigError, match="has been changed since it was written"):
        label(planned(), root, quiet=True)


def test_one_kind_of_voter_has_no_first_labels(planned: Config, tmp_path: Path) -> None:
    assert prepare(planned("train.embedding=false")).quickest is None
    assert prepare(pet.RunConfig.from_toml(write_task(tmp_path, Path(planned().model.name)))).quickest is None
