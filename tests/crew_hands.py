"""What the processes of the tests of crews are made ready by: a module that they can import."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from pet.errors import DataError


@dataclass(frozen=True)
class Boss:
    """Gets a process ready that writes its number into a folder."""

    folder: Path

    def begin(self, tell):
        return Hand(self.folder, tell)


@dataclass(frozen=True)
class TorchBoss(Boss):
    """Has loaded torch before it begins, as the one of a run has."""

    def __setstate__(self, state):
        import torch  # noqa: F401

        self.__dict__.update(state)


@dataclass(frozen=True)
class Hand:
    folder: Path
    tell: object

    def write(self, name, seconds=0.0):
        time.sleep(seconds)
        (self.folder / name).write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")
        self.tell("advance", 2)

    def count_threads(self, name):
        import torch

        (self.folder / name).write_text(str(torch.get_num_threads()))

    def refuse(self):
        raise DataError("no such row")

    def stumble(self):
        raise KeyError("x")

    def die(self):
        os._exit(9)
