"""Drawing rows: fair, without repeats, the same for the same generator."""

from collections import Counter

import numpy as np
import pytest

from pet.data.examples import Example
from pet.data.rows import Rows
from pet.data.sampling import limit, sample_per_label

ROWS = [Example(str(n), {"text": str(n)}, "abc"[n % 3]) for n in range(60)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_each_label_gets_its_number_without_repeats() -> None:
    drawn = sample_per_label(ROWS, "abc", 5, rng())
    assert Counter(e.label for e in drawn) == {"a": 5, "b": 5, "c": 5}
    assert len({e.id for e in drawn}) == 15


def test_drawn_rows_stay_in_file_order() -> None:
    ids = [int(e.id) for e in sample_per_label(ROWS, "cab", 5, rng())]
    assert ids == sorted(ids)


def test_the_same_generator_draws_the_same_rows_and_another_one_others() -> None:
    first, second, third = (sample_per_label(ROWS, "abc", 5, rng(seed)) for seed in (1, 1, 2))
    assert first == second
    assert first != third


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    small = {e.id for e in sample_per_label(ROWS, "abc", 3, rng())}
    large = {e.id for e in sample_per_label(ROWS, "abc", 9, rng())}
    assert small < large


def test_a_label_with_too_few_rows_gives_all() -> None:
    drawn = sample_per_label(ROWS[:4], ["a", "b", "d"], 2, rng())
    assert Counter(e.label for e in drawn) == {"a": 2, "b": 1}


def test_rows_of_other_labels_are_never_drawn() -> None:
    assert {e.label for e in sample_per_label(ROWS, ["a"], 100, rng())} == {"a"}


def test_every_row_can_be_drawn() -> None:
    seen = {e.id for seed in range(60) for e in sample_per_label(ROWS, "abc", 2, rng(seed))}
    assert len(seen) == 60


@pytest.mark.parametrize("maximum", [None, 60, 61])
def test_a_limit_above_the_number_of_rows_keeps_all(maximum: int | None) -> None:
    assert limit(Rows.of(ROWS), maximum, rng()) == tuple(ROWS)


def test_a_limit_draws_random_rows_in_file_order() -> None:
    ids = [int(e.id) for e in limit(Rows.of(ROWS), 10, rng())]
    assert len(set(ids)) == 10
    assert ids == sorted(ids)
    assert ids != list(range(10))
    assert ids == [int(e.id) for e in limit(Rows.of(ROWS), 10, rng())]
