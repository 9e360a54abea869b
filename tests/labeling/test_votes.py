"""Votes and soft labels refuse what is no vote and no distribution, and say what the best label is."""

import numpy as np
import pytest

from pet.data.examples import Example
from pet.data.rows import Rows
from pet.errors import RunError
from pet.labeling.votes import SoftLabels, Votes, softmax, with_some_weight

LABELS = ("no", "yes")


def votes(scores: list[list[float]], weight: float = 1.0) -> Votes:
    ids = tuple(str(row) for row in range(len(scores)))
    return Votes("p+v", 0, ids, LABELS, np.asarray(scores, np.float32).reshape(len(scores), -1), weight)


def test_hard_labels_are_the_highest_scores_and_the_first_of_equals() -> None:
    assert votes([[1.0, 2.0], [3.0, -1.0], [5.0, 5.0]]).hard().tolist() == [1, 0, 0]


@pytest.mark.parametrize("scores", [[[1.0]], [[1.0, 2.0, 3.0]]])
def test_votes_about_other_labels_than_they_name_are_refused(scores: list[list[float]]) -> None:
    with pytest.raises(RunError, match=r"'p\+v' have shape .* expected \(1, 2\)"):
        votes(scores)


def test_votes_about_other_rows_than_they_name_are_refused() -> None:
    with pytest.raises(RunError, match=r"shape \(2, 2\), expected \(1, 2\)"):
        Votes("p+v", 0, ("a",), LABELS, np.zeros((2, 2), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(RunError, match=r"'p\+v' are not all finite"):
        votes([[0.0, value]])


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_no_share_is_refused(weight: float) -> None:
    with pytest.raises(RunError, match="have the weight"):
        votes([[0.0, 1.0]], weight)


def test_another_weight_makes_new_votes_and_leaves_the_old() -> None:
    old = votes([[0.0, 1.0]])
    assert old.with_weight(0.5).weight == 0.5
    assert old.weight == 1.0
    assert old.with_weight(0.5).scores is old.scores


def test_the_probabilities_are_the_softmax_of_the_scores() -> None:
    # exp(ln 3) : exp(0) = 3 : 1, and equal scores
    probs = votes([[np.log(3.0), 0.0], [7.0, 7.0]]).probs()
    assert probs == pytest.approx(np.array([[0.75, 0.25], [0.5, 0.5]]))
    assert probs.dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (np.array([2, 0]), ("2", "0")),
        (np.array([1, 1]), ("1", "1")),
        (np.array([False, True, True]), ("1", "2")),
        (np.array([True, True, True]), ("0", "1", "2")),
        (np.array([], np.int64), ()),
    ],
)
def test_votes_on_some_rows_keep_ids_and_scores_together(rows: np.ndarray, ids: tuple[str, ...]) -> None:
    whole = votes([[0.0, 9.0], [1.0, 9.0], [2.0, 9.0]], weight=0.5)
    part = whole.take(rows)
    assert part.ids == ids
    assert part.scores.tolist() == [[float(name), 9.0] for name in ids]
    assert (part.voter, part.labels, part.weight) == (whole.voter, LABELS, 0.5)


def test_ids_of_a_pool_are_decoded_only_when_asked_for() -> None:
    pool = Rows.of(Example(str(i), {"text": "a"}) for i in range(3))
    whole = Votes("a", 0, pool.ids, LABELS, np.zeros((3, 2), np.float32))
    part = whole.take(np.array([False, True, True])).take(np.array([1, 0]))
    assert not isinstance(part.ids, tuple)
    assert list(part.ids) == ["2", "1"] and part.ids == ("2", "1")


def test_voters_are_made_equal_only_where_none_has_a_weight() -> None:
    none, some = votes([[0.0, 1.0]], 0.0), votes([[0.0, 1.0]], 0.25)
    assert [vote.weight for vote in with_some_weight([none, some])] == [0.0, 0.25]
    assert [vote.weight for vote in with_some_weight([none, none])] == [1.0, 1.0]
    assert none.weight == 0.0


def test_softmax_by_hand() -> None:
    # exp(0) : exp(ln 3) = 1 : 3
    assert softmax(np.array([[0.0, np.log(3.0)]])) == pytest.approx(np.array([[0.25, 0.75]]))
    assert softmax(np.array([[-1e9, 1e9]])).tolist() == [[0.0, 1.0]]
    assert softmax(np.zeros((1, 4))).dtype == np.float32


def test_soft_labels_of_scores() -> None:
    soft = SoftLabels(["a", "b"], LABELS, softmax(np.array([[0.0, np.log(3.0)], [2.0, 2.0]])))
    assert soft.hard().tolist() == [1, 0]
    assert soft.confidence() == pytest.approx(np.array([0.75, 0.5]))
    assert soft.probs.dtype == np.float32


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.6], "does not sum to 1"),
        ([0.5, 0.50003], "does not sum to 1"),
        ([1.5, -0.5], "no probability"),
        ([np.nan, 1.0], "no probability"),
        ([1.0], r"shape \(1, 1\), expected \(1, 2\)"),
    ],
)
def test_what_is_no_distribution_is_refused(row: list[float], message: str) -> None:
    with pytest.raises(RunError, match=message):
        SoftLabels(("a",), LABELS, np.asarray([row], np.float32))


def test_rounding_within_1e_5_is_allowed_and_no_rows_are() -> None:
    SoftLabels(("a",), LABELS, np.asarray([[0.5, 0.500005]], np.float32))
    assert SoftLabels((), LABELS, np.empty((0, 2), np.float32)).hard().tolist() == []
