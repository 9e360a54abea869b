"""What label sets are worth against those that were given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from sklearn.metrics import precision_recall_fscore_support

from pet.data.names import parents_of


@dataclass(frozen=True)
class LabelFigures:
    """Precision, recall and F1 of one label in [0, 1]; `rows` have it, `given` were given it."""

    precision: float
    recall: float
    f1: float
    rows: int
    given: int


@dataclass(frozen=True)
class SetEvaluation:
    """F1 over all cells of n rows (micro) and as the mean over labels (macro), and the share of rows that are right.

    `exact` is the share of rows of which every label is right. Macro-F1 is over the labels that some row has or was
    given. `parents` are the figures of the first parts of names with dots, where there are such names.
    """

    n: int
    micro_f1: float
    macro_f1: float
    exact: float
    labels: Mapping[str, LabelFigures]
    parents: "SetEvaluation | None" = None

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        figures = {name: vars(found) for name, found in self.labels.items()}
        more = {"parents": self.parents.as_json()} if self.parents else {}
        named = {"n": self.n, "micro_f1": self.micro_f1, "macro_f1": self.macro_f1, "exact": self.exact}
        return {**named, "labels": figures, **more}


def evaluate_sets(chosen: np.ndarray, given: np.ndarray, labels: Sequence[str]) -> SetEvaluation:
    """Compare label sets, bool [n, k] both.

    >>> found = evaluate_sets(np.array([[True, False], [True, True]]), np.array([[True, False], [False, True]]), "ab")
    >>> found.micro_f1, found.exact
    (0.8, 0.5)
    """
    parts = precision_recall_fscore_support(given, chosen, average=None, zero_division=0.0)
    counts = given.sum(axis=0).tolist(), chosen.sum(axis=0).tolist()
    rows = zip(*(part.tolist() for part in parts[:3]), *counts, strict=True)
    figures = {label: LabelFigures(*row) for label, row in zip(labels, rows, strict=True)}
    seen = [found.f1 for found in figures.values() if found.rows or found.given]
    total = float(chosen.sum() + given.sum())
    columns = parents_of(labels)
    above = None
    if columns:
        upper = [np.stack([part[:, own].any(axis=1) for own in columns.values()], axis=1) for part in (chosen, given)]
        above = evaluate_sets(upper[0], upper[1], list(columns))
    return SetEvaluation(
        n=len(given),
        micro_f1=2.0 * float((chosen & given).sum()) / total if total else 1.0,
        macro_f1=float(np.mean(seen)) if seen else 1.0,
        exact=float((chosen == given).all(axis=1).mean()) if len(given) else 0.0,
        labels=figures,
        parents=above,
    )


@dataclass(frozen=True)
class SetLine:
    """One way to label: its figures on gold rows that it did not learn from, and on the test rows; None: not known."""

    name: str
    held_out: SetEvaluation | None = None
    test: SetEvaluation | None = None

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        parts = {"held_out": self.held_out, "test": self.test}
        return {"name": self.name, **{part: found and found.as_json() for part, found in parts.items()}}


def sets_table(lines: Sequence[SetLine]) -> Table:
    """Return the figures for a terminal."""
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    parts = [part for part in ("test", "held_out") if any(getattr(line, part) for line in lines)]
    names = {"test": "", "held_out": " (held-out gold)"}
    for part in parts:
        for figure in ("micro-F1", "macro-F1", "exact"):
            table.add_column(f"{figure}{names[part]}", justify="right")
    for line in lines:
        found = [getattr(line, part) for part in parts]
        cells = [[one.micro_f1, one.macro_f1, one.exact] if one else [None] * 3 for one in found]
        table.add_row(line.name, *("" if cell is None else f"{100 * cell:.1f}" for three in cells for cell in three))
    return table


def evaluation_lines(found: SetEvaluation, most: int | None = 10) -> list[str]:
    """Return the figures, those of the parents where labels have some, and at most so many labels, the worst first."""
    lines = [_head(found), "", *_label_lines(found, most)]
    if found.parents:
        lines += ["", f"parents, {_head(found.parents)}", "", *_label_lines(found.parents, most)]
    return lines


def _head(found: SetEvaluation) -> str:
    figures = f"micro-F1 {found.micro_f1:.1%}, macro-F1 {found.macro_f1:.1%}, exactly right {found.exact:.1%}"
    return f"{found.n} rows: {figures}"


def _label_lines(found: SetEvaluation, most: int | None) -> list[str]:
    ranked = sorted(found.labels.items(), key=lambda pair: (pair[1].f1, -pair[1].rows))
    shown = ranked[:most]
    width = max((len(name) for name, _ in shown), default=0)
    head = f"{'label':<{width}}   rows  given  precision  recall     F1"
    lines = [
        f"{name:<{width}}  {one.rows:>5}  {one.given:>5}  {one.precision:>9.1%}  {one.recall:>6.1%} {one.f1:>6.1%}"
        for name, one in shown
    ]
    more = [f"and {len(ranked) - len(shown)} labels more: --all shows them"] if len(ranked) > len(shown) else []
    return [head, *lines, *more]
