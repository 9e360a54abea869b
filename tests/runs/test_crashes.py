"""Runs that are killed, really and at every step, end with the bytes of a run that nobody killed."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are needed")

Start = Callable[[str, Path], "subprocess.Popen[str]"]


def content(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".lock")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def finish(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


@pytest.mark.slow
def test_twelve_kills_at_random_moments_change_no_byte(start: Start, tmp_path: Path) -> None:
    finish(start("run", tmp_path / "whole"))
    expected = content(tmp_path / "whole")
    moments = random.Random(7)
    kills, runs, root = 0, 0, tmp_path / "killed-0"
    while kills < 12:
        process = start("run", root)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.1))
        process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
        else:  # it was faster: check it, and go on with a fresh one
            assert content(root) == expected
            runs += 1
            root = tmp_path / f"killed-{runs}"
    finish(start("run", root))
    assert content(root) == expected
    assert not list(root.rglob(".tmp-*"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["every-kill", "every-kill-force"])
def test_a_kill_at_any_step_is_recovered_from(start: Start, tmp_path: Path, mode: str) -> None:
    *_, steps, wrong = finish(start(mode, tmp_path)).splitlines()
    assert json.loads(wrong) == []
    assert int(steps.split()[1]) > 40
