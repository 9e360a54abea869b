"""All generations of a plan with voters that say what a test wants."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from stand_ins import Asked, Scores, said_by

import pet
from pet.learners.voters.spec import VoterSpec
from pet.method.generation import Generation, TrainingSet
from pet.method.jobs import Jobs
from pet.method.judge import tell_of_generation
from pet.method.plan.plan import Plan, prepare
from pet.method.vote import VoterScores
from pet.pipeline import label_pool
from pet.runs.jobs import JobStore
from pet.runs.log import NullLog
from pet.runs.runner import JobRunner
from pet.seeding import rng_for

Config = Callable[..., pet.RunConfig]


class ToyLog(NullLog):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)


@dataclass
class Run:
    """All generations of a plan, as they were kept one after the other, and what was said.

    It stands in the place of a run's own: nothing is on the disk. `asked` lists the voters trained: (generation, name,
    set, rows).
    """

    plan: Plan
    scores: Scores
    log: ToyLog = field(default_factory=ToyLog)
    generations: list[Generation] = field(default_factory=list)
    asked: list[tuple[int, str, TrainingSet, np.ndarray]] = field(default_factory=list)
    deciding: Sequence[Generation] = ()

    @property
    def said(self) -> list[str]:
        return self.log.said

    @property
    def warned(self) -> list[str]:
        return self.log.warned

    @property
    def jobs(self) -> Jobs:
        runner = JobRunner(JobStore(Path("nowhere")), {})
        return Jobs(self.plan.rows, self.plan.model, self.plan.machine, runner, self.plan.seed)

    def handing(self, _jobs: Jobs) -> Any:
        return nullcontext()

    def tell_of(self, generation: Generation) -> None:
        if self.plan.generations > 1:
            tell_of_generation(generation, self.plan.prior, self.log)

    def keep(self, generation: Generation) -> None:
        self.generations.append(generation)

    def write_labels(self, deciding: Sequence[Generation]) -> None:
        self.deciding = deciding

    def vote_of(
        self, jobs: Jobs, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int
    ) -> VoterScores:
        self.asked.append((generation, spec.name, training, rows))
        return said_by(self.scores, jobs, spec, training, rows, generation)

    def train(self) -> "Run":
        place: Any = self
        with mock.patch("pet.method.vote.vote_of", self.vote_of):
            label_pool(self.plan, place)
        return self


def run(config: pet.RunConfig, scores: Scores = lambda asked: noisy(asked)) -> Run:
    return Run(prepare(config), scores).train()


def noisy(asked: Asked, sure: float = 3.0) -> np.ndarray:
    """Mostly right, and unlike the other voters."""
    rng = rng_for(5, asked.spec.name, asked.part, asked.generation, len(asked.rows))
    return asked.truth(sure) + rng.normal(size=(len(asked.rows), 3))
