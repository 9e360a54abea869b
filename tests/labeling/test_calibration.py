"""Calibration takes off what a pattern prefers and puts a known prior in, computed by hand."""

import numpy as np
import pytest

from pet.labeling.calibration import (
    Calibration,
    batch_calibrated,
    calibration_offset,
    fitted_temperature,
    smoothed_prior,
)
from pet.labeling.votes import log_softmax


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


def test_the_temperature_by_hand() -> None:
    # Three of four are right: the likelihood is highest where the odds, e^(2 / T), are 3.
    scores, gold = np.tile([2.0, 0.0], (4000, 1)), np.array([0, 0, 0, 1] * 1000)
    assert fitted_temperature(scores, gold, strength=0.0) == pytest.approx(2 / np.log(3), abs=1e-4)


def test_few_rows_leave_the_temperature_near_its_centre() -> None:
    scores, gold = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 1])
    assert 0.5 < fitted_temperature(scores, gold) < 1.0
    found = [fitted_temperature(np.tile(scores, (n, 1)), np.tile(gold, n)) for n in (1, 10, 100)]
    assert found == sorted(found, reverse=True)
    assert fitted_temperature(scores, gold, centre=3.0) > 2.0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("gold", [[0, 1], [1, 0]])
def test_a_temperature_is_finite_and_above_zero_whatever_the_scores(scale: float, gold: list[int]) -> None:
    found = fitted_temperature(scale * np.eye(2), np.array(gold), strength=0.0)
    assert np.exp(-5.01) < found < np.exp(5.01)


def test_the_temperature_of_the_fit_has_the_lowest_loss() -> None:
    rng = np.random.default_rng(5)
    scores, gold = 4 * rng.normal(size=(60, 3)), rng.integers(3, size=60)
    found = fitted_temperature(scores, gold, strength=2.0)

    def loss(temperature: float) -> float:
        return float(np.log(temperature) ** 2 - log_softmax(scores / temperature)[np.arange(60), gold].sum())

    assert loss(found) <= min(loss(found * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0))
