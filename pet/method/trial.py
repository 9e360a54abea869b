"""How this machine does a run best: a short trial before the first job, kept as a job, so that it is not made again.

Two things are tried on rows of the pool. Where there is more to score than a trial takes, bfloat16 does it if the
untrained ensemble gives the same label as in float32 to 99.5 % of some rows; training is in bfloat16 wherever hardware
and model have it. And where more threads speed up one process little, several processes do the voters side by side.
"""

import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.learners.models.machine import Machine
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.shared import SharedModel
from pet.learners.voters.spec import VoterSpec, distinct_pvps
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.log import NULL_LOG, RunLog
from pet.seeding import rng_for
from pet.settings.run import RunSettings

_FILE = "trial.json"

PROBED_SHARE, FEWEST_PROBED, MOST_PROBED = 12, 128, 512
"""bfloat16 is compared with float32 on one in so many of the rows to score; the fewest and most rows of a trial.

Where one in twelve would be fewer, rows are scored in float32: it would tell little, and save little.
"""

AGREEMENT = 0.995
"""The share of them that has to get the same label."""

TIMED_ROWS = 24
"""Rows that are scored with one thread and with all of them; a second each for a small model on a CPU."""

SAVED = 60.0
"""Seconds that side by side has to save: processes take a while to be ready, and each takes a gigabyte and more."""

WORTHWHILE = 1.25
"""How many times as fast side by side has to be: processes share caches and the memory bus."""

PROCESS_BYTES = 1.2e9
"""Memory of a process that trains a voter, besides the weights and their copies."""

WEIGHT_BYTES = 24
"""Memory per weight: the model, its pristine copy, gradients, two moments and what is made of it on the way."""


@dataclass(frozen=True)
class Trial:
    """What was found: the precision of scoring, and the processes that do voters side by side (1: none but this one).

    `agreement` is the share of rows with the same label in bfloat16 (None: not tried); `gain` is how many times as fast
    all threads are as one (None: not tried). `training` is the precision of training (empty: the machine's), and `said`
    what a person should know of it.
    """

    scoring: str
    workers: int = 1
    agreement: float | None = None
    gain: float | None = None
    training: str = ""
    said: str = ""

    def on(self, machine: Machine) -> Machine:
        """Return a machine that computes as was found best."""
        return replace(machine, precision=self.training or machine.precision, scoring=self.scoring)


