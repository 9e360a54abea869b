"""What an ablation has found: the figures of each run, and of each cell beside the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pet.ablation.grid import Cell, Grid
from pet.ablation.paired import Difference, paired

MEASURES = ("classifier", "ensemble", "cpu_seconds")
"""What runs are compared by: test accuracy of the shipped classifier and of the ensemble, and processor time."""


@dataclass(frozen=True)
class RunFigures:
    """One run of an ablation: cell and seed, its folder below that of the ablation, and what it was made from.

    `classifier` and `ensemble` are accuracies on the test rows, in [0, 1], `..._f1` macro-F1. `cpu_seconds` of all its
    jobs, those that it shares with others included; None where what one took is not known.
    """

    cell: int
    seed: int
    directory: str
    identity: Mapping[str, str]
    classifier: float
    ensemble: float
    classifier_f1: float
    ensemble_f1: float
    test_rows: int
    cpu_seconds: float | None


@dataclass(frozen=True)
class CellResult:
    """A cell with its runs, one for each sample, and its differences to the baseline by measure."""

    cell: Cell
    runs: tuple[RunFigures, ...]
    differences: Mapping[str, Difference]

    def values(self, measure: str) -> list[float]:
        """Return a measure of each run where it is known."""
        return [value for run in self.runs if (value := getattr(run, measure)) is not None]

    def mean(self, measure: str) -> float | None:
        """Return the mean of a measure; None where it is known of no run."""
        return float(np.mean(found)) if (found := self.values(measure)) else None

    def deviation(self, measure: str) -> float | None:
        """Return the standard deviation of a measure over the samples; None with fewer than two."""
        return float(np.std(found, ddof=1)) if len(found := self.values(measure)) > 1 else None

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "settings": dict(self.cell.settings),
            "mean": {measure: self.mean(measure) for measure in MEASURES},
            "standard_deviation": {measure: self.deviation(measure) for measure in MEASURES},
            "difference": {measure: found.as_json() for measure, found in self.differences.items()},
            "runs": [asdict(run) for run in self.runs],
        }


@dataclass(frozen=True)
class AblationResult:
    """Where an ablation lies, and its cells, the baseline first; `samples` are the seeds that rows were drawn by."""

    directory: Path
    grid: Grid
    samples: tuple[int, ...]
    cells: tuple[CellResult, ...]

    @classmethod
    def of(cls, directory: Path, grid: Grid, samples: Sequence[int], runs: Sequence[RunFigures]) -> "AblationResult":
        """Compare the cells by the runs that are done."""
        by_cell = [[run for run in runs if run.cell == cell.number] for cell in grid.cells]
        found = (
            CellResult(cell, tuple(own), _differences(own, by_cell[0]) if cell.number else {})
            for cell, own in zip(grid.cells, by_cell, strict=True)
        )
        return cls(directory, grid, tuple(samples), tuple(found))

    @property
    def path(self) -> Path:
        """The file with every figure."""
        return self.directory / "ablation.json"

    @property
    def table_path(self) -> Path:
        """The table as Markdown."""
        return self.directory / "ablation.md"

    @property
    def runs(self) -> tuple[RunFigures, ...]:
        """All runs, cell by cell."""
        return tuple(run for cell in self.cells for run in cell.runs)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "axes": self.grid.as_json(),
            "samples": list(self.samples),
            "interval": "95 %, Student's t, of the mean difference to the first cell over samples",
            "test": "exact binomial sign test over samples, two-sided, without those that are equal",
            "cells": [cell.as_json() for cell in self.cells],
        }


def _differences(runs: Sequence[RunFigures], baseline: Sequence[RunFigures]) -> dict[str, Difference]:
    """Compare runs with those of the baseline on the same samples."""
    others, found = {run.seed: run for run in baseline}, {}
    for measure in MEASURES:
        pairs = [(getattr(run, measure), getattr(others.get(run.seed), measure, None)) for run in runs]
        known = [pair for pair in pairs if None not in pair]
        if known:
            found[measure] = paired(*zip(*known, strict=True))
    return found
