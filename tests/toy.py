"""A toy task of about 60 rows, and everything a run of it needs, for the tests of whole runs.

    pipeline = write_task(tmp_path, save_tiny("bert", tmp_path / "model"))
    pet.run(pet.RunConfig.from_toml(pipeline), tmp_path / "run")

Three labels whose rows share no content words, so that a few steps on a tiny model already learn something.
"""

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LABELS = ("Sports", "Business", "Tech")

# With 8 gold rows per label the sets have 24 rows, 24 + 24 and 24 + 72, less those held out.
THREE = ("ipet.generations=3", "ipet.growth=2")

_WORDS = {
    "Sports": ["team", "game", "match", "won", "coach", "goal", "score"],
    "Business": ["bank", "market", "money", "shares", "profit", "rates", "rise"],
    "Tech": ["phone", "chip", "code", "software", "robot", "data", "fine"],
}
_FILLERS = ["a", "the", "and", "at", "by", "is", "it", "was", "in", "of", "my", "all", "to"]
_MARKS = {"train": "question", "unlabeled": "news", "test": "text"}  # keep the sets from having a text in common

PATTERNS = """
[colon]
template = "{mask}: {text}"
[category]
template = "[ news Category: {mask} ] {text}"
"""
VERBALIZERS = """
[words]
Sports = ["sports", "team"]
Business = ["business"]
Tech = ["tech"]
"""
_AS_IN_THE_PAPER = """\
[encoder]
name = "none"
[ensemble]
mean = "raw"
weighting = "uniform"
"""
PIPELINE = f"""
[task]
name = "toy"
labels = ["Sports", "Business", "Tech"]
[data]
train = "train.jsonl"
unlabeled = "unlabeled.jsonl"
test = "test.jsonl"
[prompts]
patterns = ["toy/*"]
verbalizer = "toy/words"
registry = ["registry"]
[model]
name = "MODEL"
max_length = 32
{_AS_IN_THE_PAPER}[train]
steps = 16
stop_loss = 0
batch_size = 12
learning_rate = 2e-2
[distill]
steps = 16
batch_size = 16
learning_rate = 2e-2
[run]
device = "cpu"
precision = "fp32"
baseline = true
"""


def rows_of(part: str, per_label: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return distinct labeled rows of one part, the labels in turn."""
    draw = random.Random(f"{part}{seed}")
    rows: dict[str, dict[str, Any]] = {}
    while len(rows) < per_label * len(LABELS):
        label = LABELS[len(rows) % len(LABELS)]
        words = draw.sample(_WORDS[label], 3) + draw.sample(_FILLERS, draw.randint(1, 4))
        draw.shuffle(words)
        text = " ".join([_MARKS[part], *words])
        rows.setdefault(text, {"id": f"{part}-{len(rows)}", "text": text, "label": label, "shelf": len(rows)})
    return list(rows.values())


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_task(
    folder: Path, model: Path, seed: int = 0, train: int = 4, unlabeled: int = 12, encoder: Path | None = None
) -> Path:
    """Write the files of the task, so many rows per label, and its prompts into a folder; return its pipeline.

    With an `encoder` all that is done with one is as by default; without, patterns alone vote, as in the paper.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "train.jsonl", rows_of("train", train, seed))
    pool = [{**row, "label": None} for row in rows_of("unlabeled", unlabeled, seed)]
    write_rows(folder / "unlabeled.jsonl", pool)
    write_rows(folder / "test.jsonl", rows_of("test", 4, seed))
    for kind, text in (("patterns", PATTERNS), ("verbalizers", VERBALIZERS)):
        (folder / "registry" / kind).mkdir(parents=True, exist_ok=True)
        (folder / "registry" / kind / "toy.toml").write_text(text, encoding="utf-8")
    pipeline = folder / "toy.toml"
    text = PIPELINE.replace("MODEL", model.as_posix())
    if encoder is not None:
        text = text.replace(_AS_IN_THE_PAPER, f'[encoder]\nname = "{encoder.as_posix()}"\n')
    pipeline.write_text(text, encoding="utf-8")
    return pipeline


def content(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a run, but of the lock and of those that tell times."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".lock")]
    timed = ("run.log", "forecast.json", "report.html")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files if path.name not in timed}
