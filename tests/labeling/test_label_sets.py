"""Log-odds of labels of which a row may have several: means, slopes, weights and thresholds, by hand."""

import numpy as np
import pytest

from pet.errors import RunError
from pet.labeling.label_sets import (
    SHRINKAGE,
    SetLabels,
    SetVotes,
    best_threshold,
    calibrated,
    label_rates,
    log_loss,
    log_odds,
    mean_log_odds,
    offset_to,
    sigmoid,
    thresholds,
    weigh_families,
)


def test_log_odds_are_undone_by_the_sigmoid() -> None:
    assert sigmoid(log_odds(np.array([[0.1, 0.5, 0.9]]))).round(6).tolist() == [
        pytest.approx([0.1, 0.5, 0.9], abs=1e-6)
    ]


def test_the_mean_is_of_those_who_vote_there() -> None:
    one, other = np.array([[1.0, np.nan]]), np.array([[3.0, np.nan]])
    found = mean_log_odds([one, other], np.array([0.75, 0.25]))
    assert found[0, 0] == pytest.approx(1.5) and np.isnan(found[0, 1])
    assert np.isnan(mean_log_odds([one], np.array([0.0]))).all()


def test_an_offset_gives_the_rate_that_is_wanted() -> None:
    scores = np.array([[-1.0, 0.0], [2.0, np.nan]])
    moved = sigmoid(scores + offset_to(scores, 0.2))
    assert np.nanmean(moved) == pytest.approx(0.2, abs=1e-4)


def test_the_rates_of_labels_are_smoothed() -> None:
    assert label_rates(np.zeros((0, 4), np.bool_)).tolist() == [0.25] * 4
    given = np.array([[True, False, False]] * 3)
    assert label_rates(given).tolist() == pytest.approx([(3 + 1 / 3) / 4, 1 / 12, 1 / 12])


def test_scores_that_are_too_sure_get_a_smaller_slope() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 3))
    given = rng.random((400, 3)) < sigmoid(truth)
    slope = calibrated(5.0 * truth + 2.0, given)
    assert slope.scale == pytest.approx(0.2, abs=0.11)
    assert log_loss(slope.of(5.0 * truth + 2.0), given) < log_loss(5.0 * truth, given)
    assert calibrated(np.full((2, 3), np.nan), given[:2]).scale == 1.0


def votes(name: str, family: str, gold: np.ndarray) -> SetVotes:
    return SetVotes(name, family, gold, gold, gold)


def test_a_family_that_is_wrong_on_gold_rows_has_no_weight() -> None:
    given = np.random.default_rng(0).random((50, 2)) < 0.5
    right, noise = np.where(given, 3.0, -3.0), np.random.default_rng(1).normal(size=(50, 2)) * 3
    found = weigh_families([votes("a", "p", noise), votes("b", "p", noise), votes("c", "e", right)], given)
    assert found.tolist() == [0.0, 0.0, 1.0]
    nobody = np.full((50, 2), np.nan)
    assert weigh_families([votes("a", "p", nobody), votes("c", "e", right)], given).tolist() == [0.5, 0.5]


def test_a_threshold_has_the_highest_f1_and_is_0_where_that_is_as_good() -> None:
    given = np.array([True, True, False, False])
    assert best_threshold(np.array([2.0, 1.0, -1.0, -2.0]), given) == 0.0
    assert best_threshold(np.array([-1.0, -2.0, -3.0, -4.0]), given) == -2.5
    assert best_threshold(np.array([1.0, 2.0]), np.zeros(2, np.bool_)) == 0.0


def test_thresholds_are_drawn_to_that_of_all_labels_and_this_one_to_a_half() -> None:
    given = np.array([[True, True], [True, False], [False, False], [False, False]])
    scores = np.where(given, -2.0, -4.0)
    usual = -3.0 * 3 / (3 + SHRINKAGE)
    wanted = [usual + (-3.0 - usual) * count / (count + SHRINKAGE) for count in (2, 1)]
    assert log_odds(thresholds(scores, given)).tolist() == pytest.approx(wanted, abs=1e-4)
    assert thresholds(np.full((4, 2), np.nan), given).tolist() == [0.5, 0.5]


def test_label_sets_are_what_reaches_the_thresholds() -> None:
    found = SetLabels(["1", "2"], ("a", "b"), np.array([[0.6, 0.25], [0.1, 0.1]], np.float32), np.array([0.5, 0.25]))
    assert list(found.sets()) == [["a", "b"], []]
    with pytest.raises(RunError, match="shape"):
        SetLabels(["1"], ("a", "b"), np.zeros((2, 2), np.float32), np.zeros(2))
    with pytest.raises(RunError, match="no probability"):
        SetLabels(["1"], ("a",), np.full((1, 1), np.nan, np.float32), np.zeros(1))