@dataclass(frozen=True)
class Tried:
    """What is tried: a run's voters, so many generations of them, on its rows and its model.

    `base` are the digests of data, model and code that a trial is good for.
    """

    settings: RunSettings
    voters: tuple[VoterSpec, ...]
    generations: int
    data: TaskData
    model: SharedModel
    base: Mapping[str, str]

    def trial(self, store: JobStore, log: RunLog = NULL_LOG, *, kept: bool = True) -> Trial:
        """Return how a run is done best.

        The trial is that of an earlier start of the run, if there was one; a new one is `kept` for later starts, or
        not.
        """
        found = self._untried
        if self._tries_model or self._tries_precision or self._tries_workers:
            job = self._job
            if kept:
                store.run(job, lambda place: _write(place, self._made()))
            found = _read(store.path(job)) if store.done(job) else self._made()
        if found.said:
            log.say(found.said)
        if found.agreement is not None and found.scoring == "fp32":
            log.say(
                f"bfloat16 gives only {found.agreement:.1%} of {probed_rows(self._scored)} rows the label of float32 "
                f"(expected {AGREEMENT:.1%}): rows are scored in float32"
            )
        return replace(found, workers=max(1, min(self._wanted(found), len(self.voters))))

    def _wanted(self, found: "Trial") -> int:
        """Return how many workers there shall be, unless there are fewer voters."""
        workers, executor = self.settings.workers, self.settings.executor
        if executor in ("here", "debug"):
            return 1
        if workers != "auto":
            return int(workers)
        if executor == "processes":
            return self._room()
        return len(self.voters) if executor in ("ray", "slurm") else found.workers

    @property
    def _job(self) -> Job:
        machine, settings = self.model.machine, self.settings
        key = job_hash(
            base=dict(self.base),
            machine=[machine.device.type, machine.precision],
            settings=[settings.precision, settings.seed, self.generations],
            voters=[[spec.pvp.key(), spec.train.model_dump(mode="json")] for spec in self.voters],
        )
        return Job("trial", key)

    @property
    def _untried(self) -> Trial:
        return _untried(self.settings, self.model.machine)

    @property
    def _tries_model(self) -> bool:
        return self.model.machine.precision == "bf16" and bool(self.voters)

    @property
    def _scored(self) -> int:
        """Rows that are scored with each pattern, in all generations and with all seeds."""
        scored = self.generations * len(self.voters) * len(self.data.unlabeled)
        return scored // max(1, len(distinct_pvps(self.voters)))

    @property
    def _tries_precision(self) -> bool:
        return tries_bfloat16(self.model.machine, self.settings, self._scored)

    @property
    def _tries_workers(self) -> bool:
        # Whatever memory is free now: a run that is started again shall find the trial that was made.
        several = min(self._threads, len(self.voters)) > 1
        return self.settings.workers == self.settings.executor == "auto" and several

    @property
    def _threads(self) -> int:
        """How many threads there are to be divided."""
        if self.settings.threads != "auto":
            return max(1, (os.cpu_count() or 1) // self.settings.threads)
        on_cpu = self.model.machine.device.type == "cpu"
        return torch.get_num_threads() if on_cpu else max(1, (os.cpu_count() or 1) // 2)

    def _made(self) -> Trial:
        """Try the model, the precision of scoring and processes, where there is something to try."""
        pool, machine, found = self.data.unlabeled, self.model.machine, self._untried
        if self._tries_model:
            able, name = self.model.backbone.abilities, self.model.source.name
            machine, said = able.fit(machine), able.said(name, machine)
            found = replace(_untried(self.settings, machine), said=said)
        size = min(max(probed_rows(self._scored), TIMED_ROWS), len(pool))
        chosen = rng_for(self.settings.seed, "trial").choice(len(pool), size=size, replace=False)
        rows = pool.take(np.sort(chosen))[:]
        if self._tries_precision and machine.precision == "bf16":
            agreement = self._agreement(rows)
            found = replace(found, agreement=agreement, scoring="bf16" if agreement >= AGREEMENT else "fp32")
        if self._tries_workers:
            voter = self.model.voter(self.voters[0].pvp, machine=replace(machine, scoring=found.scoring))
            workers, gain = self._workers(voter, rows[:TIMED_ROWS])
            found = replace(found, workers=workers, gain=gain)
        return found

    def _agreement(self, rows: Sequence[Example]) -> float:
        """Return the share of rows to which the untrained ensemble gives the same label in bfloat16 and in float32."""
        labels = []
        for precision in ("fp32", "bf16"):
            machine = replace(self.model.machine, scoring=precision)
            scores = [self.model.voter(pvp, machine=machine).scores(rows) for pvp in distinct_pvps(self.voters)]
            labels.append(np.mean(scores, axis=0).argmax(axis=1))
        return float((labels[0] == labels[1]).mean())

    def _workers(self, voter: PvpVoter, rows: Sequence[Example]) -> tuple[int, float | None]:
        """Return how many processes shall do voters side by side, and what more threads gain in one."""
        room, train = self._room(), self.voters[0].train
        if room < 2:
            return 1, None
        if self.model.machine.device.type != "cpu":
            return room, None
        together = scoring_seconds(voter, rows, torch.get_num_threads())
        # A step is three forward passes.
        steps = (train.steps or 0) * train.batch_size * 3 if self.voters[0].trains(len(self.data.labeled)) else 0
        work = together / len(rows) * self.generations * len(self.voters) * (steps + len(self.data.unlabeled))
        if work < SAVED:
            return 1, None
        gain = scoring_seconds(voter, rows, 1) / together
        return (room if room / gain >= WORTHWHILE and work * (1 - gain / room) > SAVED else 1), gain

    def _room(self) -> int:
        """Return how many processes there is room for: cores on a CPU, memory, and voters to be done."""
        machine = self.model.machine
        need = voter_bytes(self.model.source.parameters)
        # A GPU has room to spare or none: a training that does not fit fails.
        room = free_memory(machine) / (need if machine.device.type == "cpu" else 4 * need)
        return max(1, min(self._threads, len(self.voters), int(room)))


def earlier_machine(settings: RunSettings, machine: Machine, jobs: Path) -> Machine:
    """Return a machine that computes as the trial of an earlier run, in the folder `jobs`, has found best."""
    trials = [_read(path.parent) for path in sorted(jobs.glob(f"*/{_FILE}"))]
    return (trials[-1] if trials else _untried(settings, machine)).on(machine)


def _untried(settings: RunSettings, machine: Machine) -> Trial:
    scoring = "fp32" if settings.precision == "auto" else machine.precision
    return Trial(scoring, training=machine.precision)


def _write(folder: Path, trial: Trial) -> None:
    (folder / _FILE).write_text(json.dumps(asdict(trial)), encoding="utf-8")


def _read(folder: Path) -> Trial:
    return Trial(**json.loads((folder / _FILE).read_text(encoding="utf-8")))


def voter_bytes(parameters: int) -> int:
    """Return the bytes of memory of a process that trains a voter on a model of so many weights."""
    return int(PROCESS_BYTES + WEIGHT_BYTES * parameters)


def probed_rows(rows: int) -> int:
    """Return how many rows a trial of bfloat16 reads where so many are to be scored.

    >>> probed_rows(2_000), probed_rows(100_000)
    (166, 512)
    """
    return min(MOST_PROBED, rows // PROBED_SHARE)


def tries_bfloat16(machine: Machine, settings: RunSettings, rows: int) -> bool:
    """Say whether it is worth a trial to score so many rows in bfloat16."""
    return machine.precision == "bf16" and settings.precision == "auto" and probed_rows(rows) >= FEWEST_PROBED


def free_memory(machine: Machine) -> float:
    """Return the bytes of free memory of the device."""
    if machine.device.type == "cuda":
        return float(torch.cuda.mem_get_info(machine.device)[0])
    return float(psutil.virtual_memory().available)


def scoring_seconds(voter: PvpVoter, rows: Sequence[Example], threads: int) -> float:
    """Return the median seconds of scoring rows with so many threads."""
    before, times = torch.get_num_threads(), []
    torch.set_num_threads(threads)
    try:
        for _ in range(3):
            started = time.perf_counter()
            voter.scores(rows)
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)
    return statistics.median(times)
