"""Scores of words by hand: ratio and cross-entropy of PETAL, the distribution of AVS, and who gets which word."""

import numpy as np
import pytest

from pet.labeling.word_scores import (
    assigned,
    avs_scores,
    cross_entropy,
    likelihood_ratio,
    likely,
    mean_logits,
    standardised,
)

LOGS = np.log([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.1, 0.7, 0.2]])
TWO_AND_ONE = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_the_likelihood_ratio_weighs_both_sides_alike() -> None:
    found = likelihood_ratio(LOGS, TWO_AND_ONE)
    assert found.shape == (2, 3)
    assert found[0, 0] == pytest.approx((odds(0.5) + odds(0.6)) / 2 - odds(0.1))
    assert found[1, 1] == pytest.approx(odds(0.7) - (odds(0.3) + odds(0.2)) / 2)
    assert found[:, 2] == pytest.approx([0.0, 0.0])  # it tells nothing apart


def test_the_cross_entropy_counts_what_a_word_leaves_to_others() -> None:
    found = cross_entropy(LOGS, TWO_AND_ONE)
    assert found[0, 0] == pytest.approx((np.log(0.5) + np.log(0.6)) / 2 + np.log(0.9))
    assert found[1, 1] == pytest.approx(np.log(0.7) + (np.log(0.7) + np.log(0.8)) / 2)


def test_soft_labels_weigh_rows() -> None:
    half = likelihood_ratio(LOGS, np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))
    own, others = (odds(0.5) + 0.5 * odds(0.6)) / 1.5, (0.5 * odds(0.6) + odds(0.1)) / 1.5
    assert half[0, 0] == pytest.approx(own - others)


def test_a_word_that_is_sure_has_a_finite_score() -> None:
    sure = np.log(np.array([[1.0, 1e-30], [1e-30, 1.0]]))
    assert np.isfinite(likelihood_ratio(sure, np.eye(2))).all()


def test_the_likely_words_of_a_label_are_those_of_its_rows() -> None:
    assert likely(LOGS, TWO_AND_ONE, 1).tolist() == [[True, False, False], [False, True, False]]
    assert likely(LOGS, TWO_AND_ONE).all()


def test_avs_is_its_formula_where_nothing_is_left_to_chance() -> None:
    # One row of each label, and two words, each drawn for the other label in half of the draws.
    logs, rng = np.log([[0.8, 0.2], [0.4, 0.6]]), np.random.default_rng(0)
    found = avs_scores([logs], np.eye(2), 4000, rng, rounds=1)
    # s(word 0 | label 0): the mean over the other's word of q in row 0 less q in row 1.
    by_word_0 = 0.5 - 0.5
    by_word_1 = 0.8 / (0.8 + 0.2) - 0.4 / (0.4 + 0.6)
    score = (by_word_0 + by_word_1) / 2
    expected = score / (score + 1e-3)  # word 1 scores below nothing, which counts as the least
    assert found[0, 0] == pytest.approx(expected, abs=2e-3)
    assert found.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert found.argmax(axis=1).tolist() == [0, 1]


def test_a_word_serves_one_label_and_each_label_has_one() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 1.0], [4.0, 3.0, 2.0, 0.5]])
    found = [places.tolist() for places in assigned(scores, 2)]
    assert found == [[0, 1], [2]]  # all are better for the first label: the second takes the best that is free
    assert [places.tolist() for places in assigned(scores[:, :2], 1)] == [[0], [1]]


def test_words_that_are_not_allowed_are_left_out() -> None:
    scores, allowed = np.array([[3.0, 2.0, 1.0], [0.0, 1.0, 2.0]]), np.array([[0, 1, 1], [1, 1, 1]], bool)
    assert [places.tolist() for places in assigned(scores, 1, allowed)] == [[1], [2]]


def test_fewer_words_than_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 words for 2 labels"):
        assigned(np.zeros((2, 1)), 1)


def test_a_label_scores_the_mean_of_its_words() -> None:
    assert mean_logits(np.array([[1.0, 3.0, 5.0]]), [np.array([0, 2]), np.array([1])]).tolist() == [[3.0, 3.0]]
    assert standardised(np.array([[2.0, 2.0]])).tolist() == [[0.0, 0.0]]
