"""German texts, offline: the bundled encoder reads them, whatever patterns make of them."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from german import DESCRIPTIONS, LABELS, german_rows
from toy import write_rows

import pet
from pet.settings.run import RunSettings

pytestmark = pytest.mark.slow

PATTERNS = """
[doppelpunkt]
template = "{mask}: {text}"
[frage]
template = "{text} Worum geht es? {mask}."
"""
WORDS = """
[worte]
Rechnung = ["geld"]
Lieferung = ["post"]
Konto = ["konto"]
"""


def pipeline(folder: Path, per_label: int) -> Path:
    """Write a task of German messages: so many labeled rows per label, a few to test, all others to label."""
    rows = german_rows()
    gold, rest = rows[: 3 * per_label], rows[3 * per_label :]
    write_rows(folder / "train.jsonl", gold)
    write_rows(folder / "unlabeled.jsonl", [{**row, "label": None} for row in rest])
    for kind, text in (("patterns", PATTERNS), ("verbalizers", WORDS)):
        (folder / "registry" / kind).mkdir(parents=True, exist_ok=True)
        (folder / "registry" / kind / "laden.toml").write_text(text, encoding="utf-8")
    tables = {
        "task": {"labels": list(LABELS), "descriptions": DESCRIPTIONS},
        "data": {"unlabeled": "unlabeled.jsonl"} | ({"train": "train.jsonl"} if gold else {}),
        "prompts": {
            "patterns": ["laden/*"],
            "verbalizer": "laden/worte",
            "registry": ["registry"],
            "multi_token": True,
        },
        "train": {"steps": 5},
        "distill": {"size": "logistic"},
        "run": {"device": "cpu", "baseline": False},
    }
    path = folder / "laden.toml"
    path.write_text(pet.RunConfig.from_mapping(tables).to_toml(), encoding="utf-8")
    return path


@pytest.mark.parametrize(("per_label", "least"), [(0, 0.7), (8, 0.8)])
def test_german_messages_are_labeled_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_label: int, least: float
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = pet.run(pet.RunConfig.from_toml(pipeline(tmp_path, per_label)), tmp_path / "run", quiet=True)
    truth = {row["id"]: row["label"] for row in german_rows()}
    table = pq.read_table(found.pseudo_labels).to_pydict()
    right = [
        label == truth[name]
        for name, label, source in zip(table["id"], table["label"], table["source"], strict=True)
        if source == "pseudo"
    ]
    assert len(right) == 60 - 3 * per_label
    assert np.mean(right) > least
    texts = [row["text"] for row in german_rows()]
    said = pet.predict(found.directory, texts, RunSettings(device="cpu", precision="fp32"))
    assert np.mean([one.label == truth[row["id"]] for one, row in zip(said, german_rows(), strict=True)]) > least
    votes = json.loads((tmp_path / "run" / "generations" / "0" / "report.json").read_text())["voters"]
    names = ["embedding+e5-small", *(["contrastive+e5-small"] if per_label else [])]
    assert [vote["name"] for vote in votes] == names  # pet-mini cannot read German, and is left out
