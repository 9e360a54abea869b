"""How this machine does a run best: a short trial before the first job, kept as a job, so that it is not made again.

Two things are tried on rows of the pool. Where there is much to score, bfloat16 does it if the untrained ensemble gives
the same label as in float32 to 99.5 % of 512 rows; training is in bfloat16 wherever the hardware has it. And where more
threads speed up one process little, several processes do the voters side by side.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch

from pet.data.examples import Example
from pet.errors import RunError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, parameter_count
from pet.learners.voters.pvp import Voter
from pet.method.inputs import StageInputs
from pet.method.plan import Plan, prepare
from pet.method.stages import Workbench
from pet.runs.executors.processes import Crew, Tell
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.progress import Relay
from pet.seeding import rng_for
from pet.settings.config import RunConfig
from pet.settings.run import RunSettings

__all__ = [
    "AGREEMENT",
    "PROBED_ROWS",
    "Trial",
    "VoterForeman",
    "crew_for",
    "settle",
    "settled_before",
    "tries_bfloat16",
]

PROBED_ROWS = 512
"""Rows of the pool on which bfloat16 is compared with float32."""

SCORED_TIMES = 3
"""Fewer rows than so many times those of the trial are scored in float32: the trial would cost what it saves."""

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
    all threads are as one (None: not tried).
    """

    scoring: str
    workers: int = 1
    agreement: float | None = None
    gain: float | None = None


def settle(plan: Plan, bench: Workbench, say: Callable[[str], None] = lambda _: None, *, kept: bool = True) -> None:
    """Let a workbench work as the trial found it best; its `inputs` are those of the plan with what was found.

    The trial is that of an earlier start of the run, if there was one; a new one is `kept` for later starts, or not.
    """
    machine = plan.inputs.machine
    trial = Trial("fp32" if plan.config.run.precision == "auto" else machine.precision)
    if _tries_precision(plan) or _tries_workers(plan):
        job = Job("trial", job_hash(base=dict(plan.inputs.base), machine=[machine.device.type, machine.precision]))
        if kept:
            bench.store.run(job, lambda place: _write(place, _try(plan, bench, trial)))
        trial = _read(bench.store.path(job)) if bench.store.done(job) else _try(plan, bench, trial)
    if trial.agreement is not None and trial.scoring == "fp32":
        say(
            f"bfloat16 gives only {trial.agreement:.1%} of {PROBED_ROWS} rows the label of float32 (expected "
            f"{AGREEMENT:.1%}): rows are scored in float32"
        )
    machine = replace(machine, scoring=trial.scoring)
    workers = trial.workers if plan.config.run.workers == "auto" else int(plan.config.run.workers)
    bench.inputs = replace(plan.inputs, machine=machine, workers=min(workers, len(plan.voters)), gain=trial.gain)


def settled_before(inputs: StageInputs, settings: RunSettings, jobs: Path) -> StageInputs:
    """Return inputs whose machine scores in the precision that the trial of an earlier run, in `jobs`, has found."""
    trials = [_read(path.parent) for path in sorted(jobs.glob("*/trial.json"))]
    untried = "fp32" if settings.precision == "auto" else inputs.machine.precision
    scoring = trials[-1].scoring if trials else untried
    return replace(inputs, machine=replace(inputs.machine, scoring=scoring))


def tries_bfloat16(machine: Machine, settings: RunSettings, rows: int) -> bool:
    """Say whether it is worth a trial to score so many rows in bfloat16."""
    return machine.precision == "bf16" and settings.precision == "auto" and rows >= SCORED_TIMES * 2 * PROBED_ROWS


