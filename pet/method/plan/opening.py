"""From a plan to the place of its run: lock, log, trial, forecast, adaptation; and back to that of a finished one."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pet.data.dataset import TaskData, data_digest, load_test_rows
from pet.data.examples import Task
from pet.data.readers import RejectedRow
from pet.data.rows import Rows
from pet.data.writers import write_rejected
from pet.errors import ConfigError, DataError, shown
from pet.forecast.footprint import disk_use
from pet.forecast.forecast import Forecast
from pet.forecast.outlook import Outlook, Watch, foresee
from pet.learners.models.machine import Machine
from pet.learners.models.sources import (
    find_model,
    quiet_transformers,
)
from pet.learners.students.sizes import check_student
from pet.learners.voters.shared import SharedModel
from pet.method.adapt import adapted_before
from pet.method.jobs import Jobs, RunRows
from pet.method.place import Place, RunPlace
from pet.method.plan.doing import handing_out
from pet.method.plan.plan import Plan, form_of
from pet.method.trackers import check_trackers
from pet.method.trial import earlier_machine, voter_bytes
from pet.runs.directory import RunDirectory
from pet.runs.executors.base import Needs
from pet.runs.executors.choice import Engine, check_executor
from pet.runs.identity import code_digest
from pet.runs.lock import run_lock
from pet.runs.log import STARTED, RunLog, failures_logged, tell
from pet.runs.manifest import Manifest
from pet.runs.progress import Stages
from pet.runs.runner import JobRunner
from pet.runs.shared import SharedJobs
from pet.settings.config import RunConfig, one_label_config
from pet.settings.run import RunSettings
from pet.settings.toml import absolute, merged, overrides_as_tables


@contextmanager
def open_place(
    plan: Plan,
    output_dir: str | Path | None,
    *,
    force: bool = False,
    quiet: bool = False,
    whole: bool = True,
    shared: Path | None = None,
) -> Iterator[RunPlace]:
    """Open the directory of a run, find out how this machine does it best, and say what it will take.

    Unless `whole`, the run stops once the pool is labeled. `shared` is where runs leave finished jobs for each other.

    Raises `PetError` if the directory holds something else, or another process works in it, or the model does not
    fit.
    """
    root = Path(output_dir) if output_dir else Path("runs") / plan.data.task.name
    check_trackers(plan.config.run.report_to)
    check_executor(plan.config.run, len(plan.patterns))
    earlier = Manifest.from_file(RunDirectory(root).manifest_path)
    opened = RunDirectory.open(root, plan.config.to_toml(), plan.identity, force, plan.base["data"])
    with opened as directory, failures_logged(directory.log_path):
        directory.remove_drafts()
        log = begun_log(directory, plan.messages, plan.data.rejected, quiet=quiet)
        if earlier and earlier.data != plan.base["data"]:
            directory.tell_exports(log.warn)
            if earlier.rows and not plan.data.reviewed:
                log.warn("the labels here counted rows that people had labeled: name their files again with --reviewed")
        log.detail(f"{STARTED}{len(plan.voters)} voters, {len(plan.data.unlabeled)} rows to label")
        store = directory.store(log, SharedJobs(shared) if shared else None)
        model = replace(plan.model, tokens=directory.tokens)
        trial = replace(plan.tried, model=model).trial(store, log)
        machine = trial.on(plan.machine)
        work = replace(plan.workload, workers=trial.workers, gain=trial.gain or 1.0)
        probe = replace(plan.probe, model=model, machine=machine)
        watch = Watch.start(work, probe, store.finished(), log.say, whole=whole)
        seconds = watch.forecast.seconds if watch.forecast else None
        stages = Stages(len(list(work.jobs(whole))), False if quiet else None, None if quiet else tell, seconds)
        runner = JobRunner(store, shared_parts(plan.config, plan.base, machine), stages, log.detail)
        jobs = Jobs(plan.rows, model, machine, runner, plan.seed, plan.config.run.keep_models, plan.encoder)
        place = (directory, log, jobs, plan.config.task, plan.config.distill)
        made = _engine(plan.config.run, directory.root, machine, trial.workers, plan.source.parameters)
        with made.ready() as engine:
            yield RunPlace(*place, plan, handing_out(engine, directory, plan), trial, watch, force)


@contextmanager
def open_jobs(plan: Plan, output_dir: str | Path | None, *, quiet: bool = False) -> Iterator[Jobs]:
    """Open the directory of a run for jobs that need no model of its voters: nothing is tried or predicted first.

    What they leave there, the run finds done. Errors are those of `open_place`.
    """
    root = Path(output_dir) if output_dir else Path("runs") / plan.data.task.name
    with RunDirectory.open(root, plan.config.to_toml(), plan.identity) as directory:
        log = RunLog(directory.log_path, io.StringIO() if quiet else None)
        for message in plan.messages:
            log.say(message)
        stages = Stages(1, False if quiet else None, None if quiet else tell)
        runner = JobRunner(directory.store(log), shared_parts(plan.config, plan.base, plan.machine), stages)
        yield Jobs(plan.rows, plan.model, plan.machine, runner, plan.seed, encoder=plan.encoder)


def shared_parts(config: RunConfig, base: Mapping[str, str], machine: Machine) -> dict[str, object]:
    """Return what every job depends on; `base` are digests of what is read."""
    threads = config.run.threads
    return {
        "base": dict(base),
        "model": config.model.model_dump(mode="json", exclude={"name"}),
        "machine": [
            machine.device.type,
            machine.precision,
            machine.inference,
            *([] if threads == "auto" else [threads]),
        ],
        "seed": config.run.seed,
        "multi_token": config.prompts.multi_token,
    }


def _engine(settings: RunSettings, root: Path, machine: Machine, workers: int, parameters: int) -> Engine:
    """Return what makes the executors of a run: what a voter takes, and how many work at a time."""
    on_cluster = settings.executor in ("ray", "slurm")
    threads = 1 if on_cluster else max(1, torch.get_num_threads() // workers)
    threads = settings.threads if isinstance(settings.threads, int) else threads
    gpus = settings.gpus_per_voter if machine.device.type == "cuda" else 0.0
    return Engine(settings, root, workers, Needs(threads, gpus, voter_bytes(parameters)))


def foresee_run(plan: Plan, root: Path) -> Outlook:
    """Probe a plan and tell what is left of its run in a folder, which need not be there and is not changed.

    Raises `ModelError` if the model cannot be loaded, or a voter's variant does not fit it.
    """
    directory = RunDirectory(root)
    manifest = Manifest.from_file(directory.manifest_path)
    begun = manifest is not None and not manifest.changes(plan.identity, None)
    done = directory.store().finished() if begun else Counter[str]()
    if not plan.workload.left(done):
        return Outlook(root, Forecast((), None, disk_use(root), sum(1 for _ in plan.workload.jobs())))
    model = plan.model
    trial = replace(plan.tried, model=model).trial(directory.store(), kept=False)
    work = replace(plan.workload, workers=trial.workers, gain=trial.gain or 1.0)
    probe = replace(plan.probe, model=model, machine=trial.on(plan.machine))
    return foresee(root, work, probe, done, directory.refusal(plan.config.to_toml(), plan.identity))


@contextmanager
def reopen_place(
    run_dir: str | Path, overrides: Sequence[str], output_dir: str | Path | None, *, quiet: bool = False
) -> Iterator[tuple[Place, Path]]:
    """Open the directory of a run that has labeled its pool, to train another classifier; say where that goes.

    `overrides` change its `[distill]`. Of its input files only the test file is read, if it is still there.

    Raises `ConfigError` if it is no run directory, an override is about anything else, or the target holds
    something. Raises `RunLocked` if another process works in it.
    """
    if not isinstance(run_dir, str | Path):
        raise ConfigError(f"Expected the path of a run directory, found {shown(run_dir)}.")
    directory = RunDirectory(Path(run_dir))
    target = Path(output_dir) if output_dir else directory.model
    if not directory.manifest_path.is_file():
        raise ConfigError(f"{run_dir} is no run directory: give one that `pet label` or `pet run` has made.")
    config = _with_distillation(one_label_config(directory.config_path, "`pet distill`"), overrides)
    if target != directory.model and target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"{target} exists already: choose a new --output-dir.")
    quiet_transformers()
    with run_lock(directory.root):
        log = RunLog(directory.log_path, io.StringIO() if quiet else None)
        test = _test_rows(config, log)
        task = Task(config.task.name, config.task.labels, tuple(config.task.fields))
        data = TaskData(task, (), Rows.of(()), test, config.task.fields, (), ())
        machine = earlier_machine(config.run, Machine.pick(config.run), directory.jobs)
        source = find_model(config.model.name, config.model.revision)
        model = SharedModel(source, config.model, machine, config.prompts.multi_token)
        base = {"code": code_digest(), "test": data_digest(test)}
        runner = JobRunner(directory.store(log), shared_parts(config, base, machine), Stages(1), log.say)
        rows = RunRows(data, np.empty(0, np.int64), form_of(config, data))
        encoder = find_model(config.encoder.name, config.encoder.revision) if config.encoder.wanted else None
        jobs = Jobs(rows, model, machine, runner, config.run.seed, encoder=encoder)
        if config.distill.model in ("same", "auto"):
            jobs = adapted_before(jobs, directory)
        yield Place(directory, log, jobs, config.task, config.distill), target


def begun_log(
    directory: RunDirectory, messages: Iterable[str], rejected: Sequence[RejectedRow], *, quiet: bool
) -> RunLog:
    """Return the log of a run, which says what a person should know at its start, and where rows left out are."""
    log = RunLog(directory.log_path, io.StringIO() if quiet else None)
    for message in messages:
        log.say(message)
    if rejected:
        write_rejected(directory.rejected_path, rejected)
        log.say(f"the rows left out are in {directory.rejected_path}")
    return log


def _test_rows(config: RunConfig, log: RunLog) -> Rows:
    """Return the test rows of a finished run, or none where its test file is gone or has changed beyond use."""
    try:
        return load_test_rows(config.task, config.data, config.run.seed)
    except DataError as error:
        log.warn(f"the classifier is not measured: {error}")
        return Rows.of(())


def _with_distillation(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """Return the settings of a run with changes to its `[distill]`, such as ``distill.steps=300``.

    Raises `ConfigError` if a change is about another section.
    """
    if other := [change for change in overrides if not change.strip().startswith("distill.")]:
        raise ConfigError(f"--set {other[0]}: only distill.* can change here; use `pet run` for the rest.")
    if any(change.strip().startswith(("distill.model", "distill.size")) for change in overrides):
        # What was set for a model of another size does not fit.
        unset = config.distill.model_copy(update={"steps": None, "learning_rate": None})
        config = config.model_copy(update={"distill": unset})
    changes = absolute(overrides_as_tables(overrides), Path.cwd())
    changed = RunConfig.from_mapping(merged(config.model_dump(exclude_none=True), changes))
    check_student(changed.distill, find_model(changed.model.name, changed.model.revision))
    return changed
