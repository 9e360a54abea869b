"""Whole runs whose voters read more than a row, less, or in another way: demonstrations, windows, other models."""

import json
from pathlib import Path

import pytest
from tiny_generative import save_tiny_generative
from toy import write_rows, write_task
from typer.testing import CliRunner

import pet
from pet.cli import app

SHORT = ("train.steps=2", "distill.steps=2", "distill.size=same", "run.baseline=false", "model.max_length=60")
TEMPLATE = "{text} Category : {mask}."
TABLES = '\n[[train.voters]]\nsteps = 2\n[[train.voters]]\nlearner = "in-context"\n'


def with_tables(pipeline: Path, folder: Path) -> Path:
    """Return a copy of a pipeline, in its own folder's place, with a trained voter and one that is shown rows."""
    copy = pipeline.with_name(f"{folder.name}.toml")
    copy.write_text(pipeline.read_text(encoding="utf-8") + TABLES, encoding="utf-8")
    return copy


def voters_of(found: pet.RunResult) -> list[str]:
    """Return the names of the jobs of voters."""
    manifest = json.loads((found.directory / "manifest.json").read_text(encoding="utf-8"))
    return [name for name in manifest["jobs"] if name.startswith("voter/")]


def test_windows_demonstrations_and_learning_in_context(tmp_path: Path, tiny_model: Path, tiny_encoder: Path) -> None:
    pipeline = with_tables(write_task(tmp_path, tiny_model, unlabeled=4, encoder=tiny_encoder), tmp_path / "tables")
    long = {"id": "long", "text": "news team won " * 60}
    rows = [json.loads(line) for line in (tmp_path / "unlabeled.jsonl").read_text(encoding="utf-8").splitlines()]
    write_rows(tmp_path / "unlabeled.jsonl", [*rows, long])
    reading = ("prompts.demonstrations=1", "prompts.demonstration_draws=2", "model.truncation=windows")
    patterns = f'prompts.patterns=["{TEMPLATE}"]'
    found = pet.run(pet.RunConfig.from_toml(pipeline, [*SHORT, *reading, patterns]), tmp_path / "run", quiet=True)
    names = voters_of(found)
    assert sum(name.endswith("@in-context") for name in names) == 1 and len(names) == 2
    card = (found.directory / "model" / "README.md").read_text(encoding="utf-8")
    assert "the stock pipeline reads the beginning alone" in card
    assert len(pet.predict(found.directory, [str(long["text"]), "news team"])) == 2


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_a_whole_run_on_another_language_model(tmp_path: Path, family: str) -> None:
    pipeline = write_task(tmp_path, save_tiny_generative(family, tmp_path / "model"), unlabeled=8)
    tables = with_tables(pipeline, tmp_path / "tables")
    patterns = f'prompts.patterns=["{TEMPLATE}"]'
    found = pet.run(pet.RunConfig.from_toml(tables, [*SHORT, patterns]), tmp_path / "run", quiet=True)
    assert len(voters_of(found)) == 2
    assert len(pet.predict(found.directory, ["news team"])) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["prompts.demonstrations=1", "prompts.demonstration_choice=drawn", "data.train="],
            "shows labeled rows, and there are none: name [data] train",
        ),
        (["prompts.demonstrations=1"], 'demonstration_choice = "nearest" needs an encoder'),
        (
            ["prompts.demonstrations=3", "prompts.demonstration_choice=drawn"],
            "and those of its demonstrations, and 32 at most are read: lower prompts.demonstrations",
        ),
        (['prompts.patterns=["{task} {text} {mask}"]'], "{task}, and the task says nothing of it"),
        (['adapt.method="mlm"', "GPT2"], "trains a masked language model"),
        (["GPT2"], "after its mask, which a causal language model does not see"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    toy_pipeline: Path, tmp_path: Path, settings: list[str], message: str
) -> None:
    if "GPT2" in settings:
        settings = [*settings[:-1], f"model.name={save_tiny_generative('gpt2', tmp_path / 'gpt2')}"]
    flags = [part for setting in settings for part in ("--set", setting)]
    found = CliRunner().invoke(app, ["run", str(toy_pipeline), "--output-dir", str(tmp_path / "run"), *flags])
    assert found.exit_code == 2 and not found.stdout
    assert message in found.stderr and len(found.stderr.strip().splitlines()) == 1
