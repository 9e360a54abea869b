"""How good a classifier is on labeled rows, for a terminal: the worst labels, and what is confused with what."""

import numpy as np

from pet.method.metrics import Evaluation
from pet.reports.columns import FOLDED, columns, fitting, more_lines

_WIDEST = 40


def evaluation_lines(found: Evaluation, every: bool = False) -> list[str]:
    """Return accuracy and macro-F1, a line per label and per pair that is confused; of each the ten worst ones.

    Labels that no row has, and that none got, are left out. All lines are there where `every` one is asked for.
    """
    head = [f"{found.n} rows: {_figures(found)}"]
    if found.parents:
        head.append(f"parents, the {len(found.parents.f1)} first parts of the names: {_figures(found.parents)}")
    head.append("")
    most = None if every else FOLDED
    labels, pairs = _labels(found), _confused(found)
    cells = [("label", "rows", "precision", "recall", "F1"), *labels[:most]]
    lines = [*head, *columns(cells, 1), *_more(len(labels), most, "labels")]
    if pairs:
        confused = [("rows of", "were called", "rows"), *pairs[:most]]
        lines += ["", *columns(confused, 2), *_more(len(pairs), most, "pairs")]
    return lines


def _figures(found: Evaluation) -> str:
    return f"accuracy {found.accuracy:.1%}, macro-F1 {found.macro_f1:.1%}"


def _labels(found: Evaluation) -> list[tuple[str, str, str, str, str]]:
    """Return name, rows, precision, recall and F1 of each label that occurs, the lowest F1 first."""
    confusion = np.asarray(found.confusion)
    right, given, rows = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    scores = np.asarray(list(found.f1.values()))
    order = [k for k in np.lexsort((-rows, scores)) if rows[k] or given[k]]
    shares = [(_share(right[k], given[k]), _share(right[k], rows[k]), _cell(scores[k])) for k in order]
    names = [fitting(list(found.f1)[k], _WIDEST) for k in order]
    return [(name, str(rows[k]), *figures) for name, k, figures in zip(names, order, shares, strict=True)]


def _confused(found: Evaluation) -> list[tuple[str, str, str]]:
    """Return the label, what it was taken for, and how often, of each pair that was confused; the most frequent first.

    >>> _confused(Evaluation(5, 0.4, 0.4, {"a": 0.5, "b": 0.3}, [[1, 2], [1, 1]]))
    [('a', 'b', '2'), ('b', 'a', '1')]
    """
    confusion, names = np.asarray(found.confusion), list(found.f1)
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")
    places = zip(*np.unravel_index(order[: np.count_nonzero(wrong)], wrong.shape), strict=True)
    return [(fitting(names[i], _WIDEST), fitting(names[j], _WIDEST), str(wrong[i, j])) for i, j in places]


def _share(part: int, whole: int) -> str:
    return _cell(part / whole) if whole else ""


def _cell(share: float) -> str:
    return f"{100 * share:.1f}"


def _more(count: int, most: int | None, what: str) -> list[str]:
    return more_lines(count - most, what) if most is not None else []
