"""What the processes of the tests of executors are made ready by: a module that they can import."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pet.errors import DataError
from pet.runs.executors.processes import Tell


@dataclass(frozen=True)
class ToySetup:
    """Gets a process ready that writes its number into a folder."""

    folder: Path

    def begin(self, tell: Tell) -> Callable[..., object]:
        """Return what does a task by its name."""
        tasks = _Tasks(self.folder, tell)
        return lambda name, *given: getattr(tasks, name)(*given)


@dataclass(frozen=True)
class TorchSetup(ToySetup):
    """Has loaded torch before it begins, as the one of a run has."""

    def __setstate__(self, state: dict[str, object]) -> None:
        import torch  # noqa: F401

        self.__dict__.update(state)


@dataclass(frozen=True)
class _Tasks:
    folder: Path
    tell: Tell

    def write(self, name: str, seconds: float = 0.0) -> None:
        time.sleep(seconds)
        (self.folder / name).write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")
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
