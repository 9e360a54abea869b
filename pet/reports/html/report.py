"""What a report is drawn from: the files of a finished run, read back without any model.

metrics.json             every number of the page
forecast.json, run.log   what it was predicted to take, and what its jobs took
generations/<g>/         report.json: the voters, their patterns and words
pseudo_labels.parquet    the rows, with the labels that a person has corrected since
jobs/<key>/pool.npy      the vectors of the pool, where an encoder has made some
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from pet.data.output import field_names
from pet.errors import ConfigError, DataError
from pet.method.labels import is_ours
from pet.reports.vectors import vectors_of_pool
from pet.runs.directory import RunDirectory
from pet.settings.config import one_label_config


@dataclass(frozen=True)
class Table:
    """The rows of `pseudo_labels.parquet`, of which texts are read when they are asked for.

    `ids`, `label` and `source` are of all rows, [r] each; `confidence` and `agreement` float64 [r], NaN where empty.
    `fields` are the columns of the texts, by the names of the task's fields; `voters` are those with a column.
    """

    path: Path
    fields: Mapping[str, str]
    voters: tuple[str, ...]
    ids: Sequence[str]
    label: Sequence[str]
    source: Sequence[str]
    confidence: np.ndarray
    agreement: np.ndarray

    @classmethod
    def read(cls, path: Path, columns: Mapping[str, str]) -> "Table":
        """Read all but texts and votes.

        Raises `DataError` if the file is damaged or lacks a column.
        """
        fields = field_names(columns, is_ours)
        needed = ["id", "label", "source", "confidence", "agreement"]
        try:
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
            if missing := [name for name in (*needed, *fields.values()) if name not in names]:
                raise DataError(f"{path} has no column {missing[0]!r}: give it back, or run `pet label` again.")
            found = pq.read_table(path, columns=needed)
        except (pyarrow.ArrowException, OSError) as error:
            raise damaged(path, error) from None
        voters = tuple(name.removeprefix("vote_") for name in names if name.startswith("vote_") and "+" in name)
        ids, label, source = ([str(cell or "") for cell in found[name].to_pylist()] for name in needed[:3])
        confidence, agreement = (_numbers(found[name].to_pylist()) for name in needed[3:])
        return cls(path, fields, voters, ids, label, source, confidence, agreement)

    @cached_property
    def pool(self) -> np.ndarray:
        """The places of the rows that were unlabeled, int64 [n]."""
        return np.flatnonzero(np.asarray(self.source, object) != "gold")

    def take(self, places: Sequence[int] | np.ndarray, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return some columns of some rows, in the order of `places`; only the groups that hold one are read.

        Raises `DataError` if the file is damaged.
        """
        wanted, start = np.unique(np.asarray(places, np.int64)), 0
        found: dict[int, dict[str, Any]] = {}
        try:
            with pq.ParquetFile(self.path) as file:
                for group in range(file.num_row_groups):
                    count = file.metadata.row_group(group).num_rows
                    hits = wanted[(wanted >= start) & (wanted < start + count)]
                    if len(hits):
                        rows = file.read_row_group(group, columns=list(columns)).take(hits - start).to_pylist()
                        found.update(zip(hits.tolist(), rows, strict=True))
                    start += count
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise damaged(self.path, error) from None
        return [found[place] for place in np.asarray(places).tolist()]

    def texts(self, places: Sequence[int] | np.ndarray) -> list[str]:
        """Return the texts of some rows, the fields of each in one."""
        rows = self.take(places, list(self.fields.values()))
        return [" | ".join(str(row[name] or "") for name in self.fields.values()) for row in rows]

    def votes(self, places: Sequence[int] | np.ndarray) -> list[dict[str, str | None]]:
        """Return what each voter says of some rows; None where it says nothing."""
        rows = self.take(places, [f"vote_{name}" for name in self.voters])
        return [{name: row[f"vote_{name}"] for name in self.voters} for row in rows]


@dataclass(frozen=True)
class Report:
    """A finished run, as its page shows it.

    `metrics` is all of `metrics.json`, `forecast` of `forecast.json` (None where there is none), `generations` of each
    `report.json`. `vectors` float32 [n, h] are those of the pool in the order of `vector_ids`, None where none are
    kept.
    """

    root: Path
    task: str
    labels: tuple[str, ...]
    metrics: Mapping[str, Any]
    forecast: Mapping[str, Any] | None
    generations: tuple[Mapping[str, Any], ...]
    rows: Table
    vectors: np.ndarray | None
    vector_ids: Sequence[str]

    @property
    def analysis(self) -> Mapping[str, Any]:
        """What `metrics.json` tells of voters and labels; empty in a run that was made before it did."""
        found: Mapping[str, Any] = self.metrics.get("analysis", {})
        return found

    @property
    def kept(self) -> list[Mapping[str, Any]]:
        """The generations that decide."""
        return [one for one in self.generations if one["rejected"] is None]


def read_report(run: str | Path) -> Report:
    """Read a finished run.

    Raises `ConfigError` if `run` is no run directory. Raises `DataError` if the run is not finished, or a file of it is
    damaged.
    """
    directory = RunDirectory(Path(run))
    if not directory.manifest_path.is_file():
        raise ConfigError(f"{run} is no run directory: give one that `pet run` has made.")
    for path in (directory.config_path, directory.metrics_path, directory.pseudo_labels):
        if not path.is_file():
            raise DataError(f"The run in {run} is not finished ({path.name} is missing): give `pet run` again.")
    config = one_label_config(directory.config_path, "The report")
    metrics = _json(directory.metrics_path)
    if "summary" not in metrics:
        raise DataError(f"The run in {run} is not finished (its labels are preliminary): give `pet run` again.")
    folders = [path for path in directory.generations.glob("*") if path.name.isdecimal()]
    forecast = _json(directory.forecast_path) if directory.forecast_path.is_file() else None
    generations = tuple(_json(path / "report.json") for path in sorted(folders, key=lambda path: int(path.name)))
    rows = Table.read(directory.pseudo_labels, config.task.fields)
    vectors, ids = _vectors(directory, generations)
    return Report(
        directory.root, config.task.name, config.task.labels, metrics, forecast, generations, rows, vectors, ids
    )


def _vectors(directory: RunDirectory, generations: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray | None, list[str]]:
    """Return the vectors of the pool by the encoder as it is, and the ids of their rows."""
    last = max((one["generation"] for one in generations if one["rejected"] is None), default=None)
    with suppress(OSError, ValueError, KeyError):
        # The last generation has labeled the whole pool, in its order.
        ids = pq.read_table(directory.generations / str(last) / "votes.parquet", columns=["id"])["id"].to_pylist()
        return vectors_of_pool(directory, len(ids)), ids
    return None, []


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise damaged(path, error) from None
    return found


def _numbers(cells: Sequence[Any]) -> np.ndarray:
    usable = (isinstance(cell, int | float) and math.isfinite(cell) for cell in cells)
    return np.asarray([float(cell) if good else math.nan for cell, good in zip(cells, usable, strict=True)])


def damaged(path: Path, error: Exception) -> DataError:
    """Return what to say of a file of a run that cannot be read."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
    return DataError(f"{path} is missing or damaged ({reason}): give the command that made the run again.")
