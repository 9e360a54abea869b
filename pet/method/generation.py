"""A generation of voters: what each learned from, what they said, and how it went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.labeling.ensemble import weighted_mean
from pet.labeling.guards import GenerationFigures
from pet.labeling.neighbours import Graph
from pet.labeling.selection import Selection
from pet.labeling.votes import SoftLabels, Votes


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


@dataclass(frozen=True)
class Ensemble:
    """What the voters of a generation say together.

    `votes` are calibrated and weighted, and `mean` is what they give together, on the rows of the pool that they were
    asked for; `gold` and `test` are the same voters' scores on those rows, float64 [m, r, k]; of the test rows NaN
    where there is no vote. Where that was smoothed
    over a `graph` of the rows, `refined` are the soft labels, and `refined_test` float32 [r, k] those of the test rows.
    """

    votes: tuple[Votes, ...]
    mean: SoftLabels
    gold: np.ndarray
    test: np.ndarray
    graph: Graph | None = None
    refined: SoftLabels | None = None
    refined_test: np.ndarray | None = None

    @property
    def soft(self) -> SoftLabels:
        """The labels that are given."""
        return self.refined or self.mean

    @property
    def weights(self) -> np.ndarray:
        """The voters' shares, float64 [m]; they sum to 1."""
        weights = np.asarray([vote.weight for vote in self.votes], np.float64)
        shares: np.ndarray = weights / weights.sum()
        return shares

    def on_test(self) -> np.ndarray:
        """Return the scores on the test rows, float [r, k]."""
        if self.refined_test is not None:
            return self.refined_test
        return weighted_mean(self.test, self.weights)


@dataclass(frozen=True)
class Generation:
    """The voters of one generation and what they found on the pool rows `rows` (int64 [n]).

    `step` counts the growth of the sets; `continues` is the generation whose votes they were drawn from. A generation
    with a reason in `rejected` decides nothing.
    """

    number: int
    step: int
    sets: tuple[TrainingSet, ...]
    rows: np.ndarray
    ensemble: Ensemble
    figures: GenerationFigures
    continues: int | None = None
    rejected: str | None = None

    @property
    def votes(self) -> tuple[Votes, ...]:
        """The votes on the pool rows."""
        return self.ensemble.votes

    @property
    def soft(self) -> SoftLabels:
        """What they give together."""
        return self.ensemble.soft

    def given(self, pool: int) -> np.ndarray:
        """Return the column of the label that the voters gave each row of the pool, int64 [pool]; -1 without a vote."""
        columns = np.full(pool, -1, np.int64)
        columns[self.rows] = self.ensemble.mean.hard()
        return columns


def accepted(generations: Sequence[Generation]) -> list[Generation]:
    """Return the generations that decide; the last of them has labeled the whole pool."""
    return [generation for generation in generations if generation.rejected is None]
