"""Many votes to one set of soft labels: weights, the weighted mean of raw scores, and how far the voters agree."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from pet.errors import RunError
from pet.labeling.votes import SoftLabels, Votes

__all__ = ["WEIGHTINGS", "Weighting", "agreement", "combine", "mean_scores", "weigh"]

Weighting = Literal["uniform", "accuracy", "agreement"]


def mean_scores(votes: Sequence[Votes]) -> np.ndarray:
    """Return the weighted mean of raw scores, float64 [n, k] (2001.07676, section 3.3).

    Raises
    ------
    RunError
        If there are no votes, they are about other rows or labels, or all weights are zero.
    """
    if not votes:
        raise RunError("There are no votes to combine.")
    first = votes[0]
    for other in votes[1:]:
        if other.ids != first.ids or other.labels != first.labels:
            raise RunError(f"Votes of {other.voter!r} and {first.voter!r} are about different rows or labels.")
    stacked = np.stack([vote.scores for vote in votes]).astype(np.float64)
    mean: np.ndarray = np.tensordot(_shares(votes), stacked, axes=1)
    return mean


def combine(votes: Sequence[Votes]) -> SoftLabels:
    """Return the ensemble's soft labels: the softmax of the weighted mean of raw scores."""
    return SoftLabels.from_scores(votes[0].ids if votes else (), votes[0].labels if votes else (), mean_scores(votes))


def agreement(votes: Sequence[Votes], hard: np.ndarray) -> np.ndarray:
    """Return float32 [n]: the weighted share of voters whose own label is `hard` (int64 [n]).

    Raises
    ------
    RunError
        If all weights are zero.
    """
    same = np.stack([vote.hard() == hard for vote in votes])
    # Shares add up to 1 but for rounding: agreement of all is exactly 1.
    agreed: np.ndarray = np.minimum(_shares(votes) @ same, 1.0).astype(np.float32)
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
