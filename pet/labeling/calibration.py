"""Calibration of raw scores: what a voter prefers whatever the text is taken off, and a known prior put in."""

from typing import Literal

import numpy as np

from pet.labeling.votes import log_softmax, row_blocks, softmax

Calibration = Literal["none", "batch", "contextual"]


def calibration_offset(how: Calibration, pool: np.ndarray, content_free: np.ndarray) -> np.ndarray:
    """Return float64 [k]: what to add to a voter's log-probabilities.

    ``batch`` takes off each label's mean log-probability over the pool [n, k] (2309.17249, equation 3 in log form),
    which supposes that the pool has every label about equally often. ``contextual`` takes off that over inputs without
    content [c, k] (2102.09690, section 4).

    >>> calibration_offset("batch", np.array([[2.0, 0.0], [2.0, 0.0]]), np.empty((0, 2))).round(3).tolist()
    [0.127, 2.127]
    """
    if how == "none":
        return np.zeros(pool.shape[1])
    scores = pool if how == "batch" else content_free
    total = sum((log_softmax(scores[rows]).sum(axis=0) for rows in row_blocks(len(scores))), np.zeros(scores.shape[1]))
    return np.asarray(-total / len(scores))


def batch_calibrated(scores: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Return scores [n, k] as log-probabilities with the batch calibration of the pool's scores [m, k].

    >>> batch_calibrated(np.array([[2.0, 0.0]]), np.array([[3.0, 0.0], [3.0, 0.0]])).argmax().item()
    1
    """
    return np.asarray(log_softmax(scores) + calibration_offset("batch", pool, pool))


def calibrated(scores: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return scores [n, k] as log-probabilities with an offset [k] added, float32.

    >>> calibrated(np.array([[1.0, 0.0]]), np.array([0.0, 2.0])).argmax(axis=1).tolist()
    [1]
    """
    found = np.empty(scores.shape, np.float32)
    for rows in row_blocks(len(scores)):
        found[rows] = log_softmax(scores[rows]) + offset
    return found


def smoothed_prior(counts: np.ndarray) -> np.ndarray:
    """Return float64 [k]: the label ratio of counts [k] with one row added to each label (Laplace).

    >>> smoothed_prior(np.array([3, 0])).tolist()
    [0.8, 0.2]
    """
    return np.asarray((np.asarray(counts, np.float64) + 1.0) / (np.sum(counts) + len(counts)))


def prior_offset(scores: np.ndarray, prior: np.ndarray, rounds: int = 200, tolerance: float = 1e-6) -> np.ndarray:
    """Return float64 [k]: what to add to scores [n, k] so that their mean prediction is the prior [k].

    Each round adds the log ratio of the prior and the mean of the softmax (distribution alignment, 1911.09785, section
    3.1, repeated until it holds); the likelihood rises with every round.
    """
    offset = np.zeros(scores.shape[1])
    for _ in range(rounds):
        mean = _mean_prediction(scores, offset)
        if np.abs(mean - prior).max() < tolerance:
            break
        offset += np.log(prior) - np.log(np.maximum(mean, 1e-12))
    return offset


def _mean_prediction(scores: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return float64 [k]: the mean of the softmax of scores [n, k] with an offset [k] added."""
    total = np.zeros(len(offset))
    for rows in row_blocks(len(scores)):
        total += softmax(scores[rows] + offset).sum(axis=0, dtype=np.float64)
    return total / len(scores)
