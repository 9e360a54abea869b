"""Outside votes: labels or probabilities that a file, or a column of the run's own files, has for rows of a run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.data.cells import is_given
from pet.data.columns import same_column
from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.data.formats import scan_file
from pet.data.scanned import Malformed
from pet.data.source import File
from pet.errors import DataError, close_match, shown
from pet.settings.task import TaskSettings, label_word, number_as_word
from pet.settings.votes import VotesSettings

_Row = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, eq=False)
class OutsideVotes:
    """What somebody else says of the rows of a run.

    `labeled`, `pool` and `test` float64 [n, k] have a row of probabilities for each row of the run, NaN where there is
    no vote; unless they are `soft`, the vote has 1 and the others 0. `right` of the votes on labeled rows are right.
    """

    name: str
    origin: str
    soft: bool
    labeled: np.ndarray
    pool: np.ndarray
    test: np.ndarray
    right: int
    unknown: int = 0

    @property
    def on_labeled(self) -> np.ndarray:
        """On which labeled rows there is a vote, bool [n]."""
        return np.asarray(~np.isnan(self.labeled[:, 0]))

    def as_json(self) -> dict[str, object]:
        """Return what there is to tell as plain values."""
        return {
            "name": self.name,
            "origin": self.origin,
            "kind": "probabilities" if self.soft else "labels",
            "unlabeled_votes": int((~np.isnan(self.pool[:, 0])).sum()),
            "labeled_votes": int(self.on_labeled.sum()),
            "labeled_right": self.right,
            "unknown_ids": self.unknown,
        }

    def __str__(self) -> str:
        told, rows, gold = self.as_json(), len(self.pool), len(self.labeled)
        right = f", of which {self.right} are right" if told["labeled_votes"] else ""
        strange = f"; {self.unknown} ids are of no row of the run" if self.unknown else ""
        return (
            f"outside votes {self.name} ({self.origin}): on {told['unlabeled_votes']} of {rows} unlabeled rows and "
            f"{told['labeled_votes']} of {gold} labeled ones{right}{strange}"
        )


def load_votes(tables: Sequence[VotesSettings], data: TaskData, task: TaskSettings) -> tuple[OutsideVotes, ...]:
    """Read the outside votes on the rows of a run.

    Raises `DataError` if a file or a column is missing, has other labels or probabilities that are none, an id twice,
    only ids that no row has, or no vote on any row of the pool.
    """
    return tuple(_of_file(table, data, task) if table.file else _of_column(table, data) for table in tables)


def _of_file(table: VotesSettings, data: TaskData, task: TaskSettings) -> OutsideVotes:
    path, labels = Path(str(table.file)), data.task.labels
    rows = list(_rows(path, task))
    probs, soft = _probabilities(rows, _label_column(path, rows, task), labels, str(path))
    places = {str(row[task.id_column]): i for i, (_, row) in enumerate(rows)}
    known = {*(row.id for row in data.labeled), *data.unlabeled.ids}
    found = _Found(table.called, path.name, soft, sum(name not in known for name in places))

    def on(ids: Iterable[str]) -> np.ndarray:
        at = [places.get(name, -1) for name in ids]
        return np.concatenate([probs, np.full((1, len(labels)), np.nan)])[at]

    # An id of the pool or of a labeled row means that row, whatever the test file calls its own.
    tests = on("" if row.id in known else row.id for row in data.test)
    strange = next((name for name in places if name not in known), "")
    if found.unknown == len(places):
        raise DataError(
            f"{path}: none of its {len(places)} ids, such as {shown(strange)}, is one of a labeled or unlabeled row, "
            f"such as {shown(data.unlabeled[0].id)}: give each vote the id of its row."
        )
    return found.votes(on(row.id for row in data.labeled), on(data.unlabeled.ids), tests, data)


def _rows(path: Path, task: TaskSettings) -> Iterator[_Row]:
    """Yield (place, row) of a file of votes, each with its id, as text, under the name that the task has for it."""
    file, seen = File.at(path), dict[str, int]()
    for number, row in scan_file(file):
        place = f"{path}, {file.unit} {number}"
        if isinstance(row, Malformed):
            raise DataError(f"{place}: {row.reason}.")
        column = same_column(task.id_column, row) if task.id_column in row else "id"
        if column not in row:
            columns = ", ".join(map(shown, list(row)[:12])) or "none"
            raise DataError(
                f"{path} has no column 'id' for the rows that its votes are about; found {columns}."
                f"{close_match('id', row)}"
            )
        name = _word(row[column])
        if name in seen:
            raise DataError(f"{place}: the id {shown(name)} stands in {file.unit} {seen[name]} already: keep one vote.")
        seen[name] = number
        yield place, {**row, task.id_column: name}
    if not seen:
        raise DataError(f"{path} has no rows: give a vote for each row of the run that has one.")


def _word(value: object) -> str:
    if not is_given(value):
        return ""
    return number_as_word(value) if isinstance(value, int | float) else str(value).strip()


def _label_column(path: Path, rows: Sequence[_Row], task: TaskSettings) -> str | None:
    """Return the column of the labels, where no columns of probabilities win over it."""
    columns = dict.fromkeys(name for _, row in rows[:100] for name in row)
    if any(name.startswith("prob_") for name in columns):
        return None
    if found := next((name for name in (task.label_column, "label") if name in columns), None):
        return found
    listed = ", ".join(map(shown, list(columns)[:12]))
    raise DataError(
        f"{path} has neither a column {task.label_column!r} nor one prob_LABEL for each label; found {listed}."
        f"{close_match(task.label_column, columns)}"
    )


def _of_column(table: VotesSettings, data: TaskData) -> OutsideVotes:
    name = str(table.column)
    every = dict.fromkeys(column for row in data.unlabeled for column in row.extra)
    if name not in every:
        listed = ", ".join(map(shown, list(every)[:12])) or "none"
        raise DataError(
            f"The unlabeled file has no column {shown(name)} beside its texts, for the votes {table.called}; found "
            f"{listed}.{close_match(name, every)}"
        )

    def on(rows: Iterable[Example], what: str) -> np.ndarray:
        cells = [(f"the {what} row {shown(row.id)}", {name: row.extra.get(name)}) for row in rows]
        return _probabilities(cells, name, data.task.labels, "")[0]

    parts = on(data.labeled, "labeled"), on(data.unlabeled, "unlabeled"), on(data.test, "test")
    return _Found(table.called, f"column {name}", False).votes(*parts, data)


@dataclass(frozen=True)
class _Found:
    """What is known of votes beside their numbers."""

    name: str
    origin: str
    soft: bool
    unknown: int = 0

    def votes(self, labeled: np.ndarray, pool: np.ndarray, test: np.ndarray, data: TaskData) -> OutsideVotes:
        if np.isnan(pool[:, 0]).all():
            raise DataError(
                f"The outside votes {self.name} ({self.origin}) have no vote on any of {len(pool)} unlabeled rows: "
                "fill in some, or leave them out."
            )
        columns = [data.task.labels.index(str(row.label)) for row in data.labeled]
        voted = ~np.isnan(labeled[:, 0])
        right = int((labeled[voted].argmax(axis=1) == np.asarray(columns, np.int64)[voted]).sum())
        return OutsideVotes(self.name, self.origin, self.soft, labeled, pool, test, right, self.unknown)


def _probabilities(
    rows: Sequence[_Row], label_column: str | None, labels: Sequence[str], origin: str
) -> tuple[np.ndarray, bool]:
    """Return float64 [n, k] of rows, and whether they have probabilities: without a column of labels they do."""
    soft = label_column is None
    names = _probability_columns(rows, labels, origin) if soft else []
    probs = np.full((len(rows), len(labels)), np.nan)
    for i, (place, row) in enumerate(rows):
        found = (
            _shares(place, [row.get(name) for name in names])
            if label_column is None
            else _one_hot(place, row.get(label_column), labels)
        )
        if found is not None:
            probs[i] = found
    return probs, soft


def _probability_columns(rows: Sequence[_Row], labels: Sequence[str], origin: str) -> list[str]:
    names = [f"prob_{label}" for label in labels]
    columns = dict.fromkeys(name for _, row in rows[:100] for name in row)
    if missing := next((name for name in names if name not in columns), None):
        strange = [name for name in columns if name.startswith("prob_") and name not in names]
        raise DataError(
            f"{origin} has no column {shown(missing)}: give one to each label.{close_match(missing, strange)}"
        )
    return names


def _one_hot(place: str, value: object, labels: Sequence[str]) -> list[float] | None:
    if not is_given(value):
        return None
    label = "" if isinstance(value, list | dict) else label_word(value)
    if label not in labels:
        known = ", ".join(map(shown, labels[:12])) + (", ..." if len(labels) > 12 else "")
        raise DataError(
            f"{place}: the vote {shown(value)} is none of the labels {known}; leave the cell empty where there is no "
            f"vote.{close_match(label, labels)}"
        )
    return [float(name == label) for name in labels]


def _shares(place: str, values: Sequence[object]) -> list[float] | None:
    given = [value for value in values if is_given(value)]
    if not given:
        return None
    try:
        found = [float(str(value)) for value in values]
    except ValueError:
        found = []
    if not found or min(found) < 0 or not 0 < sum(found) < float("inf"):
        raise DataError(
            f"{place}: {shown([str(value) for value in values])} are no probabilities: give each label a number from 0 "
            "on, or leave all of them empty where there is no vote."
        )
    return found
