"""Accuracy, F1 and confusion against numbers computed by hand."""

import numpy as np
import pytest

from pet.data.examples import Example
from pet.method.metrics import evaluate, gold_columns

LABELS = ["a", "b", "c"]


def test_the_figures_of_a_small_matrix() -> None:
    # gold a a a b b c; predicted a a b b c c
    gold, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    found = evaluate(predicted, gold, LABELS)
    assert found.n == 6
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    # a: precision 1, recall 2/3 -> 4/5; b: 1/2, 1/2 -> 1/2; c: 1/2, 1 -> 2/3
    assert found.f1 == pytest.approx({"a": 4 / 5, "b": 1 / 2, "c": 2 / 3})
    assert found.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)


def test_a_label_that_is_neither_in_the_test_rows_nor_predicted_does_not_lower_macro_f1() -> None:
    found = evaluate(np.array([0, 1, 1]), np.array([0, 1, 1]), LABELS)
    assert (found.macro_f1, found.f1["c"]) == (1.0, 0.0)
    assert found.confusion == [[1, 0, 0], [0, 2, 0], [0, 0, 0]]


def test_a_label_missing_in_the_test_rows_but_predicted_counts_as_zero() -> None:
    # gold a b; predicted a c: F1 1, 0, 0 over three labels that occur
    assert evaluate(np.array([0, 2]), np.array([0, 1]), LABELS).macro_f1 == pytest.approx(1 / 3)


def test_gold_columns_follow_the_order_of_the_labels() -> None:
    rows = [Example(str(i), {}, label) for i, label in enumerate("cab")]
    assert gold_columns(rows, LABELS).tolist() == [2, 0, 1]
    assert gold_columns(rows, LABELS[::-1]).tolist() == [0, 2, 1]
    assert gold_columns([], LABELS).shape == (0,)


def test_figures_are_plain_values() -> None:
    found = evaluate(np.array([0, 1]), np.array([0, 0]), LABELS).as_json()
    assert found["n"] == 2
    assert {type(value) for value in found["f1"].values()} == {float}  # type: ignore[attr-defined]
    assert type(found["accuracy"]) is float


def test_parents_are_the_first_parts_of_names_with_dots() -> None:
    found = evaluate(np.array([1, 2]), np.array([0, 2]), ["card.arrival", "card.lost", "rates"])
    assert found.accuracy == 0.5 and found.parents is not None
    assert found.parents.accuracy == 1.0 and list(found.parents.f1) == ["card", "rates"]
    assert found.as_json()["parents"] == found.parents.as_json()
    assert "parents" not in evaluate(np.array([0, 1]), np.array([0, 1]), ["a.b", "c.d"]).as_json()
