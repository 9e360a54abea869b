"""Argilla: records with suggestions and scores, and the responses of people.

Source: `Record.to_dict` and `Record.from_dict` of Argilla 2, which its `to_json` and `from_json` call.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pet.data.writers import write_table
from pet.using.formats.rows import LabeledSet
from pet.using.formats.said import Said

QUESTION = "label"
"""The name of the question: ``rg.LabelQuestion(name="label", labels=[...])``."""


def write_argilla(labeled: LabeledSet, file: Path) -> None:
    """Write a list of records: the label of a row is a suggestion of "pet", or of "gold" where it was given."""
    rows = labeled.given_rows()
    table: dict[str, list[Any]] = {
        "id": [row.id for row in rows],
        "fields": [dict(row.fields) for row in rows],
        "metadata": [{} for _ in rows],
        "suggestions": [
            {QUESTION: {"value": row.label, "score": row.confidence, "agent": "gold" if row.gold else "pet"}}
            for row in rows
        ],
        "responses": [{} for _ in rows],
        "vectors": [{} for _ in rows],
    }
    write_table(file, table)


def said_in_record(record: Mapping[str, Any]) -> Said:
    """Return what people say of a record: their responses, never a suggestion."""
    responses = record.get("responses") or {}
    own: Any = responses.get(QUESTION) or next(iter(responses.values()), [])
    given = [one for one in own if one.get("value") is not None and one.get("status") in (None, "submitted")]
    values = [one["value"] if isinstance(one["value"], str) else None for one in given]
    return Said({"pet_id": record.get("id")}, values, [str(one.get("user_id", "")) for one in given])
