"""The rows of a labeled data set, as exports need them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pet.data.output import field_names, parquet_pieces
from pet.errors import ConfigError, DataError
from pet.method.labels import is_ours
from pet.runs.directory import RunDirectory
from pet.runs.manifest import Manifest
from pet.settings.config import RunConfig
from pet.settings.task import TaskSettings

Only = Literal["pool", "gold"]
"""Some of the rows: those of the pool, or those that were labeled beforehand."""


@dataclass(frozen=True)
class Labeled:
    """One row: its texts, its label now, what the voters gave each label (None: nobody voted), and how sure they are.

    A `gold` row was labeled beforehand.
    """

    id: str
    fields: Mapping[str, str]
    label: str
    probs: tuple[float, ...] | None
    confidence: float
    gold: bool


@dataclass(frozen=True)
class LabeledSet:
    """The labeled data set of a run; `run` tells it from others."""

    root: Path
    path: Path
    run: str
    task: TaskSettings
    only: Only | None = None

    @classmethod
    def of(cls, run: str | Path, only: Only | None = None) -> "LabeledSet":
        """Return the data set of a run directory, or some of its rows.

        Raises `ConfigError` if it is none. Raises `DataError` if its pool is not labeled yet.
        """
        directory = RunDirectory(Path(run))
        manifest = Manifest.from_file(directory.manifest_path)
        if manifest is None:
            raise ConfigError(f"{run} is no run directory: give one that `pet label` or `pet run` has made.")
        if not directory.pseudo_labels.is_file():
            raise DataError(f"The pool of the run in {run} is not labeled yet: give the command that made it again.")
        task = RunConfig.from_toml(directory.config_path).task
        return cls(directory.root, directory.pseudo_labels, manifest.identity.get("data", ""), task, only)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return self.task.labels

    def rows(self) -> Iterator[Labeled]:
        """Yield the rows in order.

        Raises `DataError` if a column is missing.
        """
        names, probs = field_names(self.task.fields, is_ours), [f"prob_{label}" for label in self.labels]
        for piece in parquet_pieces(self.path):
            if missing := [name for name in ("id", "label", "source", *names.values(), *probs) if name not in piece]:
                raise DataError(f"{self.path} has no column {missing[0]!r}: give it back, or run `pet label` again.")
            for i, name in enumerate(piece["id"]):
                gold = piece["source"][i] == "gold"
                if self.only is None or (self.only == "gold") == gold:
                    given = [piece[column][i] for column in probs]
                    yield Labeled(
                        str(name),
                        {field: str(piece[column][i]) for field, column in names.items()},
                        str(piece["label"][i]),
                        None if None in given else tuple(given),
                        float(piece["confidence"][i] or 0.0) if "confidence" in piece else 0.0,
                        gold,
                    )

    def given_rows(self) -> list[Labeled]:
        """Return the rows, of which there is one at least.

        Raises `DataError` if there is none.
        """
        found = list(self.rows())
        if not found:
            which = f"{self.only} " if self.only else ""
            raise DataError(f"{self.path} has no {which}rows: leave out --only, or give another run.")
        return found
