"""The runs in a folder, a line each: what has become of them, on what, how good, how old, how large."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from pet.errors import ConfigError, PetError
from pet.forecast.footprint import disk_use
from pet.method.summary import DISTILLED
from pet.runs.directory import RunDirectory
from pet.runs.state import RunState, State, read_metrics, run_directories
from pet.settings.config import RunConfig


@dataclass(frozen=True)
class RunLine:
    """One run. `data` names its task and counts its rows, `headline` is the figure that says most (None: none yet).

    `written` is when it was last written to, in seconds since the epoch, `size` in bytes; `why` it failed, if it did.
    """

    path: Path
    state: State
    data: str
    headline: str | None
    written: float
    size: int
    why: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "path": str(self.path)}


def list_runs(folder: Path) -> list[RunLine]:
    """Return the runs in a folder, at any depth, the newest first.

    Raises `ConfigError` if there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}: give one with runs, such as that of --output-dir.")
    return sorted(map(_line, run_directories(folder)), key=lambda line: -line.written)


def headline(metrics: dict[str, Any]) -> str | None:
    """Return the figure that says most of a run: on test rows, else on gold rows held out, else on the pool."""
    sets = {row["name"]: row for row in metrics.get("label_sets", ())}
    if test := sets.get(DISTILLED, {}).get("test"):
        return f"micro-F1 {test['micro_f1']:.1%} on {test['n']} test rows"
    if held := sets.get("ensemble", {}).get("held_out"):
        return f"micro-F1 {held['micro_f1']:.1%} on gold rows held out"
    rows = {row["name"]: row for row in metrics.get("summary", {}).get("rows", ())}
    final, ensemble = rows.get(DISTILLED, {}), rows.get("ensemble", {})
    if final.get("test"):
        return f"{final['test']['accuracy']:.1%} right on {final['test']['n']} test rows"
    if ensemble.get("held_out_accuracy") is not None:
        return f"{ensemble['held_out_accuracy']:.1%} right on gold rows held out"
    if final.get("agreement") is not None:
        return f"{final['agreement']:.1%} as the ensemble"
    return None


def runs_table(lines: Sequence[RunLine], folder: Path, now: float | None = None) -> Table:
    """Return the runs for a terminal, their paths from the folder on."""
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    for name in ("run", "state", "data", "result", "age", "size"):
        table.add_column(name, justify="right" if name in ("age", "size") else "left", overflow="fold")
    for line in lines:
        place = str(line.path.relative_to(folder)) if line.path != folder else str(folder)
        said = line.headline or line.why or ""
        age = told_age((time.time() if now is None else now) - line.written)
        table.add_row(*map(_plain, (place, line.state, line.data, said, age, told_size(line.size))))
    return table


def told_age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit.

    >>> told_age(30), told_age(7300), told_age(400000)
    ('now', '2 h', '4 d')
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"


def told_size(size: int) -> str:
    """Return bytes in a unit that fits.

    >>> told_size(0), told_size(359_000_000), told_size(2_100_000_000)
    ('0 KB', '359 MB', '2.1 GB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)  # names of folders may look like markup


def _line(directory: RunDirectory) -> RunLine:
    state, metrics = RunState.of(directory), read_metrics(directory)
    rows = metrics.get("rows")
    try:
        task = RunConfig.from_toml(directory.config_path).task.name
    except PetError:  # made by a version with other settings, or never begun
        task = str(metrics.get("task", "?"))
    data = f"{task}: {rows['labeled']} labeled, {rows['unlabeled']} unlabeled" if rows else task
    written = state.written
    return RunLine(directory.root, state.state, data, headline(metrics), written, disk_use(directory.root), state.why)
