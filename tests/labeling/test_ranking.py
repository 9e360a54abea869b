"""Ranks by hand: what is measured of votes, folds of few rows, and the votes that help each other."""

import numpy as np
import pytest

from pet.labeling.ranking import Measured, chosen_together, ensemble_scores, fold_of_rows, loss_of, merits

GOLD = np.array([0, 0, 1, 1])


def logs(rows: list[float]) -> np.ndarray:
    """Return log-probabilities [n, 2] by the probability of label 0."""
    return np.log(np.stack([np.array(rows), 1 - np.array(rows)], axis=1))


def test_accuracy_has_an_interval_and_the_loss_its_best_temperature() -> None:
    found = Measured.of(logs([0.9, 0.8, 0.3, 0.6]), GOLD)
    assert found.accuracy == 0.75
    assert found.low < 0.75 < found.high
    # At the best temperature, which a few rows leave near 1, it is close to the loss as it is.
    assert found.loss == pytest.approx(-np.mean(np.log([0.9, 0.8, 0.7, 0.4])), abs=0.05)
    assert str(found).startswith("75.0% (")


def test_scores_that_are_surer_and_right_have_the_lower_loss() -> None:
    good, poor = logs([0.9, 0.9, 0.1, 0.1]), logs([0.55, 0.55, 0.45, 0.45])
    assert loss_of(good, GOLD) < loss_of(poor, GOLD)
    assert merits([Measured.of(one, GOLD) for one in (poor, good)]).argmax() == 1


def test_there_are_no_more_folds_than_rows_of_the_rarest_label() -> None:
    assert fold_of_rows(np.array([0] * 9 + [1] * 2), np.random.default_rng(0)).max() == 1
    assert fold_of_rows(np.array([0] * 9 + [1] * 9), np.random.default_rng(0)).max() == 4


def test_what_a_pattern_prefers_whatever_the_text_is_is_taken_off() -> None:
    pool = np.array([[2.0, 0.0], [3.0, 0.0], [1.0, 0.0]])
    assert ensemble_scores([np.array([[2.5, 0.0], [1.5, 0.0]])], [pool]).argmax(axis=1).tolist() == [0, 1]


def test_the_second_is_chosen_for_what_the_first_lacks() -> None:
    best = logs([0.9, 0.9, 0.1, 0.6])
    alike = logs([0.9, 0.89, 0.11, 0.61])  # nearly as good, and wrong on the same row
    other = logs([0.6, 0.6, 0.5, 0.05])  # worse alone, and right on that row
    assert loss_of(alike, GOLD) < loss_of(other, GOLD)
    assert chosen_together([best, alike, other], GOLD, 2) == [0, 2]
    assert sorted(chosen_together([best, alike], GOLD, 9)) == [0, 1]
