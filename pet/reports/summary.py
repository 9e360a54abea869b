"""The summary of a run: one line per way to label, from zero-shot to the supervised baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from pet.reports.metrics import Evaluation, evaluate

__all__ = ["DISTILLED", "Summary", "SummaryRow", "summary_row", "summary_table"]


DISTILLED = "distilled classifier"
"""The name of the final classifier's line."""


@dataclass(frozen=True)
class SummaryRow:
    """One way to label: its agreement with the ensemble on the pool, and its test figures where there are any."""

    name: str
    agreement: float | None
    test: Evaluation | None


@dataclass(frozen=True)
class Summary:
    """All rows, and how many rows of the pool the agreement was taken over."""

    rows: tuple[SummaryRow, ...]
    compared: int

    def test_figures(self) -> dict[str, Evaluation]:
        """Return the test figures by name, of the lines that have them."""
        return {row.name: row.test for row in self.rows if row.test}

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "agreement_rows": self.compared,
            "rows": [
                {"name": row.name, "agreement": row.agreement, "test": row.test.as_json() if row.test else None}
                for row in self.rows
            ],
        }


def summary_row(
    name: str,
    pool: np.ndarray | None,
    ensemble: np.ndarray,
    test: np.ndarray | None,
    gold: np.ndarray,
    labels: Sequence[str],
) -> SummaryRow:
    """Build a row from predicted columns on the pool rows that are compared and on the test rows (int64 each)."""
    agreement = float((pool == ensemble).mean()) if pool is not None and len(pool) else None
    return SummaryRow(name, agreement, evaluate(test, gold, labels) if test is not None and len(gold) else None)


def summary_table(summary: Summary) -> Table:
    """Return the summary for a terminal."""
    has_test = any(row.test for row in summary.rows)
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    if has_test:
        table.add_column("accuracy", justify="right")
        table.add_column("macro-F1", justify="right")
    table.add_column("agrees with ensemble", justify="right")
    for row in summary.rows:
        figures = [_percent(row.test.accuracy), _percent(row.test.macro_f1)] if row.test else ["", ""]
        table.add_row(row.name, *(figures if has_test else []), _percent(row.agreement))
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
