"""Convex fits: against scikit-learn, and on figures made by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pet.labeling.votes import softmax
from pet.learners.students.fitting import SoftTargets, logistic_regression, scale_and_offsets


def drawn(n: int, h: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [n, h] and probabilities [n, k] that follow from them, but for noise."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n, h))
    return vectors, softmax(vectors @ rng.normal(size=(h, k)) + rng.normal(size=(n, k)))


def test_soft_labels_are_rows_with_weights() -> None:
    """A row of probabilities is k rows, one of each label, that weigh as much."""
    vectors, probs = drawn(60, 5, 3)
    found = logistic_regression(SoftTargets(vectors, probs), penalty=0.1)
    model = LogisticRegression(C=1 / (0.1 * 60), tol=1e-10, max_iter=10_000)
    model.fit(np.repeat(vectors, 3, axis=0), np.tile(range(3), 60), sample_weight=probs.ravel())
    assert found.probabilities(vectors) == pytest.approx(model.predict_proba(vectors), abs=1e-4)


def test_a_temperature_of_the_loss_leaves_the_scale_of_the_labels() -> None:
    vectors, _ = drawn(200, 5, 3)
    probs = softmax(2 * vectors @ np.random.default_rng(2).normal(size=(5, 3)))  # exactly linear
    found = logistic_regression(SoftTargets(vectors, probs, temperature=2.0), penalty=1e-9)
    assert found.probabilities(vectors) == pytest.approx(probs, abs=1e-3)


def test_scale_and_offsets_are_found_and_shrunk() -> None:
    _, probs = drawn(400, 5, 3)
    offsets = np.array([0.5, 0.0, -0.5])
    wanted = softmax(0.5 * np.log(probs) + offsets)
    scale, found = scale_and_offsets(probs, wanted, shrinkage=1e-6)
    assert scale == pytest.approx(0.5, abs=1e-3)
    assert found - found.mean() == pytest.approx(offsets, abs=1e-3)
    shrunk, less = scale_and_offsets(probs, wanted, shrinkage=1e6)
    assert shrunk == pytest.approx(1.0, abs=0.01) and less == pytest.approx(np.zeros(3), abs=0.01)
    # Few rows say little: what they say is held back.
    few, _ = scale_and_offsets(probs[:5], wanted[:5], shrinkage=10.0)
    assert 0.5 < few < 1.0
