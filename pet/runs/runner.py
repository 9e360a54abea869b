"""Doing the jobs of a run: each once, named by what it depends on, numbered for the person who watches, and timed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.progress import Stages
from pet.runs.results import Work, read_results

R = TypeVar("R")


@dataclass
class Journal:
    """What is known of the jobs that a run has asked for.

    `work` is what each cost, by key, whenever it was done; `seconds` what those done now took, by name; `keys` are
    those of the jobs that the labels rest on, by name; `found` is what was read, by key.
    """

    work: dict[str, Work] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def took(self, name: str, seconds: float) -> None:
        """Take down what a job took; those of one name count together."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@dataclass(frozen=True)
class JobRunner:
    """Does jobs; finished ones are read from the store. `note` hears of every job done.

    `shared` is what every job depends on, as plain values by name, beside what is its own. Once the voters' model is
    another one, `unadapted` is what those depend on that do not read with it.
    """

    store: JobStore
    shared: Mapping[str, object]
    stages: Stages = field(default_factory=lambda: Stages(0))
    note: Callable[[str], None] = lambda _: None
    journal: Journal = field(default_factory=Journal)
    unadapted: Mapping[str, object] | None = None

    def job(self, name: str, **parts: object) -> Job:
        """Name a job by what it depends on."""
        return Job(name, job_hash(name=name, shared=dict(self.shared), **parts))

    def depending_on(self, **parts: object) -> "JobRunner":
        """Return a runner whose jobs depend on more; both keep one journal."""
        before = self.shared if self.unadapted is None else self.unadapted
        return replace(self, shared={**self.shared, **parts}, unadapted=before)

    def on_data(self, digest: str) -> "JobRunner":
        """Return a runner whose jobs are named by other data; both keep one journal."""

        def renamed(shared: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**shared, "base": {**shared["base"], "data": digest}}

        unadapted = None if self.unadapted is None else renamed(self.unadapted)
        return replace(self, shared=renamed(self.shared), unadapted=unadapted)

    @property
    def apart(self) -> "JobRunner":
        """The runner of jobs that do not read with the voters' model: those of an encoder."""
        return self if self.unadapted is None else replace(self, shared=self.unadapted, unadapted=None)

    def folder(self, job: Job, work: Callable[[Path], None]) -> Path:
        """Return the folder of a finished job; where it is missing or damaged, let `work` fill it first.

        Raises `RunError` if the disk is full or may not be written. Whatever `work` raises is passed on.
        """
        done, started = self.store.done(job), time.monotonic()
        if done:
            self.stages.skip()
        folder = self.store.run(job, work)
        if not done:
            self.journal.took(job.name, time.monotonic() - started)
            self.note(f"job {job.name} ({job.key}) done in {time.monotonic() - started:.1f} s")
        return folder

    def run(self, job: Job, kind: type[R], work: Callable[[Path], None]) -> R:
        """Return what a job found, a dataclass of arrays that `work` leaves with `write_results`."""
        if job.key not in self.journal.found:
            found, cost = read_results(self.folder(job, work), kind)
            self.journal.found[job.key], self.journal.work[job.key] = found, cost
        known: R = self.journal.found[job.key]
        return known
