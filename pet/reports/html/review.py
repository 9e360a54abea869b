"""What to label next, in the page: rows that are shown one at a time, and take labels by key or click."""

from typing import Any

from pet.data.output import field_names
from pet.data.review import COLUMNS, NO_LABEL, recognisable
from pet.reports.html.page import Section
from pet.reports.html.report import Report
from pet.reports.review import to_review

ROWS = 20
"""So many rows of the pool are asked for."""


def review(report: Report) -> Section:
    """Return the rows that a person should label next."""
    found = to_review(report.root, ROWS)
    rows: list[dict[str, Any]] = []
    for row in found.rows:
        fields = {name: recognisable(text) for name, text in row.fields.items()}
        rows.append({**row.as_json(), "fields": fields})
    fields = {name: name for row in found.rows for name in row.fields}
    content = {
        "last": min(9, len(found.labels)),
        "gold": sum(row.gold for row in found.rows),
        "notes": found.notes,
        "run_path": str(report.root),
    }
    data = {
        "run": found.run,
        "labels": found.labels,
        "none": NO_LABEL,
        "columns": field_names(fields, COLUMNS.__contains__),
        "rows": rows,
    }
    return Section("review", "What to label next", content, data)
