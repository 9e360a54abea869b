"""`Votes` and `SoftLabels`: the two arrays that everything else is about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.errors import RunError

BLOCK_ROWS = 2**16
"""Arithmetic on scores in float64 is done on so many rows at a time: only the result is as long as the pool."""


def row_blocks(count: int) -> Iterator[slice]:
    """Yield slices of at most `BLOCK_ROWS` over `count` rows, in order."""
    return (slice(start, start + BLOCK_ROWS) for start in range(0, count, BLOCK_ROWS))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return float64 [n, k] log-probabilities of raw scores [n, k].

    >>> log_softmax(np.array([[0.0, 0.0]])).round(3).tolist()
    [[-0.693, -0.693]]
    """
    wide = np.asarray(scores, np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return float32 [n, k] probabilities of raw scores [n, k].

    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    probs = np.empty(np.shape(scores), np.float32)
    for rows in row_blocks(len(scores)):
        wide = np.asarray(scores[rows], np.float64)
        powers = np.exp(wide - wide.max(axis=1, keepdims=True))
        probs[rows] = powers / powers.sum(axis=1, keepdims=True)
    return probs


@dataclass(frozen=True)
class Votes:
    """Raw label scores of one voter (a PVP with a seed) for n examples.

    `scores` float32 [n, k], columns in the order of `labels`; `weight` >= 0 is its share in the ensemble; voters of one
    `family` learn in the same way, so that they make the same mistakes. One that `may_abstain` has NaN in the rows on
    which it does not vote.
    """

    voter: str
    seed: int
    ids: Sequence[str]
    labels: tuple[str, ...]
    scores: np.ndarray
    weight: float = 1.0
    family: str = ""
    may_abstain: bool = False

    def __post_init__(self) -> None:
        """Raise `RunError` where shapes disagree, a score or the weight is not finite, or the weight is negative."""
        expected = (len(self.ids), len(self.labels))
        if self.scores.shape != expected:
            raise RunError(f"Votes of {self.voter!r} have shape {self.scores.shape}, expected {expected}.")
        if not np.isfinite(self.scores[self.voted()] if self.may_abstain else self.scores).all():
            raise RunError(f"Votes of {self.voter!r} are not all finite: train it with a lower learning rate.")
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise RunError(f"Votes of {self.voter!r} have the weight {self.weight}, expected a finite one from 0 on.")

    def hard(self) -> np.ndarray:
        """Return the int64 [n] column of the highest score; the first of equals; -1 in rows without a vote."""
        columns = np.asarray(self.scores.argmax(axis=1))
        return np.where(self.voted(), columns, -1) if self.may_abstain else columns

    def voted(self) -> np.ndarray:
        """Return on which rows there is a vote, bool [n]."""
        return ~np.isnan(self.scores[:, 0]) if self.may_abstain else np.ones(len(self.ids), np.bool_)

    def probs(self) -> np.ndarray:
        """Return the float32 [n, k] softmax of the scores, NaN in rows without a vote."""
        return softmax(self.scores)

    def take(self, rows: np.ndarray) -> "Votes":
        """Return the votes on some rows, in their order: int64 places [s] or a bool mask [n]."""
        places = np.arange(len(self.ids))[rows]
        # Those of a pool are decoded as they are asked for, some of them too.
        ids = self.ids.take(places) if hasattr(self.ids, "take") else tuple(self.ids[i] for i in places)
        return replace(self, ids=ids, scores=self.scores[places])

    def with_weight(self, weight: float) -> "Votes":
        """Return the same votes with another weight."""
        return replace(self, weight=float(weight))


def with_some_weight(votes: Sequence[Votes]) -> list[Votes]:
    """Return the votes, of equal weights where all are zero: some of a weighted ensemble may have none."""
    return list(votes) if any(vote.weight for vote in votes) else [vote.with_weight(1.0) for vote in votes]


@dataclass(frozen=True)
class SoftLabels:
    """[n, k] soft labels: `probs` float32, rows sum to 1 within 1e-5."""

    ids: Sequence[str]
    labels: tuple[str, ...]
    probs: np.ndarray

    def __post_init__(self) -> None:
        """Raise `RunError` where shapes disagree or a row is no distribution."""
        expected = (len(self.ids), len(self.labels))
        if self.probs.shape != expected:
            raise RunError(f"Soft labels have shape {self.probs.shape}, expected {expected}.")
        if not (np.isfinite(self.probs).all() and (self.probs >= 0).all()):
            raise RunError("Soft labels hold a number that is no probability.")
        if not np.allclose(self.probs.sum(axis=1), 1.0, atol=1e-5):
            raise RunError("A row of soft labels does not sum to 1.")

    def hard(self) -> np.ndarray:
        """Return the int64 [n] column of the most probable label; the first of equals."""
        return np.asarray(self.probs.argmax(axis=1))

    def confidence(self) -> np.ndarray:
        """Return the float32 [n] probability of the most probable label."""
        return np.asarray(self.probs.max(axis=1))
