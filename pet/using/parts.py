"""Scores of many rows in parts, each written whole as it comes, so that work that was killed goes on where it stopped.

    OUTPUT.parts/parts.json              what the scores are of, and how they are computed
                 00000.safetensors ...   float32 [PART_ROWS, c], the scores of a range of rows
                 tasks/                  rows that processes score side by side

Scores of other rows, or by another model, are not gone on with.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from pet.data.examples import Example
from pet.data.output import PIECE_ROWS
from pet.data.rows import Rows
from pet.errors import UsageError
from pet.learners.models.inference import Advance
from pet.runs.atomic import remove_leftovers, remove_whole, write_atomically, write_json
from pet.runs.executors.base import Needs, Work, done_by, write_task
from pet.runs.executors.processes import Processes
from pet.runs.lock import run_lock
from pet.runs.progress import is_watched, rate_progress
from pet.runs.storage import storage_errors

PART_ROWS = 2 * PIECE_ROWS
"""The rows of a part: what a kill costs at the most; a piece of an output lies within one part."""

AHEAD = 2
"""So many parts for each process are handed out at a time: their rows lie on the disk meanwhile."""

_FACTS, _FORMAT, _SCORES, _ROWS = "parts.json", "pet-parts 1", "scores", "rows.json"


@dataclass(frozen=True)
class Parts:
    """Scores of `count` rows, float32 [n, c], c = `columns`, in the files of a folder."""

    folder: Path
    count: int
    columns: int

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the scores of rows that lie in one part, float32 [r, c]."""
        part, start = divmod(rows.start, PART_ROWS)
        with safe_open(self._path(part), framework="numpy") as file:
            return np.asarray(file.get_slice(_SCORES)[start : start + rows.stop - rows.start])

    def rows_of(self, part: int) -> slice:
        """Return the range of rows of a part."""
        return slice(part * PART_ROWS, min(self.count, (part + 1) * PART_ROWS))

    @property
    def missing(self) -> list[int]:
        """The parts that are not there yet."""
        return [part for part in range(-(-self.count // PART_ROWS)) if not self._path(part).is_file()]

    def write(self, part: int, scores: np.ndarray) -> None:
        """Put the scores of a part, float32 [r, c], into their place; where c is smaller, zeros stand behind them.

        Raises `StorageError` if the disk is full or may not be written.
        """
        wide = np.pad(scores, ((0, 0), (0, self.columns - scores.shape[1])))  # other parts have rows of more candidates
        whole = {_SCORES: np.ascontiguousarray(wide)}
        write_atomically(self._path(part), lambda path: save_file(whole, path))

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:05}.safetensors"


@contextmanager
def open_parts(folder: Path, facts: Mapping[str, object], shape: tuple[int, int], *, resume: bool) -> Iterator[Parts]:
    """Begin work in a folder, or go on with it, and hold its lock; `shape` is that of all scores, (n, c).

    Raises `UsageError` if there is work that shall not be gone on with, or that is of other `facts`. Raises `RunLocked`
    if another process does it. Raises `StorageError` if the disk is full or may not be written.
    """
    facts = {"format": _FORMAT, **facts, "part_rows": PART_ROWS, "shape": list(shape)}
    parts = Parts(folder, *shape)
    with storage_errors(folder):
        folder.mkdir(exist_ok=True)
    with run_lock(folder):
        before = _facts_in(folder)
        if before and not resume:
            done = min(parts.count, sum(1 for _ in folder.glob("*.safetensors")) * PART_ROWS)
            raise UsageError(
                f"{folder} holds the scores of {done:,} rows, of work that was interrupted: go on with --resume, or "
                "remove the folder to start anew."
            )
        if before and before != facts:
            other = ", ".join(name for name in facts if before.get(name) != facts[name])
            raise UsageError(
                f"{folder} holds scores of other work ({other} differ), which --resume cannot go on with: give the "
                "same input, model and flags, or remove the folder to start anew."
            )
        remove_leftovers(folder)
        if not before:
            write_json(folder / _FACTS, facts)
        yield parts


def _facts_in(folder: Path) -> Mapping[str, object]:
    """Return what the scores in a folder are of; nothing where there are none."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / _FACTS).read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


@dataclass(frozen=True)
class Side:
    """How missing parts are made: by `workers` processes of so many `threads`, whose `work` does the job of a folder.

    What it works with stands in the job: `by` what the scores are computed, beside what `taken_up` returns.
    """

    work: Work
    by: Mapping[str, str]
    workers: int
    threads: int


def compute_parts(
    parts: Parts, rows: Rows, scores: Callable[[Sequence[Example], Advance], np.ndarray], side: Side, advance: Advance
) -> None:
    """Make the parts that are missing, here or side by side; `scores` makes float32 [r, c] of rows.

    Raises `RunError` if a process ended by itself, and whatever `scores` raises.
    """
    missing = parts.missing
    if side.workers == 1:
        for part in missing:
            parts.write(part, scores(rows.take(parts.rows_of(part)), advance))
        return

    def hear(kind: str, content: object) -> None:
        if kind == "advance":
            advance(int(str(content)))

    tasks = parts.folder / "tasks"
    if tasks.exists():  # of work that was killed
        remove_whole(tasks)
    workers = min(side.workers, len(missing) or 1)
    executor = Processes(side.work, workers)
    try:
        jobs = (_handed_out(tasks / f"{part:05}", parts, part, rows, side) for part in missing)
        done_by(executor, jobs, Needs(cpus=side.threads), AHEAD * workers, hear)
    finally:
        executor.cancel()


def _handed_out(folder: Path, parts: Parts, part: int, rows: Rows, side: Side) -> Path:
    """Write the job that makes a part; return its folder."""
    place = parts.rows_of(part)
    folder.mkdir(parents=True)
    about = {"name": f"rows {place.start:,} to {place.stop:,}", "threads": side.threads, **side.by}
    write_task(
        folder, {**about, "parts": str(parts.folder.absolute()), "shape": [parts.count, parts.columns], "part": part}
    )
    write_json(folder / _ROWS, [[row.id, row.fields] for row in rows[place]])
    return folder


def taken_up(folder: Path, task: Mapping[str, Any]) -> tuple[Parts, int, list[Example]]:
    """Return the part that a job makes, and its rows."""
    rows = [Example(name, fields) for name, fields in json.loads((folder / _ROWS).read_bytes())]
    return Parts(Path(task["parts"]), *task["shape"]), task["part"], rows


@dataclass
class Pace:
    """How many of `total` rows are done, and how many a second; those that were done before count for no speed."""

    total: int
    before: int = 0
    done: int = 0
    begun: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.done / max(time.monotonic() - self.begun, 1e-9)

    @property
    def share(self) -> float:
        """What share of all rows is done."""
        return (self.before + self.done) / max(1, self.total)

    def __str__(self) -> str:
        return f"{self.before + self.done:,} of {self.total:,} rows, {self.rate:,.0f} rows/s"


TOLD_SECONDS = 60.0
"""Where nobody watches, a line tells so often how far the work is."""


@contextmanager
def paced(pace: Pace, tell: Callable[[str], None]) -> Iterator[Advance]:
    """Show how far rows are and how many are done a second: a bar, or `tell` a line a minute where nobody watches."""
    told = time.monotonic()
    with rate_progress("labeling", "rows") as show:

        def advance(count: int) -> None:
            nonlocal told
            pace.done += count
            show(min(1.0, pace.share), pace.rate)
            if not is_watched() and time.monotonic() - told >= TOLD_SECONDS:
                told = time.monotonic()
                tell(str(pace))

        yield advance
