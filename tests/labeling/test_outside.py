"""Votes that not everybody gives: on each row the mean is of those who vote, by hand."""

import numpy as np
import pytest

from pet.errors import RunError
from pet.labeling.ensemble import agreement, combine, mean_scores, weigh
from pet.labeling.outside import shrunk_accuracy, vote_scores
from pet.labeling.selection import Rule, select
from pet.labeling.votes import Votes

IDS, LABELS = ("1", "2"), ("no", "yes")
NAN = float("nan")
FULL = Votes("a", 0, IDS, LABELS, np.array([[2.0, 0.0], [0.0, 1.0]], np.float32), family="patterns")
OTHER = Votes("b", 0, IDS, LABELS, np.array([[1.0, 0.0], [3.0, 0.0]], np.float32), family="patterns")
SOME = Votes("o", 0, IDS, LABELS, np.array([[0.0, 6.0], [NAN, NAN]], np.float32), family="o", may_abstain=True)


def test_the_mean_of_a_row_is_of_those_who_vote_on_it() -> None:
    assert mean_scores([FULL, SOME]).tolist() == [[1.0, 3.0], [0.0, 1.0]]
    assert mean_scores([FULL.with_weight(3.0), SOME]).tolist() == [[1.5, 1.5], [0.0, 1.0]]
    assert mean_scores([SOME]).tolist() == [[0.0, 6.0], [0.0, 0.0]]
    assert combine([FULL, SOME]).probs[1].tolist() == combine([FULL]).probs[1].tolist()


def test_who_does_not_vote_neither_agrees_nor_disagrees() -> None:
    assert SOME.hard().tolist() == [1, -1] and SOME.voted().tolist() == [True, False]
    assert agreement([FULL, SOME], np.array([1, 1])).tolist() == [0.5, 1.0]
    assert agreement([FULL, SOME.with_weight(3.0)], np.array([1, 0])).tolist() == [0.75, 0.0]


def test_weights_by_agreement_are_of_the_rows_with_a_vote() -> None:
    # The others of a say yes and no, those of b yes and yes, and those of the outside votes no on the row they are on.
    found = weigh([FULL, OTHER.with_weight(2.0), SOME], "agreement", {})
    assert [vote.weight for vote in found] == [1.0, 1.0, 1.0]
    agreeing = Votes("o", 0, IDS, LABELS, np.array([[6.0, 0.0], [NAN, NAN]], np.float32), may_abstain=True)
    assert [vote.weight for vote in weigh([FULL, OTHER, agreeing], "agreement", {})] == [0.5, 0.5, 1.0]


def test_scores_that_are_missing_where_they_must_not_be_are_refused() -> None:
    with pytest.raises(RunError, match="not all finite"):
        Votes("a", 0, IDS, LABELS, SOME.scores)
    with pytest.raises(RunError, match="not all finite"):
        Votes("a", 0, IDS, LABELS, np.array([[0.0, NAN], [0.0, 0.0]], np.float32), may_abstain=True)


def test_labels_are_as_sure_as_they_are_right_on_gold_rows() -> None:
    accuracy = shrunk_accuracy(12, 12, 2)
    assert accuracy == (12 + 8 * 0.75) / 20
    scores = vote_scores(np.array([[0.0, 1.0], [NAN, NAN]]), accuracy)
    assert np.exp(scores[0]).tolist() == pytest.approx([0.1, 0.9]) and np.isnan(scores[1]).all()
    chance = vote_scores(np.array([[0.0, 1.0]]), shrunk_accuracy(0, 100, 2))
    assert chance[0, 0] == chance[0, 1]


def test_a_probability_of_nothing_is_not_certain_of_it() -> None:
    assert np.isfinite(vote_scores(np.array([[0.0, 2.0]]))).all()


@pytest.mark.parametrize("confidence", ["probability", "consensus"])
def test_rows_are_drawn_by_somebody_who_votes_and_outside_votes_have_their_say(confidence: str) -> None:
    rule = Rule(share=0.5, confidence=confidence)  # type: ignore[arg-type]
    drawn = select([FULL, OTHER, SOME], "b", np.array([1, 1]), rule, np.random.default_rng(0))
    assert drawn.deciders == ("a", "o")
    assert drawn.columns.tolist() == [1]  # the first row is "no" to a alone, and the outside votes are surer
    with pytest.raises(RunError, match="No voter but 'a'"):
        select([FULL, SOME], "a", np.array([1, 1]), rule, np.random.default_rng(0))
