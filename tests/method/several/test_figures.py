"""Figures of label sets, against scikit-learn's and by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pet.method.several.figures import evaluate_sets, evaluation_lines

NAMES = ("card.arrival", "card.lost", "rates")


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    chosen, given = rng.random((30, 3)) < 0.4, rng.random((30, 3)) < 0.4
    found = evaluate_sets(chosen, given, ("a", "b", "c"))
    assert found.micro_f1 == pytest.approx(f1_score(given, chosen, average="micro"))
    assert found.macro_f1 == pytest.approx(f1_score(given, chosen, average="macro"))
    assert found.exact == (chosen == given).all(axis=1).mean()
    assert found.parents is None and "parents" not in found.as_json()


def test_parents_are_right_where_a_sibling_was_given() -> None:
    given, chosen = np.array([[True, False, False]]), np.array([[False, True, False]])
    found = evaluate_sets(chosen, given, NAMES)
    assert found.micro_f1 == 0.0 and found.exact == 0.0
    assert found.parents is not None and found.parents.exact == 1.0 and set(found.parents.labels) == {"card", "rates"}
    assert any(line.startswith("parents, 1 rows: micro-F1 100.0%") for line in evaluation_lines(found))


def test_many_labels_are_folded() -> None:
    given = np.eye(77, dtype=np.bool_)
    lines = evaluation_lines(evaluate_sets(~given, given, [f"label {k}" for k in range(77)]))
    assert len(lines) < 16 and lines[-1] == "and 67 labels more: --all shows them"
    assert len(evaluation_lines(evaluate_sets(given, given, [str(k) for k in range(77)]), None)) > 77
