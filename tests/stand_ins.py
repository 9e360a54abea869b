"""Voters that say what a test wants, in the place of trained ones.

vote_with(monkeypatch, lambda asked: asked.truth())          # in a whole run, whose jobs are done all the same
generation_runs.run(config, lambda asked: asked.truth())     # without any model
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pet.data.examples import Example
from pet.learners.voters.spec import VoterSpec
from pet.method import vote
from pet.method.generation import TrainingSet
from pet.method.jobs import Jobs
from pet.method.vote import VoterScores


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


def said_by(
    scores: Scores, jobs: Jobs, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int
) -> VoterScores:
    """Return what a voter that says what a test wants says of pool rows and of the others."""
    data = jobs.rows.data
    parts = {
        "pool": tuple(data.unlabeled.take(rows)),
        "gold": data.labeled,
        "content_free": jobs.rows.content_free,
        "test": data.test,
    }
    found: dict[str, Any] = {
        part: np.asarray(scores(Asked(spec, part, examples, generation)), np.float32).reshape(len(examples), 3)
        for part, examples in parts.items()
    }
    return VoterScores(spec, len(training) > 0 and spec.learns, **found)


def vote_with(monkeypatch: pytest.MonkeyPatch, scores: Scores) -> None:
    """Put other scores in the place of those of every voter; its job is done all the same."""
    original = vote.vote_of

    def vote_of(
        jobs: Jobs, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0
    ) -> VoterScores:
        original(jobs, spec, training, rows, generation)
        return said_by(scores, jobs, spec, training, rows, generation)

    monkeypatch.setattr(vote, "vote_of", vote_of)
