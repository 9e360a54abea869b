"""Calibration takes off what a pattern prefers and puts a known prior in, computed by hand."""

import numpy as np
import pytest

from pet.labeling.calibration import Calibration, batch_calibrated, calibration_offset, prior_offset, smoothed_prior
from pet.labeling.votes import log_softmax, softmax


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


@pytest.mark.parametrize(
    ("how", "offset"),
    [
        ("none", [0.0, 0.0]),
        # Minus the mean logs of (1/2, 1/2) and (4/5, 1/5).
        ("batch", [-np.log(np.sqrt(0.4)), -np.log(np.sqrt(0.1))]),
        # Minus the mean logs of (9/10, 1/10) and (4/10, 6/10).
        ("contextual", [-np.log(0.6), -np.log(np.sqrt(0.06))]),
    ],
)
def test_each_way_of_calibration_by_hand(how: Calibration, offset: list[float]) -> None:
    # The scores need not be log-probabilities: 3.0 more for both labels says nothing.
    pool, content_free = np.log([[0.5, 0.5], [0.8, 0.2]]) + 3.0, np.log([[0.9, 0.1], [0.4, 0.6]]) - 3.0
    assert calibration_offset(how, pool, content_free) == pytest.approx(np.array(offset))


def test_calibration_by_one_kind_of_rows_does_not_look_at_the_other() -> None:
    pool, nothing = np.array([[2.0, 0.0]]), np.empty((0, 2))
    assert calibration_offset("batch", pool, nothing).argmax() == 1
    assert calibration_offset("none", pool, nothing).tolist() == [0.0, 0.0]
    assert calibration_offset("contextual", nothing, pool) == pytest.approx(calibration_offset("batch", pool, nothing))


@pytest.mark.parametrize(
    ("counts", "prior"), [([3, 0], [0.8, 0.2]), ([0, 0, 0], [1 / 3] * 3), ([5, 2, 0], [0.6, 0.3, 0.1])]
)
def test_the_prior_of_counts_has_one_row_more_of_every_label(counts: list[int], prior: list[float]) -> None:
    assert smoothed_prior(np.array(counts)) == pytest.approx(np.array(prior))


def test_the_offset_of_a_prior_by_hand() -> None:
    # Nothing is known of the rows: the odds are those of the prior, 4 to 1.
    offset = prior_offset(np.zeros((3, 2)), np.array([0.8, 0.2]))
    assert offset[0] - offset[1] == pytest.approx(np.log(4), abs=1e-4)
    # Odds 4 and 1/4, times 4: 16/17 and 1/2, of which the mean is 49/68.
    offset = prior_offset(np.log([[0.8, 0.2], [0.2, 0.8]]), np.array([49 / 68, 19 / 68]))
    assert offset[0] - offset[1] == pytest.approx(np.log(4), abs=1e-4)


def test_a_single_round_adds_the_log_ratio_of_the_prior_and_the_mean_prediction() -> None:
    # The means are (0.6, 0.4).
    offset = prior_offset(np.log([[0.9, 0.1], [0.3, 0.7]]), np.array([0.3, 0.7]), rounds=1)
    assert offset == pytest.approx(np.log([0.3 / 0.6, 0.7 / 0.4]), abs=1e-6)


def test_a_prior_that_the_predictions_have_already_changes_nothing() -> None:
    scores = np.random.default_rng(3).normal(size=(50, 3))
    assert prior_offset(scores, softmax(scores).mean(axis=0, dtype=np.float64)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("scale", "within"), [(0.1, 2e-6), (1.0, 2e-6), (5.0, 2e-6), (30.0, 1e-3)])
def test_the_mean_prediction_becomes_the_prior_for_scores_of_any_size(scale: float, within: float) -> None:
    rng, prior = np.random.default_rng(4), np.array([0.55, 0.3, 0.1, 0.05])
    scores = scale * rng.normal(size=(800, 4))
    before = scores.copy()
    assert softmax(scores + prior_offset(scores, prior)).mean(axis=0) == pytest.approx(prior, abs=within)
    assert (scores == before).all()