def _tries_precision(plan: Plan) -> bool:
    scored = plan.generations * len(plan.voters) * len(plan.data.unlabeled)
    return tries_bfloat16(plan.inputs.machine, plan.config.run, scored // len(plan.pvps))


def _tries_workers(plan: Plan) -> bool:
    # Whatever memory is free now: a run that is started again shall find the trial that was made.
    return plan.config.run.workers == "auto" and min(_threads(plan), len(plan.voters)) > 1


def _write(folder: Path, trial: Trial) -> None:
    (folder / "trial.json").write_text(json.dumps(asdict(trial)), encoding="utf-8")


def _read(folder: Path) -> Trial:
    return Trial(**json.loads((folder / "trial.json").read_text(encoding="utf-8")))


def _try(plan: Plan, bench: Workbench, trial: Trial) -> Trial:
    """Try both, where there is something to try; the rest of the trial stays."""
    machine, pool = plan.inputs.machine, plan.data.unlabeled
    size = min(PROBED_ROWS, len(pool))
    rows = pool.take(np.sort(rng_for(plan.inputs.seed, "trial").choice(len(pool), size=size, replace=False)))[:]
    if _tries_precision(plan):
        agreement = _agreement([bench.voter(pvp) for pvp in plan.pvps], machine, rows)
        trial = replace(trial, agreement=agreement, scoring="bf16" if agreement >= AGREEMENT else "fp32")
    if _tries_workers(plan):
        voter = bench.voter(plan.voters[0].pvp)
        voter.machine = replace(machine, scoring=trial.scoring)
        workers, gain = _workers(plan, voter, rows[:TIMED_ROWS])
        trial = replace(trial, workers=workers, gain=gain)
    return trial


def _agreement(voters: Sequence[Voter], machine: Machine, rows: tuple[Example, ...]) -> float:
    """Return the share of rows to which the untrained ensemble gives the same label in bfloat16 and in float32."""
    labels = []
    for precision in ("fp32", "bf16"):
        for voter in voters:
            voter.machine = replace(machine, scoring=precision)
        labels.append(np.mean([voter.scores(rows) for voter in voters], axis=0).argmax(axis=1))
    return float((labels[0] == labels[1]).mean())


def _workers(plan: Plan, voter: Voter, rows: tuple[Example, ...]) -> tuple[int, float | None]:
    """Return how many processes shall do voters side by side, and what more threads gain in one."""
    room, train = _most_workers(plan), plan.voters[0].train
    if room < 2:
        return 1, None
    if plan.inputs.machine.device.type != "cpu":
        return room, None
    together = _seconds(voter, rows, torch.get_num_threads())
    steps = (train.steps or 0) * train.batch_size * 3 if plan.data.labeled else 0  # a step is three forward passes
    work = together / len(rows) * plan.generations * len(plan.voters) * (steps + len(plan.data.unlabeled))
    if work < SAVED:
        return 1, None
    gain = _seconds(voter, rows, 1) / together
    return (room if room / gain >= WORTHWHILE and work * (1 - gain / room) > SAVED else 1), gain


def _most_workers(plan: Plan) -> int:
    """Return how many processes there is room for: cores on a CPU, memory, and voters to be done."""
    machine = plan.inputs.machine
    need = PROCESS_BYTES + WEIGHT_BYTES * parameter_count(plan.inputs.source.folder)
    # A GPU has room to spare or none: a training that does not fit fails.
    room = _free_memory(machine) / (need if machine.device.type == "cpu" else 4 * need)
    return max(1, min(_threads(plan), len(plan.voters), int(room)))


def _threads(plan: Plan) -> int:
    """Return how many threads there are to be divided."""
    on_cpu = plan.inputs.machine.device.type == "cpu"
    return torch.get_num_threads() if on_cpu else max(1, (os.cpu_count() or 1) // 2)


def _free_memory(machine: Machine) -> float:
    """Return the bytes of free memory of the device."""
    if machine.device.type == "cuda":
        return float(torch.cuda.mem_get_info(machine.device)[0])
    return float(psutil.virtual_memory().available)


def _seconds(voter: Voter, rows: tuple[Example, ...], threads: int) -> float:
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


@dataclass(frozen=True)
class VoterForeman:
    """Gets a process ready to do voters of a run: it reads the data anew, by the same settings.

    `machine` and `source` are those that this process works with, `base` the digests that name its jobs.
    """

    config: RunConfig
    store: JobStore
    tokens: Path | None
    machine: Machine
    source: ModelSource
    base: Mapping[str, str]

    def begin(self, tell: Tell) -> Workbench:
        """Return a workbench that leaves its jobs where the others do.

        Raises
        ------
        RunError
            If the files have changed meanwhile.
        """
        found = prepare(self.config).inputs
        if any(self.base[name] != digest for name, digest in found.base.items()):
            raise RunError("The data files or the model have changed since the run began: start it again.")
        inputs = replace(found, machine=self.machine, source=self.source, base=self.base)
        relay = Relay(lambda count=1: tell("advance", count))
        return Workbench(inputs, self.store, relay, lambda line: tell("note", line), tokens=self.tokens)


@contextmanager
def crew_for(config: RunConfig, bench: Workbench) -> Iterator[None]:
    """While active, a workbench has a crew for voters, if the trial found that better; its memory goes with it."""
    inputs = bench.inputs
    if inputs.workers > 1:
        foreman = VoterForeman(config, bench.store, bench.tokens, inputs.machine, inputs.source, inputs.base)
        bench.crew = Crew(foreman, inputs.workers, max(1, torch.get_num_threads() // inputs.workers))
    try:
        yield
    finally:
        if bench.crew:
            bench.crew.close()
            bench.crew = None
