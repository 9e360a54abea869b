"""How sure labels are, whether that is to be believed, and what each label is worth on the test rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pet.method.summary import DISTILLED
from pet.reports.html.page import Section
from pet.reports.html.report import Report

MANY = 12
"""More labels are folded: the worst of them are shown, and the pairs that are confused most often."""

WORST = 10


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of the classifier: rows are the labels, columns what it says; `most` is its largest cell."""

    labels: Sequence[str]
    cells: Sequence[Sequence[int]]
    most: int

    @property
    def filled(self) -> list[tuple[int, int, int]]:
        """The row, the column and the count of each cell that is not empty."""
        pairs = enumerate(self.cells)
        return [(i, j, count) for i, row in pairs for j, count in enumerate(row) if count]


def confidence(report: Report) -> Section | None:
    """Show how sure the labels of the pool are, and whether those of a confidence are right as often."""
    if "confidence" not in report.analysis:
        return None
    known = {
        "ensemble": report.analysis.get("reliability"),
        "classifier": report.metrics.get("classifier", {}).get("reliability"),
    }
    found = report.analysis["confidence"]
    content = {
        **found,
        "top": rounded_up(max(found["counts"])),
        "reliability": {name: one for name, one in known.items() if one},
    }
    return Section("confidence", "How sure the labels are", content)


def rounded_up(most: int) -> int:
    """Return where an axis of counts ends that has four equal steps of round numbers.

    >>> rounded_up(0), rounded_up(9), rounded_up(169)
    (4, 12, 200)
    """
    power = int(10 ** max(0, len(str(most)) - 2))
    ends = [4 * step * size for size in (power, 10 * power) for step in (1, 2, 3, 4, 5, 6, 8)]
    return min(end for end in ends if end >= most)


def by_label(report: Report) -> Section | None:
    """Show precision and recall of each label, and which ones are confused."""
    found: Mapping[str, Any] = report.metrics.get("classifier", {})
    row = next((row for row in report.metrics["summary"]["rows"] if row["name"] == DISTILLED), None)
    if not found or row is None or not row["test"]:
        return None
    lines, cells = found["per_label"], row["test"]["confusion"]
    # Of a label without a test row nothing is known.
    ranked = sorted(lines, key=lambda line: (not line["rows"], line["f1"]))
    matrix = Confusion(row["test"]["labels"], cells, max(map(max, cells)))
    content = {
        "n": row["test"]["n"],
        "many": len(lines) > MANY,
        "worst": ranked[:WORST] if len(lines) > MANY else lines,
        "others": ranked[WORST:] if len(lines) > MANY else [],
        "confused": found["confused"][:WORST],
        "matrix": matrix,
    }
    return Section("labels", "Label by label, on the test rows", content)
