"""Calibration of raw scores: what a voter prefers whatever the text is taken off, and a known prior put in."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from pet.labeling.votes import log_softmax, row_blocks

Calibration = Literal["none", "batch", "contextual"]

TEMPERATURE_ROWS = 8.0
"""The prior of a fitted temperature weighs as much as so many gold rows."""

USUAL_TEMPERATURE = {"patterns": 1.0, "embeddings": 1.0}
"""The temperature of a family of voters where no gold row tells it."""

MOST_DOUBT = 4.0
"""The largest temperature that doubt about labels, however many voters disagree, makes the centre.

On train rows that were not drawn, MR and MPQA, 1, 2, 3, 4 and 8 gave a calibration error of 6.0, 4.4, 4.2, 4.2 and 4.2.
"""

ENOUGH_ROWS = 20_000
"""The mean confidence of more rows than these is that of every second, third, ... of them."""

LARGEST_LOG = 5.0
"""A fitted temperature is at most exp(5) = 148 times its centre, and at least that part of it."""


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


def fitted_temperature(
    scores: np.ndarray, gold: np.ndarray, centre: float = 1.0, strength: float = TEMPERATURE_ROWS
) -> float:
    """Return the temperature T of softmax(scores / T) that fits gold rows from which nothing was learned.

    It minimises the negative log-likelihood of the labels (int64 [n]) of scores [n, k] (1706.04599, section 4.2) plus
    strength / 2 * log(T / centre)^2: a log-normal prior, so that few rows leave it near the centre, and none at it.

    >>> fitted_temperature(np.empty((0, 2)), np.empty(0, np.int64), centre=2.0)
    2.0
    """
    if not len(scores):
        return centre
    rows = np.arange(len(gold))

    def loss(logs: float) -> float:
        own = log_softmax(scores / (centre * np.exp(logs)))[rows, gold]
        return float(strength / 2 * logs**2 - own.sum())

    # The loss has one minimum without the prior, but may have two with it: a grid first, then a golden section.
    grid = np.linspace(-LARGEST_LOG, LARGEST_LOG, 41)
    best = int(np.argmin([loss(point) for point in grid]))
    return float(centre * np.exp(_golden_section(loss, *grid[[max(0, best - 1), min(40, best + 1)]])))


def doubtful_temperature(probs: np.ndarray, confidence: float) -> float:
    """Return the temperature, from 1 to `MOST_DOUBT`, at which probabilities [n, k] are no surer than that in the mean.

    >>> round(doubtful_temperature(np.array([[0.9, 0.1]]), 0.75), 3)
    2.0
    >>> [round(doubtful_temperature(np.array([[0.9, 0.1]]), mean), 3) for mean in (0.95, 0.5)]
    [1.0, 4.0]
    """
    some = np.asarray(probs[:: max(1, len(probs) // ENOUGH_ROWS)], np.float64)
    logs = np.log(np.clip(some, 1e-9, None))

    def surer(temperature: float) -> float:
        return float(np.exp(at_temperature(logs, temperature)).max(axis=1).mean()) - confidence

    if surer(1.0) <= 0:
        return 1.0
    return float(_golden_section(lambda temperature: abs(surer(temperature)), 1.0, MOST_DOUBT))


def at_temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return float32 [n, k] log-probabilities of scores [n, k] divided by a temperature.

    >>> np.exp(at_temperature(np.array([[np.log(9.0), 0.0]]), 2.0)).round(2).tolist()
    [[0.75, 0.25]]
    """
    found = np.empty(scores.shape, np.float32)
    for rows in row_blocks(len(scores)):
        found[rows] = log_softmax(scores[rows] / temperature)
    return found


def _golden_section(loss: Callable[[float], float], low: float, high: float, rounds: int = 30) -> float:
    """Return where a function that falls and then rises between two points is lowest."""
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(rounds):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return (low + high) / 2
