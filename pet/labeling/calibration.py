"""Calibration of raw scores: what a pattern prefers before it has read a text is taken off."""

import numpy as np

__all__ = ["batch_calibrated", "log_softmax"]


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return float64 [n, k] log-probabilities of raw scores [n, k].

    >>> log_softmax(np.array([[0.0, 0.0]])).round(3).tolist()
    [[-0.693, -0.693]]
    """
    wide = np.asarray(scores, np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    logs: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def batch_calibrated(scores: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Return scores [n, k] minus each label's mean log-probability over the pool's scores [m, k].

    Batch calibration (2309.17249, equation 3 in log form): it corrects a pattern's preference for some labels, and
    supposes that the pool has every label about equally often.

    >>> batch_calibrated(np.array([[2.0, 0.0]]), np.array([[3.0, 0.0], [3.0, 0.0]])).argmax().item()
    1
    """
    calibrated: np.ndarray = log_softmax(scores) - log_softmax(pool).mean(axis=0)
    return calibrated
