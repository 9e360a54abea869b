"""doccano: a line per text with its label, in and out (JSONL of the project "text classification").

Source: doccano's pages on import and export, and the tests of its export (backend/data_export/tests/test_task.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pet.data.writers import write_table
from pet.using.formats.rows import LabeledSet
from pet.using.formats.said import Said

LABEL_KEYS = ("label", "labels", "cats")
"""Where the labels stand, by version and kind of project."""


def write_doccano(labeled: LabeledSet, file: Path) -> None:
    """Write a line per row: its texts as one, its label in a list; what else is there doccano keeps beside the text.

    doccano does not tell a label that it was given from one that a person gives: `pet_label` does, once it comes back.
    """
    rows = labeled.given_rows()
    table: dict[str, list[Any]] = {
        "text": ["\n".join(row.fields.values()) for row in rows],
        "label": [[row.label] for row in rows],
        "pet_id": [row.id for row in rows],
        "pet_label": [row.label for row in rows],
        "pet_run": [labeled.run for row in rows],
        "confidence": [row.confidence for row in rows],
        "source": ["gold" if row.gold else "pseudo" for row in rows],
    }
    write_table(file, table)


def said_in_line(row: Mapping[str, Any]) -> Said:
    """Return what people say of a line of an export: nothing where its list of labels is empty.

    Several labels are those of several people in a shared project, who are not told apart: they disagree.
    """
    found: Any = next((row[key] for key in LABEL_KEYS if key in row), [])
    labels = [found] if isinstance(found, str) else list(found or [])
    data = {**row.get("meta", {}), **row}
    return Said(data, [str(label) for label in labels], [""] * len(labels), data.get("pet_label"))
