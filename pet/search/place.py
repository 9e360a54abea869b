"""The folder of a search: its jobs, which are done once, its log, and how long it will take."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.data.examples import Example
from pet.errors import ConfigError
from pet.learners.voters.shared import SharedModel
from pet.method.jobs import digest
from pet.prompts.patterns import Pattern
from pet.runs.atomic import is_leftover, remove_leftovers
from pet.runs.directory import HARMLESS
from pet.runs.identity import code_digest
from pet.runs.jobs import JobStore
from pet.runs.lock import run_lock
from pet.runs.log import RunLog, tell
from pet.runs.progress import Stages
from pet.runs.results import write_results
from pet.runs.runner import JobRunner
from pet.runs.storage import storage_errors
from pet.search.passes import MaskLogits, word_logits
from pet.search.rows import SearchRows

JOBS, LOG = "jobs", "search.log"
PROBED_ROWS = 16
"""The forecast is by what so many rows take."""


@dataclass(frozen=True)
class SearchPlace:
    """Where the jobs of a search are done, and what it says."""

    log: RunLog
    runner: JobRunner
    model: SharedModel

    def read(self, patterns: Sequence[Pattern], ids: Sequence[np.ndarray], rows: SearchRows) -> list[MaskLogits]:
        """Return the logits of words at the mask of each pattern, `ids` int64 [c] each; a job per pattern.

        How long that will take is said first.
        """
        self._foresee(patterns, ids, rows)
        return [self._pass(pattern, own, rows) for pattern, own in zip(patterns, ids, strict=True)]

    def _pass(self, pattern: Pattern, ids: np.ndarray, rows: SearchRows) -> MaskLogits:
        def work(folder: Path) -> None:
            total = len(rows.known) + len(rows.pool)
            with self.runner.stages.stage(f"reading {pattern.name}", total) as advance:
                known, pool = (word_logits(pattern, ids, some, self.model, advance) for some in (rows.known, rows.pool))
                write_results(folder, MaskLogits(known, pool), forwards=total)

        return self.runner.run(self._job(pattern, ids, rows), MaskLogits, work)

    def _job(self, pattern: Pattern, ids: np.ndarray, rows: SearchRows):  # type: ignore[no-untyped-def]  # noqa: ANN202
        parts = {"template": pattern.template, "rows": rows.digest, "ids": digest(ids)}
        return self.runner.job(f"words/{pattern.name}", **parts)

    def _foresee(self, patterns: Sequence[Pattern], ids: Sequence[np.ndarray], rows: SearchRows) -> None:
        """Say how long the passes take that are not done yet."""
        store, pairs = self.runner.store, list(zip(patterns, ids, strict=True))
        left = [pair for pair in pairs if not store.done(self._job(*pair, rows))]
        self.runner.stages.total += len(pairs)
        if not left:
            return
        some: Sequence[Example] = [*rows.known, *rows.pool][:PROBED_ROWS]
        word_logits(*left[0], some[:2], self.model)  # the first pass of all is slower
        began = time.monotonic()
        word_logits(*left[0], some, self.model)
        total = len(rows.known) + len(rows.pool)
        seconds = (time.monotonic() - began) * total / len(some) * len(left)
        self.runner.stages.seconds = (self.runner.stages.seconds or 0.0) + seconds
        self.log.say(
            f"{len(left)} patterns are read, on {total} rows each, for {len(ids[0]):,} words: about {max(1.0, seconds):.0f} s"
        )


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
