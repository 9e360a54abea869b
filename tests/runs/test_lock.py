"""One process per run directory."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pet.errors import RunLocked
from pet.runs.directory import RunDirectory
from pet.runs.lock import OWNER, run_lock

Start = Callable[[str, Path], "subprocess.Popen[str]"]
IDENTITY = {"config": "1", "code": "1"}


def wait_until_ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def test_a_second_process_is_refused_with_the_holder_named(start: Start, tmp_path: Path) -> None:
    root = tmp_path / "run"
    holder = start("hold", root)
    wait_until_ready(holder)
    before = sorted(path.name for path in root.iterdir())
    with pytest.raises(RunLocked) as caught, RunDirectory.open(root, "", IDENTITY, force=True):
        pass
    assert str(caught.value) == (
        f"Another run works in {root} (process {holder.pid} on host {socket.gethostname()}): "
        "wait for it or choose another --output-dir."
    )
    assert caught.value.exit_code == 2
    assert sorted(path.name for path in root.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is needed")
def test_the_lock_of_a_killed_process_does_not_block(start: Start, tmp_path: Path) -> None:
    root = tmp_path / "run"
    holder = start("hold", root)
    wait_until_ready(holder)
    holder.kill()
    holder.wait()
    assert (root / OWNER).exists()
    with RunDirectory.open(root, "[train]\nsteps = 1\n", IDENTITY):
        pass


def test_a_second_lock_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        (tmp_path / OWNER).write_text("{}")  # an unreadable owner is left out of the message
        with pytest.raises(RunLocked, match=r"Another run works in \S+: wait"), run_lock(tmp_path):
            pass


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(tmp_path):
        raise ZeroDivisionError
    assert not (tmp_path / OWNER).exists()
    with run_lock(tmp_path):
        assert (tmp_path / OWNER).exists()
