from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pet.method.baselines import logistic_regression, out_of_fold, self_training

CORNERS = np.asarray([[4.0, 0.0], [-4.0, 0.0], [0.0, 6.0]])
NONE = np.empty((0, 2), np.float32)


def clusters(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`size` points around each corner, float32 [3 * size, 2], and the corner of each."""
    targets = np.repeat(np.arange(3), size)
    return (CORNERS[targets] + np.random.default_rng(seed).normal(size=(3 * size, 2))).astype(np.float32), targets


def plain(rows: np.ndarray, targets: np.ndarray, k: int) -> Callable[[np.ndarray], np.ndarray]:
    return logistic_regression(rows, targets, k)


def with_own_rows(rows: np.ndarray, targets: np.ndarray, k: int) -> Callable[[np.ndarray], np.ndarray]:
    return self_training(rows, targets, k, clusters(30, seed=2)[0])


WAYS = pytest.mark.parametrize("way", [plain, with_own_rows])


@WAYS
def test_separate_clusters_are_learned(way: Callable[..., Any]) -> None:
    asked, expected = clusters(20, seed=1)
    probs = way(*clusters(5), 3)(asked)
    assert (probs.shape, probs.dtype) == ((60, 3), np.float32)
    assert probs.sum(1) == pytest.approx(np.ones(60), abs=1e-5)
    assert (probs.argmax(1) == expected).all()
    assert way(*clusters(5), 3)(NONE).shape == (0, 3)


@WAYS
def test_a_label_without_rows_has_probability_zero(way: Callable[..., Any]) -> None:
    rows, targets = clusters(5)
    kept = targets != 1
    probs = way(rows[kept], targets[kept], 4)(rows)
    assert probs.shape == (15, 4)
    assert (probs[:, [1, 3]] == 0).all()
    assert probs.sum(1) == pytest.approx(np.ones(15), abs=1e-5)
    assert (probs[kept].argmax(1) == targets[kept]).all()


@WAYS
@pytest.mark.parametrize("count", [1, 3])
def test_a_single_label_has_probability_one(way: Callable[..., Any], count: int) -> None:
    probs = way(clusters(5)[0][:count], np.full(count, 2), 3)(clusters(2)[0])
    assert probs.tolist() == [[0, 0, 1]] * 6


@WAYS
def test_the_same_rows_give_the_same_probabilities(way: Callable[..., Any]) -> None:
    asked = clusters(4, seed=3)[0]
    first, second = (way(*clusters(5), 3)(asked) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_scale_of_a_column_does_not_matter() -> None:
    rows, targets = clusters(5)
    scale = np.asarray([1e-3, 1e3], np.float32)
    plain_probs = logistic_regression(rows, targets, 3)(rows)
    assert logistic_regression(rows * scale, targets, 3)(rows * scale) == pytest.approx(plain_probs, abs=1e-4)


@WAYS
def test_nothing_handed_in_is_changed(way: Callable[..., Any]) -> None:
    rows, targets = clusters(5)
    way(rows, targets, 3)(rows)
    assert np.array_equal(rows, clusters(5)[0])
    assert np.array_equal(targets, clusters(5)[1])


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="0 sample"):
        logistic_regression(NONE, np.empty(0, np.int64), 2)


def test_unlabeled_rows_move_the_boundary() -> None:
    """The labeled rows differ in x alone; the unlabeled ones tell that y goes with it."""
    train, targets = np.asarray([[-2, 0], [-3, 0], [2, 0], [3, 0]] * 5, np.float32), np.asarray([0, 0, 1, 1] * 5)
    spread, center = np.random.default_rng(0).normal(0, 0.5, (40, 2)), np.asarray([2, 3])
    crowd = np.concatenate([spread - center, spread + center]).astype(np.float32)
    asked = np.asarray([[0.5, -3], [-0.5, 3]], np.float32)
    assert logistic_regression(train, targets, 2)(asked).argmax(1).tolist() == [1, 0]
    assert self_training(train, targets, 2, crowd)(asked).argmax(1).tolist() == [0, 1]


def test_only_sure_rows_count() -> None:
    train, targets = clusters(5)
    crowd, asked = clusters(30, seed=2)[0], clusters(4, seed=3)[0]
    alone = logistic_regression(train, targets, 3)(asked)
    assert self_training(train, targets, 3, NONE)(asked) == pytest.approx(alone, abs=1e-7)
    assert self_training(train, targets, 3, crowd, threshold=0.999999)(asked) == pytest.approx(alone, abs=1e-7)
    assert np.abs(self_training(train, targets, 3, crowd, threshold=0.5)(asked) - alone).max() > 0.01


def test_more_dimensions_than_rows_converge() -> None:
    """Warnings are errors here: the solver must reach its end."""
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(40, 768)).astype(np.float32), np.arange(40) % 4
    rows[:, 0] = 1.0  # a column that says nothing
    for strength in (0.01, 1.0, 1000.0):
        assert (logistic_regression(rows, targets, 4, strength)(rows).argmax(1) == targets).all()


def test_a_held_out_row_is_not_seen() -> None:
    """A row among label 0 that says 2 is only found as 2 by a model that saw it."""
    rows, targets = clusters(4)
    targets[0] = 2
    folds = np.arange(12) % 4
    seen = []

    def nearest(train: np.ndarray, known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        seen.append(train)
        return lambda asked: np.eye(3, dtype=np.float32)[[known[((train - row) ** 2).sum(1).argmin()] for row in asked]]

    assert nearest(rows, targets)(rows)[0].argmax() == 2
    found = out_of_fold(nearest, rows, targets, folds, [0, 1, 2, 3])
    assert found[0].argmax() == 0
    for fold, train in enumerate(seen[1:]):
        assert np.array_equal(train, rows[folds != fold])


@WAYS
def test_a_planted_row_is_given_its_cluster(way: Callable[..., Any]) -> None:
    rows, targets = clusters(12)
    planted = targets.copy()
    planted[0] = 1
    found = out_of_fold(lambda x, y: way(x, y, 3), rows, planted, np.arange(36) % 3, [0, 1, 2])
    assert found.shape == (36, 3) and found.dtype == np.float32
    assert (found.argmax(1) == targets).all()


def test_rows_of_other_folds_are_trained_on_and_not_a_number() -> None:
    rows, targets = clusters(4)
    folds, sizes = np.asarray([0, 1, -1] * 4), []

    def fit(train: np.ndarray, known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        sizes.append(len(train))
        return logistic_regression(train, known, 3)

    found = out_of_fold(fit, rows, targets, folds, [1])
    assert sizes == [8]
    assert np.isnan(found[folds != 1]).all()
    assert np.array_equal(
        found[folds == 1], logistic_regression(rows[folds != 1], targets[folds != 1], 3)(rows[folds == 1])
    )


def test_a_label_that_lies_in_one_fold_alone() -> None:
    rows, targets = clusters(3)
    found = out_of_fold(lambda x, y: logistic_regression(x, y, 3), rows, targets, targets, [0, 1, 2])
    assert found[np.arange(9), targets].tolist() == [0.0] * 9
    assert found.sum(1) == pytest.approx(np.ones(9), abs=1e-5)


def test_a_fold_without_rows_and_no_fold() -> None:
    rows, targets = clusters(2)
    fit = lambda x, y: logistic_regression(x, y, 3)  # noqa: E731
    assert np.isnan(out_of_fold(fit, rows, targets, np.zeros(6, np.int64), [7])).all()
    with pytest.raises(ValueError, match="at least one fold"):
        out_of_fold(fit, rows, targets, np.zeros(6, np.int64), [])
