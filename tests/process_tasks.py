"""What the processes of the tests of executors do: a module that they can import."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pet.errors import DataError
from pet.runs.executors.base import Executor, Needs, Tell, do_job, done_by, write_task


def order(place: Path, *tasks: tuple[Any, ...]) -> list[Path]:
    """Write a job for each task, its name and what it is given; return their folders."""
    folders = [place / "tasks" / f"{len(list((place / 'tasks').glob('*'))) + i}" for i in range(len(tasks))]
    for folder, (name, *given) in zip(folders, tasks, strict=True):
        folder.mkdir(parents=True)
        write_task(folder, {"name": f"toy/{name}", "threads": 1, "do": name, "given": given})
    return folders


def have_done(
    executor: Executor, place: Path, tasks: Sequence[tuple[Any, ...]], hear: Tell = lambda *_: None, most: int = 2
) -> None:
    """Have tasks done in a folder."""
    done_by(executor, order(place, *tasks), Needs(), most, hear)


def do(folder: str) -> None:
    """Do the task of a folder."""
    do_job(Path(folder), partial(_do, Path(folder)))


def _do(folder: Path, task: Mapping[str, Any], tell: Tell) -> None:
    getattr(_Tasks(folder.parents[1], tell), task["do"])(*task["given"])


@dataclass(frozen=True)
class _Tasks:
    folder: Path
    tell: Tell

    def write(self, name: str, seconds: float = 0.0) -> None:
        time.sleep(seconds)
        (self.folder / name).write_text(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}")
        self.tell("advance", 2)

    def count_threads(self, name: str) -> None:
        import torch

        (self.folder / name).write_text(str(torch.get_num_threads()))

    def refuse(self) -> None:
        raise DataError("no such row")

    def stumble(self) -> None:
        raise KeyError("x")

    def leave(self) -> None:
        raise SystemExit(3)

    def break_apart(self) -> None:
        class Local(Exception):
            """Cannot be sent: no other process can import it."""

        raise Local("weights broken")

    def die(self) -> None:
        os._exit(9)
