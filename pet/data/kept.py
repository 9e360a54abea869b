"""`labeled_rows.jsonl` beside a classifier: rows that were labeled by hand, to be shown next to what it says.

{"id": "...", "label": "...", "fields": {"text": "..."}}    a line for each row
"""

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from pet.data.examples import Example
from pet.data.review import recognisable

KEPT_ROWS = "labeled_rows.jsonl"
"""The name of the file; without it a classifier works as well."""

MOST_KEPT = 500
"""More rows are not kept: a server reads each when it starts, to know what is near to it."""


def write_kept_rows(folder: Path, rows: Iterable[Example]) -> None:
    """Write the first of some labeled rows into a folder, long texts shortened; nothing where there is none."""
    found = [
        {"id": row.id, "label": row.label, "fields": {name: recognisable(text) for name, text in row.fields.items()}}
        for row in islice(rows, MOST_KEPT)
    ]
    if found:
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found)
        (folder / KEPT_ROWS).write_text(lines, encoding="utf-8")


def read_kept_rows(folder: Path) -> list[Example]:
    """Return the rows that a folder has; none where there is no such file, or it is no longer what was written."""
    try:
        lines = (folder / KEPT_ROWS).read_text(encoding="utf-8").split("\n")
        found = [json.loads(line) for line in lines if line.strip()]
        return [Example(str(one["id"]), dict(one["fields"]), str(one["label"])) for one in found]
    except (OSError, ValueError, KeyError, TypeError):
        return []
