"""Many votes to one set of soft labels: weights, the weighted mean of raw scores, and how far the voters agree."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from pet.errors import RunError
from pet.labeling.votes import SoftLabels, Votes, row_blocks, softmax, with_some_weight

Weighting = Literal["uniform", "accuracy", "agreement"]

ROUNDING = 1e-9
"""Smaller shares are none."""


def mean_scores(votes: Sequence[Votes]) -> np.ndarray:
    """Return the weighted mean of raw scores, float64 [n, k] (2001.07676, section 3.3), of those who vote on a row.

    A row on which nobody votes is zero.

    Raises `RunError` if there are no votes, they are about other rows or labels, or all weights are zero.
    """
    _check_alike(votes)
    return _mean(votes, _shares(votes), np.s_[:])


def _check_alike(votes: Sequence[Votes]) -> None:
    if not votes:
        raise RunError("There are no votes to combine.")
    first = votes[0]
    for other in votes[1:]:
        same_rows = other.ids is first.ids or other.ids == first.ids
        if not same_rows or other.labels != first.labels:
            raise RunError(f"Votes of {other.voter!r} and {first.voter!r} are about different rows or labels.")


def _mean(votes: Sequence[Votes], shares: np.ndarray, rows: slice) -> np.ndarray:
    """Return the mean scores of some rows, float64 [r, k]; one voter at a time, so that no [m, n, k] is made."""
    return weighted_mean((vote.scores[rows] for vote in votes), shares)


def weighted_mean(scores: Iterable[np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Return float64 [n, k]: the mean of scores [n, k] by shares [m] that add up to 1, without rows of NaN.

    >>> weighted_mean([np.array([[2.0, 0.0], [2.0, 0.0]]), np.array([[4.0, 0.0], [np.nan, np.nan]])], np.full(2, 0.5))
    array([[3., 0.],
           [2., 0.]])
    """
    mean, total = np.zeros(1), np.ones(1)
    for share, one in zip(shares, scores, strict=True):
        wide = one.astype(np.float64)
        if (absent := np.isnan(wide[:, 0])).any():
            wide, total = np.where(absent[:, None], 0.0, wide), total - share * absent
        mean = mean + share * wide
    # What is left of shares that add up to 1 is no share, but rounding.
    return np.asarray(mean if total.size == 1 else mean / np.where(total > ROUNDING, total, 1.0)[:, None])


def combine(votes: Sequence[Votes]) -> SoftLabels:
    """Return the ensemble's soft labels: the softmax of `mean_scores`."""
    _check_alike(votes)
    shares, first = _shares(votes), votes[0]
    probs = np.empty(first.scores.shape, np.float32)
    for rows in row_blocks(len(probs)):
        probs[rows] = softmax(_mean(votes, shares, rows))
    return SoftLabels(first.ids, first.labels, probs)


def agreement(votes: Sequence[Votes], hard: np.ndarray) -> np.ndarray:
    """Return float32 [n]: the weighted share of those who vote on a row whose own label is `hard` (int64 [n]).

    Raises `RunError` if all weights are zero.
    """
    shared, total = np.zeros(len(hard)), np.ones(len(hard))
    for share, vote in zip(_shares(votes), votes, strict=True):
        shared += share * (vote.hard() == hard)
        if vote.may_abstain:
            total -= share * ~vote.voted()
    shared /= np.where(total > ROUNDING, total, 1.0)
    # Shares add up to 1 but for rounding: agreement of all is exactly 1.
    return np.minimum(shared, 1.0).astype(np.float32)


def disagreement(one: Sequence[Votes], other: Sequence[Votes]) -> float:
    """Return the share of rows to which two groups of voters, each together, give different labels.

    It estimates the mean error of the two where their mistakes are their own (2106.13799); where they make the same
    ones, it is too low.
    """
    labels = (combine(with_some_weight(one)), combine(with_some_weight(other)))
    return float((labels[0].hard() != labels[1].hard()).mean())


def _shares(votes: Sequence[Votes]) -> np.ndarray:
    """Return float64 [m]: the weights, scaled to a sum of 1."""
    weights = np.asarray([vote.weight for vote in votes], np.float64)
    if weights.sum() <= 0:
        raise RunError("All voters have weight zero.")
    return np.asarray(weights / weights.sum())


def weigh(votes: Sequence[Votes], weighting: Weighting, accuracies: Mapping[str, float]) -> list[Votes]:
    """Return the votes with the weights of a weighting.

    `accuracies` maps a voter to the accuracy of its PVP on the labeled rows before training (the paper's weight).
    Where every weight would be zero, all are equal.
    """
    weights = [1.0] * len(votes)
    if weighting == "accuracy":
        weights = [accuracies[vote.voter] for vote in votes]
    elif weighting == "agreement" and len(votes) > 1:
        # How often each voter agrees with the uniform ensemble of the others.
        even = [vote.with_weight(1.0) for vote in votes]
        others = [mean_scores([*even[:i], *even[i + 1 :]]).argmax(axis=1) for i in range(len(even))]
        weights = [_agreed(vote, hard) for vote, hard in zip(votes, others, strict=True)]
    return with_some_weight([vote.with_weight(weight) for vote, weight in zip(votes, weights, strict=True)])


def _agreed(vote: Votes, hard: np.ndarray) -> float:
    """Return on which part of the rows with a vote it is `hard` (int64 [n])."""
    voted = vote.voted()
    return float((vote.hard() == hard)[voted].mean()) if voted.any() else 0.0
