"""Differences of pairs against figures worked out by hand, and against scipy's own paired tests."""

import numpy as np
import pytest
from scipy import stats

from pet.ablation.paired import least_p, paired


def test_the_interval_is_that_of_the_paired_t_test_and_the_sign_test_is_exact() -> None:
    draw = np.random.default_rng(3)
    values, others = draw.normal(0.7, 0.1, 6).tolist(), draw.normal(0.6, 0.1, 6).tolist()
    found, low_high = paired(values, others), stats.ttest_rel(values, others).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(values) - np.mean(others))
    assert (found.low, found.high) == pytest.approx((low_high.low, low_high.high))


@pytest.mark.parametrize(
    ("differences", "better", "worse", "p"),
    [
        ([1, 1, 1, 1, 1], 5, 0, 0.0625),
        ([1, 1, 1, 1, 1, 1], 6, 0, 0.03125),
        ([1, 2, 3, -1, 4], 4, 1, 0.375),  # 2 (1 + 5) / 32
        ([-1, -2, -3, 1, -4], 1, 4, 0.375),
        ([1, 0, 0, -1, 0], 1, 1, 1.0),
        ([1, 1, 1, 0, 0], 3, 0, 0.25),  # those that are equal are left out
        ([0, 0, 0], 0, 0, 1.0),
    ],
)
def test_samples_better_and_worse(differences: list[float], better: int, worse: int, p: float) -> None:
    found = paired(differences, [0.0] * len(differences))
    assert (found.better, found.worse) == (better, worse)
    assert found.p == pytest.approx(p)


def test_what_is_equal_but_for_rounding_is_equal() -> None:
    found = paired([0.1 + 0.2, 0.5], [0.3, 0.5])
    assert (found.better, found.worse, found.mean, found.low, found.high) == (0, 0, 0.0, 0.0, 0.0)


def test_one_sample_has_no_interval() -> None:
    found = paired([0.8], [0.7])
    assert (found.low, found.high, found.p) == (None, None, 1.0)
    assert found.mean == pytest.approx(0.1)
    assert least_p(1) == 1.0


def test_what_are_no_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="found 1 and 2"):
        paired([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="found 0 and 0"):
        paired([], [])
