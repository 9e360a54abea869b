"""One tiny model, one toy task and one finished run of it, shared by the tests that only read them."""

from __future__ import annotations  # pet.RunConfig and pet.RunResult are loaded when they are asked for

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before torch is loaded: threads make tiny models slower, and much slower where other tests run beside these.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from toy import THREE, write_task

import pet

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session", autouse=True)
def _unsynced() -> Iterator[None]:
    """Do not wait for the disk: that guards against a power cut, and a killed process tears nothing for want of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny import save_tiny  # and torch with it, which what starts the processes that test does not need

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


@pytest.fixture(scope="session")
def larger_pipeline(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The toy task with 8 gold rows and 40 unlabeled ones per label; do not change what lies beside it."""
    return write_task(tmp_path_factory.mktemp("larger"), tiny_model, train=8, unlabeled=40)


@pytest.fixture
def larger(larger_pipeline: Path) -> Callable[..., pet.RunConfig]:
    """Build the config of the larger toy task with overrides."""
    return lambda *overrides: pet.RunConfig.from_toml(larger_pipeline, overrides)


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory, larger_pipeline: Path) -> pet.RunResult:
    """A finished run of three generations on the larger toy task, none rejected; do not change it."""
    config = pet.RunConfig.from_toml(larger_pipeline, (*THREE, "ipet.accept_all=true"))
    return pet.run(config, tmp_path_factory.mktemp("runs") / "three", quiet=True)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that is not the voters' model."""
    from tiny import save_tiny

    return save_tiny("bert", tmp_path_factory.mktemp("models") / "tiny-encoder", seed=1)


@pytest.fixture(scope="session")
def both_pipeline(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_encoder: Path) -> Path:
    """The toy task with both families of voters, 8 gold rows and 24 unlabeled ones per label; do not change it."""
    folder = tmp_path_factory.mktemp("both")
    return write_task(folder, tiny_model, train=8, unlabeled=24, encoder=tiny_encoder)


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory, both_pipeline: Path) -> pet.RunResult:
    """A finished run of both families of voters; do not change it."""
    return pet.run(pet.RunConfig.from_toml(both_pipeline), tmp_path_factory.mktemp("runs") / "both", quiet=True)


@pytest.fixture
def copied(finished: pet.RunResult, tmp_path: Path) -> Path:
    """A copy of the finished run, to change."""
    return Path(shutil.copytree(finished.directory, tmp_path / "copied"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; without one what asks for it is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.is_file():
        pytest.skip(f"there is no {chromium}")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()
