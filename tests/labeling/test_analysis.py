"""Coverage, overlaps, conflicts, agreement, intervals and reliability, on matrices that are checked by hand."""

import numpy as np
import pytest

from pet.labeling.analysis import (
    agreement_matrix,
    bins_of,
    conflicts,
    coverage,
    interval,
    overlaps,
    reliability,
)

# Three voters on five rows; the second says nothing of two of them, the third speaks of one that nobody else knows.
VOTES = np.array([[0, 1, 1, -1, 0], [0, 0, -1, -1, 0], [1, 0, -1, 2, -1]])


def test_coverage_overlaps_and_conflicts() -> None:
    assert coverage(VOTES).tolist() == [0.8, 0.6, 0.6]
    # The first alone labels the third row, the third alone the fourth.
    np.testing.assert_allclose(overlaps(VOTES), [0.6, 0.6, 0.4])
    # Row 0: 0, 0, 1; row 1: 1, 0, 0; row 4: 0, 0.
    np.testing.assert_allclose(conflicts(VOTES), [0.4, 0.4, 0.4])


def test_a_voter_alone_overlaps_and_contradicts_nobody() -> None:
    alone = VOTES[:1]
    assert overlaps(alone).tolist() == conflicts(alone).tolist() == [0.0]
    assert agreement_matrix(alone).tolist() == [[1.0]]


def test_agreement_is_taken_over_the_rows_that_both_label() -> None:
    found = agreement_matrix(VOTES)
    np.testing.assert_allclose(found, [[1, 2 / 3, 0], [2 / 3, 1, 0.5], [0, 0.5, 1]])
    nothing = agreement_matrix(np.array([[0, -1], [-1, 1]]))
    assert np.isnan(nothing[0, 1])
    assert nothing[0, 0] == 1.0


@pytest.mark.parametrize(
    ("right", "rows", "expected"),
    [(9, 10, (0.596, 0.982)), (0, 10, (0.0, 0.278)), (10, 10, (0.722, 1.0)), (50, 100, (0.404, 0.596))],
)
def test_the_interval_is_wilsons(right: int, rows: int, expected: tuple[float, float]) -> None:
    # The values of statsmodels.stats.proportion.proportion_confint(right, rows, method="wilson").
    assert interval(right, rows) == pytest.approx(expected, abs=6e-4)


def test_without_rows_nothing_is_known() -> None:
    assert interval(0, 0) == (0.0, 1.0)


def test_reliability_by_bins() -> None:
    probs = np.array([[0.95, 0.05], [0.95, 0.05], [0.45, 0.55], [0.3, 0.7]])
    found = reliability(probs, np.array([0, 1, 1, 0]))
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 2]
    assert found.accuracy[[5, 6, 9]].tolist() == [1.0, 0.0, 0.5]
    np.testing.assert_allclose(found.confidence[[5, 6, 9]], [0.55, 0.7, 0.95])
    assert np.isnan(found.accuracy[0])
    # (0.45 + 0.7 + 2 * 0.45) / 4
    assert found.error == pytest.approx(0.5125)
    told = found.as_json()
    assert told["accuracy"] == [None] * 5 + [1.0, 0.0] + [None] * 2 + [0.5]


def test_a_bin_holds_its_upper_end_in_either_precision() -> None:
    ends = np.arange(1, 11) / 10
    assert bins_of(ends).tolist() == bins_of(ends.astype(np.float32)).tolist() == list(range(10))
