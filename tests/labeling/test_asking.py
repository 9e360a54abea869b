"""Which rows to label next: matrices that are checked by hand."""

import numpy as np
import pytest

from pet.labeling.asking import ask, contradicted, uncertainty


def test_uncertainty_is_half_margin_and_half_pairs_that_disagree() -> None:
    probs = np.array([[0.9, 0.1, 0.0], [0.4, 0.4, 0.2], [0.5, 0.3, 0.2]])
    first, second, third = np.eye(3)
    votes = [np.stack([first, first, first]), np.stack([first, second, first]), np.stack([first, third, second])]
    # Margins 0.8, 0.0, 0.2; of three pairs of voters 0, 3 and 2 disagree.
    assert uncertainty(probs, votes) == pytest.approx([0.1, 1.0, (0.8 + 2 / 3) / 2])
    assert uncertainty(probs, votes[:1]) == pytest.approx([0.2, 1.0, 0.8])


def test_without_vectors_the_most_uncertain_come_first_and_labels_take_turns() -> None:
    worth, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 0, 1])
    found = ask(3, worth, labels, ["d", "c", "b", "a"])
    # 0.9; then 0.8 / 2 and 0.7 / 2 against 0.6 of the other label; then 0.8 / 2.
    assert found.places.tolist() == [0, 3, 1]
    assert np.isnan(found.density).all()


def test_equals_are_in_the_order_of_their_ids_and_places_decide_nothing() -> None:
    worth, labels, ids = np.full(300, 0.5), np.zeros(300, np.int64), [f"{299 - i:03}" for i in range(300)]
    assert [ids[i] for i in ask(3, worth, labels, ids).places] == ["000", "001", "002"]


def test_a_row_in_a_dense_part_comes_first_then_one_of_another_part_and_copies_come_last() -> None:
    # Eleven times one text, eleven times another, and a text like neither, of which the voters know least.
    vectors = np.array([[3.0, 0.0, 0.0]] * 11 + [[0.0, 3.0, 0.0]] * 11 + [[0.0, 0.0, -3.0]], np.float32)
    worth = np.array([0.5] * 11 + [0.4] * 11 + [0.6])
    found = ask(4, worth, np.zeros(23, np.int64), [f"{i:02}" for i in range(23)], vectors)
    assert found.places[:2].tolist() == [0, 11]
    assert found.density[:2] == pytest.approx([1.0, 1.0])
    assert found.uncertainty[:2].tolist() == [0.5, 0.4]


def test_rows_without_a_worth_are_not_asked_for_and_no_more_than_there_are() -> None:
    found = ask(9, np.array([np.nan, 0.2, np.nan]), np.zeros(3, np.int64), list("abc"))
    assert found.places.tolist() == [1]
    assert len(ask(9, np.array([np.nan]), np.zeros(1, np.int64), ["a"], np.zeros((1, 2), np.float32))) == 0


def test_gold_rows_are_contradicted_by_those_who_did_not_learn_them() -> None:
    gold = np.array([0, 1, 0, 1])
    unheard = [np.nan, np.nan]
    probs = np.array(
        [
            [[0.4, 0.6], [0.9, 0.1], [0.0, 1.0], unheard],
            [[0.2, 0.8], unheard, [1.0, 0.0], unheard],
        ]
    )
    found = contradicted(probs, gold, ["a", "b", "c", "d"])
    # Row 0: 0.3 against 0.7; row 1: 0.1 against 0.9; row 2: a draw; nobody who did not learn it speaks of row 3.
    assert found.places.tolist() == [1, 0]
    assert found.labels.tolist() == [0, 1]
    assert found.doubt == pytest.approx([0.8, 0.4])
