"""Two runs side by side: in which settings they differ, and which is better, on the rows that both have measured."""

import tomllib
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table
from rich.text import Text
from scipy import stats

from pet.errors import ConfigError, shown
from pet.method.measured import OWN
from pet.runs.directory import RunDirectory
from pet.runs.manifest import Manifest, setting_differences
from pet.runs.state import read_metrics

SIGMAS = 1.96
"""Half-width of the 95 % interval, in standard errors."""


@dataclass(frozen=True)
class PairedRows:
    """Rows that both runs have measured: of `n`, so many only one of them had right.

    `difference` of the accuracies (second minus first), with its 95 % interval from `low` to `high`; `p` of McNemar's
    exact test, the sign test on the rows that one of them had right: whether chance explains the difference.
    """

    n: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p: float

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> "PairedRows":
        """Compare which rows two runs had right, bool [n] each, n > 0.

        >>> found = PairedRows.of(np.array([True, False, False, True]), np.array([True, True, True, True]))
        >>> found.only_second, found.difference, found.p
        (2, 0.5, 0.5)
        """
        n, gained, lost = len(first), int((second & ~first).sum()), int((first & ~second).sum())
        difference = (gained - lost) / n
        # Of a difference of paired shares (Agresti, Categorical Data Analysis, section 11.1).
        error = float(np.sqrt(max(0.0, (gained + lost) / n - difference**2) / n))
        p = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
        return cls(n, lost, gained, difference, difference - SIGMAS * error, difference + SIGMAS * error, p)


@dataclass(frozen=True)
class ComparedLine:
    """One way to label, its accuracy on the test rows in both runs, and the rows that both have measured (or None)."""

    name: str
    first: float | None
    second: float | None
    paired: PairedRows | None


@dataclass(frozen=True)
class Comparison:
    """Two runs: settings that differ (name, first, second), what else does, and each way to label that both have.

    `agreement` is the share of the `shared` pool rows that both gave the same label.
    """

    first: Path
    second: Path
    settings: tuple[tuple[str, Any, Any], ...]
    others: tuple[str, ...]
    lines: tuple[ComparedLine, ...]
    shared: int
    agreement: float | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "first": str(self.first), "second": str(self.second)}


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two runs.

    Raises `ConfigError` if one of them is no run directory.
    """
    runs = RunDirectory(first), RunDirectory(second)
    manifests = [_manifest(run) for run in runs]
    texts = [run.config_path.read_text(encoding="utf-8") for run in runs]
    try:
        settings = setting_differences(*texts)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config.toml of one of the runs is no TOML ({error}): mend it.") from None
    changed = [name for name in ("data", "model", "code") if len({one.identity.get(name) for one in manifests}) > 1]
    shared, agreement = _pool_agreement(*(_read(run.pseudo_labels) for run in runs))
    return Comparison(first, second, tuple(settings), tuple(changed), _lines(*runs), shared, agreement)


def comparison_lines(found: Comparison) -> list[str]:
    """Return what differs in what was asked for, and how far the labels of the pool agree."""
    said = {
        "data": "other rows (of other files, or of another run.seed)",
        "model": "another model",
        "code": "another version of pet",
    }
    lines = [f"{name}: {shown(old)} and {shown(new)}" for name, old, new in found.settings]
    lines += [f"made of {said[name]}" if name != "code" else f"made by {said[name]}" for name in found.others]
    lines = lines or ["settings, data, model and code are the same"]
    if found.agreement is not None:
        lines.append(f"both gave {found.agreement:.1%} of {found.shared} rows of the pool the same label")
    else:
        lines.append("they labeled no row in common")
    if not any(line.paired for line in found.lines):
        lines.append("no test row was measured by both: nothing is compared row by row")
    return lines


def comparison_table(found: Comparison) -> Table:
    """Return the accuracies for a terminal, differences on the same rows with their intervals."""
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    paired = ("second - first, same rows", "only first right", "only second right", "p")
    names = ["on the test rows", "first", "second", *(paired if any(line.paired for line in found.lines) else ())]
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left")
    for line in found.lines:
        cells = [_percent(line.first), _percent(line.second)]
        if line.paired:
            one = line.paired
            interval = f"{100 * one.difference:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}] of {one.n}"
            cells += [interval, str(one.only_first), str(one.only_second), f"{one.p:.3f}"]
        table.add_row(Text(line.name), *cells)
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _manifest(run: RunDirectory) -> Manifest:
    found = Manifest.from_file(run.manifest_path)
    if found is None or not run.config_path.is_file():
        raise ConfigError(f"{run.root} is no run directory: give one that `pet label` or `pet run` has made.")
    return found


def _read(path: Path) -> pa.Table | None:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException):
        return None


def _lines(first: RunDirectory, second: RunDirectory) -> tuple[ComparedLine, ...]:
    """Return a line for each way to label that both runs have."""
    figures = [
        {row["name"]: row for row in read_metrics(run).get("summary", {}).get("rows", ())} for run in (first, second)
    ]
    tables = [_read(run.measured_path) for run in (first, second)]
    rows = _same_rows(*tables)
    lines = []
    for name in (name for name in figures[0] if name in figures[1]):
        before, after = (found[name]["test"]["accuracy"] if found[name]["test"] else None for found in figures)
        right = [_right(table, name, places) for table, places in zip(tables, rows, strict=True)]
        known = [one for one in right if one is not None and len(one)]
        lines.append(ComparedLine(name, before, after, PairedRows.of(*known) if len(known) == 2 else None))
    return tuple(lines)


def _same_rows(first: pa.Table | None, second: pa.Table | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the rows that both tables have, int64 [n] each: of the same text and label, in turn."""
    waiting: dict[tuple[str, str], list[int]] = defaultdict(list)
    pairs = []
    for place, row in enumerate(_rows(second)):
        waiting[row].append(place)
    for place, row in enumerate(_rows(first)):
        if waiting[row]:
            pairs.append((place, waiting[row].pop(0)))
    found = np.asarray(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _rows(table: pa.Table | None) -> list[tuple[str, str]]:
    if table is None or not set(OWN[:3]) <= set(table.column_names):
        return []
    return list(zip(table["text_key"].to_pylist(), table["label"].to_pylist(), strict=True))


def _right(table: pa.Table | None, name: str, places: np.ndarray) -> np.ndarray | None:
    """Return which of some rows a way to label had right, bool [n]."""
    if table is None or name not in table.column_names:
        return None
    said, label = (np.asarray(table[column].to_pylist(), object) for column in (name, "label"))
    return np.asarray((said == label)[places], np.bool_)


def _pool_agreement(first: pa.Table | None, second: pa.Table | None) -> tuple[int, float | None]:
    """Return how many pool rows two labeled data sets share, by their ids, and the share with the same label."""
    if first is None or second is None:
        return 0, None
    given = [
        dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))
        for table in (one.filter(pa.compute.equal(one["source"], "pseudo")) for one in (first, second))
    ]
    shared = given[0].keys() & given[1].keys()
    same = sum(given[0][row] == given[1][row] for row in shared)
    return len(shared), same / len(shared) if shared else None
