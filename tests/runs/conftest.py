"""Processes of their own for the tests of locks and crashes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pet.runs

Start = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``toy_run.py MODE FOLDER``; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": str(Path(pet.runs.__file__).parents[2])}

    def starter(mode: str, folder: Path) -> "subprocess.Popen[str]":
        script = Path(__file__).with_name("toy_run.py")
        command = [sys.executable, str(script), mode, str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield starter
    for process in started:
        with process:
            process.kill()
