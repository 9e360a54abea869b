"""Sixty German messages to a shop, 20 each of three labels in turn, written for the tests of other languages.

No real person or firm is in them, and none is a translation of a row of the bundled task.
"""

import json
from pathlib import Path

LABELS = ("Rechnung", "Lieferung", "Konto")
DESCRIPTIONS = {
    "Rechnung": "Rechnungen, Zahlungen, Erstattungen, Gutscheine, Mahnungen",
    "Lieferung": "Versand, Zustellung, Pakete, Lieferzeit, Adresse der Lieferung",
    "Konto": "Anmeldung, Passwort, Profil, persönliche Daten, Newsletter",
}


def german_rows() -> list[dict[str, str]]:
    """Return the rows: id, text, label."""
    path = Path(__file__).with_suffix(".jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
