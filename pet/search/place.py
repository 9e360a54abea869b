"""The folder of a search: its jobs, which are done once, its log, and how long it will take."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.data.examples import Example
from pet.errors import ConfigError
from pet.learners.models.inference import Advance
from pet.learners.voters.shared import SharedModel
from pet.runs.atomic import is_leftover, remove_leftovers
from pet.runs.directory import HARMLESS
from pet.runs.identity import code_digest
from pet.runs.jobs import Job, JobStore
from pet.runs.lock import run_lock
from pet.runs.log import RunLog, tell
from pet.runs.progress import Stages
from pet.runs.results import write_results
from pet.runs.runner import JobRunner
from pet.runs.storage import storage_errors
from pet.search.passes import AtMask
from pet.search.rows import SearchRows

JOBS, LOG = "jobs", "search.log"
PROBED_ROWS = 16
"""The forecast is by what so many rows take."""


@dataclass(frozen=True)
class Reading:
    """A pass of the model over rows: its name, what it depends on beside the rows, and what makes [n, c] of them."""

    name: str
    depends: Mapping[str, object]
    read: Callable[[Sequence[Example], Advance], np.ndarray]


@dataclass(frozen=True)
class SearchPlace:
    """Where the jobs of a search are done, and what it says."""

    log: RunLog
    runner: JobRunner
    model: SharedModel

    def read(self, readings: Sequence[Reading], rows: SearchRows) -> list[AtMask]:
        """Return what each reading makes of the rows, a job each; how long that will take is said first."""
        self._foresee(readings, rows)
        return [self._pass(reading, rows) for reading in readings]

    def _pass(self, reading: Reading, rows: SearchRows) -> AtMask:
        def work(folder: Path) -> None:
            total = len(rows.known) + len(rows.pool)
            with self.runner.stages.stage(f"reading {reading.name}", total) as advance:
                known, pool = reading.read(rows.known, advance), reading.read(rows.pool, advance)
                write_results(folder, AtMask(known, pool), forwards=total)

        return self.runner.run(self._job(reading, rows), AtMask, work)

    def _job(self, reading: Reading, rows: SearchRows) -> Job:
        return self.runner.job(reading.name, rows=rows.digest, **reading.depends)

    def _foresee(self, readings: Sequence[Reading], rows: SearchRows) -> None:
        """Say how long the passes take that are not done yet."""
        left = [reading for reading in readings if not self.runner.store.done(self._job(reading, rows))]
        self.runner.stages.total += len(readings)
        if not left:
            return
        some = [*rows.known, *rows.pool][:PROBED_ROWS]
        left[0].read(some[:2], lambda _: None)  # the first pass of all is slower
        began = time.monotonic()
        left[0].read(some, lambda _: None)
        total = len(rows.known) + len(rows.pool)
        seconds = max(1.0, (time.monotonic() - began) * total / len(some) * len(left))
        self.runner.stages.seconds = (self.runner.stages.seconds or 0.0) + seconds
        self.log.say(f"{len(left)} patterns are read, on {total} rows each: about {seconds:.0f} s")


@contextmanager
def open_search(root: Path, model: SharedModel, seed: int) -> Iterator[SearchPlace]:
    """Open the folder of a search, which may hold jobs of other searches: those that are needed again are not redone.

    Raises `ConfigError` if the folder cannot be made or holds other things. Raises `RunLocked` if another process works
    in it.
    """
    _claim(root)
    with run_lock(root):
        with storage_errors(root):
            (root / JOBS).mkdir(exist_ok=True)
            remove_leftovers(root / JOBS)
        log = RunLog(root / LOG)
        runner = JobRunner(JobStore(root / JOBS, log), _shared(model, seed), Stages(0, None, tell), log.detail)
        yield SearchPlace(log, runner, model)


def _claim(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in root.iterdir() if path.name not in HARMLESS and not is_leftover(path.name)]
    except OSError as error:
        raise ConfigError(f"{root} cannot be created ({error.strerror}): choose another --output-dir.") from error
    if foreign := sorted(set(names) - {JOBS, LOG}):
        raise ConfigError(
            f"{root} is not empty and holds no search (it has {foreign[0]!r}): choose an empty or a new --output-dir."
        )


def _shared(model: SharedModel, seed: int) -> Mapping[str, object]:
    return {
        "code": code_digest(),
        "model": model.source.digest,
        "settings": model.settings.model_dump(mode="json", exclude={"name"}),
        "machine": [model.machine.device.type, model.machine.inference],
        "seed": seed,
    }
