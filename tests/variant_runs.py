"""Configs of toy tasks whose voters are prompt variants, and the command line that a person would use.

pet.run(with_train(larger_pipeline, {"voters": [{"preset": "lora"}]}), tmp_path / "run")
code, out, err = run("explain-prompt", "toy/colon", "--config", toy_pipeline)
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.settings.training import TrainSettings

Config = Callable[..., pet.RunConfig]


def with_train(pipeline: Path, train: Mapping[str, object], *overrides: str) -> pet.RunConfig:
    """Return the config of a pipeline with these settings in [train], which may hold tables of voters."""
    config = pet.RunConfig.from_toml(pipeline, overrides)
    said = {**config.train.model_dump(exclude_unset=True), **train}
    return config.model_copy(update={"train": TrainSettings.model_validate(said)})


def run(*arguments: object) -> tuple[int, str, str]:
    """Return the exit code of a command, what it printed and what it said of errors."""
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return found.exit_code, found.stdout, found.stderr
