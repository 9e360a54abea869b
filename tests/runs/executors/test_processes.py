"""Tasks done by several processes, and what becomes of these."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_tasks import do, have_done

from pet.errors import DataError, RunError
from pet.runs.executors.processes import Processes


@pytest.fixture
def processes() -> Iterator[Processes]:
    found = Processes(do, workers=2)
    yield found
    found.cancel()


def test_jobs_are_done_by_other_processes_side_by_side(processes: Processes, tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []
    have_done(processes, tmp_path, [("write", f"{i}", 0.2) for i in range(4)], lambda *what: heard.append(what))
    have_done(processes, tmp_path, [("write", "4")], lambda *what: heard.append(what))
    found = [path.read_text().split() for path in tmp_path.iterdir() if path.is_file()]
    assert len(found) == 5
    assert {threads for _, threads in found} == {"1"}
    assert len({pid for pid, _ in found}) == 2
    assert str(os.getpid()) not in {pid for pid, _ in found}
    assert heard == [("advance", 2)] * 5


@pytest.mark.parametrize(
    ("task", "error", "words"),
    [
        ("refuse", DataError, ["no such row"]),
        ("stumble", RunError, ["KeyError", "(in the job toy/stumble)"]),
        ("leave", RunError, ["SystemExit: 3"]),
        ("break_apart", RunError, ["Local: weights broken"]),
        ("die", RunError, ["exit code 9", "run.workers = 1"]),
    ],
)
def test_what_fails_in_a_process_is_told(
    processes: Processes, tmp_path: Path, task: str, error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        have_done(processes, tmp_path, [(task,)])
    assert all(word in str(caught.value) for word in words)


def test_torch_in_a_process_keeps_to_its_threads(processes: Processes, tmp_path: Path) -> None:
    before = dict(os.environ)
    have_done(processes, tmp_path, [("count_threads", "threads")])
    assert (tmp_path / "threads").read_text() == "1"
    assert dict(os.environ) == before


def test_one_that_ends_while_it_waits_is_told_of(processes: Processes, tmp_path: Path) -> None:
    have_done(processes, tmp_path, [("write", "a"), ("write", "b")])
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    with pytest.raises(RunError, match=r"ended by itself \(exit code -9.*run.workers = 1"):
        have_done(processes, tmp_path, [("write", "c")])


def test_nothing_is_started_for_nothing(processes: Processes, tmp_path: Path) -> None:
    before = multiprocessing.active_children()
    have_done(processes, tmp_path, [])
    assert multiprocessing.active_children() == before
    have_done(processes, tmp_path, [("write", "a")])
    assert multiprocessing.active_children() != before  # so that it would have been seen
    processes.cancel()
    assert multiprocessing.active_children() == before


_SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from process_tasks import do, have_done
from pet.runs.executors.processes import Processes
print("started", flush=True)
tasks = [("write", "a", 0.0), ("write", "b", 60.0)]
have_done(Processes(do, workers=2), Path({folder!r}), tasks, lambda *_: print("told", flush=True))
"""


def test_processes_end_with_a_killed_parent_and_run_no_script_again(tmp_path: Path) -> None:
    """The script has no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    (tmp_path / "out").mkdir()
    script.write_text(_SCRIPT.format(tests=str(Path(__file__).parents[2]), folder=str(tmp_path / "out")))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        assert parent.stdout.readline() == "told\n"
        children = _children(parent.pid)
        parent.kill()
        assert parent.stdout.read() == ""
    assert children
    for _ in range(100):
        if not any(_is_alive(child) for child in children):
            break
        time.sleep(0.1)
    else:
        pytest.fail("a process outlived the one that started it")


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    if not path.exists():
        pytest.skip("this system does not list the children of a process")
    return [int(child) for child in path.read_text().split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
