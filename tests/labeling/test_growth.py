"""How many rows the training sets grow by, counted by hand."""

import numpy as np
import pytest

from pet.labeling.growth import Growth


@pytest.mark.parametrize(
    ("counts", "factor", "step", "rows"),
    [
        ((3, 1), 5.0, 1, [12, 4]),  # c0 * (5 - 1)
        ((3, 1), 5.0, 2, [72, 24]),  # c0 * (25 - 1)
        ((4, 8), 1.5, 1, [2, 4]),  # c0 * 0.5
        ((4, 8), 1.5, 2, [5, 10]),  # c0 * 1.25
        ((3, 7), 1.3, 1, [1, 2]),  # 0.9 and 2.1, rounded
        ((1, 9), 1.2, 1, [1, 2]),  # 0.2 would be no row: one at least; 1.8
    ],
)
def test_pseudo_labeled_rows_are_c0_times_d_to_the_step_minus_one(
    counts: tuple[int, ...], factor: float, step: int, rows: list[int]
) -> None:
    assert Growth(counts, factor).wanted(step).tolist() == rows


def test_the_label_ratio_of_the_gold_rows_is_kept_by_the_whole_set() -> None:
    growth = Growth((3, 1), 5.0)
    assert [(growth.wanted(step) + np.array([3, 1])).tolist() for step in (1, 2, 3)] == [[15, 5], [75, 25], [375, 125]]


@pytest.mark.parametrize(
    ("labels", "rows"),
    [(2, [5, 5]), (3, [4, 3, 3]), (4, [3, 3, 2, 2]), (10, [1] * 10), (12, [1] * 12)],
)
def test_without_gold_rows_the_first_set_is_ten_rows_in_all_and_one_a_label_at_least(
    labels: int, rows: list[int]
) -> None:
    growth = Growth((0,) * labels, 5.0)
    assert growth.from_zero
    assert growth.wanted(1).tolist() == rows
    assert growth.wanted(2).tolist() == [5 * n for n in rows]
    assert growth.wanted(3).tolist() == [25 * n for n in rows]


def test_the_first_set_without_gold_rows_is_as_large_as_wanted() -> None:
    growth = Growth((0, 0, 0), 5.0, first=50)
    assert growth.wanted(1).tolist() == [17, 17, 16]
    assert growth.wanted(2).tolist() == [85, 85, 80]
    assert growth.automatic() == 3  # 50, 250, 1250 rows
    assert (growth.largest_step(49), growth.largest_step(50)) == (0, 1)
    assert Growth((1, 1, 1), 5.0, first=50).wanted(1).tolist() == [4, 4, 4]


def test_a_label_without_gold_rows_among_others_grows_like_one_with_a_row() -> None:
    growth = Growth((4, 0), 5.0)
    assert not growth.from_zero
    assert growth.wanted(1).tolist() == [16, 4]


@pytest.mark.parametrize(
    ("counts", "pool", "step"),
    [
        # With (5, 5): 40, 240 and 1240 rows. From zero: 10, 50 and 250.
        ((5, 5), 39, 0),
        ((5, 5), 40, 1),
        ((5, 5), 239, 1),
        ((5, 5), 240, 2),
        ((5, 5), 1240, 3),
        ((0, 0), 9, 0),
        ((0, 0), 10, 1),
        ((0, 0), 49, 1),
        ((0, 0), 250, 3),
    ],
)
def test_the_largest_step_is_the_last_that_the_pool_can_fill(counts: tuple[int, ...], pool: int, step: int) -> None:
    assert Growth(counts, 5.0).largest_step(pool) == step


def test_a_factor_of_almost_one_or_of_any_size_comes_to_an_end() -> None:
    assert 1 <= Growth((1, 1), 1.0 + 1e-9).largest_step(2) <= 64
    assert Growth((5, 5), 1e300).largest_step(10**9) == 0
    assert Growth((5, 5), 1e300).wanted(1).min() > 10**9


@pytest.mark.parametrize(
    ("counts", "factor", "steps"),
    [
        ((5, 5), 5.0, 3),  # 10, 50, 250, 1250
        ((0, 0), 5.0, 4),  # the first set has 10 rows, then the same three
        ((4, 4), 5.0, 3),  # 8 * 125 is 1000 exactly
        ((1, 0), 5.0, 4),  # two shares: 2 * 625
        ((5, 5), 10.0, 2),  # 10 * 100 is 1000 exactly
        ((999,), 5.0, 1),
        ((600, 400), 5.0, 0),
        ((3000, 1), 5.0, 0),
        ((0,) * 1200, 5.0, 1),
    ],
)
def test_automatic_growth_ends_with_the_first_set_of_a_thousand_rows(
    counts: tuple[int, ...], factor: float, steps: int
) -> None:
    assert Growth(counts, factor).automatic() == steps


@pytest.mark.parametrize("factor", [1.5, 2.0, 5.0, 10.0])
def test_automatic_growth_is_enough_and_no_step_more_for_every_number_of_rows(factor: float) -> None:
    for rows in range(1, 1000):
        steps = Growth((rows,), factor).automatic()
        assert rows * factor ** (steps - 1) < 1000 <= rows * factor**steps
