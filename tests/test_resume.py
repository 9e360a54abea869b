"""Whole runs that are killed, interrupted or met by a second one: the same command ends with the same bytes."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from toy import THREE, content, rows_of

import pet
from pet.settings.run import RunSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are needed"),
]

KILLS = int(os.environ.get("PET_FAULT_KILLS", "12"))
"""Of a run at random moments; `make faults` has more."""


class Server:
    """Starts commands (see `fork_server.py`)."""

    def __init__(self, folder: Path, pipeline: Path, settings: Sequence[str] = ()) -> None:
        self.errors = folder / "stderr.txt"
        self.pipeline = pipeline
        self.options = [word for setting in settings for word in ("--set", setting)]
        self.started: list[int] = []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment["PYTHONPATH"] = str(Path(pet.__file__).parents[1])
        script = str(Path(__file__).with_name("fork_server.py"))
        self.process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._answer()

    def start(self, root: Path) -> int:
        return self.start_command(["run", str(self.pipeline), "--output-dir", str(root), *self.options])

    def start_command(self, arguments: Sequence[str]) -> int:
        pid = int(self._ask({"arguments": list(arguments), "stderr": str(self.errors)})["pid"])
        self.started.append(pid)
        return pid

    def wait(self, pid: int) -> int:
        code = int(self._ask({"wait": pid})["code"])
        self.started.remove(pid)
        return code

    def complete(self, root: Path) -> None:
        assert self.wait(self.start(root)) == 0, self.errors.read_text()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        for pid in server.started:
            os.kill(pid, signal.SIGKILL)
        server.process.kill()
        server.process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, toy_pipeline: Path) -> Iterator[Server]:
    with serving(Server(tmp_path_factory.mktemp("server"), toy_pipeline)) as server:
        yield server


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    return uninterrupted(server, tmp_path_factory.mktemp("whole") / "run")


def uninterrupted(server: Server, root: Path) -> tuple[Path, float]:
    """An uninterrupted run, and how long one takes."""
    server.complete(root)
    begin = time.monotonic()
    server.complete(root.with_name("again"))
    return root, time.monotonic() - begin


def predictions(root: Path) -> list[pet.Prediction]:
    texts = [str(row["text"]) for row in rows_of("test", 4)]
    return pet.predict(root, texts, RunSettings(device="cpu", precision="fp32"))


def eventually(there: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not there():
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.002)


def test_a_dozen_kills_at_random_moments_change_no_byte(
    server: Server, whole: tuple[Path, float], tmp_path: Path
) -> None:
    kill_at_random(server, whole, tmp_path, KILLS)


@pytest.mark.parametrize(
    ("settings", "labeled", "rejected"),
    [
        (("ipet.accept_all=true",), [96, 120, 120], []),
        # The later two collapse, and the first, which had labeled 24 rows, labels the whole pool in the end.
        (
            ("ipet.growth=1.5", "data.examples_per_label=4", "train.learning_rate=5e-3", "run.seed=44"),
            [120, 60, 120],
            [1, 2],
        ),
    ],
)
def test_kills_amid_generations_change_no_byte(
    larger_pipeline: Path, tmp_path: Path, settings: tuple[str, ...], labeled: list[int], rejected: list[int]
) -> None:
    with serving(Server(tmp_path, larger_pipeline, (*THREE, "distill.steps=3", *settings))) as server:
        whole = uninterrupted(server, tmp_path / "whole" / "run")
        found = json.loads((whole[0] / "metrics.json").read_text())["generations"]
        assert [one["labeled_rows"] for one in found] == labeled
        assert [one["generation"] for one in found if one["rejected"]] == rejected
        kill_at_random(server, whole, tmp_path, KILLS // 3)


def test_kills_of_a_run_that_reads_filled_patterns_change_no_byte(toy_pipeline: Path, tmp_path: Path) -> None:
    with serving(Server(tmp_path, toy_pipeline, ("adapt.method=pcp", "distill.steps=3"))) as server:
        kill_at_random(server, uninterrupted(server, tmp_path / "whole" / "run"), tmp_path, KILLS // 4)


def test_kills_of_a_run_of_both_families_change_no_byte(both_pipeline: Path, tmp_path: Path) -> None:
    with serving(Server(tmp_path, both_pipeline, ("distill.steps=3",))) as server:
        kill_at_random(server, uninterrupted(server, tmp_path / "whole" / "run"), tmp_path, KILLS // 2)


def kill_at_random(server: Server, whole: tuple[Path, float], tmp_path: Path, wanted: int) -> None:
    """Kill runs at random moments, start them again, and compare every byte with a run that nobody killed."""
    reference, seconds = whole
    expected, said, began = content(reference), predictions(reference), time.monotonic()
    moments, kills, unfinished, attempt = random.Random(11), 0, 0, 0
    while kills < wanted:
        attempt += 1
        assert attempt < 10 * wanted, "the run is always faster than the kill"
        root, kept = tmp_path / f"run-{attempt}", dict[str, int]()
        for _ in range(1 + attempt % 3):  # up to three kills of one run, each after a start that resumes
            pid = server.start(root)
            time.sleep(moments.uniform(0.0, seconds))
            os.kill(pid, signal.SIGKILL)
            if server.wait(pid) != -signal.SIGKILL:
                break
            kills += 1
            unfinished += not (root / "model").exists()
            kept |= finished_jobs(root)
        server.complete(root)
        assert kept.items() <= finished_jobs(root).items()  # at most the job that was under way is lost
        assert content(root) == expected
        assert predictions(root) == said
        assert not list(root.rglob(".tmp-*"))
    assert unfinished >= wanted // 2, "most kills came too late to mean anything"
    spent = time.monotonic() - began
    print(f"{kills} kills in {attempt} runs of {seconds:.1f} s, {unfinished} amid the work: {spent:.0f} s")


def finished_jobs(root: Path) -> dict[str, int]:
    """Return when each finished job was published, by its path."""
    return {str(path): path.stat().st_mtime_ns for path in root.glob("jobs/[!.]*/_SUCCESS")}


@pytest.mark.parametrize(("sent", "code", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_an_interrupted_run_says_so_and_goes_on(
    server: Server, whole: tuple[Path, float], tmp_path: Path, sent: str, code: int, word: str
) -> None:
    root = tmp_path / "run"
    server.errors.write_text("")
    pid = server.start(root)
    eventually(lambda: list(root.glob("jobs/[!.]*")))
    os.kill(pid, getattr(signal, sent))
    assert server.wait(pid) == code
    said = rf"{word}: the same command goes on where it stopped(; \S+ begins anew: it had worked for \d+ s)?"
    assert re.fullmatch(said, server.errors.read_text().splitlines()[-1])  # after the lines of jobs
    assert not (root / "metrics.json").exists()
    done = finished_jobs(root)
    server.complete(root)
    assert content(root) == content(whole[0])
    assert done.items() <= finished_jobs(root).items()


def test_the_second_of_two_runs_at_once_refuses_in_one_line(
    server: Server, whole: tuple[Path, float], tmp_path: Path
) -> None:
    root = tmp_path / "run"
    first = server.start(root)
    eventually(lambda: list(root.glob("jobs")))
    os.kill(first, signal.SIGSTOP)
    server.errors.write_text("")
    assert server.wait(server.start(root)) == 2
    (line,) = server.errors.read_text().splitlines()
    assert line.startswith(f"error: Another run works in {root} (process {first} on host ")
    assert line.endswith("wait for it or choose another --output-dir.")
    os.kill(first, signal.SIGCONT)
    assert server.wait(first) == 0
    assert content(root) == content(whole[0])
