"""Calibration takes off what a pattern prefers, computed by hand."""

import numpy as np
import pytest

from pet.labeling import batch_calibrated, log_softmax


def test_log_softmax_is_the_logarithm_of_a_distribution_for_any_size_of_scores() -> None:
    # ln(1/4), ln(3/4)
    assert log_softmax(np.array([[0.0, np.log(3.0)]])) == pytest.approx(np.log([[0.25, 0.75]]))
    assert log_softmax(np.array([[1000.0, 0.0]])) == pytest.approx(np.array([[0.0, -1000.0]]))


def test_batch_calibration_by_hand() -> None:
    # The pool gives (1/2, 1/2) and (4/5, 1/5): mean logs are (ln 1/2 + ln 4/5) / 2 and (ln 1/2 + ln 1/5) / 2.
    pool = np.log([[0.5, 0.5], [0.8, 0.2]])
    # Row (3/5, 2/5) minus these means: ln(0.6 / sqrt(0.4)) and ln(0.4 / sqrt(0.1)).
    expected = np.log([[0.6 / np.sqrt(0.4), 0.4 / np.sqrt(0.1)]])
    assert batch_calibrated(np.log([[0.6, 0.4]]), pool) == pytest.approx(expected)
    assert expected.argmax() == 1  # though the raw scores say 0


def test_a_constant_preference_of_the_pattern_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    scores, pool, preference = rng.normal(size=(4, 3)), rng.normal(size=(9, 3)), np.array([5.0, 0.0, -2.0])
    plain = batch_calibrated(scores, pool)
    assert batch_calibrated(scores + preference, pool + preference) != pytest.approx(plain)  # log-softmax is not linear
    # A pattern that always says the same has nothing left.
    same = np.tile(preference, (5, 1))
    assert batch_calibrated(same, same) == pytest.approx(np.zeros((5, 3)))


def test_every_row_of_the_pool_counts_alike_whatever_its_scale() -> None:
    # Adding a number to all scores of one row says nothing about labels.
    pool = np.array([[2.0, 0.0], [1.0, 3.0]])
    shifted = pool + np.array([[100.0], [-100.0]])
    scores = np.array([[0.5, 0.25]])
    assert batch_calibrated(scores, shifted) == pytest.approx(batch_calibrated(scores, pool))


def test_no_rows_are_no_scores() -> None:
    assert batch_calibrated(np.empty((0, 2)), np.zeros((3, 2))).shape == (0, 2)
