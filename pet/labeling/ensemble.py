"""Many votes to one set of soft labels: weights, the weighted mean of raw scores, and how far the voters agree."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from pet.errors import RunError
from pet.labeling.votes import SoftLabels, Votes, row_blocks, softmax

__all__ = ["WEIGHTINGS", "Weighting", "agreement", "combine", "mean_scores", "weigh"]

Weighting = Literal["uniform", "accuracy", "agreement"]


def mean_scores(votes: Sequence[Votes]) -> np.ndarray:
    """Return the weighted mean of raw scores, float64 [n, k] (2001.07676, section 3.3).

    Raises
    ------
    RunError
        If there are no votes, they are about other rows or labels, or all weights are zero.
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
    mean: np.ndarray = shares[0] * votes[0].scores[rows].astype(np.float64)
    for share, vote in zip(shares[1:], votes[1:], strict=True):
        mean += share * vote.scores[rows].astype(np.float64)
    return mean


def combine(votes: Sequence[Votes]) -> SoftLabels:
    """Return the ensemble's soft labels: the softmax of the weighted mean of raw scores.

    Raises
    ------
    RunError
        As `mean_scores`.
    """
    _check_alike(votes)
    shares, first = _shares(votes), votes[0]
    probs = np.empty(first.scores.shape, np.float32)
    for rows in row_blocks(len(probs)):
        probs[rows] = softmax(_mean(votes, shares, rows))
    return SoftLabels(first.ids, first.labels, probs)


def agreement(votes: Sequence[Votes], hard: np.ndarray) -> np.ndarray:
    """Return float32 [n]: the weighted share of voters whose own label is `hard` (int64 [n]).

    Raises
    ------
    RunError
        If all weights are zero.
    """
    shared = np.zeros(len(hard))
    for share, vote in zip(_shares(votes), votes, strict=True):
        shared += share * (vote.hard() == hard)
    # Shares add up to 1 but for rounding: agreement of all is exactly 1.
    agreed: np.ndarray = np.minimum(shared, 1.0).astype(np.float32)
    return agreed


def _shares(votes: Sequence[Votes]) -> np.ndarray:
    """Return float64 [m]: the weights, scaled to a sum of 1."""
    weights = np.asarray([vote.weight for vote in votes], np.float64)
    if weights.sum() <= 0:
        raise RunError("All voters have weight zero.")
    shares: np.ndarray = weights / weights.sum()
    return shares


def weigh(votes: Sequence[Votes], weighting: Weighting, accuracies: Mapping[str, float]) -> list[Votes]:
    """Return the votes with the weights of a weighting.

    `accuracies` maps a voter to the accuracy of its PVP on the labeled rows before training (the paper's weight).
    Where every weight would be zero, all are equal.
    """
    weights = WEIGHTINGS[weighting](votes, accuracies)
    if weights.sum() <= 0:
        weights = np.ones(len(votes))
    return [vote.with_weight(weight) for vote, weight in zip(votes, weights, strict=True)]


def _uniform(votes: Sequence[Votes], _accuracies: Mapping[str, float]) -> np.ndarray:
    return np.ones(len(votes))


def _accuracy(votes: Sequence[Votes], accuracies: Mapping[str, float]) -> np.ndarray:
    return np.asarray([accuracies[vote.voter] for vote in votes], np.float64)


def _agreement(votes: Sequence[Votes], _accuracies: Mapping[str, float]) -> np.ndarray:
    """Weigh a voter by how often it agrees with the uniform ensemble of the others."""
    if len(votes) < 2:
        return np.ones(len(votes))
    equal = [vote.with_weight(1.0) for vote in votes]
    others = [mean_scores(equal[:i] + equal[i + 1 :]).argmax(axis=1) for i in range(len(equal))]
    return np.asarray([(vote.hard() == hard).mean() for vote, hard in zip(equal, others, strict=True)])


WEIGHTINGS: Mapping[str, Callable[[Sequence[Votes], Mapping[str, float]], np.ndarray]] = {
    "uniform": _uniform,
    "accuracy": _accuracy,
    "agreement": _agreement,
}
