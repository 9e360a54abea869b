"""Voters of a run done elsewhere: what they work with is handed over here, and taken up where they are done.

The one who does it reads the data anew, by the same settings; model, machine and what names the jobs are those of the
process that began the run.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from pet.errors import RunError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.voters.shared import SharedModel
from pet.method.handing import Handing, read_sets
from pet.method.jobs import Jobs
from pet.method.plan.plan import Plan, prepare
from pet.method.vote import vote_of, voter_job
from pet.runs.directory import RunDirectory
from pet.runs.executors.base import Tell, do_job
from pet.runs.executors.choice import Engine
from pet.runs.log import RunLog
from pet.runs.progress import Relay, Stages
from pet.runs.runner import JobRunner
from pet.runs.shared import SharedJobs
from pet.settings.config import RunConfig


def handing_out(engine: Engine, directory: RunDirectory, plan: Plan) -> Callable[[Jobs], "_Opened"]:
    """Return what gives, for jobs, what hands voters to an executor while it is entered; None without one."""

    def opened(jobs: Jobs) -> "_Opened":
        if not engine.is_elsewhere:
            return nullcontext()
        return _handing(engine, directory, _run_facts(directory, plan.config, plan.base, jobs))

    return opened


_Opened = AbstractContextManager[Handing | None]


@contextmanager
def _handing(engine: Engine, directory: RunDirectory, facts: Mapping[str, Any]) -> Iterator[Handing]:
    with engine.executor(do_voter) as executor:
        yield Handing(executor, engine.workers, engine.needs, directory.tasks, facts)


def _run_facts(directory: RunDirectory, config: RunConfig, base: Mapping[str, str], jobs: Jobs) -> Mapping[str, Any]:
    """Return all that the voters of a run work with, as plain values."""
    shared, machine = jobs.runner.store.shared, asdict(jobs.machine)
    return {
        "root": str(directory.root.absolute()),
        "config": config.model_dump(mode="json", exclude_none=True),
        "base": dict(base),
        "names": dict(jobs.runner.shared),
        "shared": str(shared.folder.absolute()) if shared else None,
        "model": [jobs.model.source.name, str(jobs.model.source.folder.absolute())],
        "machine": {**machine, "device": str(jobs.machine.device)},
    }


def do_voter(folder: str) -> None:
    """Train and ask the voter whose job is in a folder; what it says is then in the store of its run.

    Raises `PetError` if it cannot be done.
    """
    do_job(Path(folder), partial(_do, Path(folder)))


def _do(folder: Path, task: Mapping[str, Any], tell: Tell) -> None:
    torch.set_num_threads(task["threads"])
    jobs, plan = _taken_up(json.dumps(task["run"], sort_keys=True))
    stages = Relay(lambda count=1: tell("advance", count))
    jobs = replace(jobs, runner=replace(jobs.runner, stages=stages, note=lambda line: tell("note", line)))
    training, rows = read_sets(folder)
    specs = [spec for spec in plan.patterns if spec.name == task["voter"]]
    asked = [(spec, training, rows, task["generation"]) for spec in specs]
    if [voter_job(jobs, *one).key for one in asked] != [task["key"]]:
        raise RunError(f"The job {task['name']} is another one here: the run was begun by another version of pet.")
    vote_of(jobs, *asked[0])


@lru_cache(maxsize=1)  # a worker does several voters of a run: the data and the model are read once
def _taken_up(run: str) -> tuple[Jobs, Plan]:
    """Return what the voters of a run work with, from `_run_facts` as JSON.

    Raises `RunError` if the files have changed meanwhile.
    """
    facts = json.loads(run)
    config, directory = RunConfig.from_mapping(facts["config"]), RunDirectory(Path(facts["root"]))
    plan = prepare(config, words=False)
    if plan.base != facts["base"]:
        raise RunError("The data files, the model or pet have changed since the run began: start it again.")
    name, folder = facts["model"]
    machine = Machine(**{**facts["machine"], "device": torch.device(facts["machine"]["device"])})
    # No voter is tried on the model: the run has done that.
    model = SharedModel(ModelSource(name, Path(folder)), config.model, machine, config.prompts.multi_token)
    model.tokens = directory.tokens
    shared = SharedJobs(Path(facts["shared"])) if facts["shared"] else None
    store = directory.store(RunLog(directory.log_path, io.StringIO()), shared)
    runner = JobRunner(store, facts["names"], Stages(0))
    return Jobs(plan.rows, model, machine, runner, plan.seed, plan.config.run.keep_models), plan
