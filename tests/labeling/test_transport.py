"""The offset of bounded shares: the prior where both bounds are it, and nothing where none binds."""

import numpy as np
import pytest

from pet.labeling.transport import mean_prediction, prior_offset, share_offset
from pet.labeling.votes import softmax


def matching(scores: np.ndarray, prior: np.ndarray, rounds: int = 200) -> np.ndarray:
    """Return the offset where both bounds are a prior."""
    return share_offset(scores, prior, prior, rounds=rounds)


def test_the_offset_of_a_prior_by_hand() -> None:
    # Nothing is known of the rows: the odds are those of the prior, 4 to 1.
    offset = matching(np.zeros((3, 2)), np.array([0.8, 0.2]))
    assert offset[0] - offset[1] == pytest.approx(np.log(4), abs=1e-4)
    # Odds 4 and 1/4, times 4: 16/17 and 1/2, of which the mean is 49/68.
    offset = matching(np.log([[0.8, 0.2], [0.2, 0.8]]), np.array([49 / 68, 19 / 68]))
    assert offset[0] - offset[1] == pytest.approx(np.log(4), abs=1e-4)


def test_a_single_round_adds_the_log_ratio_of_the_prior_and_the_mean_prediction() -> None:
    # The means are (0.6, 0.4).
    offset = matching(np.log([[0.9, 0.1], [0.3, 0.7]]), np.array([0.3, 0.7]), rounds=1)
    assert offset == pytest.approx(np.log([0.3 / 0.6, 0.7 / 0.4]), abs=1e-6)


def test_a_prior_that_the_predictions_have_already_changes_nothing() -> None:
    scores = np.random.default_rng(3).normal(size=(50, 3))
    assert matching(scores, softmax(scores).mean(axis=0, dtype=np.float64)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("scale", "within"), [(0.1, 2e-6), (1.0, 2e-6), (5.0, 2e-6), (30.0, 1e-3)])
def test_the_mean_prediction_becomes_the_prior_for_scores_of_any_size(scale: float, within: float) -> None:
    rng, prior = np.random.default_rng(4), np.array([0.55, 0.3, 0.1, 0.05])
    scores = scale * rng.normal(size=(800, 4))
    before = scores.copy()
    assert softmax(scores + matching(scores, prior)).mean(axis=0) == pytest.approx(prior, abs=within)
    assert (scores == before).all()


def test_bounds_that_hold_already_change_nothing() -> None:
    scores = np.log([[0.8, 0.2], [0.6, 0.4]])
    assert share_offset(scores, np.array([0.6, 0.2]), np.array([0.8, 0.4])).tolist() == [0.0, 0.0]


def test_a_share_outside_its_bounds_is_moved_to_the_nearer_one() -> None:
    # The means are (0.7, 0.3), each row alike: the odds go from 7/3 to 1 at the bound of a half.
    scores = np.log([[0.7, 0.3], [0.7, 0.3]])
    offset = share_offset(scores, np.array([0.3, 0.3]), np.array([0.5, 0.7]))
    assert softmax(scores + offset) == pytest.approx(np.full((2, 2), 0.5), abs=1e-5)


def test_only_labels_whose_bound_binds_have_an_offset() -> None:
    # The third label has a tenth and shall have two; what it gets is taken from both others in their ratio, 6 to 3.
    scores = np.log([[0.6, 0.3, 0.1]])
    offset = share_offset(scores, np.array([0.0, 0.0, 0.2]), np.ones(3))
    assert softmax(scores + offset) == pytest.approx(np.array([[1.6 / 3, 0.8 / 3, 0.2]]), abs=1e-5)
    assert offset == pytest.approx([0.0, 0.0, np.log(9 / 4)], abs=1e-5)


def test_shares_keep_to_their_bounds_whatever_the_scores() -> None:
    rng = np.random.default_rng(6)
    scores, low, high = 5 * rng.normal(size=(500, 4)) + np.array([4, 0, 0, -4]), np.full(4, 0.2), np.full(4, 0.3)
    mean = mean_prediction(scores, share_offset(scores, low, high))
    assert (mean > low - 1e-4).all()
    assert (mean < high + 1e-4).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_the_prior_is_that_of_the_labels_given_whatever_the_scale_of_the_scores(scale: float) -> None:
    rng, prior = np.random.default_rng(7), np.array([0.6, 0.3, 0.1])
    scores = scale * (rng.normal(size=(3000, 3)) + np.array([0, 2, 4]))
    hard = (scores + prior_offset(scores, prior)).argmax(axis=1)
    assert np.bincount(hard) / 3000 == pytest.approx(prior, abs=0.04)
    assert prior_offset(scores, prior) == pytest.approx(scale * prior_offset(scores / scale, prior), rel=1e-3)


def test_the_regularisation_by_hand() -> None:
    # One row of odds 3 to 1; at half the temperature odds are squared: 9 times as much is needed for the same share.
    scores, half = np.log([[0.75, 0.25]]), np.array([0.5, 0.5])
    offset = share_offset(scores, half, half, regularisation=0.5)
    assert offset[1] - offset[0] == pytest.approx(np.log(3), abs=1e-5)


def test_slack_leaves_the_ratio_within_its_bounds() -> None:
    rng, prior = np.random.default_rng(8), np.array([0.5, 0.5])
    scores = rng.normal(size=(4000, 2)) + np.array([0.3, 0.0])
    assert prior_offset(scores, prior, slack=0.9).tolist() == [0.0, 0.0]
    exact, wide = prior_offset(scores, prior), prior_offset(scores, prior, slack=0.1)
    assert exact[1] - exact[0] > wide[1] - wide[0] > 0


def test_scores_that_say_nothing_give_the_odds_of_the_prior() -> None:
    offset = prior_offset(np.zeros((3, 2)), np.array([0.8, 0.2]))
    assert offset[0] - offset[1] == pytest.approx(np.log(4), abs=1e-4)
