"""The scores of a voter on the pool, in files of about 50,000 rows, written as they come.

Of a large pool each file is at first a job of its own, so that a run that was killed while a voter was voting trains
the voter again, to the same weights (but for their last bits, where it now has another number of threads), and goes on
behind the last whole file. When the voter's job is done it has them all, and the small jobs go.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from pet.data.rows import Rows
from pet.learners.models.batching import CHUNK_ROWS
from pet.runs.atomic import remove_whole
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.progress import Advance
from pet.runs.storage import storage_errors

SHARD_ROWS = 12 * CHUNK_ROWS
"""Rows of a file: whole chunks, so that rows are scored in the same batches as without shards."""


@dataclass(frozen=True)
class PoolScores:
    """The scores float32 [n, k] of the voter of a job on rows of the pool."""

    store: JobStore
    job: Job
    rows: Rows

    def write(self, folder: Path, score: Callable[[Rows], np.ndarray], advance: Advance) -> None:
        """Score the rows shard by shard into a folder; `advance` hears of rows that were scored before."""
        # Shards are no results: other runs have no use for them.
        shards, store = list(self._shards()), self.store.alone
        for job, name, rows in shards:
            if len(shards) == 1:
                _save(folder / name, score(self.rows))
                continue
            part = self.rows.take(rows)
            if store.done(job):
                advance(len(part))

            def work(place: Path, name: str = name, part: Rows = part) -> None:
                _save(place / name, score(part))

            # Not moved: what is in the folder of an unfinished job goes with it.
            shutil.copyfile(store.run(job, work) / name, folder / name)

    def write_whole(self, folder: Path, scores: np.ndarray) -> None:
        """Write scores float32 [n, k] of all rows, which took no time worth keeping, into the same files."""
        for _, name, rows in self._shards():
            _save(folder / name, np.ascontiguousarray(scores[rows]))

    def read(self) -> np.ndarray:
        """Return the scores of the finished job."""
        folder = self.store.path(self.job)
        parts = ((rows, load_file(folder / name)["pool"]) for _, name, rows in self._shards())
        found = np.empty(0, np.float32)
        for rows, scores in parts:
            if not rows.start:
                found = np.empty((len(self.rows), scores.shape[1]), np.float32)
            found[rows] = scores
        return found

    def tidy(self) -> None:
        """Remove the jobs of single shards, once the voter's own is done.

        Raises `RunError` if they may not be removed.
        """
        for job, _, _ in self._shards():
            with storage_errors(self.store.path(job)):
                if self.store.path(job).exists():
                    remove_whole(self.store.path(job))

    def _shards(self) -> Iterator[tuple[Job, str, slice]]:
        """Yield job, file name and rows of each shard; one shard where there are no rows."""
        for number, start in enumerate(range(0, max(1, len(self.rows)), SHARD_ROWS)):
            job = Job(f"{self.job.name}, shard {number}", job_hash(job=self.job.key, shard=number))
            yield job, f"pool-{number:05}.safetensors", slice(start, start + SHARD_ROWS)


def _save(path: Path, scores: np.ndarray) -> None:
    save_file({"pool": scores}, path)
