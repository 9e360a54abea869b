"""A known label ratio of the pool put into scores: entropic optimal transport, as an offset per label."""

import numpy as np

from pet.labeling.votes import row_blocks, softmax

REGULARISATION = 0.5
"""Entropy counts so much, in spreads of the scores: from 0.1 to 1 accuracy hardly changes."""


def prior_offset(scores: np.ndarray, prior: np.ndarray, slack: float = 0.0) -> np.ndarray:
    """Return float64 [k]: what to add to scores [n, k] so that they give each label to its share of the rows.

    The shares are those of the prior [k], or between 1 - slack and 1 + slack times as many. Scores of any scale get
    offsets of that scale: matching mean predictions to a prior instead fails where a model is hardly sure of anything.
    No slack is best in the mean, where the prior is wrong too.
    """
    return share_offset(scores, prior * (1 - slack), np.minimum(prior * (1 + slack), 1.0), _spread(scores))


def _spread(scores: np.ndarray) -> float:
    """Return `REGULARISATION` standard deviations of scores [n, k] without what a row, or a label, has of its own."""
    labels, total = np.zeros(scores.shape[1]), 0.0
    for rows in row_blocks(len(scores)):
        wide = _centred(scores[rows])
        labels, total = labels + wide.sum(axis=0), total + float((wide**2).sum())
    variance = total / max(1, scores.size) - float(((labels / max(1, len(scores))) ** 2).mean())
    return REGULARISATION * float(np.sqrt(variance)) if variance > 1e-12 else 1.0


def _centred(scores: np.ndarray) -> np.ndarray:
    wide = np.asarray(scores, np.float64)
    return np.asarray(wide - wide.mean(axis=1, keepdims=True))


def share_offset(
    scores: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    regularisation: float = 1.0,
    rounds: int = 200,
    tolerance: float = 1e-6,
) -> np.ndarray:
    """Return float64 [k]: what to add to scores [n, k] so that the mean prediction of each label is within its bounds.

    Of all ways to give the rows to labels whose shares lie between `low` and `high` [k], softmax((scores + offset) /
    regularisation) has the highest sum of scores and regularised entropy: entropic optimal transport with a range for
    each label, whose dual variables the offsets are (scaling algorithm of 1607.05816, table 1; OTTER, 2404.08461, is
    the limit of exact shares and no entropy). A label whose bounds do not bind has offset 0. Where both bounds are a
    prior and the regularisation is 1, it is distribution alignment, repeated until it holds (1911.09785, section 3.1).

    >>> scores, half = np.log([[0.75, 0.25]]), np.array([0.5, 0.5])
    >>> softmax(scores + share_offset(scores, half, half)).round(3).tolist()
    [[0.5, 0.5]]
    >>> share_offset(scores, np.array([0.2, 0.2]), np.array([0.8, 0.8])).tolist()
    [0.0, 0.0]
    """
    offset = np.zeros(scores.shape[1])
    for _ in range(rounds):
        # What would be given to the label without its own offset, and the least change of it that keeps the bounds.
        free = np.log(np.maximum(mean_prediction(scores, offset, regularisation), 1e-12)) - offset
        wanted = np.clip(0.0, np.log(np.maximum(low, 1e-12)) - free, np.log(high) - free)
        if np.abs(wanted - offset).max() < tolerance:
            break
        offset = wanted
    return offset * regularisation


def mean_prediction(scores: np.ndarray, offset: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return float64 [k]: the mean of the softmax of scores [n, k] / temperature + an offset [k]."""
    total = np.zeros(len(offset))
    for rows in row_blocks(len(scores)):
        total += softmax(scores[rows] / temperature + offset).sum(axis=0, dtype=np.float64)
    return total / len(scores)
