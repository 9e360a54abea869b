"""What a terminal shows of many labels: the worst ten, the ten pairs confused most, and that there are more."""

import numpy as np

from pet.method.metrics import evaluate
from pet.reports.evaluation import evaluation_lines


def test_labels_and_confused_pairs_by_hand() -> None:
    found = evaluate(np.array([0, 1, 1, 1, 0]), np.array([0, 0, 0, 1, 1]), ["no", "yes", "never"])
    assert evaluation_lines(found) == [
        "5 rows: accuracy 40.0%, macro-F1 40.0%",
        "",
        "label  rows  precision  recall    F1",
        "no        3       50.0    33.3  40.0",
        "yes       2       33.3    50.0  40.0",
        "",
        "rows of  were called  rows",
        "no       yes             2",
        "yes      no              1",
    ]


def test_many_labels_are_folded_unless_all_are_asked_for() -> None:
    labels = [f"label {k:02}" for k in range(40)]
    gold = np.repeat(np.arange(40), 3)
    found = evaluate(np.where(gold < 12, (gold + 1) % 40, gold), gold, labels)
    lines = evaluation_lines(found)
    assert "and 30 more labels: --all shows them" in lines and "and 2 more pairs: --all shows them" in lines
    assert len(lines) == 2 + 1 + 10 + 1 + 2 + 10 + 1
    assert all(line.split()[-1] == "0.0" for line in lines[3:13])
    assert len(evaluation_lines(found, every=True)) == 2 + 1 + 40 + 2 + 12


def test_where_nothing_is_confused_no_pairs_are_shown() -> None:
    lines = evaluation_lines(evaluate(np.array([0, 1]), np.array([0, 1]), ["a", "b"]))
    assert lines[-1].startswith("b") and len(lines) == 5
