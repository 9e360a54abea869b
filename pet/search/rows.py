"""The rows that a search learns from: labeled ones, those with soft labels of a run, and a sample of the pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pet.data.dataset import TaskData, data_digest
from pet.data.examples import Example
from pet.errors import DataError
from pet.labeling.curve import sub_sample
from pet.method.jobs import digest
from pet.method.labels import read_labeled_rows
from pet.method.metrics import gold_columns
from pet.runs.directory import RunDirectory
from pet.seeding import rng_for

POOL_ROWS = 64
"""Rows of the pool by which the patterns are calibrated."""

MOST_LABELED = 500
"""Of more labeled rows so many are taken, of each label its share: the logits of all words are kept in memory."""

SOFT_ROWS = 256
"""So many pool rows of a run bring their soft labels."""


@dataclass(frozen=True)
class SearchRows:
    """Rows of known labels, and a sample of the pool.

    `known` are the labeled rows, whose columns are `gold` int64 [g], then those with soft labels; `targets` float64
    [n, k] say how much each of them is of each label. All that is drawn follows from `seed`.
    """

    labels: tuple[str, ...]
    known: tuple[Example, ...]
    targets: np.ndarray
    gold: np.ndarray
    pool: tuple[Example, ...]
    seed: int

    @classmethod
    def of(cls, data: TaskData, seed: int, run: Path | None = None) -> "SearchRows":
        """Draw the rows of a search; `run` is the directory of a run whose labels of its pool are learned from too.

        Test rows are never among them. Errors are those of `soft_rows`.
        """
        rng = rng_for(seed, "search", "rows")
        labeled, gold = data.labeled, gold_columns(data.labeled, data.task.labels)
        if len(labeled) > MOST_LABELED:
            places = sub_sample(gold, MOST_LABELED / len(labeled), rng)
            labeled, gold = tuple(labeled[i] for i in places), gold[places]
        size = min(POOL_ROWS, len(data.unlabeled))
        places = np.sort(rng.choice(len(data.unlabeled), size, replace=False))
        pool = tuple(data.unlabeled[int(i)] for i in places)
        targets, count = np.eye(len(data.task.labels))[gold], len(data.task.labels)
        extra, probs = soft_rows(run, data.columns, data.task.labels, rng) if run else ((), np.empty((0, count)))
        return cls(data.task.labels, (*labeled, *extra), np.vstack([targets, probs]), gold, pool, seed)

    @cached_property
    def digest(self) -> str:
        """What names the jobs on these rows: their texts, not their labels, which no pass of the model sees."""
        return data_digest((*self.known, *self.pool)) + digest(np.asarray([len(self.known)]))

    def check(self, least: int = 2) -> None:
        """Raise a `DataError` if a label has fewer labeled rows than are needed to choose and to measure."""
        counts = np.bincount(self.gold, minlength=len(self.labels))
        for label, count in zip(self.labels, counts, strict=True):
            if count < least:
                rows = "1 labeled row" if count == 1 else f"{count} labeled rows"
                raise DataError(
                    f"The label {label!r} has {rows}, and a search needs {least} of each label at least: add rows, or "
                    "search words by the names of the labels, with --method names."
                )


def soft_rows(
    run: Path, columns: Mapping[str, str], labels: Sequence[str], rng: np.random.Generator
) -> tuple[tuple[Example, ...], np.ndarray]:
    """Return rows of the pool of a run with their soft labels, float64 [n, k].

    Raises `DataError` if the run has not labeled its pool, or has other labels.
    """
    found = read_labeled_rows(RunDirectory(run).pseudo_labels, columns, tuple(labels))
    places = np.flatnonzero(~found.gold)
    places = np.sort(rng.choice(places, min(SOFT_ROWS, len(places)), replace=False))
    return tuple(found.examples[int(i)] for i in places), found.probs[places].astype(np.float64)
