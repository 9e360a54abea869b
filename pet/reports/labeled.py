"""`pseudo_labels.parquet`: the labeled data set a run gives back, and reading it again."""

import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from pet.data import Example, write_table
from pet.errors import DataError, near_matches
from pet.labeling import Votes, agreement, combine

__all__ = [
    "History",
    "LabeledRows",
    "differs",
    "export_jsonl",
    "field_names",
    "is_ours",
    "pseudo_label_columns",
    "read_labeled_rows",
    "sample_lines",
    "user_columns",
]

Columns = dict[str, list[Any]]

_OURS = frozenset({"id", "label", "confidence", "agreement", "generation", "training_sets", "source"})


def is_ours(name: str) -> bool:
    """Return whether a column of a labeled data set is one that pet writes."""
    # The same answer when the table is read again, without the voters at hand: the name of each has a plus sign.
    return name in _OURS or name.startswith("prob_") or (name.startswith("vote_") and "+" in name)


def user_columns(examples: Sequence[Example], columns: Mapping[str, str], reserved: Callable[[str], bool]) -> Columns:
    """Return id, fields (under the user's column names) and the user's other columns, row by row.

    A column of the user's that has a `reserved` name is kept as ``input_<name>``.
    """
    table: Columns = {"id": [example.id for example in examples]}
    for field, name in field_names(columns, reserved).items():
        table[name] = [example.fields[field] for example in examples]
    names = dict.fromkeys(name for example in examples for name in example.extra)
    for name in names:
        table[_free_name(name, table, reserved)] = [example.extra.get(name) for example in examples]
    return table


def field_names(columns: Mapping[str, str], reserved: Callable[[str], bool]) -> dict[str, str]:
    """Return the column of the output that holds each field."""
    names: dict[str, str] = {}
    for field, column in columns.items():
        names[field] = _free_name(column, ["id", *names.values()], reserved)
    return names


def _free_name(name: str, taken: Container[str], reserved: Callable[[str], bool]) -> str:
    while name in taken or reserved(name):
        name = f"input_{name}"
    return name


@dataclass(frozen=True)
class History:
    """When each row of the pool was first labeled, and in how many voters' training sets it was: int64 [n] each."""

    generation: np.ndarray
    training_sets: np.ndarray


def pseudo_label_columns(
    labeled: Sequence[Example],
    unlabeled: Sequence[Example],
    columns: Mapping[str, str],
    votes: Sequence[Votes],
    history: History,
) -> Columns:
    """Return the columns of the labeled data set: the gold rows (source "gold"), then the pool ("pseudo").

    Per row: id, fields, the user's columns, label, prob_<label>, confidence, agreement (the weighted share of voters
    with this label), vote_<voter>, generation (the first that labeled the row), training_sets (how many it was in),
    source. Gold rows have probability 1 and no votes.
    """
    soft = combine(votes)
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
    ours["generation"] = none + history.generation.tolist()
    ours["training_sets"] = none + history.training_sets.tolist()
    ours["source"] = ["gold"] * len(labeled) + ["pseudo"] * len(unlabeled)
    return user_columns([*labeled, *unlabeled], columns, is_ours) | ours


def differs(path: Path, columns: Columns) -> bool:
    """Say whether a labeled data set at `path` differs from one of the given columns in any cell."""
    if not path.is_file():
        return False
    try:
        found = pq.read_table(path)
    except (pyarrow.ArrowException, OSError):
        return False  # no table: nobody's work
    with tempfile.TemporaryDirectory() as scratch:
        # Written and read as well, so that both have passed through the same types.
        write_table(Path(scratch) / "new.parquet", columns)
        new = pq.read_table(Path(scratch) / "new.parquet")
    # As text, since NaN in a column of the user's would not equal itself.
    return found.column_names != new.column_names or any(
        repr(found[name].to_pylist()) != repr(new[name].to_pylist()) for name in new.column_names
    )


@dataclass(frozen=True)
class LabeledRows:
    """The rows of a labeled data set: `probs` float32 [n, k]; `gold` bool [n]."""

    examples: tuple[Example, ...]
    probs: np.ndarray
    gold: np.ndarray


def read_labeled_rows(path: Path, columns: Mapping[str, str], labels: Sequence[str]) -> LabeledRows:
    """Read `pseudo_labels.parquet`, also after a person has corrected labels in it, or removed or added rows.

    Where `label` is not the most probable label of the row, or its probabilities are empty, the label wins: its
    probability becomes 1.

    Raises
    ------
    DataError
        If the file is missing or no table, lacks a column or has no rows, or a row lacks its text or has a label
        outside `labels`.
    """
    table, names = _read(path), field_names(columns, is_ours)
    needed = ["id", *names.values(), "label", "source", *(f"prob_{label}" for label in labels)]
    missing = [name for name in needed if name not in table]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}: give it back, or run `pet label` again.")
    if not table["id"]:
        raise DataError(f"{path} has no rows left: keep some, or run `pet label` again.")
    given = np.asarray([_column(path, row, label, labels) for row, label in enumerate(table["label"], 1)], np.int64)
    probs = np.asarray([table[f"prob_{label}"] for label in labels], np.float32).T
    corrected = ~np.isfinite(probs).all(axis=1) | (probs.argmax(axis=1) != given)
    probs[corrected] = np.eye(len(labels), dtype=np.float32)[given[corrected]]
    examples = tuple(
        Example(str(table["id"][i]), {field: _text(path, i + 1, name, table[name][i]) for field, name in names.items()})
        for i in range(len(given))
    )
    return LabeledRows(examples, probs, np.asarray([source == "gold" for source in table["source"]], np.bool_))


def _read(path: Path) -> dict[str, list[Any]]:
    if not path.is_file():
        raise DataError(f"There is no {path}: run `pet label` or `pet run` first.")
    try:
        table: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:150]
        raise DataError(f"{path} is no Parquet file ({reason}): run `pet label` again.") from None
    return table


def _column(path: Path, row: int, label: object, labels: Sequence[str]) -> int:
    if str(label) not in labels:
        hint = near_matches(str(label), labels)
        raise DataError(f"{path}, row {row}: the label is {label!r}, expected one of {list(labels)}.{hint}")
    return list(labels).index(str(label))


def _text(path: Path, row: int, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path}, row {row}: no text in the column {name!r}, found {value!r}: mend or remove the row.")
    return value


def export_jsonl(labeled: Path, output: Path) -> None:
    """Write a labeled data set as JSON lines too (or any format of `write_table`)."""
    write_table(output, pq.read_table(labeled).to_pydict())


def sample_lines(labeled: Path, columns: Mapping[str, str], count: int = 5, width: int = 88) -> list[str]:
    """Return some pseudo-labeled rows for a terminal, spread over the file: label, confidence, agreement, text."""
    table, names = _read(labeled), field_names(columns, is_ours)
    pool = [i for i, source in enumerate(table["source"]) if source == "pseudo"]
    rows = [pool[i] for i in np.linspace(0, len(pool) - 1, min(count, len(pool))).astype(int)] if pool else []
    longest = max((len(str(table["label"][i])) for i in rows), default=0)
    lines = []
    for i in rows:
        text = " | ".join(" ".join(str(table[column][i]).split()) for column in names.values())
        shown = text if len(text) <= width else text[: width - 1] + "…"
        figures = f"{table['confidence'][i]:.2f}  {table['agreement'][i]:.2f}"
        lines.append(f"{table['label'][i]:<{longest}}  {figures}  {shown}")
    return lines
