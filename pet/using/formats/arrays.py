"""cleanlab's arrays, and a data set folder of the library `datasets`, ready to be pushed to the hub."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from pet.data.output import PIECE_ROWS
from pet.using.formats.rows import Labeled, LabeledSet


def write_cleanlab(labeled: LabeledSet, folder: Path) -> None:
    """Write ``labels.npy`` int64 [n], ``pred_probs.npy`` float64 [n, k], ``ids.npy`` and the names in ``labels.json``.

    That is what `cleanlab.filter.find_label_issues` takes. A row on which nobody voted has probability 1 of its label.
    """
    rows, columns = labeled.given_rows(), {label: k for k, label in enumerate(labeled.labels)}
    given = np.asarray([columns[row.label] for row in rows], np.int64)
    probs = np.eye(len(columns))[given]
    for i, row in enumerate(rows):
        if row.probs is not None:
            probs[i] = row.probs
    np.save(folder / "labels.npy", given)
    np.save(folder / "pred_probs.npy", probs)
    np.save(folder / "ids.npy", np.asarray([row.id for row in rows]))
    names = json.dumps(list(labeled.labels), ensure_ascii=False, indent=2)
    (folder / "labels.json").write_text(names, encoding="utf-8")


def write_hub(labeled: LabeledSet, folder: Path) -> None:
    """Write a data set with its card: ``datasets.load_dataset(folder)`` reads it, the label is a `ClassLabel`."""
    from datasets import ClassLabel, Features, Value  # seconds to import

    first = labeled.given_rows()[0]
    names = {"id": Value("string"), **{field: Value("string") for field in _texts(first)}}
    classes = {"label": ClassLabel(names=list(labeled.labels))}
    known = {"confidence": Value("float32"), "source": Value("string")}
    schema = Features({**names, **classes, **known}).arrow_schema
    (folder / "data").mkdir()
    count = 0
    with pq.ParquetWriter(folder / "data" / "train-00000-of-00001.parquet", schema) as writer:
        for rows in _pieces(labeled):
            writer.write_table(pyarrow.table(_columns(rows, labeled), schema))
            count += len(rows)
    (folder / "README.md").write_text(_card(labeled, count), encoding="utf-8")


def _texts(row: Labeled) -> dict[str, str]:
    """Return the texts of a row, under names that no column of ours has."""
    ours = ("id", "label", "confidence", "source")
    return {f"text_{name}" if name in ours else name: text for name, text in row.fields.items()}


def _pieces(labeled: LabeledSet) -> Iterator[list[Labeled]]:
    rows = labeled.rows()
    while piece := list(islice(rows, PIECE_ROWS)):
        yield piece


def _columns(rows: list[Labeled], labeled: LabeledSet) -> dict[str, list[Any]]:
    columns = {label: k for k, label in enumerate(labeled.labels)}
    texts = [_texts(row) for row in rows]
    return {
        "id": [row.id for row in rows],
        **{name: [one[name] for one in texts] for name in texts[0]},
        "label": [columns[row.label] for row in rows],
        "confidence": [row.confidence for row in rows],
        "source": ["gold" if row.gold else "pseudo" for row in rows],
    }


def _card(labeled: LabeledSet, count: int) -> str:
    """Return the card of the data set, with the fields that the hub reads."""
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((name for most, name in sizes if count < most), "1M<n<10M")
    labels = ", ".join(f"`{label}`" for label in labeled.labels)
    return f"""---
task_categories:
- text-classification
tags:
- machine-labeled
- pet
size_categories:
- {size}
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
---

# {labeled.task.name}

{count:,} texts with one of the labels {labels}. **The labels are machine-made**: rows whose `source` is `pseudo` were
labeled by an ensemble of models that learned from those whose `source` is `gold`; `confidence` is the probability that
the ensemble gives the label. Look at some of them, and at those of low confidence, before you rely on them.

Made with pet (Pattern-Exploiting Training). No license is given here: add the one of your texts.
"""
