"""One tiny model, one toy task and one finished run of it, shared by the tests that only read them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

# Before torch is loaded: threads make tiny models slower, and much slower where other tests run beside these.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from tiny import save_tiny
from toy import write_task

import pet


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("bert", tmp_path_factory.mktemp("models") / "tiny-bert", hidden_dropout_prob=0.0)


@pytest.fixture(scope="session")
def toy_pipeline(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The pipeline of the toy task; do not change what lies beside it."""
    return write_task(tmp_path_factory.mktemp("toy"), tiny_model)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_pipeline: Path) -> pet.RunResult:
    """A finished run of the toy task; do not change it."""
    return pet.run(pet.RunConfig.from_toml(toy_pipeline), tmp_path_factory.mktemp("runs") / "finished", quiet=True)


@pytest.fixture
def config(toy_pipeline: Path) -> Callable[..., pet.RunConfig]:
    """Build the config of the toy task with overrides."""
    return lambda *overrides: pet.RunConfig.from_toml(toy_pipeline, overrides)


@pytest.fixture
def copied(finished: pet.RunResult, tmp_path: Path) -> Path:
    """A copy of the finished run, to change."""
    return Path(shutil.copytree(finished.directory, tmp_path / "copied"))
