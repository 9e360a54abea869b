"""Votes that are labels, without any probability: how sure they are is how often they are right on gold rows."""

import numpy as np

ACCURACY_ROWS = 8.0
"""The accuracy that is expected of votes beforehand weighs as much as so many gold rows."""

LEAST_PROBABILITY = 1e-4
"""What is said to be impossible has this probability: a single vote is not above all others."""


def shrunk_accuracy(right: int, votes: int, k: int, strength: float = ACCURACY_ROWS) -> float:
    """Return how often votes for one of k labels are right, of which so many were right on gold rows.

    It is shrunk towards the middle between chance and certainty, (1 + 1/k) / 2, by a beta prior that weighs as much as
    `strength` gold rows; and it is chance at least, where votes say nothing.

    >>> shrunk_accuracy(0, 0, 2), shrunk_accuracy(6, 8, 2), shrunk_accuracy(8, 8, 4), shrunk_accuracy(0, 40, 2)
    (0.75, 0.75, 0.8125, 0.5)
    """
    expected = (1.0 + 1.0 / k) / 2.0
    return max((right + strength * expected) / (votes + strength), 1.0 / k)


def vote_scores(probs: np.ndarray, accuracy: float | None = None) -> np.ndarray:
    """Return float32 [n, k] log-probabilities of votes [n, k]; a row of NaN, in which nobody votes, stays NaN.

    With an `accuracy` the votes are labels: the most probable one has that probability, and the others share the rest.

    >>> np.exp(vote_scores(np.array([[1.0, 0.0, 0.0]]), 0.8)).astype(float).round(3).tolist()
    [[0.8, 0.1, 0.1]]
    >>> np.exp(vote_scores(np.array([[3.0, 1.0], [np.nan, np.nan]]))).round(3).tolist()
    [[0.75, 0.25], [nan, nan]]
    """
    wide = np.asarray(probs, np.float64)
    voted = ~np.isnan(wide[:, 0])
    shares = np.full(wide.shape, np.nan)
    if accuracy is None:
        shares[voted] = np.maximum(wide[voted] / wide[voted].sum(axis=1, keepdims=True), LEAST_PROBABILITY)
        shares[voted] /= shares[voted].sum(axis=1, keepdims=True)
    else:
        shares[voted] = (1.0 - accuracy) / (wide.shape[1] - 1)
        shares[np.flatnonzero(voted), wide[voted].argmax(axis=1)] = accuracy
    return np.asarray(np.log(shares), np.float32)
