"""Weights, the mean of raw scores and agreement, on matrices small enough to check by hand."""

import itertools
from typing import Any

import numpy as np
import pytest

from pet.errors import RunError
from pet.labeling.ensemble import agreement, combine, disagreement, mean_scores, weigh
from pet.labeling.votes import Votes

IDS, LABELS = ("r1", "r2", "r3"), ("no", "yes")


def voter(name: str, scores: list[list[float]], weight: float = 1.0, **changes: object) -> Votes:
    fields = {"ids": IDS, "labels": LABELS, "scores": np.asarray(scores, np.float32), "weight": weight} | changes
    return Votes(voter=name, seed=0, **fields)  # type: ignore[arg-type]


# Hard labels: a = 0 0 1, b = 0 1 1, c = 1 1 0.
A = voter("a", [[2.0, 0.0], [1.0, 0.0], [0.0, 4.0]])
B = voter("b", [[4.0, 0.0], [0.0, 2.0], [0.0, 1.0]])
C = voter("c", [[0.0, 3.0], [0.0, 9.0], [2.0, 0.0]])


def test_the_mean_is_that_of_raw_scores_and_not_of_probabilities() -> None:
    # (2+4+0)/3, (0+0+3)/3; (1+0+0)/3, (0+2+9)/3; (0+0+2)/3, (4+1+0)/3
    expected = np.array([[2.0, 1.0], [1 / 3, 11 / 3], [2 / 3, 5 / 3]])
    assert mean_scores([A, B, C]) == pytest.approx(expected)
    soft = combine([A, B, C])
    # softmax of (2, 1): e / (e + 1)
    assert soft.probs[0] == pytest.approx([np.e / (np.e + 1), 1 / (np.e + 1)])
    assert soft.hard().tolist() == [0, 1, 1]
    assert (soft.ids, soft.labels) == (IDS, LABELS)


def test_weights_count_by_their_share() -> None:
    # weights 3 : 1 -> (3 * 2 + 0) / 4, (0 + 3) / 4 in the first row
    mean = mean_scores([A.with_weight(3.0), C.with_weight(1.0)])
    assert mean == pytest.approx(np.array([[1.5, 0.75], [0.75, 2.25], [0.5, 3.0]]))
    assert mean_scores([A.with_weight(0.3), C.with_weight(0.1)]) == pytest.approx(mean)
    assert mean_scores([A.with_weight(1.0), C.with_weight(0.0)]) == pytest.approx(A.scores)


def test_the_order_of_the_voters_does_not_matter() -> None:
    weighted = [A.with_weight(0.5), B.with_weight(0.2), C.with_weight(0.9)]
    expected = combine(weighted)
    for order in itertools.permutations(weighted):
        assert combine(order).probs == pytest.approx(expected.probs, abs=1e-7)
        assert agreement(order, expected.hard()) == pytest.approx(agreement(weighted, expected.hard()))
        weights = {vote.voter: vote.weight for vote in weigh(order, "agreement", {})}
        assert weights == {vote.voter: vote.weight for vote in weigh(weighted, "agreement", {})}


def test_a_tie_goes_to_the_first_label() -> None:
    tied = combine([voter("a", [[1.0, 0.0]] * 3), voter("b", [[0.0, 1.0]] * 3)])
    assert tied.hard().tolist() == [0, 0, 0]
    assert tied.confidence().tolist() == [0.5, 0.5, 0.5]


def test_agreement_is_the_weighted_share_of_voters_with_that_label() -> None:
    hard = np.array([0, 1, 1])
    # r1: a, b; r2: b, c; r3: a, b
    assert agreement([A, B, C], hard) == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    # weights 1 2 5 of 8 -> r1: 3/8, r2: 7/8, r3: 3/8
    weighted = [A, B.with_weight(2.0), C.with_weight(5.0)]
    assert agreement(weighted, hard) == pytest.approx([3 / 8, 7 / 8, 3 / 8])
    assert agreement([A] * 7, A.hard()).tolist() == [1.0, 1.0, 1.0]  # exactly, whatever the rounding of sevenths


