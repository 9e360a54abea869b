"""What every classifier can do, whatever it is made of; and what a student can do beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pet.data.examples import Example
from pet.learners.models.inference import Advance
from pet.learners.models.training import TrainLog
from pet.learners.students.classifier import ClassifierForm
from pet.settings.training import OptimizerSettings

__all__ = ["Classifier", "Student"]


class Classifier(Protocol):
    """Something that labels rows."""

    @property
    def form(self) -> ClassifierForm:
        """What it reads and says."""

    def probabilities(self, examples: Sequence[Example], advance: Advance = ...) -> np.ndarray:
        """Return label probabilities, float32 [n, k], in the order of `examples`."""


class Student(Classifier, Protocol):
    """A classifier that learns from soft labels, and is kept in a folder."""

    def fit(
        self,
        examples: Sequence[Example],
        targets: np.ndarray,
        settings: OptimizerSettings,
        rng: np.random.Generator,
        temperature: float = ...,
        advance: Advance = ...,
    ) -> TrainLog:
        """Train on target probabilities [n, k]; one-hot rows at temperature 1 are plain cross-entropy."""

    def save(self, folder: Path) -> None:
        """Write what `load_student` reads."""
