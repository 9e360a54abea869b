"""What the jobs of a run share, and what one voter of a generation is trained on and asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.labeling.selection import Selection
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.classifier import ClassifierForm
from pet.settings.task import ModelSettings, TaskSettings
from pet.settings.training import OptimizerSettings

__all__ = ["EMBEDDED_ROWS", "StageInputs", "TrainingSet"]

EMBEDDED_ROWS = 2000
"""The classifiers on embeddings learn from so many rows of the pool."""


@dataclass(frozen=True)
class StageInputs:
    """What all jobs of a run share.

    `baseline` is how the classifier without patterns is trained; `base` has the digests of data, model and code;
    `compared` are pool row indices. Voters are done by `workers` processes side by side; `gain` is how many times as
    fast all threads are as one (None: not known).
    """

    data: TaskData
    source: ModelSource
    model: ModelSettings
    baseline: OptimizerSettings
    task: TaskSettings
    machine: Machine
    seed: int
    multi_token: bool
    base: Mapping[str, str]
    compared: np.ndarray
    keep_models: bool = False
    workers: int = 1
    gain: float | None = None

    @property
    def form(self) -> ClassifierForm:
        """What the classifiers of this run read and say."""
        task = self.data.task
        return ClassifierForm(
            task.labels, self.data.columns, self.model.max_length, self.task.label_column, self.task.id_column
        )

    @property
    def gold(self) -> np.ndarray:
        """The columns of the labeled rows, int64 [n]."""
        columns = {label: k for k, label in enumerate(self.data.task.labels)}
        return np.asarray([columns[str(example.label)] for example in self.data.labeled], np.int64)

    @property
    def content_free(self) -> list[Example]:
        """Inputs that say nothing, for contextual calibration (2102.09690, section 4)."""
        return [Example(text, dict.fromkeys(self.data.task.fields, text)) for text in ("N/A", "...")]

    @property
    def pool_sample(self) -> Rows:
        """The pool rows that everything is compared on."""
        return self.data.unlabeled.take(self.compared)


@dataclass(frozen=True)
class TrainingSet:
    """What a voter of a generation learns from: `gold` int64 [g], places in the labeled rows, and drawn pool rows.

    Of the selection, `rows` are places in the whole pool. A voter with an empty set stays untrained.
    """

    gold: np.ndarray
    drawn: Selection | None = None

    def __len__(self) -> int:
        return len(self.gold) + (len(self.drawn) if self.drawn else 0)

    def examples(self, data: TaskData) -> list[Example]:
        """Return the rows with the labels to learn: gold ones, then pseudo-labeled ones."""
        rows = [data.labeled[i] for i in self.gold]
        if self.drawn:
            labels = data.task.labels
            pairs = zip(self.drawn.rows.tolist(), self.drawn.columns.tolist(), strict=True)
            rows += [replace(data.unlabeled[i], label=labels[k]) for i, k in pairs]
        return rows

    def key(self) -> Mapping[str, object]:
        """Return all that the training depends on, as plain values."""
        drawn = self.drawn
        pairs = [drawn.rows.tolist(), drawn.columns.tolist()] if drawn else []
        return {"gold": self.gold.tolist(), "drawn": pairs}