def test_two_groups_disagree_on_a_share_of_rows_whatever_their_weights_are() -> None:
    one = [voter("a", [[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), voter("b", [[0.0, 1.0]] * 3)]  # together: 0, 1, 0
    other = [voter("c", [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], weight=0.0)]
    assert disagreement(one, other) == pytest.approx(1 / 3)


def test_uniform_weights_are_equal_whatever_they_were() -> None:
    votes = weigh([A.with_weight(9.0), B], "uniform", {})
    assert [vote.weight for vote in votes] == [1.0, 1.0]


def test_accuracy_weights_are_the_accuracies_by_name() -> None:
    votes = weigh([A, B], "accuracy", {"b": 0.25, "a": 0.75, "unknown": 1.0})
    assert [(vote.voter, vote.weight) for vote in votes] == [("a", 0.75), ("b", 0.25)]
    # r1: (0.75 * 2 + 0.25 * 4, 0)
    assert mean_scores(votes)[0] == pytest.approx([2.5, 0.0])


def test_agreement_weights_compare_each_voter_with_the_ensemble_of_the_others() -> None:
    # Without a: means (2, 1.5), (0, 5.5), (1, .5) -> 0 1 0; a says 0 0 1: 1/3.
    # Without b: (1, 1.5), (.5, 4.5), (1, 2) -> 1 1 1; b says 0 1 1: 2/3.
    # Without c: (3, 0), (.5, 1), (0, 2.5) -> 0 1 1; c says 1 1 0: 1/3.
    votes = weigh([A, B, C], "agreement", {})
    assert [vote.weight for vote in votes] == pytest.approx([1 / 3, 2 / 3, 1 / 3])


def test_agreement_weights_do_not_depend_on_the_weights_before() -> None:
    before = [A.with_weight(100.0), B, C]
    assert [vote.weight for vote in weigh(before, "agreement", {})] == pytest.approx([1 / 3, 2 / 3, 1 / 3])


@pytest.mark.parametrize("weighting", ["uniform", "accuracy", "agreement"])
def test_a_single_voter_is_the_ensemble(weighting: str) -> None:
    votes = weigh([A], weighting, {"a": 0.0})  # type: ignore[arg-type]
    assert votes[0].weight == 1.0
    assert combine(votes).hard().tolist() == A.hard().tolist()


def test_weights_that_would_all_be_zero_are_equal() -> None:
    assert [vote.weight for vote in weigh([A, B], "accuracy", {"a": 0.0, "b": 0.0})] == [1.0, 1.0]
    # Two voters that never agree: each has weight zero against the other.
    never = voter("d", (-A.scores).tolist())
    assert [vote.weight for vote in weigh([A, never], "agreement", {})] == [1.0, 1.0]


def test_weighing_changes_no_votes_that_were_handed_in() -> None:
    weigh([A, B, C], "agreement", {})
    assert [vote.weight for vote in (A, B, C)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("other", [{"labels": ("yes", "no")}, {"ids": ("r1", "r3", "r2")}])
def test_votes_of_another_order_are_never_mixed(other: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="'d' and 'a' are about different rows or labels"):
        combine([A, voter("d", A.scores.tolist(), **other)])


def test_no_votes_and_no_weight_are_errors() -> None:
    with pytest.raises(RunError, match="no votes"):
        combine([])
    nobody = [A.with_weight(0.0), B.with_weight(0.0)]
    for mistake in (lambda: combine(nobody), lambda: agreement(nobody, A.hard())):
        with pytest.raises(RunError, match="weight zero"):
            mistake()


def test_large_and_small_scores_lose_nothing() -> None:
    # In float32, 1e8 + 1 is 1e8: the mean is taken in float64.
    votes = [voter("a", [[1e8, 0.0]] * 3), voter("b", [[-1e8, 0.5]] * 3)]
    assert mean_scores(votes)[0].tolist() == [0.0, 0.25]
