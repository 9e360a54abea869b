"""What can be wrong with a cluster is one sentence, before anything is trained."""

import gc
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pet.errors import ConfigError
from pet.runs.executors.base import Needs
from pet.runs.executors.choice import check_executor
from pet.runs.executors.on_ray import connected, probe
from pet.settings.run import RunSettings


@pytest.fixture
def _no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def refused(**settings: object) -> str:
    with pytest.raises(ConfigError) as caught:
        check_executor(RunSettings.model_validate(settings), voters=2)
    return str(caught.value)


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.runs.executors.on_ray.find_spec", lambda _name: None)
    monkeypatch.setattr("pet.runs.executors.on_slurm.find_spec", lambda _name: None)
    assert 'pip install "pet-labeling[ray]"' in refused(executor="ray")
    assert 'pip install "pet-labeling[slurm]"' in refused(executor="slurm")


@pytest.mark.parametrize("executor", ["processes", "ray", "slurm"])
def test_more_workers_than_voters(monkeypatch: pytest.MonkeyPatch, executor: str) -> None:
    monkeypatch.setattr("pet.runs.executors.on_ray.find_spec", lambda name: name)
    monkeypatch.setattr("pet.runs.executors.on_slurm.find_spec", lambda name: name)
    address = {"address": "local"} if executor == "slurm" else {}
    assert "run.workers = 3, but there are 2 voters" in refused(executor=executor, workers=3, **address)


def test_slurm_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.runs.executors.on_slurm.find_spec", lambda name: name)
    monkeypatch.setenv("PATH", "")
    assert "no command sbatch" in refused(executor="slurm")
    assert "Slurm has no address" in refused(executor="slurm", address="10.0.0.5:1")


def test_an_address_without_a_cluster() -> None:
    assert 'set run.executor to "ray" or "slurm"' in refused(address="10.0.0.5:6379")


@pytest.mark.usefixtures("_no_token")
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://10.0.0.5:10001", "expected"),
        ("10.0.0.5", "expected"),
        ("10.0.0.5:6379", "no token is there"),
        ("other.example:6379", "no token is there"),
        ("[fe80::1]:6379", "no token is there"),
        ("localhost:1", "No Ray cluster answers at localhost:1"),
        ("127.0.0.1:99999", "No Ray cluster answers"),
    ],
)
def test_an_address_that_cannot_be_used(address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words), connected(address, 1):
        pass


needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed: pip install -e ".[ray]"')


@pytest.fixture
def _ray_ended() -> Iterator[None]:
    """Ray leaves its processes to be collected, which the mark lets pass."""
    yield
    gc.collect()


leaves_processes = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.mark.slow
@needs_ray
@pytest.mark.usefixtures("_no_token")
def test_something_else_that_listens_is_no_cluster() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match="No Ray cluster answers"), connected(f"127.0.0.1:{port}", 1):
            pass


@pytest.mark.slow
@needs_ray
@leaves_processes
@pytest.mark.usefixtures("_ray_ended")
def test_each_machine_is_asked_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected("local", cpus=1) as nodes:
        probe(nodes, tmp_path, Needs())
        assert not list(tmp_path.iterdir())
        with pytest.raises(ConfigError, match=r"No machine of the Ray cluster has what a voter takes \(99 CPUs"):
            probe(nodes, tmp_path, Needs(cpus=99))
        with monkeypatch.context() as patch:
            patch.setattr("platform.python_version", lambda: "3.11.99")
            with pytest.raises(ConfigError, match=r"of the Ray cluster has Python 3\.\S+, .* 3.11.99"):
                probe(nodes, tmp_path, Needs())
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match="does not see /proc/self/cwd: choose an --output-dir"):
            probe(nodes, Path("/proc/self/cwd"), Needs())  # which is another folder in each process
