"""How much each family of voters counts: log-linear pooling with coefficients fitted on rows that were held out."""

from collections.abc import Sequence

import numpy as np

from pet.labeling.votes import log_softmax

STACKING_ROWS = 10.0
"""The prior of the coefficients weighs as much as so many gold rows."""

ROUNDS = 50
"""Newton steps at most; ten are enough but for rows that the families separate."""


def family_weights(
    scores: Sequence[np.ndarray],
    gold: np.ndarray,
    centre: float | np.ndarray | None = None,
    strength: float = STACKING_ROWS,
) -> np.ndarray:
    """Return float64 [f], from 0 on: the coefficients b of families in softmax(sum of b_f * log-probabilities of f).

    Each of `scores` [n, k] are a family's log-probabilities of gold rows (int64 [n]) that it did not learn from, NaN in
    the rows for which it has none: those do not count. The coefficients maximise the log-likelihood of the gold labels
    (stacking, Wolpert 1992; logarithmic pooling, Genest and Zidek 1986) minus strength / 2 * |b - centre|^2, so that
    few rows leave them nearly equal, and none equal. By default the centre is 1 / sqrt(f): families that err
    independently would have 1 each, those that always err together 1 / f. It may be another one for each, [f].

    >>> family_weights([np.zeros((0, 2)), np.zeros((0, 2))], np.empty(0, np.int64)).tolist()
    [0.7071067811865475, 0.7071067811865475]
    """
    stacked = np.stack([np.asarray(one, np.float64) for one in scores])
    known = np.isfinite(stacked).all(axis=(0, 2))
    start = np.full(len(stacked), 1 / np.sqrt(len(stacked)) if centre is None else centre)
    return _fit(stacked[:, known], gold[known], start, strength)


def _fit(stacked: np.ndarray, gold: np.ndarray, start: np.ndarray, strength: float) -> np.ndarray:
    """Return the coefficients for [f, n, k] by projected Newton steps (Bertsekas 1982): the loss is convex."""
    now = start
    for _ in range(ROUNDS):
        slope, curvature = _derivatives(stacked, gold, now, start, strength)
        free = (now > 0) | (slope < 0)
        step = np.zeros_like(now)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        size, loss = 1.0, _loss(stacked, gold, now, start, strength)
        while size > 1e-6 and _loss(stacked, gold, np.maximum(now - size * step, 0), start, strength) > loss:
            size /= 2
        before, now = now, np.maximum(now - size * step, 0)
        if np.abs(now - before).max() < 1e-8:
            break
    return now


def _loss(stacked: np.ndarray, gold: np.ndarray, now: np.ndarray, start: np.ndarray, strength: float) -> float:
    own = log_softmax(np.tensordot(now, stacked, 1))[np.arange(len(gold)), gold] if len(gold) else np.zeros(0)
    return float(strength / 2 * ((now - start) ** 2).sum() - own.sum())


def _derivatives(
    stacked: np.ndarray, gold: np.ndarray, now: np.ndarray, start: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient [f] and the Hessian [f, f] of the loss."""
    probs = np.exp(log_softmax(np.tensordot(now, stacked, 1))) if len(gold) else np.zeros(stacked.shape[1:])
    expected = (probs * stacked).sum(axis=2)
    moved = stacked - expected[:, :, None]
    slope = strength * (now - start) - (stacked[:, np.arange(len(gold)), gold] - expected).sum(axis=1)
    curvature = np.einsum("nk,fnk,gnk->fg", probs, moved, moved) + strength * np.eye(len(now))
    return slope, curvature
