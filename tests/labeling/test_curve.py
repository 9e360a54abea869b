"""Learning curves by hand: the law that is fitted, its gain, and intervals of what was held out."""

import numpy as np
import pytest

from pet.labeling.curve import Interval, LearningCurve, power_law_gains, spread_folds, sub_sample

ROWS = np.array([4.0, 8.0, 16.0, 32.0])


def test_an_inverse_power_law_is_found_again() -> None:
    exact = 0.9 - 0.8 * ROWS**-0.5
    (gain,) = power_law_gains(exact[None], ROWS, 32.0, 128.0)
    assert gain == pytest.approx(0.8 * (32**-0.5 - 128**-0.5), abs=1e-6)


def test_a_flat_curve_gains_nothing_and_a_falling_one_loses() -> None:
    flat, falling = np.full(4, 0.7), 0.7 + 0.4 * ROWS**-0.5
    gains = power_law_gains(np.stack([flat, falling]), ROWS, 32.0, 64.0)
    assert gains[0] == pytest.approx(0.0)
    assert gains[1] == pytest.approx(-0.4 * (32**-0.5 - 64**-0.5), abs=1e-6)


def test_no_curve_is_expected_to_pass_100_percent() -> None:
    (gain,) = power_law_gains(np.array([[0.4, 0.6, 0.8, 1.0]]), ROWS, 32.0, 1e9)
    assert 0.0 <= gain < 0.2


def test_the_interval_is_that_of_the_rows_held_out() -> None:
    sure = np.ones((3, 10))
    curve = LearningCurve.measured(sure, ROWS[:3], 20.0, 10.0, np.random.default_rng(0))
    assert [point.accuracy for point in curve.points] == [Interval(1.0, 1.0, 1.0)] * 3
    assert curve.gain == Interval(0.0, 0.0, 0.0) and [point.rows for point in curve.points] == [4.0, 8.0, 16.0]
    half = np.tile(np.arange(100) % 2, (3, 1)).astype(float)
    (first, *_) = LearningCurve.measured(half, ROWS[:3], 20.0, 10.0, np.random.default_rng(0)).points
    # 1.96 standard errors of a share of a half on 100 rows.
    assert first.accuracy.low == pytest.approx(0.5 - 0.098, abs=0.02)
    assert first.accuracy.high == pytest.approx(0.5 + 0.098, abs=0.02)


def test_folds_and_sub_samples_spread_the_labels() -> None:
    columns = np.array([0] * 6 + [1] * 4)
    folds = spread_folds(columns, 2, np.random.default_rng(1))
    assert [np.bincount(columns[folds == fold]).tolist() for fold in (0, 1)] == [[3, 2], [3, 2]]
    some = sub_sample(columns, 0.5, np.random.default_rng(1))
    assert np.bincount(columns[some]).tolist() == [3, 2] and (np.diff(some) > 0).all()
    assert columns[sub_sample(columns, 0.01, np.random.default_rng(1))].tolist() == [0, 1]
