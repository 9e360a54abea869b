"""A run directory as `pet explain` reads it, written by hand: no model, and each number chosen.

write_run(tmp_path / "run")
generation(tmp_path / "run", 3, {"id": ["u-1"], COLON: [[0.5, 0.5]], ASKED: [[0.5, 0.5]]})
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import pet

LABELS = ["World", "Sports"]
COLON, ASKED = "news/colon+words", "news/asked+words"
VOTERS = [
    {"name": COLON, "file": "colon.parquet", "template": "{mask}: {text}"},
    {"name": ASKED, "file": "asked.parquet", "template": "{text:no_final_punct} || About {mask}?"},
]
WORDS = {"World": ["world", "politics"], "Sports": ["sports"]}
GOLD: dict[str, Any] = {
    "id": ["t-1"], "label": ["World"], "source": ["gold"], "confidence": [None], "decided_by": [[]],
}  # fmt: skip


def parquet(path: Path, columns: dict[str, Any], **types: pa.DataType) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path, row_group_size=2)


def training_set(path: Path, rows: dict[str, Any]) -> None:
    parquet(path, rows, confidence=pa.float32(), decided_by=pa.list_(pa.string()), id=pa.string())


def generation(root: Path, number: int, votes: dict[str, Any], **report: Any) -> Path:
    """Write a generation in which everybody learned the gold row."""
    folder = root / "generations" / str(number)
    probs = pa.list_(pa.float32(), len(votes[COLON][0]))
    parquet(folder / "votes.parquet", votes, **{COLON: probs, ASKED: probs})
    for voter in VOTERS:
        training_set(folder / voter["file"], GOLD)
    voters = [{**voter, "words": WORDS} for voter in VOTERS]
    content: dict[str, Any] = {
        "generation": number,
        "rejected": None,
        "continues": None,
        "voters": voters,
        "figures": {},
    }
    (folder / "report.json").write_text(json.dumps(content | report))
    return folder


def labels_of(**changes: list[Any]) -> dict[str, Any]:
    columns = {
        "id": ["t-1", "u-1", "u-2", "u-3"],
        "body": ["gold text", "Rates rise.", "A \x1b[31mgoal\n[bold]late[/bold].", "x" * 100 + " middle " + "y" * 300],
        "label": ["World", "World", "Sports", "World"],
        "prob_World": [1.0, 0.75, 0.25, 0.6],
        "prob_Sports": [0.0, 0.25, 0.75, 0.4],
        "confidence": [1.0, 0.75, 0.75, 0.6],
        "agreement": [None, 1.0, 0.5, 0.5],
        "generation": [None, 0, 1, 1],
        "training_sets": [None, 1, 0, 0],
        "source": ["gold", "pseudo", "pseudo", "pseudo"],
    }
    return columns | changes


def write_run(root: Path) -> Path:
    """Write three generations: the first labeled u-1 alone, the second all, the third was rejected."""
    parquet(root / "pseudo_labels.parquet", labels_of())
    config = pet.RunConfig.from_mapping({"task": {"labels": LABELS, "fields": {"text": "body"}}})
    (root / "config.toml").write_text(config.to_toml())
    (root / "manifest.json").write_text("{}")
    generation(root, 0, {"id": ["u-1"], COLON: [[0.5, 0.5]], ASKED: [[0.125, 0.875]]})
    ids = ["u-1", "u-2", "u-3"]
    second = {"id": ids, COLON: [[0.875, 0.125], [0.25, 0.75], [0.5, 0.5]], ASKED: [[0.625, 0.375]] + [[0.5, 0.5]] * 2}
    first = generation(root, 1, second, continues=0)
    training_set(
        first / "colon.parquet",
        {name: values + new for (name, values), new in zip(
            GOLD.items(), [["u-1"], ["Sports"], ["pseudo"], [0.875], [[ASKED]]], strict=True
        )},
    )  # fmt: skip
    generation(root, 2, {"id": ids, COLON: [[0.0, 1.0]] * 3, ASKED: [[0.0, 1.0]] * 3}, rejected="too much Sports")
    return root
