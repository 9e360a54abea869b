"""All generations of a plan with voters that say what a test wants."""

from collections.abc import Callable

import numpy as np
from stand_ins import Asked, FakeBench, Scores

import pet
from pet.method.generations import Generation, Generations
from pet.method.plan import Plan, prepare
from pet.seeding import rng_for

__all__ = ["Config", "Run", "noisy", "run"]

Config = Callable[..., pet.RunConfig]


class Run:
    """All generations of a plan, and what was said."""

    def __init__(self, plan: Plan, scores: Scores) -> None:
        self.plan, self.bench = plan, FakeBench(plan.inputs, scores)
        self.said: list[str] = []
        self.warned: list[str] = []
        self.generations: list[Generation] = []

    def train(self) -> "Run":
        loop = Generations(self.plan, self.bench, self.said.append, self.warned.append)
        self.generations.extend(loop.train())
        return self


def run(config: pet.RunConfig, scores: Scores = lambda asked: noisy(asked)) -> Run:
    return Run(prepare(config), scores).train()


def noisy(asked: Asked, sure: float = 3.0) -> np.ndarray:
    """Mostly right, and unlike the other voters."""
    rng = rng_for(5, asked.spec.name, asked.part, asked.generation, len(asked.rows))
    return asked.truth(sure) + rng.normal(size=(len(asked.rows), 3))
