"""The measures of SuperGLUE, of rows with a gold label and what a classifier has said."""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.metrics import accuracy_score, f1_score


@dataclass(frozen=True)
class Answered:
    """A row as it was labeled: its `idx`, the gold label ("": none), what was said, and its other columns."""

    idx: str
    gold: str
    said: str
    row: Mapping[str, Any]


Measure = Callable[[Sequence[Answered]], dict[str, float]]


def accuracy(rows: Sequence[Answered]) -> dict[str, float]:
    """Return the share of right rows."""
    return {"accuracy": float(accuracy_score([row.gold for row in rows], [row.said for row in rows]))}


def accuracy_and_f1(rows: Sequence[Answered]) -> dict[str, float]:
    """Return the share of right rows, and the mean of the labels' F1."""
    gold, said = [row.gold for row in rows], [row.said for row in rows]
    return accuracy(rows) | {"macro-F1": float(f1_score(gold, said, average="macro", zero_division=0.0))}


def answers(rows: Sequence[Answered]) -> dict[str, float]:
    """Return F1a, the F1 of right answers over all of them, and the share of questions with no answer wrong.

    >>> row = lambda idx, gold, said: Answered(idx, gold, said, {})
    >>> found = answers([row("0-0-0", "true", "true"), row("0-0-1", "false", "true"), row("0-1-0", "true", "true")])
    >>> {name: round(value, 2) for name, value in found.items()}
    {'F1a': 0.8, 'EM': 0.5}
    """
    gold, said = [row.gold == "true" for row in rows], [row.said == "true" for row in rows]
    right: dict[str, bool] = {}
    for row in rows:
        question = row.idx.rpartition("-")[0]
        right[question] = right.get(question, True) and row.gold == row.said
    return {"F1a": float(f1_score(gold, said, zero_division=0.0)), "EM": sum(right.values()) / len(right)}


def entities(rows: Sequence[Answered]) -> dict[str, float]:
    """Return the means over queries of the best F1 of words, and of exact matches, with any of the right entities.

    Case, punctuation and articles do not count, as in SQuAD (1606.05250).
    """
    pairs = [(_plain(chosen_text(row)), [_plain(one) for one in row.row["answers"]]) for row in rows]
    f1 = [max(_overlap(said, one) for one in wanted) for said, wanted in pairs]
    return {"F1": sum(f1) / len(f1), "EM": sum(said in wanted for said, wanted in pairs) / len(pairs)}


def chosen_text(row: Answered) -> str:
    """Return the text of the candidate that was chosen."""
    return str(row.row["choices"][int(row.said)])


def _plain(text: str) -> str:
    kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def _overlap(said: str, wanted: str) -> float:
    """Return the F1 of the words of two texts."""
    mine, theirs = said.split(), wanted.split()
    common = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * common / (len(mine) + len(theirs)) if common else 0.0
