"""A finished run as tables: `pet.read_run(path)`, for notebooks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pet.errors import ConfigError, DataError
from pet.runs.directory import RunDirectory
from pet.runs.manifest import Manifest
from pet.runs.state import read_metrics
from pet.settings.config import RunConfig, one_label_config


@dataclass(frozen=True)
class Run:
    """A run, read when it is asked for. Tables are Arrow's: `table.to_pandas()`, `table["label"].to_numpy()`.

    Whole numbers stay whole in pandas, too: where some are missing, the column is of its type `Int64`.
    """

    directory: Path

    @property
    def _places(self) -> RunDirectory:
        return RunDirectory(self.directory)

    @cached_property
    def config(self) -> RunConfig:
        """The settings of the run.

        Raises `ConfigError` if they cannot be read.
        """
        return one_label_config(self._places.config_path, "A run as tables")

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """All of `metrics.json`; empty where the run is not finished."""
        return read_metrics(self._places)

    @cached_property
    def labels(self) -> pa.Table:
        """The labeled data set as it is now: a row per gold row and per row of the pool.

        Raises `DataError` if there is none yet.
        """
        return _table(self._places.pseudo_labels)

    @cached_property
    def votes(self) -> pa.Table:
        """A row per generation, voter and row of the pool: id, label, confidence, prob_<label>.

        Raises `DataError` if no generation is finished.
        """
        found = [
            table
            for folder in self._generations
            for table in _votes(int(folder.name), _table(folder / "votes.parquet"), self.config.task.labels)
        ]
        if not found:
            raise DataError(f"{self.directory} has no votes yet: finish it with the command that began it.")
        return with_whole_numbers(pa.concat_tables(found))

    @cached_property
    def generations(self) -> pa.Table:
        """A row per generation: its figures, whether it was rejected, and share_<label> of the labels given."""
        return _of_rows([_generation(json.loads((one / "report.json").read_bytes())) for one in self._generations])

    @cached_property
    def metrics(self) -> pa.Table:
        """A row per way to label: agreement with the ensemble, held-out accuracy, and on the test rows the figures.

        Raises `DataError` if the run is not finished.
        """
        rows = self.facts.get("summary", {}).get("rows")
        if not rows:
            raise DataError(f"{self.directory} has no figures yet: finish it with `pet run`.")
        return _of_rows([_metric(row) for row in rows])

    @cached_property
    def test(self) -> pa.Table:
        """A row per test row: id, label, what each way to label said, and the confidence of the classifier.

        Raises `DataError` if the run has no test rows.
        """
        return _table(self._places.measured_path)

    @property
    def _generations(self) -> list[Path]:
        found = [report.parent for report in self._places.generations.glob("*/report.json")]
        return sorted((path for path in found if path.name.isdecimal()), key=lambda path: int(path.name))


def read_run(path: str | Path) -> Run:
    """Open a run for reading: `labels`, `votes`, `metrics`, `generations` and `test` are tables.

    Raises `ConfigError` if it is no run directory.
    """
    directory = RunDirectory(Path(path))
    if Manifest.from_file(directory.manifest_path) is None:
        raise ConfigError(f"{path} is no run directory: give one that `pet label` or `pet run` has made.")
    return Run(directory.root)


def with_whole_numbers(table: pa.Table) -> pa.Table:
    """Return a table whose columns of whole numbers stay so in pandas, also where some are missing."""
    columns = [
        {"name": field.name, "field_name": field.name, "pandas_type": "int64", "numpy_type": "Int64", "metadata": None}
        for field in table.schema
        if pa.types.is_integer(field.type) and table[field.name].null_count
    ]
    said = {"index_columns": [], "column_indexes": [], "columns": columns, "creator": {}, "pandas_version": "2"}
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
    return table.replace_schema_metadata({**kept, b"pandas": json.dumps(said).encode()})


def _table(path: Path) -> pa.Table:
    try:
        return with_whole_numbers(pq.read_table(path))
    except FileNotFoundError:
        raise DataError(f"There is no {path}: the run is not so far, or has no such rows.") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is no Parquet file ({' '.join(str(error).split())[:150]}): run it again.") from None


def _of_rows(rows: list[dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return with_whole_numbers(pa.table({name: [row.get(name) for row in rows] for name in names}))


def _generation(report: Mapping[str, Any]) -> dict[str, Any]:
    figures = dict(report["figures"])
    shares = {f"share_{label}": share for label, share in figures.pop("shares").items()}
    named = {name: report[name] for name in ("generation", "continues", "rejected", "labeled_rows")}
    return {**named, "voters": len(report["voters"]), **figures, **shares}


def _metric(row: Mapping[str, Any]) -> dict[str, Any]:
    test = row["test"] or {}
    figures = {name: test.get(name) for name in ("n", "accuracy", "macro_f1")}
    own = {name: row[name] for name in ("name", "agreement", "held_out_accuracy")}
    return {**own, **figures, **{f"f1_{label}": value for label, value in test.get("f1", {}).items()}}


def _words(probs: np.ndarray, voted: np.ndarray, labels: tuple[str, ...]) -> list[str | None]:
    """Return the label that a voter gives each row; None where it does not vote."""
    return [labels[k] if said else None for k, said in zip(probs.argmax(axis=1), voted, strict=True)]


def _votes(generation: int, table: pa.Table, labels: tuple[str, ...]) -> list[pa.Table]:
    """Return the votes of one generation, a table per voter."""
    found = []
    for voter in table.column_names[1:]:
        lists = table[voter].combine_chunks()
        probs = lists.flatten().to_numpy().reshape(len(table), len(labels))
        voted = ~np.isnan(probs[:, 0])
        found.append(
            pa.table(
                {
                    "generation": pa.array([generation] * len(table), pa.int64()),
                    "voter": pa.array([voter] * len(table), pa.string()),
                    "id": table["id"].combine_chunks(),
                    "label": pa.array(_words(probs, voted, labels), pa.string()),
                    "confidence": probs.max(axis=1),
                    **{f"prob_{label}": probs[:, k] for k, label in enumerate(labels)},
                }
            )
        )
    return found
