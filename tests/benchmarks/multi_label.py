"""Several labels per row, measured on a set that is made of others, each row some texts of different labels in one.

    python tests/benchmarks/multi_label.py DATA FOLDER [--labeled 80] [--seeds 3] [--set train.preset=fast ...]

DATA has the folders agnews, trec6 and mr, each with train, unlabeled and test.jsonl.gz of text and label. A row of the
set joins one to three texts of different labels, drawn from the four topics of agnews and the six kinds of questions of
trec6, in any order, each cut after 25 words; one row in ten is a sentence of mr alone, and has none of the ten labels.
Sets are drawn from the files of their own part, so that no text stands in two of them.
"""

import argparse
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROWS = {"unlabeled": 600, "test": 400}
_SOURCES = ("agnews", "trec6")
_WORDS = 25


def texts(data: Path, name: str, part: str) -> dict[str, list[str]]:
    """Return the texts of each label of a data set; of an unlabeled part under "": its labels are unknown."""
    found: dict[str, list[str]] = {}
    with gzip.open(data / name / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            found.setdefault(str(row.get("label") or ""), []).append(" ".join(row["text"].split()[:_WORDS]))
    return found


def joined(data: Path, part: str, count: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Yield rows that join texts of a part; of the unlabeled one, too, the labels stand in no file."""
    labeled = {label: of_label for name in _SOURCES for label, of_label in texts(data, name, part).items()}
    others = [text for of_label in texts(data, "mr", part).values() for text in of_label]
    for number in range(count):
        if draw.random() < 0.1:
            labels, parts = [], [draw.choice(others)]
        else:
            labels = draw.sample(sorted(labeled), draw.randint(1, 3))
            parts = [draw.choice(labeled[label]) for label in labels]
        yield {"id": f"{part}-{number}", "text": " ".join(parts), "label": sorted(labels)}


def make(data: Path, folder: Path, labeled: int, seed: int) -> Path:
    """Write the files of the set and its pipeline; the pool joins the train texts that no labeled row is made of."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    train = list(joined(data, "train", labeled + ROWS["unlabeled"], draw))
    parts = {"train": train[:labeled], "unlabeled": [{**row, "label": None} for row in train[labeled:]]}
    parts["test"] = list(joined(data, "test", ROWS["test"], random.Random("test")))
    for part, rows in parts.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text(text, encoding="utf-8")
    pipeline = folder / "joined.toml"
    pipeline.write_text(
        '[task]\nname = "joined"\nmulti_label = true\n[data]\ntrain = "train.jsonl"\nunlabeled = "unlabeled.jsonl"\n'
        'test = "test.jsonl"\n[model]\nmax_length = 128\n[run]\nbaseline = true\n',
        encoding="utf-8",
    )
    return pipeline


def main() -> None:
    """Make the set for each seed, run it, and print micro-F1, macro-F1 and exact match of every way to label."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labeled", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    from pet.pipeline import run_several
    from pet.settings.config import RunConfig

    for seed in range(asked.seeds):
        place = asked.folder / f"{asked.labeled}-{seed}"
        pipeline = make(asked.data, place, asked.labeled, seed)
        result = run_several(RunConfig.from_toml(pipeline, asked.set), place / "run", force=True)
        for line in result.lines:
            if line.test:
                figures = line.test.micro_f1, line.test.macro_f1, line.test.exact
                print(
                    f"{asked.labeled} rows, seed {seed}, {line.name}: " + "  ".join(f"{100 * x:.1f}" for x in figures)
                )


if __name__ == "__main__":
    main()
