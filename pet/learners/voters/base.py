"""What every voter can do, whatever it reads rows with: learn from labeled ones, and score others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pet.data.examples import Example
from pet.learners.models.inference import Advance
from pet.learners.models.training import TrainLog
from pet.settings.training import TrainSettings


class Voter(Protocol):
    """Something that learns from a few labeled rows and gives others a score for each label.

    A class of voters has a `load` beside it, which reads what `save` wrote and takes what such a voter stands on.
    """

    def check(self) -> None:
        """Refuse, before any work, what could not be trained: a ModelError says why."""

    def train(
        self,
        rows: Sequence[Example],
        settings: TrainSettings,
        rng: np.random.Generator,
        unlabeled: Sequence[Example] = ...,
        advance: Advance = ...,
    ) -> TrainLog:
        """Learn from labeled rows, from the start each time; `unlabeled` ones may serve beside them.

        `rng` decides all that is drawn. `advance` hears of every update made.
        """

    def scores(self, rows: Sequence[Example], advance: Advance = ...) -> np.ndarray:
        """Return raw label scores, float32 [n, k], in the order of `rows`; without training, those of no training."""

    def facts(self, rows: Sequence[Example] = ...) -> Mapping[str, object]:
        """Return what there is to tell of it as plain values; some of it is measured on `rows`, where there are any."""

    def save(self, folder: Path) -> None:
        """Write what the `load` of its class reads."""
