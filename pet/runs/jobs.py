"""Jobs: pieces of work that are named by what they depend on, done once, and kept whole."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pet.runs.atomic import SUCCESS, folder_problem, write_folder
from pet.runs.keeping import JobKeeper
from pet.runs.log import NULL_LOG, RunLog
from pet.runs.shared import SharedJobs, cpu_seconds

_ABOUT = "job.json"
"""The file of a finished job that has its name."""


def job_hash(**parts: object) -> str:
    """Return 16 hex digits for everything that a job depends on; the order of the parts does not matter.

    Raises `TypeError` or `ValueError` if a part is no JSON value; NaN and infinity are not.

    Examples
    --------
    >>> job_hash(kind="vote", seed=1) == job_hash(seed=1, kind="vote")
    True
    >>> job_hash(kind="vote", seed=1) == job_hash(kind="vote", seed=2)
    False
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Job:
    """A piece of work: `name` is for people, `key` (see `job_hash`) names its folder."""

    name: str
    key: str

    def __post_init__(self) -> None:
        """Check that the key can name a folder.

        Raises `ValueError` if it cannot.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.key):
            raise ValueError(f"the key of job {self.name!r} is {self.key!r}: expected what job_hash returns")


@dataclass(frozen=True)
class JobStore:
    """The folder of finished jobs, one folder per key; `shared` are those that other runs have left, if any have."""

    folder: Path
    log: RunLog = NULL_LOG
    shared: SharedJobs | None = None

    @property
    def alone(self) -> "JobStore":
        """The same folder, without other runs."""
        return replace(self, shared=None)

    def path(self, job: Job) -> Path:
        """Return the folder of a job, finished or not."""
        return self.folder / job.key

    def done(self, job: Job) -> bool:
        """Return whether the job is finished, here or by another run, and none of its files has changed since."""
        return folder_problem(self.path(job)) is None or (self.shared is not None and self.shared.has(job.key))

    def run(self, job: Job, work: Callable[[Path], None]) -> Path:
        """Return the folder of a finished job; where it is missing or damaged, let `work` fill it first.

        `work` gets an empty folder, which takes the job's place only when `work` returned and all is on disk; what long
        work keeps on the way lies beside it until then. What another run has left is taken over instead.

        Raises `RunError` if the disk is full or may not be written. Whatever `work` raises is passed on; its
        files go.
        """
        final = self.path(job)
        problem = folder_problem(final)
        if problem is None or (self.shared and self.shared.take(job.key, final)):
            return final
        if final.exists():
            self.log.warn(f"the finished job {job.name} in {final} is damaged ({problem}): it is done again.")

        keeper = JobKeeper(self.folder / f"unfinished-{job.key}")

        def write(folder: Path) -> None:
            from pet.learners.models.keeping import kept_by  # loads torch: what only reads jobs does without

            try:
                with kept_by(keeper):
                    work(folder)
            except KeyboardInterrupt as stop:
                stop.add_note(keeper.told(job.name))
                raise
            (folder / _ABOUT).write_text(json.dumps({"name": job.name}), encoding="utf-8")

        before = cpu_seconds()
        write_folder(final, write)
        keeper.remove()
        if self.shared:
            self.shared.give(job.key, final, cpu_seconds() - before)
        return final

    def finished(self) -> Counter[str]:
        """Return how many jobs of each name are finished; whether their files are as they were is not looked at."""
        found = Counter[str]()
        for success in self.folder.glob(f"*/{SUCCESS}"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                found[json.loads((success.parent / _ABOUT).read_bytes())["name"]] += 1
        return found
