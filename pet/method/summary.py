"""The summary of a run: one line per way to label, from zero-shot to the supervised baseline."""

from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from rich.table import Table

from pet.method.metrics import Evaluation

DISTILLED = "distilled classifier"
"""The name of the final classifier's line."""

SIMPLER = frozenset(
    {"generation 0", "supervised baseline", "embeddings + logistic regression", "embeddings + self-training"}
)
"""The lines of what someone would try first."""

_FAST = "--fast"
_FLAGS = {
    "generation 0": "--set ipet.generations=1",
    "embeddings + logistic regression": _FAST,
    "embeddings + self-training": _FAST,
}
"""How a run does what is simpler; nothing of `pet` is a classifier trained on the labeled rows alone."""

_BETTER = "something simpler would have done better"

WORTH_TELLING = 0.01
"""A classifier whose accuracy is so much under that of the ensemble is told of."""

FAITHFUL_SHARE = 0.75
"""Without test rows, a classifier that agrees with its ensemble on no more of the pool is told of."""

SIGMAS = 1.96
"""Half-width of the 95 % interval, in standard errors of the difference of two proportions."""


@dataclass(frozen=True)
class SummaryRow:
    """One way to label: its agreement with the ensemble on the pool, its test figures where there are any.

    `held_out` is the accuracy on gold rows that it did not learn from; `on_test` what it says of the test rows, scores
    or probabilities, float [r, k].
    """

    name: str
    agreement: float | None
    test: Evaluation | None
    held_out: float | None = None
    on_test: np.ndarray | None = field(default=None, compare=False, repr=False)

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        test = self.test.as_json() if self.test else None
        return {"name": self.name, "agreement": self.agreement, "held_out_accuracy": self.held_out, "test": test}


@dataclass(frozen=True)
class Summary:
    """All rows, how many rows of the pool the agreement was taken over, and how many gold rows were held out."""

    rows: tuple[SummaryRow, ...]
    compared: int
    held_out: int = 0

    def test_figures(self) -> dict[str, Evaluation]:
        """Return the test figures by name, of the lines that have them."""
        return {row.name: row.test for row in self.rows if row.test}

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "agreement_rows": self.compared,
            "held_out_rows": self.held_out,
            "rows": [row.as_json() for row in self.rows],
        }


def verdict(summary: Summary) -> str | None:
    """Say in one sentence whether something simpler would have done better; None where there is nothing simpler.

    By the test rows where there are any: the classifier against what is simpler than it. Else by the gold rows held
    out: the ensemble.
    """
    lines = {row.name: row for row in summary.rows}
    if not SIMPLER & set(lines):
        return None
    if (ours := lines.get(DISTILLED)) and ours.test:
        n, rows = ours.test.n, "test rows"
        found = {row.name: row.test.accuracy for row in summary.rows if row.test}
        best, name = found[DISTILLED], DISTILLED
    elif (ours := lines.get("ensemble")) and ours.held_out is not None:
        n, rows = summary.held_out, "gold rows held out"
        found = {row.name: row.held_out for row in summary.rows if row.held_out is not None}
        best, name = ours.held_out, "ensemble"
    else:
        return (
            "whether something simpler would have done better is not measured: give data.test, or 8 labeled rows of "
            "each label and ipet.held_out = true"
        )
    simpler = {other: share for other, share in found.items() if other in SIMPLER}
    if not simpler:
        return None
    top = max(simpler, key=lambda other: simpler[other])
    figures = f"{name} {best:.1%}, {top} {simpler[top]:.1%} on {n} {rows}"
    if simpler[top] <= best:
        return f"nothing simpler would have done better: {figures}"
    interval = SIGMAS * sqrt((best * (1 - best) + simpler[top] * (1 - simpler[top])) / n)
    chance = ", a difference that chance explains" if simpler[top] - best <= interval else ""
    return f"{_BETTER}: {figures}{chance}"


def simpler_flags(summary: Summary, fast: bool = False) -> str | None:
    """Return the flags of `pet run` that do what would have done better; None where nothing would, or none do it.

    Of a run without patterns, `fast`, that is not `--fast`: it has just been given.
    """
    said = verdict(summary) or ""
    found = next((flags for name, flags in _FLAGS.items() if said.startswith(_BETTER) and f", {name} " in said), None)
    return None if fast and found == _FAST else found


def weak_classifier(summary: Summary) -> str | None:
    """Say so where the classifier is more than a point under the ensemble on the test rows; None where it is not.

    Without such rows: where it says something else than the ensemble of a quarter of the pool.
    """
    found, nearer = summary.test_figures(), "more unlabeled rows, or another distill.model, bring it nearer"
    agrees = next((row.agreement for row in summary.rows if row.name == DISTILLED), None)
    if not {"ensemble", DISTILLED} <= set(found):
        if agrees is None or agrees > FAITHFUL_SHARE:
            return None
        return f"the classifier agrees with the ensemble that taught it on {agrees:.1%} of the pool: {nearer}"
    ensemble, ours = found["ensemble"].accuracy, found[DISTILLED].accuracy
    if round(ensemble - ours, 6) <= WORTH_TELLING:
        return None
    return (
        f"the classifier is right on {ours:.1%} of the test rows, the ensemble that taught it on {ensemble:.1%}: "
        f"{nearer}"
    )


def summary_table(summary: Summary) -> Table:
    """Return the summary for a terminal."""
    has_test = any(row.test for row in summary.rows)
    has_held_out = any(row.held_out is not None for row in summary.rows)
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    if has_test:
        table.add_column("accuracy", justify="right")
        table.add_column("macro-F1", justify="right")
    if has_held_out:
        table.add_column("held-out gold", justify="right")
    table.add_column("agrees with ensemble", justify="right")
    for row in summary.rows:
        figures = [_percent(row.test.accuracy), _percent(row.test.macro_f1)] if row.test else ["", ""]
        gold = [_percent(row.held_out)] if has_held_out else []
        table.add_row(row.name, *(figures if has_test else []), *gold, _percent(row.agreement))
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
