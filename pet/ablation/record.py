"""The folder of an ablation: locked, known by its grid, with the figures of every run that is done.

ABLATION/ablation.json    every figure, written anew after each run
         ablation.md      the table
         config.toml      the settings that the axes change
         sample-<seed>/cell-<number>/    a run; sample-<seed>/jobs/ has the jobs that those of a sample share
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pet.ablation.grid import Grid, value_text
from pet.ablation.result import AblationResult, RunFigures
from pet.ablation.table import markdown
from pet.errors import ConfigError
from pet.runs.atomic import is_leftover, remove_leftovers, remove_whole, write_json, write_text
from pet.runs.directory import HARMLESS
from pet.runs.lock import run_lock
from pet.runs.log import RunLog
from pet.runs.manifest import setting_changes
from pet.runs.storage import storage_errors

_FORMAT = "pet-ablation"
_FILE, _CONFIG = "ablation.json", "config.toml"


@dataclass
class Record:
    """What is done of a grid in a folder, whose lock is held."""

    root: Path
    grid: Grid
    samples: tuple[int, ...]
    log: RunLog
    runs: dict[tuple[int, int], RunFigures] = field(default_factory=dict)

    def keep(self, run: RunFigures) -> None:
        """Write down the figures of a run.

        Raises `RunError` if the disk is full or may not be written.
        """
        self.runs[run.cell, run.seed] = run
        self.write()

    def write(self) -> None:
        """Write what is done, and the table of it.

        Raises `RunError` if the disk is full or may not be written.
        """
        write_json(self.root / _FILE, {"format": _FORMAT, **self.result.as_json()})
        write_text(self.result.table_path, markdown(self.result))

    @property
    def result(self) -> AblationResult:
        """What is found, by the runs that are done."""
        runs = [self.runs[key] for key in sorted(self.runs) if key[1] in self.samples]
        return AblationResult.of(self.root, self.grid, self.samples, runs)


@contextmanager
def open_record(
    root: Path, grid: Grid, samples: tuple[int, ...], config_toml: str, *, force: bool = False, quiet: bool = False
) -> Iterator[Record]:
    """Create or go on with an ablation, and hold its lock.

    The same grid of the same settings is gone on with, also with more samples; `force` removes another one first.

    Raises `ConfigError` if the folder cannot be created, or holds something else, or another grid. Raises `RunLocked`
    if another process works in it.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in root.iterdir() if path.name not in HARMLESS and not is_leftover(path.name)]
    except OSError as error:
        raise ConfigError(
            f"{root} cannot be created or read ({error.strerror}): choose another --output-dir."
        ) from error
    if names and _read(root) is None:
        raise ConfigError(
            f"{root} is not empty and holds no ablation of pet (it has {min(names)!r}): choose an empty or a new "
            "--output-dir; --force does not remove files of others."
        )
    with run_lock(root):
        with storage_errors(root / _FILE):
            for folder in (root, *root.glob("sample-*/jobs")):
                remove_leftovers(folder)
            if changes := _changes(root, grid, config_toml):
                _refuse_or_remove(root, changes, force)
        log = RunLog(root / "run.log", io.StringIO() if quiet else None)
        record = Record(root, grid, samples, log, _runs(_read(root)))
        # First the file that says whose folder it is.
        record.write()
        write_text(root / _CONFIG, config_toml)
        yield record


def _changes(root: Path, grid: Grid, config_toml: str) -> list[str]:
    """Say how the ablation that lies in a folder differs; nothing where none does, or there is none."""
    found = _read(root)
    if found is None:
        return []
    before, changes = found["axes"], []
    if list(before.items()) != list(grid.as_json().items()):
        changes.append(f"its axes are {_axes_text(before)}, not {_axes_text(grid.as_json())}")
    if (root / _CONFIG).is_file() and (other := setting_changes((root / _CONFIG).read_text("utf-8"), config_toml)):
        changes.append(other)
    return changes


def _axes_text(axes: Mapping[str, Any]) -> str:
    return " and ".join(f"{name}={','.join(map(value_text, values))}" for name, values in axes.items())


def _refuse_or_remove(root: Path, changes: list[str], force: bool) -> None:
    if not force:
        raise ConfigError(
            f"{root} holds another ablation ({'; '.join(changes)}): choose another --output-dir, or add --force to "
            "delete its runs and start anew."
        )
    for path in (*root.glob("sample-*"), *(root / name for name in ("ablation.md", "run.log", _CONFIG, _FILE))):
        remove_whole(path)


def _read(root: Path) -> Any:
    """Return what an ablation has left in a folder; None where there is none."""
    try:
        found = json.loads((root / _FILE).read_bytes())
        return found if found["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _runs(found: Any) -> dict[tuple[int, int], RunFigures]:
    try:
        runs = [RunFigures(**run) for cell in found["cells"] for run in cell["runs"]] if found else []
    except (KeyError, TypeError):  # of another version of pet: what is done is found in the run directories
        return {}
    return {(run.cell, run.seed): run for run in runs}
