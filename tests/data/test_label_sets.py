"""Cells with several labels, the separators they are asked about by, and drawing rows that have them."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pet.data.dataset import TaskData, load_task_data
from pet.data.examples import Example
from pet.data.label_sets import as_label, cell_labels, draw_label_sets, label_matrix, labels_of, likely_separator
from pet.errors import DataError
from pet.settings.task import DataSettings, TaskSettings


@pytest.mark.parametrize(
    ("value", "separator", "labels"),
    [
        (["a", "b"], ";", ["a", "b"]),
        ([1, True], "", ["1", "true"]),
        ([], "", []),
        (None, "", []),
        (float("nan"), "", []),
        ("  ", ";", []),
        ("a; b;", ";", ["a", "b"]),
        ("a; b", "", ["a; b"]),
        ('["a", "b"]', ";", ["a", "b"]),
        ("['a', 'b']", "", ["a", "b"]),
        ({"a": 1}, "", None),
        ([["a"]], "", None),
    ],
)
def test_what_a_cell_holds(value: object, separator: str, labels: list[str] | None) -> None:
    assert cell_labels(value, separator) == labels


def test_a_separator_is_one_that_leaves_nothing_but_labels() -> None:
    assert likely_separator("a|b", {"a", "b"}) == "|"
    assert likely_separator("a b", {"a", "b"}) == " "
    assert likely_separator("a|c", {"a", "b"}) == ""


def test_rows_are_drawn_until_every_label_has_enough() -> None:
    rng, names = np.random.default_rng(0), ["a", "b", "c"]
    sets = [[name for name in names if rng.random() < 0.4] for _ in range(60)]
    rows = [Example(str(i), {"text": "x"}, as_label(labels)) for i, labels in enumerate(sets)]
    drawn = draw_label_sets(rows, names, 3, np.random.default_rng(1))
    counts = Counter(chain.from_iterable(map(labels_of, drawn)))
    assert all(counts[name] >= 3 for name in names) and len(drawn) < 20
    assert any(not labels_of(row) for row in drawn)
    assert [int(row.id) for row in drawn] == sorted(int(row.id) for row in drawn)
    assert draw_label_sets(rows, names, None, rng) == tuple(rows)
    assert label_matrix(rows[:2], names).tolist() == [[name in labels for name in names] for labels in sets[:2]]


Load = Callable[..., TaskData]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(train: str, name: str = "train.jsonl", **task: Any) -> TaskData:
        (tmp_path / name).write_text(train, encoding="utf-8")
        (tmp_path / "pool.csv").write_text("text\nnew one\nnew two\n", encoding="utf-8")
        files = DataSettings(train=str(tmp_path / name), unlabeled=str(tmp_path / "pool.csv"))
        return load_task_data(TaskSettings(multi_label=True, **task), files, 0)

    return loaded


def lines(*labels: object) -> str:
    return "".join(json.dumps({"text": f"row {i}", "label": one}) + "\n" for i, one in enumerate(labels))


def test_lists_and_empty_sets_are_read(load: Load) -> None:
    data = load(lines(["b", "a"], [], None, ["a"]))
    assert data.task.labels == ("a", "b")
    assert [labels_of(row) for row in data.labeled] == [("a", "b"), (), (), ("a",)]


def test_text_with_a_separator_is_read_and_asked_about(load: Load) -> None:
    text = "text,label\none,a;b\ntwo,a\nthree,b\nfour,\n"
    data = load(text, "train.csv", label_separator=";")
    assert [labels_of(row) for row in data.labeled] == [("a", "b"), ("a",), ("b",), ()]
    with pytest.raises(DataError, match=r"'a;b' looks like several with ';' between them.*label_separator = \";\""):
        load(text, "train.csv")
    with pytest.raises(DataError, match=r"none of 'a', 'b' .*label_separator"):
        load(text, "train.csv", labels=("a", "b"))


def test_an_unknown_label_is_named(load: Load) -> None:
    with pytest.raises(DataError, match=r"line 1: the label 'bb' is none of 'a', 'b'"):
        load(lines(["bb"], ["a"]), labels=("a", "b"))
    with pytest.raises(DataError, match=r"expected a list of words"):
        load(lines({"a": 1}), labels=("a", "b"))
