"""What the jobs of a run work with.

    zero-shot/<pvp>    scores of the untrained model on the labeled rows, a sample of the pool, and the test rows
    voter/<voter>      a trained voter's scores on rows of the pool (in shards), the gold rows and the test rows; of
                       generation 1 and later as generation-<g>/voter/<voter>
    distill            the final classifier, how it was chosen, and its probabilities on the compared and the test rows
    embeddings/<name>  vectors of the labeled rows, the pool, and the test rows by an encoder
    supervised         the baseline classifier's probabilities; of those that leave out gold rows, on these

A job is a pure function of what it is named by. Models are loaded when the first job needs them, so that a finished run
starts and ends at once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example, made_up
from pet.data.rows import Rows
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import ClassifierForm
from pet.learners.voters.shared import SharedModel
from pet.method.callbacks import Callbacks
from pet.method.metrics import gold_columns
from pet.method.sets import sets_digest
from pet.runs.runner import JobRunner


@dataclass(frozen=True)
class RunRows:
    """The rows of a run as its jobs ask for them.

    `compared` int64 are the places in the pool of those that everything is compared on; `form` is what classifiers
    read and say; `label_texts` are texts that stand for each label.
    """

    data: TaskData
    compared: np.ndarray
    form: ClassifierForm
    label_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def gold(self) -> np.ndarray:
        """The columns of the labeled rows, int64 [n]."""
        return gold_columns(self.data.labeled, self.data.task.labels)

    @cached_property
    def letters(self) -> float:
        """The mean letters of a labeled row, or, without any, of the rows that are compared."""
        rows = self.data.labeled or self.sample
        return float(np.mean([sum(map(len, row.fields.values())) for row in rows])) if len(rows) else 0.0

    @property
    def content_free(self) -> list[Example]:
        """Inputs that say nothing, for contextual calibration (2102.09690, section 4)."""
        return [made_up(text, self.data.task.fields, text) for text in ("N/A", "...")]

    @property
    def sample(self) -> Rows:
        """The pool rows that everything is compared on."""
        return self.data.unlabeled.take(self.compared)


@dataclass(frozen=True)
class Jobs:
    """What the jobs of a run work with: rows, the model, the machine they compute on, and who does and keeps them.

    `encoder` is what rows are embedded by, where they are; `callbacks` hear of every voter.
    """

    rows: RunRows
    model: SharedModel
    machine: Machine
    runner: JobRunner
    seed: int
    keep_models: bool = False
    encoder: ModelSource | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)

    @property
    def drawn(self) -> "Jobs":
        """The jobs on the sets as they were drawn: those that do not depend on what people have labeled since."""
        data = self.rows.data.drawn
        if data is self.rows.data:
            return self
        return replace(self, rows=replace(self.rows, data=data), runner=self.runner.on_data(sets_digest(data)))

    def on(self, model: Path, **parts: object) -> "Jobs":
        """Return these jobs with the weights in another folder; `parts` are what they depend on for it."""
        other = replace(self.model, source=ModelSource(self.model.source.name, model))
        return replace(self, model=other, runner=self.runner.depending_on(**parts))


def digest(array: np.ndarray) -> str:
    """Return the sha256 (hex) of the bytes of an array."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
