"""How distributions of what is measured of rows are compared, on values small enough to check by hand."""

import numpy as np
import pytest

from pet.labeling.drift import LEAST, RowFacts, Sketch, chance_gap, compare_rows, largest_gap


def facts(rng: np.random.Generator, n: int, sure: float = 2.0, length: float = 20.0) -> RowFacts:
    """Return facts of n rows of two labels."""
    first = rng.beta(sure, 2.0, n)
    probs = np.stack([first, 1 - first], axis=1).astype(np.float32)
    return RowFacts(probs, rng.poisson(length, n), rng.random(n) < 0.05, rng.random(n))


def test_the_largest_gap_of_two_samples() -> None:
    assert largest_gap(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 4])) == 0.0
    assert largest_gap(np.array([1, 2]), np.array([3, 4, 5])) == 1.0
    assert largest_gap(np.array([1, 2, 3, 4]), np.array([3, 3, 4, 4])) == 0.5


def test_what_chance_makes_shrinks_with_the_rows() -> None:
    assert chance_gap(500, 500) == pytest.approx(1.8585 * np.sqrt(1000 / 250_000), abs=1e-3)
    assert chance_gap(500, 10_000) < chance_gap(500, 500) < chance_gap(500, 50)
    assert chance_gap(2, 2) == 1.0


def test_samples_of_one_pool_are_seldom_called_others() -> None:
    rng = np.random.default_rng(0)
    false = sum(
        any(one.drifted for one in compare_rows(facts(rng, 300), facts(rng, n), rng))
        for n in (30, 100, 300, 3_000)
        for _ in range(25)
    )
    assert false <= 3


def test_a_small_difference_of_very_many_rows_is_no_drift() -> None:
    rng = np.random.default_rng(0)
    signals = {one.name: one for one in compare_rows(facts(rng, 50_000), facts(rng, 50_000, length=20.5), rng)}
    assert signals["length"].chance < signals["length"].effect < LEAST and not signals["length"].drifted


def test_what_differs_is_named() -> None:
    rng = np.random.default_rng(0)
    signals = {one.name: one for one in compare_rows(facts(rng, 500), facts(rng, 500, sure=6.0, length=30.0), rng)}
    assert {name for name, one in signals.items() if one.drifted} == {"labels", "confidence", "length"}
    assert signals["labels"].label in (0, 1) and signals["length"].now > signals["length"].before


def test_a_row_is_unfamiliar_beyond_the_hundredth_of_the_pool() -> None:
    rng = np.random.default_rng(0)
    distances = np.linspace(0, 1, 101)
    pool = RowFacts(np.full((101, 2), 0.5), np.ones(101), np.zeros(101), distances)
    assert Sketch(pool, apart=True).limit == 0.99
    without = RowFacts(pool.probs, pool.lengths, pool.unknown)
    assert Sketch(without, apart=True).limit is None
    assert [one.name for one in compare_rows(pool, without, rng)] == [
        "labels",
        "confidence",
        "length",
        "unknown tokens",
    ]
