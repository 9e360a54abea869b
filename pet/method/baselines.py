"""What one would try before patterns: a linear classifier on frozen embeddings, alone and with self-training."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

Predict = Callable[[np.ndarray], np.ndarray]
"""Maps embeddings [r, h] to label probabilities, float32 [r, k]."""

Fit = Callable[[np.ndarray, np.ndarray], Predict]
"""Trains on embeddings [n, h] and their columns int64 [n]."""

STRENGTH = 1.0
"""Inverse strength of the L2 penalty (scikit-learn's C, and its default).

With a tenth of it and few rows, logistic regression is so unsure that self-training loses by it; else the two differ
by a point or so (measured with pet-mini on rows of two training sets, 4 to 20 per label).
"""

_UNLABELED = -1  # scikit-learn's mark


def logistic_regression(train: np.ndarray, targets: np.ndarray, k: int, strength: float = STRENGTH) -> Predict:
    """Train logistic regression on standardised embeddings [n, h] with columns `targets` int64 [n] in 0..k-1.

    A label without a training row has probability 0; where all rows have one label, it has probability 1.

    Raises `ValueError` if there are no rows.
    """
    return _predict(_linear(targets, strength).fit(_exact(train), targets), k)


def self_training(
    train: np.ndarray,
    targets: np.ndarray,
    k: int,
    unlabeled: np.ndarray,
    threshold: float = 0.75,
    strength: float = STRENGTH,
) -> Predict:
    """Train as `logistic_regression` does, then again with the unlabeled rows [u, h] it is sure of, up to ten times.

    A row counts with its label from when its probability exceeds `threshold` (Yarowsky 1995, as in scikit-learn).
    """
    if not len(unlabeled):
        return logistic_regression(train, targets, k, strength)
    rows = np.concatenate([_exact(train), _exact(unlabeled)])
    marked = np.concatenate([targets, np.full(len(unlabeled), _UNLABELED)])
    return _predict(SelfTrainingClassifier(_linear(targets, strength), threshold=threshold).fit(rows, marked), k)


def out_of_fold(
    fit: Fit, embeddings: np.ndarray, targets: np.ndarray, folds: np.ndarray, used: Sequence[int]
) -> np.ndarray:
    """Return probabilities of labeled rows from models that did not see them, float32 [n, k].

    The model for a fold is trained on all rows [n, h] but those that `folds` int64 [n] puts into it. Rows of folds
    that are not in `used` are NaN.

    Raises `ValueError` if no fold is used, or one holds every row.

    >>> even = lambda rows, targets: lambda asked: np.full((len(asked), 2), 0.5, np.float32)
    >>> out_of_fold(even, np.eye(3), np.asarray([0, 1, 1]), np.asarray([0, 1, -1]), [0, 1]).tolist()
    [[0.5, 0.5], [0.5, 0.5], [nan, nan]]
    """
    if not len(used):
        raise ValueError("expected at least one fold")
    parts = [(folds == fold, fit(embeddings[folds != fold], targets[folds != fold])) for fold in used]
    probs = [predict(embeddings[held_out]) for held_out, predict in parts]
    found = np.full((len(embeddings), probs[0].shape[1]), np.nan, np.float32)
    for (held_out, _), part in zip(parts, probs, strict=True):
        found[held_out] = part
    return found


def _linear(targets: np.ndarray, strength: float) -> Any:
    """Return the untrained classifier; with a single label there is nothing to separate."""
    if len(np.unique(targets)) == 1:
        return DummyClassifier(strategy="prior")
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


def _exact(embeddings: np.ndarray) -> np.ndarray:
    """Return float64: the solver stops early, or not at all, in float32."""
    return embeddings.astype(np.float64)


def _predict(model: Any, k: int) -> Predict:
    def probabilities(embeddings: np.ndarray) -> np.ndarray:
        found = np.zeros((len(embeddings), k), np.float32)
        if len(embeddings):  # scikit-learn refuses none
            found[:, model.classes_] = model.predict_proba(_exact(embeddings))
        return found

    return probabilities
