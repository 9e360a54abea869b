"""Voters that say what a test wants, in the place of trained ones.

vote_with(monkeypatch, lambda asked: asked.truth())          # in a whole run
Generations(plan, FakeBench(plan.inputs, ...)).train()       # without any model
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pet.data.examples import Example
from pet.learners.voters.spec import VoterSpec
from pet.method.inputs import StageInputs, TrainingSet
from pet.method.stages import Workbench
from pet.prompts.pvp import PVP
from pet.runs.jobs import JobStore
from pet.runs.results import Arrays

__all__ = ["Asked", "FakeBench", "Scores", "truth", "vote_with"]


@dataclass(frozen=True)
class Asked:
    """What a voter is asked for: the scores of the rows of a part, in a generation."""

    spec: VoterSpec
    part: str
    rows: Sequence[Example]
    generation: int

    @property
    def numbers(self) -> np.ndarray:
        """The number at the end of each row's id, int64 [n]; 0 for inputs without content."""
        found = [row.id.rpartition("-")[2] for row in self.rows]
        return np.asarray([int(number) if number.isdigit() else 0 for number in found], np.int64)

    def truth(self, sure: float = 4.0) -> np.ndarray:
        """Return scores [n, k] that are right: `sure` for the label of the row, 0 for the others."""
        return sure * np.eye(3)[truth(self.rows)]

    def wrong(self, sure: float = 4.0) -> np.ndarray:
        """Return scores [n, k] for the label after the right one."""
        return np.roll(self.truth(sure), 1, axis=1)

    def only(self, column: int, sure: float = 4.0) -> np.ndarray:
        """Return scores [n, k] of one label for every row."""
        return np.tile(sure * np.eye(3)[column], (len(self.rows), 1))


Scores = Callable[[Asked], np.ndarray]


def truth(rows: Sequence[Example]) -> np.ndarray:
    """Return the column of each row of the toy task, where the labels come in turn; 0 for inputs without content."""
    numbers = [row.id.rpartition("-")[2] for row in rows]
    return np.asarray([int(number) % 3 if number.isdigit() else 0 for number in numbers], np.int64)


def _parts(inputs: StageInputs, spec: VoterSpec, rows: np.ndarray, generation: int, scores: Scores) -> Arrays:
    parts = {
        "pool": tuple(inputs.data.unlabeled.take(rows)),
        "gold": inputs.data.labeled,
        "content_free": inputs.content_free,
        "test": inputs.data.test,
    }
    return {
        part: np.asarray(scores(Asked(spec, part, examples, generation)), np.float32).reshape(len(examples), 3)
        for part, examples in parts.items()
    }


def vote_with(monkeypatch: pytest.MonkeyPatch, scores: Scores) -> None:
    """Put other scores in the place of those of every voter; its job is done all the same."""
    original = Workbench.vote

    def vote(self: Workbench, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> Arrays:
        original(self, spec, training, rows, generation)
        return _parts(self.inputs, spec, rows, generation, scores)

    monkeypatch.setattr(Workbench, "vote", vote)


class FakeBench(Workbench):
    """A workbench without a model; `asked` lists the voters trained: (generation, name, set, rows)."""

    def __init__(self, inputs: StageInputs, scores: Scores) -> None:
        super().__init__(inputs, JobStore(Path("nowhere")))
        self.scores = scores
        self.asked: list[tuple[int, str, TrainingSet, np.ndarray]] = []

    def vote(self, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> Arrays:
        """Say what the test wants."""
        self.asked.append((generation, spec.name, training, rows))
        return _parts(self.inputs, spec, rows, generation, self.scores)

    def zero_shot(self, pvp: PVP) -> Arrays:
        """Refuse: no test asks for it."""
        raise AssertionError("the untrained model is asked")
