"""How much each family counts: equal with no rows, by likelihood with many, never below zero."""

import numpy as np
import pytest

from pet.labeling.stacking import family_weights
from pet.labeling.votes import log_softmax

GOLD = np.array([0, 0, 0, 1] * 10)
SURE = np.tile(np.log([[0.75, 0.25]]), (40, 1))
"""Its probabilities are the shares of the labels: the best coefficient is 1."""
NOTHING = np.log(np.full((40, 2), 0.5))


def test_without_gold_rows_all_families_count_alike() -> None:
    empty = np.empty((0, 3))
    assert family_weights([empty] * 4, np.empty(0, np.int64)).tolist() == [0.5] * 4
    assert family_weights([empty] * 2, np.empty(0, np.int64), centre=1.0).tolist() == [1.0, 1.0]


def test_a_family_that_knows_the_odds_gets_the_coefficient_of_the_likelihood() -> None:
    first, second = family_weights([SURE, NOTHING], GOLD, strength=1e-6)
    assert first == pytest.approx(1.0, abs=1e-3)
    assert second == pytest.approx(np.sqrt(0.5))  # what says nothing stays at the centre


def test_the_prior_by_hand() -> None:
    # One row with odds of 3: the slope of its log-likelihood is ln 3 * (1 - p), where p = 3^b / (1 + 3^b).
    (found,) = family_weights([np.log([[0.75, 0.25]])], np.array([0]), centre=0.0, strength=2.0)
    assert 2.0 * found == pytest.approx(np.log(3) / (1 + 3**found), abs=1e-6)


def test_a_family_that_is_wrong_counts_nothing_but_never_less() -> None:
    wrong = SURE[:, ::-1]
    first, second = family_weights([SURE, wrong], GOLD, centre=0.0, strength=0.1)
    assert second == 0.0
    assert first > 0.9
    assert family_weights([wrong, wrong], GOLD, strength=1e-3).tolist() == [0.0, 0.0]


def test_few_rows_decide_little_and_many_decide() -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(2, size=4000)
    good, bad = (
        np.log(np.where(np.eye(2)[gold] == (rng.random(4000) < right)[:, None], 0.9, 0.1)) for right in (0.9, 0.5)
    )
    shares = []
    for n in (4, 40, 4000):
        first, second = family_weights([good[:n], bad[:n]], gold[:n])
        shares.append(first / (first + second))
    assert shares == sorted(shares)
    assert shares[0] < 0.7
    assert shares[-1] > 0.9


def test_rows_that_a_family_has_nothing_for_do_not_count() -> None:
    rng = np.random.default_rng(1)
    scores, gold = log_softmax(rng.normal(size=(2, 30, 3)).reshape(60, 3)).reshape(2, 30, 3), rng.integers(3, size=30)
    known = np.arange(30) % 5 > 0
    gaps = scores.copy()
    gaps[1, ~known] = np.nan
    assert family_weights(list(gaps), gold).tolist() == family_weights(list(scores[:, known]), gold[known]).tolist()


def test_rows_that_the_families_separate_leave_the_coefficients_finite() -> None:
    sure = 1000.0 * np.eye(2)[GOLD]
    assert np.isfinite(family_weights([log_softmax(sure), NOTHING], GOLD, strength=1e-3)).all()
