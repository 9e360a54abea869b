"""The same bytes of labels, whoever does the voters: this process, others, Slurm, Ray with a machine that dies."""

import gc
import hashlib
import importlib.util
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mistakes import command

import pet
from pet.pipeline import label

pytestmark = [
    pytest.mark.slow,
    # Ray leaves its processes to be collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='Ray is not installed: pip install -e ".[ray]"'
)
QUICK = ("ipet.generations=2", "ipet.growth=2", "ipet.accept_all=true", "train.steps=4", "run.threads=1")


@pytest.fixture(scope="module")
def labels(larger_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, Path]]:
    """Return the digest of the labels of a run, and its folder."""

    def made(*settings: str) -> tuple[str, Path]:
        root = tmp_path_factory.mktemp("run") / "run"
        config = pet.RunConfig.from_toml(larger_pipeline, (*QUICK, *settings))
        return digest(label(config, root, quiet=True).pseudo_labels), root

    return made


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def here(labels: Callable[..., tuple[str, Path]]) -> str:
    return labels("run.executor=here")[0]


@pytest.mark.parametrize("settings", [("run.executor=processes",), ("run.executor=slurm", "run.address=local")])
def test_labels_are_the_same_bytes_whoever_does_the_voters(
    labels: Callable[..., tuple[str, Path]], settings: tuple[str, ...]
) -> None:
    if "run.executor=slurm" in settings:
        pytest.importorskip("submitit", reason='submitit is not installed: pip install -e ".[slurm]"')
    one = "ipet.generations=1"
    found, root = labels(*settings, "run.workers=2", one)
    assert found == labels("run.executor=here", one)[0]
    assert (root / "run.log").read_text().count("+words (") == 2  # told by whoever did them
    assert not (root / "tasks").exists()


def test_the_debugger_has_the_jobs_done_here(labels: Callable[..., tuple[str, Path]], here: str) -> None:
    assert labels("run.executor=debug")[0] == here


@needs_ray
def test_labels_are_the_same_bytes_on_a_ray_of_the_run(labels: Callable[..., tuple[str, Path]], here: str) -> None:
    assert labels("run.executor=ray", "run.address=local", "run.workers=2")[0] == here
    gc.collect()


@pytest.fixture
def two_machines() -> Iterator["Machines"]:
    """A cluster of two raylets beside its head, on this machine."""
    machines = Machines()
    yield machines
    machines.end()


class Machines:
    """A head that does no jobs, and two machines that do one at a time."""

    def __init__(self) -> None:
        # Ray reads them once in the life of a process.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ["RAY_AUTH_MODE"] = "token"
        from ray.cluster_utils import Cluster

        size = {"object_store_memory": 80 * 2**20}
        head = {"num_cpus": 0, "include_dashboard": False, **size}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(num_cpus=1, **size) for _ in range(2)]

    def kill_one(self) -> None:
        """Kill a raylet and its workers, as one does that pulls the plug: without it alone, they end their jobs."""
        raylet = psutil.Process(self.nodes[0].all_processes["raylet"][0].process.pid)
        for process in (raylet, *raylet.children(recursive=True)):
            process.kill()

    def end(self) -> None:
        self.cluster.shutdown()
        self.nodes.clear()
        gc.collect()


@needs_ray
def test_a_machine_of_the_cluster_that_dies_changes_no_byte(
    labels: Callable[..., tuple[str, Path]], here: str, two_machines: Machines
) -> None:
    """Two generations of two voters; the machine dies at a random moment of what the first generation takes."""
    killer = threading.Timer(random.Random(time.time_ns()).uniform(2, 20), two_machines.kill_one)
    killer.start()
    try:
        address = two_machines.cluster.address
        found, root = labels("run.executor=ray", f"run.address={address}", "run.workers=2")
    finally:
        killer.cancel()
    assert found == here
    assert not (root / "tasks").exists()


def test_what_is_wrong_with_a_cluster_is_told_before_anything_is_trained(larger_pipeline: Path, tmp_path: Path) -> None:
    for options, words in (
        (("--executor", "processes", "--workers", "3"), "there are 2 voters"),
        (("--address", "localhost:1"), 'set run.executor to "ray"'),
        (("--executor", "ray", "--workers", "none"), "run.workers"),
    ):
        found = command("label", larger_pipeline, "--output-dir", tmp_path / "run", *options)
        assert found.exit_code == 2
        assert words in found.stderr and "Traceback" not in found.output
        assert not list((tmp_path / "run").glob("jobs/*"))
