"""Rows of the shapes that a run's cost depends on: short texts with few and with many labels, long texts, pairs.

`LONG` is made of DATA_DIR/mlm-text: texts of 250 to 700 words, whose label is the kind of source that they are from.
The others are data sets of `accuracy.TASKS`.
"""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

from accuracy import TASKS

Row = dict[str, str]

LONG = "kinds-of-text"
SHAPES = {
    "mr": "short texts, 2 labels",
    "banking77": "short texts, 77 labels",
    LONG: "texts of 400 words, 5 labels",
    "rte": "pairs, 2 labels",
}
_SOURCES = {
    "Review": "imdb-reviews",
    "Newswire": "reuters-21578",
    "Government": "digitalgov",
    "Radio": "abc-news",
    "Literature": "brown",
}
_WORDS = range(250, 701)
_TRAIN, _TEST, _MOST = 50, 100, 650
"""Texts of each source that may be labeled rows, and that are test rows; and in all."""


@dataclass(frozen=True)
class Sizes:
    """So many labeled rows of each label, rows of the pool and test rows at most."""

    per_label: int
    pool: int
    test: int


@dataclass(frozen=True)
class Drawn:
    """The rows of one sample, with the fields of the patterns, and the tables of a pipeline but for `[data]`."""

    train: Sequence[Row]
    pool: Sequence[Row]
    test: Sequence[Row]
    tables: Mapping[str, Any]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a row, in their order."""
        return tuple(self.tables["task"]["fields"])

    @property
    def about(self) -> str:
        """The numbers of rows, labels and words."""
        words = mean(sum(len(row[name].split()) for name in self.fields) for row in self.pool)
        labels = len(self.tables["task"]["labels"])
        sizes = f"{len(self.train)} labeled, {len(self.pool)} pool and {len(self.test)} test rows"
        return f"{labels} labels, {sizes} of {words:.0f} words in the mean"

    def write(self, folder: Path) -> dict[str, str]:
        """Write the three sets into a folder; return the files by name."""
        files = {name: folder / f"{name}.jsonl" for name in ("train", "pool", "test")}
        for name, path in files.items():
            path.write_text("".join(json.dumps(row) + "\n" for row in getattr(self, name)), encoding="utf-8")
        return {name: str(path) for name, path in files.items()}


def draw(shape: str, data: Path, seed: int, sizes: Sizes) -> Drawn:
    """Draw the labeled rows of a sample; those of the pool and the test rows are the same in each."""
    parts, task = (_kinds_of_text if shape == LONG else _data_set)(shape, data)
    train, pool, test = parts
    random.Random(seed).shuffle(train)
    counts, drawn = Counter[str](), []
    for row in train:
        counts[row["label"]] += 1
        drawn += [row] if counts[row["label"]] <= sizes.per_label else []
    labels = sorted({row["label"] for row in train})
    fields = {name: name for name in train[0] if name != "label"}
    tables = {**task, "task": {"labels": labels, "fields": fields}}
    return Drawn(drawn, pool[: sizes.pool], test[: sizes.test], tables)


def _data_set(name: str, data: Path) -> tuple[list[list[Row]], dict[str, Any]]:
    columns = TASKS[name].get("task", {}).get("fields", {"text": "text"}) | {"label": "label"}
    parts = []
    for part in ("train", "unlabeled", "test"):
        with gzip.open(data / name / f"{part}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = map(json.loads, file)
            parts.append([{own: str(row[column]) for own, column in columns.items() if column in row} for row in rows])
    return parts, {"prompts": TASKS[name]["prompts"]}


def _kinds_of_text(_: str, data: Path) -> tuple[list[list[Row]], dict[str, Any]]:
    rng, parts = random.Random(0), [list[Row](), list[Row](), list[Row]()]
    for label, source in _SOURCES.items():
        rows = [{"text": text, "label": label} for text in islice(_long_texts(data / "mlm-text", source), _MOST)]
        rng.shuffle(rows)
        parts[0] += rows[:_TRAIN]
        parts[2] += rows[_TRAIN : _TRAIN + _TEST]
        parts[1] += [{"text": row["text"]} for row in rows[_TRAIN + _TEST :]]
    for part in parts[1:]:
        rng.shuffle(part)
    patterns = [f"topic/{name}" for name in ("question", "about", "category", "topic")]
    return parts, {"prompts": {"patterns": patterns, "multi_token": True}}


def _long_texts(folder: Path, source: str) -> Iterator[str]:
    for path in sorted(folder.glob(f"{source}*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from (line.strip() for line in file if len(line.split()) in _WORDS)
