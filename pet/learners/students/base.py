"""What every classifier reads, says and can do, whatever it is made of; and what a student can do beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.inference import Advance
from pet.learners.models.training import TrainLog
from pet.settings.training import OptimizerSettings


@dataclass(frozen=True)
class ClassifierForm:
    """What a classifier reads and says: its labels, the column behind each field, and its longest input.

    `label_column` and `id_column` are where its task's files have labels and ids.
    """

    labels: tuple[str, ...]
    columns: Mapping[str, str]
    max_length: int
    label_column: str = "label"
    id_column: str = "id"

    def stored(self) -> dict[str, object]:
        """Return all but the labels as plain values; the columns as pairs, for a stock config sorts the keys of a map.

        The order of the fields says which text is the first segment.
        """
        stored = {**asdict(self), "columns": [list(pair) for pair in self.columns.items()]}
        return {name: value for name, value in stored.items() if name != "labels"}


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


def read_form(folder: Path) -> ClassifierForm:
    """Return what a classifier in a folder reads and says, whatever its kind; a ModelError says that it is not ours."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        labels = tuple(label for _, label in sorted((int(i), name) for i, name in config["id2label"].items()))
        return ClassifierForm(labels, **{**config["pet"], "columns": dict(config["pet"]["columns"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(
            f"{folder} is no classifier written by pet (no config.json with its labels and columns): give a run "
            "directory, or its model folder."
        ) from None
