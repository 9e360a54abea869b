"""Rows with several labels each: what stands in their cells, and how it is kept.

The label of an `Example` of such a task is the JSON list of its labels in the order of the task, "[]" where it has
none of them, and None where they are unknown. So rows are stored, compared and digested as those with one label are.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from pet.data.examples import Example
from pet.data.labels import is_placeholder, label_parts
from pet.errors import shown
from pet.settings.task import label_word

SEPARATORS = (";", "|", ",", "/", " ")
"""What may stand between the labels of a cell, the likeliest first."""


def as_label(labels: Iterable[str], order: Sequence[str] | None = None) -> str:
    """Return a set of labels as the label of an `Example`, in the order of a task, else sorted.

    >>> as_label(["b", "a", "b"]), as_label([])
    ('["a", "b"]', '[]')
    """
    found = set(labels)
    ordered = sorted(found) if order is None else [label for label in order if label in found]
    return json.dumps(ordered, ensure_ascii=False)


def labels_of(example: Example) -> tuple[str, ...]:
    """Return the labels of a row of a task with several; none where they are unknown.

    >>> labels_of(Example("1", {}, '["a", "b"]')), labels_of(Example("1", {}))
    (('a', 'b'), ())
    """
    return tuple(json.loads(example.label)) if example.label is not None else ()


def label_matrix(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    """Return which labels rows have, bool [n, k], columns in the order of `labels`."""
    columns, found = {label: k for k, label in enumerate(labels)}, np.zeros((len(examples), len(labels)), np.bool_)
    for row, example in enumerate(examples):
        found[row, [columns[label] for label in labels_of(example)]] = True
    return found


def cell_labels(value: object, separator: str) -> list[str] | None:
    """Return the labels of a cell: those of a list, of a text that is a JSON list, or between separators.

    None is what no labels can be made of, such as a mapping.

    >>> cell_labels(["a", "b"], ""), cell_labels("a; b;", ";"), cell_labels("", ";"), cell_labels('["a"]', "")
    (['a', 'b'], ['a', 'b'], [], ['a'])
    """
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return label_parts(value)
    if isinstance(value, list):
        if any(not isinstance(part, str | int | float) for part in value):
            return None
        return [word for part in value if (word := label_word(part))]
    if isinstance(value, dict | bytes):
        return None
    text = "" if value is None or is_placeholder(value) or value != value else str(value)
    parts = text.split(separator) if separator else [text]
    return [word for part in parts if (word := label_word(part))]


def likely_separator(label: str, known: Collection[str]) -> str:
    """Return the separator that divides a text into labels that are `known`; "" where none does.

    >>> likely_separator("a, b", {"a", "b"}), likely_separator("Sci, Tech", {"a", "b"})
    (',', '')
    """
    for separator in SEPARATORS:
        parts = [label_word(part) for part in label.split(separator)]
        if len(parts) > 1 and all(part in known for part in parts):
            return separator
    return ""


def separator_of(labels: Iterable[str]) -> str:
    """Return the separator that labels of a file look joined by: each part is one of others, too; "" where none is.

    >>> separator_of(["a;b", "a", "b;c", "c"]), separator_of(["Sci, Tech", "World"])
    (';', '')
    """
    found = list(labels)
    for separator in SEPARATORS[:-1]:
        parts = {label: [label_word(part) for part in label.split(separator)] for label in found}
        uses = Counter(part for of_label in parts.values() for part in set(of_label))
        joined = [of_label for of_label in parts.values() if len(of_label) > 1]
        if joined and all(uses[part] > 1 for of_label in joined for part in of_label):
            return separator
    return ""


def ask_for_separator(label: str, separator: str) -> str:
    """Return the sentence that asks about labels that look like several in one."""
    return (
        f"the label {shown(label)} looks like several with {separator!r} between them: if it is so, set [task] "
        f"label_separator = {json.dumps(separator)}; if it is one label, name all labels in [task] labels"
    )


def draw_label_sets(
    examples: Sequence[Example], labels: Sequence[str], per_label: int | None, rng: np.random.Generator
) -> tuple[Example, ...]:
    """Draw rows until each label has `per_label` of them, or all it has, rare labels first; they stay in file order.

    A row counts for each of its labels, so that frequent ones may have more. None draws all rows. Rows without any
    label are drawn too, in the ratio of the file.
    """
    if per_label is None:
        return tuple(examples)
    given = label_matrix(examples, labels)
    order, chosen = rng.permutation(len(examples)), np.zeros(len(examples), np.bool_)
    for column in np.argsort(given.sum(axis=0), kind="stable"):
        rows = [row for row in order if given[row, column]]
        missing = per_label - int(given[chosen, column].sum())
        chosen[[row for row in rows if not chosen[row]][: max(0, missing)]] = True
    without = [row for row in order if not given[row].any()]
    share = len(without) / max(1, len(examples) - len(without))
    chosen[without[: round(share * chosen.sum())]] = True
    return tuple(examples[int(row)] for row in np.flatnonzero(chosen))
