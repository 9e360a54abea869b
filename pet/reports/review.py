"""What to label next: rows of a finished run that a person should look at, with the votes on them and the reason.

pseudo_labels.parquet               the rows, their labels and how probable each is
generations/<g>/votes.parquet       what each voter says of the pool
generations/<g>/gold.parquet        what voters say of gold rows that they did not learn from
jobs/<key>/pool.npy                 the vectors of the pool, where an encoder has made some
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from pet.data.parquet import parquet_batches
from pet.errors import ConfigError, DataError
from pet.labeling.asking import ask, contradicted, uncertainty
from pet.reports.html.report import Table
from pet.reports.vectors import vectors_of_pool
from pet.runs.directory import RunDirectory
from pet.runs.manifest import Manifest
from pet.settings.config import one_label_config

DOUBTED_GOLD = 5
"""So many gold rows that the voters contradict are shown at most."""


@dataclass(frozen=True)
class ReviewRow:
    """A row for a person: the `label` that it has, how probable each is, and the label of each voter.

    A `gold` row has its label from a person, and voters that did not learn from it say another. `reason` says why it is
    shown.
    """

    id: str
    fields: Mapping[str, str]
    label: str
    probs: Mapping[str, float]
    votes: Mapping[str, str]
    reason: str
    gold: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        probs = {label: round(prob, 4) for label, prob in self.probs.items()}
        return {**vars(self), "fields": dict(self.fields), "votes": dict(self.votes), "probs": probs}


@dataclass(frozen=True)
class ToReview:
    """Rows that a person should label next, best first, behind them gold rows that look wrong.

    `run` names the run in `review.csv`. `notes` say what the order lacks.
    """

    root: Path
    run: str
    labels: tuple[str, ...]
    rows: tuple[ReviewRow, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        rows = [{"rank": rank, **row.as_json()} for rank, row in enumerate(self.rows, 1)]
        return {"run": self.run, "labels": list(self.labels), "notes": list(self.notes), "rows": rows}


def to_review(run: str | Path, count: int, known: Set[str] = frozenset()) -> ToReview:
    """Return the rows of a run to label next, `count` of the pool; those `known` by their ids are left out.

    Raises `ConfigError` if `run` is no run directory, or `count` is not positive. Raises `DataError` if the pool is not
    labeled yet, or a file of the run is damaged.
    """
    if count < 1:
        raise ConfigError(f"{count} rows to label: expected a number from 1 on.")
    directory = RunDirectory(Path(run))
    manifest = Manifest.from_file(directory.manifest_path)
    if manifest is None:
        raise ConfigError(f"{run} is no run directory: give one that `pet label` or `pet run` has made.")
    task = one_label_config(directory.config_path, "The review of rows").task
    folder = last_accepted(directory.generations)
    if folder is None or not directory.pseudo_labels.is_file():
        raise DataError(f"The pool of the run in {run} is not labeled yet: give the command that made it again.")
    try:
        table = Table.read(directory.pseudo_labels, task.fields)
        pool, gold = _Pool.of(directory, folder, table, task.labels), _Gold(folder, table, task.labels)
        rows = (*pool.rows(count, known), *gold.rows(known))
    except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        raise DataError(f"A file of the run in {run} is damaged ({reason}): give its command again.") from None
    notes = () if pool.vectors is not None else (_NO_VECTORS,)
    return ToReview(directory.root, manifest.identity.get("data", ""), task.labels, rows, notes)


_NO_VECTORS = (
    "the run has no vectors of its rows, so how many are alike is not known: the order is by the voters' doubt alone"
)


def last_accepted(generations: Path) -> Path | None:
    """Return the folder of the generation that has labeled the pool: the last one that was not rejected."""
    folders = sorted((path for path in generations.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))
    for folder in reversed(folders):
        report = folder / "report.json"
        if report.is_file() and json.loads(report.read_bytes()).get("rejected") is None:
            return folder
    return None


@dataclass(frozen=True)
class _Pool:
    """The pool in the order of the last generation's votes.

    `places` int64 [n] are its rows in the labeled data set, -1 for one that a person has removed from it.
    """

    votes: Path
    table: Table
    labels: tuple[str, ...]
    ids: Sequence[str]
    places: np.ndarray
    vectors: np.ndarray | None

    @classmethod
    def of(cls, directory: RunDirectory, folder: Path, table: Table, labels: tuple[str, ...]) -> "_Pool":
        votes = folder / "votes.parquet"
        ids = pq.read_table(votes, columns=["id"])["id"].to_pylist()
        here = {table.ids[place]: place for place in table.pool.tolist()}
        places = np.asarray([here.get(name, -1) for name in ids], np.int64)
        return cls(votes, table, labels, ids, places, vectors_of_pool(directory, len(ids)))

    def rows(self, count: int, known: Set[str]) -> list[ReviewRow]:
        """Return rows that a person should label, best first."""
        probs, hard = self._given()
        worth = np.concatenate([uncertainty(*part) for part in self._votes(probs)])
        worth[[name in known for name in self.ids]] = np.nan
        worth[(self.places < 0) | (hard != probs.argmax(axis=1))] = np.nan  # a person has changed or removed it
        found = ask(count, worth, hard, self.ids, self.vectors)
        places = self.places[found.places]
        shown = []
        for row, density, votes in zip(found.places, found.density.tolist(), self.table.votes(places), strict=True):
            own = dict(zip(self.labels, probs[row].tolist(), strict=True))
            shown.append(_row(self.table, int(self.places[row]), own, votes, _reason(own, votes, density)))
        return shown

    def _given(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ensemble's probabilities, float32 [n, k], and the column of the label that each row has now."""
        names = [f"prob_{label}" for label in self.labels]
        table, here = pq.read_table(self.table.path, columns=names), np.maximum(self.places, 0)
        probs = np.stack([table[name].to_numpy().astype(np.float32)[here] for name in names], axis=1)
        columns = {label: place for place, label in enumerate(self.labels)}
        return np.nan_to_num(probs), np.asarray([columns.get(self.table.label[i], -1) for i in here], np.int64)

    def _votes(self, probs: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Yield the ensemble's probabilities and those of each voter, of some rows at a time."""
        start, k = 0, len(self.labels)
        with pq.ParquetFile(self.votes) as file:
            for batch in parquet_batches(file):
                votes = [column.flatten().to_numpy().reshape(-1, k) for column in batch.columns[1:]]
                own = probs[start : start + len(batch)]
                # Who does not vote on a row doubts nothing there: as the ensemble says.
                yield own, [np.where(np.isnan(one), own, one) for one in votes]
                start += len(batch)


@dataclass(frozen=True)
class _Gold:
    """The gold rows, and what voters say of those that they did not learn from."""

    folder: Path
    table: Table
    labels: tuple[str, ...]

    def rows(self, known: Set[str]) -> list[ReviewRow]:
        """Return those that voters contradict, worst first."""
        path = self.folder / "gold.parquet"
        if not path.is_file():
            return []
        votes = pq.read_table(path)
        gold = np.flatnonzero(np.asarray(self.table.source, object) == "gold").tolist()
        here = {self.table.ids[place]: place for place in gold if self.table.ids[place] not in known}
        kept = [row for row, name in enumerate(votes["id"].to_pylist()) if name in here]
        votes = votes.take(kept)
        ids, voters = votes["id"].to_pylist(), votes.column_names[1:]
        places = [here[name] for name in ids]
        columns = np.asarray([self.labels.index(self.table.label[place]) for place in places], np.int64)
        probs = np.stack([self._probs(votes[name].to_pylist()) for name in voters])
        found = contradicted(probs, columns, ids)
        return [
            self._row(places[row], dict(zip(voters, probs[:, row], strict=True))) for row in found.places[:DOUBTED_GOLD]
        ]

    def _probs(self, cells: Sequence[Sequence[float] | None]) -> np.ndarray:
        k = len(self.labels)
        return np.asarray([[np.nan] * k if cell is None else cell for cell in cells], np.float64).reshape(-1, k)

    def _row(self, place: int, probs: Mapping[str, np.ndarray]) -> ReviewRow:
        heard = {name: own for name, own in probs.items() if not np.isnan(own).any()}
        mean = np.mean(list(heard.values()), axis=0)
        votes: dict[str, str | None] = {name: self.labels[int(own.argmax())] for name, own in heard.items()}
        reason = (
            f"labeled {self.table.label[place]} by hand; who has not learned it says {self.labels[int(mean.argmax())]}"
        )
        return _row(self.table, place, dict(zip(self.labels, mean.tolist(), strict=True)), votes, reason, gold=True)


def _row(
    table: Table,
    place: int,
    probs: Mapping[str, float],
    votes: Mapping[str, str | None],
    reason: str,
    *,
    gold: bool = False,
) -> ReviewRow:
    (cells,) = table.take([place], list(table.fields.values()))
    fields = {field: str(cells[name] or "") for field, name in table.fields.items()}
    said = {name: label for name, label in votes.items() if label is not None}
    return ReviewRow(table.ids[place], fields, table.label[place], probs, said, reason, gold)


def _reason(probs: Mapping[str, float], votes: Mapping[str, str | None], density: float) -> str:
    """Say why a row is asked for."""
    first, second = sorted(probs, key=lambda label: -probs[label])[:2]
    counts = Counter(label for label in votes.values() if label is not None)
    parts = [f"{first} {probs[first]:.2f}, {second} {probs[second]:.2f}"]
    if len(counts) > 1:
        parts.append("voters: " + ", ".join(f"{label} {count}" for label, count in counts.most_common(3)))
    if not np.isnan(density):
        parts.append(f"likeness to the rows near it {density:.2f}")
    return "; ".join(parts)
