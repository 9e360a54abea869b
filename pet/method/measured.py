"""`test_labels.parquet`: what each way to label said of each test row, so that two runs can be compared row by row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pet.data.examples import Example
from pet.data.keys import key_of
from pet.data.overlap import normalise
from pet.method.summary import DISTILLED, Summary
from pet.runs.atomic import write_atomically

OWN = ("id", "text_key", "label", "confidence")
"""The columns that are no way to label: the row, its text as a key, its label, and how sure the classifier is."""


def measured_table(rows: Sequence[Example], labels: Sequence[str], summary: Summary) -> pa.Table:
    """Return per test row its label, what each line of a summary said, and the confidence of the distilled classifier.

    `text_key` is the same for texts that say the same: it pairs the rows of two runs, whatever their ids.
    """
    columns: dict[str, pa.Array] = {
        "id": pa.array([row.id for row in rows], pa.string()),
        "text_key": pa.array([key_of(normalise(row)).hex() for row in rows], pa.string()),
        "label": pa.array([row.label for row in rows], pa.string()),
    }
    for line in summary.rows:
        if line.on_test is not None:
            columns[line.name] = _said(line.on_test, labels)
            if line.name == DISTILLED:
                columns["confidence"] = _sure(line.on_test)
    return pa.table(columns)


def write_measured(path: Path, rows: Sequence[Example], labels: Sequence[str], summary: Summary) -> None:
    """Write what was said of the test rows; without any, there is no such file.

    Raises `RunError` if the disk is full or may not be written.
    """
    if not rows:
        path.unlink(missing_ok=True)
        return
    _write(path, measured_table(rows, labels, summary))


def replace_measured(path: Path, probs: np.ndarray, labels: Sequence[str]) -> None:
    """Put what another distilled classifier says of the test rows, probabilities float32 [r, k], into its place.

    Without such a file, or where it is about other rows, nothing is done.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return
    if len(table) != len(probs) or DISTILLED not in table.column_names:
        return
    for name, column in ((DISTILLED, _said(probs, labels)), ("confidence", _sure(probs))):
        table = table.set_column(table.column_names.index(name), name, column)
    _write(path, table)


def _write(path: Path, table: pa.Table) -> None:
    write_atomically(path, lambda temporary: pq.write_table(table, temporary))


def _said(scores: np.ndarray, labels: Sequence[str]) -> pa.Array:
    return pa.array([labels[k] for k in scores.argmax(axis=1)], pa.string())


def _sure(probs: np.ndarray) -> pa.Array:
    return pa.array(probs.max(axis=1).astype(np.float32), pa.float32())
