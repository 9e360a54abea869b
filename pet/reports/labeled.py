"""`pseudo_labels.parquet`: the labeled data set a run gives back, and reading it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pet.data import Example, write_table
from pet.errors import DataError
from pet.labeling import SoftLabels, Votes, agreement

__all__ = ["LabeledRows", "export_jsonl", "pseudo_label_columns", "read_labeled_rows", "sample_lines", "user_columns"]

Columns = dict[str, list[Any]]


def user_columns(examples: Sequence[Example], columns: Mapping[str, str], reserved: Sequence[str]) -> Columns:
    """Return id, fields (under the user's column names) and the user's other columns, row by row.

    A column of the user's that has one of the `reserved` names is kept as ``input_<name>``.
    """
    table: Columns = {"id": [example.id for example in examples]}
    for field, column in columns.items():
        table[_free_name(column, table, reserved)] = [example.fields[field] for example in examples]
    names = dict.fromkeys(name for example in examples for name in example.extra)
    for name in names:
        table[_free_name(name, table, reserved)] = [example.extra.get(name) for example in examples]
    return table


def _free_name(name: str, table: Mapping[str, object], reserved: Sequence[str]) -> str:
    while name in table or name in reserved:
        name = f"input_{name}"
    return name


def pseudo_label_columns(
    labeled: Sequence[Example],
    unlabeled: Sequence[Example],
    columns: Mapping[str, str],
    soft: SoftLabels,
    votes: Sequence[Votes],
) -> Columns:
    """Return the columns of the labeled data set: the gold rows (source "gold"), then the pool ("pseudo").

    Per row: id, fields, the user's columns, label, prob_<label>, confidence, agreement (the weighted share of voters
    with this label), vote_<voter>, generation, source. Gold rows have probability 1 and no votes.
    """
    hard = soft.hard()
    gold = [str(example.label) for example in labeled]
    none: list[Any] = [None] * len(labeled)
    ours: Columns = {"label": gold + [soft.labels[k] for k in hard]}
    for k, label in enumerate(soft.labels):
        ours[f"prob_{label}"] = [float(name == label) for name in gold] + soft.probs[:, k].tolist()
    ours["confidence"] = [1.0] * len(labeled) + soft.confidence().tolist()
    ours["agreement"] = none + agreement(votes, hard).tolist()
    for vote in votes:
        ours[f"vote_{vote.voter}"] = none + [vote.labels[k] for k in vote.hard()]
    ours["generation"] = none + [0] * len(unlabeled)
    ours["source"] = ["gold"] * len(labeled) + ["pseudo"] * len(unlabeled)
    return user_columns([*labeled, *unlabeled], columns, tuple(ours)) | ours


@dataclass(frozen=True)
class LabeledRows:
    """The rows of a labeled data set: `probs` float32 [n, k]; `gold` bool [n]."""

    examples: tuple[Example, ...]
    probs: np.ndarray
    gold: np.ndarray


def read_labeled_rows(path: Path, columns: Mapping[str, str], labels: Sequence[str]) -> LabeledRows:
    """Read `pseudo_labels.parquet`, also after a person has corrected labels in it.

    Where `label` is not the most probable label of the row, the correction wins: its probability becomes 1.

    Raises
    ------
    DataError
        If the file is missing, lacks a column, or has a label outside `labels`.
    """
    if not path.is_file():
        raise DataError(f"There is no {path}: run `pet label` or `pet run` first.")
    table = pq.read_table(path).to_pydict()
    needed = ["id", *columns.values(), "label", "source", *(f"prob_{label}" for label in labels)]
    missing = [name for name in needed if name not in table]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}: run `pet label` again.")
    unknown = sorted({str(label) for label in table["label"]} - set(labels))
    if unknown:
        raise DataError(f"{path} has the label {unknown[0]!r}, expected one of {list(labels)}: mend that row.")
    probs = np.asarray([table[f"prob_{label}"] for label in labels], np.float32).T
    given = np.asarray([list(labels).index(label) for label in table["label"]], np.int64)
    corrected = probs.argmax(axis=1) != given
    probs[corrected] = np.eye(len(labels), dtype=np.float32)[given[corrected]]
    examples = tuple(
        Example(str(table["id"][i]), {field: str(table[column][i]) for field, column in columns.items()})
        for i in range(len(given))
    )
    return LabeledRows(examples, probs, np.asarray([source == "gold" for source in table["source"]], np.bool_))


def export_jsonl(labeled: Path, output: Path) -> None:
    """Write a labeled data set as JSON lines too (or any format of `write_table`)."""
    write_table(output, pq.read_table(labeled).to_pydict())


def sample_lines(labeled: Path, columns: Mapping[str, str], count: int = 5, width: int = 88) -> list[str]:
    """Return some pseudo-labeled rows for a terminal, spread over the file: label, confidence, agreement, text."""
    table = pq.read_table(labeled).to_pydict()
    pool = [i for i, source in enumerate(table["source"]) if source == "pseudo"]
    rows = [pool[i] for i in np.linspace(0, len(pool) - 1, min(count, len(pool))).astype(int)] if pool else []
    longest = max((len(str(table["label"][i])) for i in rows), default=0)
    lines = []
    for i in rows:
        text = " | ".join(" ".join(str(table[column][i]).split()) for column in columns.values())
        shown = text if len(text) <= width else text[: width - 1] + "…"
        figures = f"{table['confidence'][i]:.2f}  {table['agreement'][i]:.2f}"
        lines.append(f"{table['label'][i]:<{longest}}  {figures}  {shown}")
    return lines
