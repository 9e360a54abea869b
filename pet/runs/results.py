"""What a job leaves in its folder: named arrays as safetensors, what was trained and what it cost as JSON.

scores.safetensors    the arrays, by the names of the fields of their dataclass
training.json         updates, losses, and facts of what was trained
work.json             the rows that went through a model, and its updates
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from safetensors.numpy import load_file, save_file

from pet.learners.models.training import TrainLog

R = TypeVar("R")

RESULTS = "scores.safetensors"
"""The file of the arrays."""


@dataclass(frozen=True)
class Work:
    """What was computed: `forwards`, rows that a model scored or embedded, and optimizer updates (`steps`)."""

    forwards: int = 0
    steps: int = 0

    def __add__(self, other: "Work") -> "Work":
        """Return the sum of both."""
        return Work(self.forwards + other.forwards, self.steps + other.steps)


def write_results(
    folder: Path,
    found: Any,
    log: TrainLog | None = None,
    about: Mapping[str, object] = MappingProxyType({}),
    forwards: int | None = None,
) -> None:
    """Leave what a job found, a dataclass of arrays, and what it cost.

    `about` says more of the training, `forwards` are the rows that went through a model (None: those of the arrays).
    """
    arrays: dict[str, np.ndarray] = vars(found)
    save_file(dict(arrays), folder / RESULTS)
    losses = log.losses if log else ()
    if log:
        facts = {"updates": len(losses), "losses": [round(loss, 6) for loss in losses], **about}
        (folder / "training.json").write_text(json.dumps(facts), encoding="utf-8")
    read = sum(map(len, arrays.values())) if forwards is None else forwards
    work = Work(read, log.made if log else 0)
    (folder / "work.json").write_text(json.dumps(asdict(work)), encoding="utf-8")


def losses_of(folder: Path) -> tuple[float, ...]:
    """Return the losses of the updates of a finished job; none where nothing was trained."""
    path = folder / "training.json"
    return tuple(json.loads(path.read_text(encoding="utf-8"))["losses"]) if path.is_file() else ()


def read_results(folder: Path, kind: type[R]) -> tuple[R, Work]:
    """Return what a finished job found, as the dataclass that it left, and what it cost."""
    work = json.loads((folder / "work.json").read_text(encoding="utf-8"))
    return kind(**load_file(folder / RESULTS)), Work(**work)
