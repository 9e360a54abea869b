"""The rows: how many there are and how long, which gold rows are doubtful, and the surest and the least sure labels."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pet.reports.html.page import Section
from pet.reports.html.report import Report

SHOWN = 10
"""So many of the surest rows, and of the most doubtful ones, are shown."""

FEW_LABELS = 20
"""Of more labels the least and the most frequent ones are shown first."""


@dataclass(frozen=True)
class Row:
    """A row of the pool with its label, how sure it is, and what each voter says of it."""

    id: str
    text: str
    label: str
    confidence: float
    agreement: float
    votes: dict[str, str | None]

    @property
    def counted(self) -> list[tuple[str, int]]:
        """The labels that voters give, with the number of these, the most frequent first."""
        return Counter(label for label in self.votes.values() if label is not None).most_common()


def data(report: Report) -> Section | None:
    """Show how many rows there are, how long they are, what was cut and left out, and which gold rows are doubtful."""
    found = report.analysis.get("data")
    if not found:
        return None
    gold, given = found["gold_rows"], Counter(report.rows.label[place] for place in report.rows.pool.tolist())
    ranked = sorted(report.labels, key=lambda label: -given[label])
    most = max([1, *given.values()])
    lines = [(label, gold.get(label, 0), given[label], given[label] / most) for label in ranked]
    texts = _texts_of(report, [one["id"] for one in report.analysis["suspicious_gold"]])
    content = {
        **found,
        "rows": report.metrics["rows"],
        "labels": lines if len(lines) <= FEW_LABELS else lines[: FEW_LABELS // 2],
        "other_labels": [] if len(lines) <= FEW_LABELS else lines[FEW_LABELS // 2 :],
        "suspicious": [(one, texts.get(one["id"], "")) for one in report.analysis["suspicious_gold"]],
    }
    return Section("data", "The data", content)


def examples(report: Report) -> Section | None:
    """Show the rows whose labels are surest, of each label the first in turn, and those that are most doubtful."""
    pool = report.rows.pool
    known = pool[np.isfinite(report.rows.confidence[pool])]
    if not len(known):
        return None
    order = known[np.argsort(report.rows.confidence[known], kind="stable")]
    doubtful, surest = order[:SHOWN], _spread(report, order[::-1])
    content = {"doubtful": _rows(report, doubtful), "surest": _rows(report, surest)}
    return Section("rows", "Surest and most doubtful rows", content)


def _spread(report: Report, order: np.ndarray) -> np.ndarray:
    """Return the first rows of an order, a row of each label before a second one of any."""
    seen = Counter[str]()
    turns = []
    for place in order.tolist():
        turns.append(seen[report.rows.label[place]])
        seen[report.rows.label[place]] += 1
    return order[np.argsort(turns, kind="stable")[:SHOWN]]


def _rows(report: Report, places: np.ndarray) -> list[Row]:
    texts, votes = report.rows.texts(places), report.rows.votes(places)
    return [
        Row(
            report.rows.ids[place],
            text,
            report.rows.label[place],
            float(report.rows.confidence[place]),
            float(report.rows.agreement[place]),
            vote,
        )
        for place, text, vote in zip(places.tolist(), texts, votes, strict=True)
    ]


def _texts_of(report: Report, ids: list[str]) -> dict[str, str]:
    """Return the texts of gold rows by their ids."""
    wanted, rows = set(ids), report.rows
    pairs = enumerate(zip(rows.ids, rows.source, strict=True))
    places = [place for place, (name, source) in pairs if source == "gold" and name in wanted]
    return dict(zip((rows.ids[place] for place in places), rows.texts(places), strict=True))
