"""The method, top to bottom: generations of voters, the ensemble's soft labels, the distilled classifier.

Pattern-Exploiting Training (Schick and Schütze, 2001.07676): one masked language model per pattern-verbalizer pair is
trained on the labeled rows; their weighted ensemble labels the pool; iPET draws larger training sets from these labels,
generation by generation; a stock classifier learns from the last soft labels.
"""

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pet.data.dataset import load_test_rows
from pet.data.rows import Rows
from pet.data.writers import write_pieces, write_table
from pet.errors import ConfigError, DataError, RunError
from pet.forecast.footprint import footprint
from pet.forecast.outlook import Watch
from pet.labeling.ensemble import combine
from pet.labeling.votes import SoftLabels
from pet.learners.models.sources import quiet_transformers
from pet.method.adapt import adaptation_facts, adapted, adapted_before
from pet.method.card import CardFacts
from pet.method.compare import compare, quality_lines
from pet.method.generations import Generation, Generations, accepted
from pet.method.labels import History, LabeledPool, LabeledRows, differs, read_labeled_rows
from pet.method.metrics import evaluate, gold_columns
from pet.method.plan import Plan, check_prompts, prepare, student_source, with_distillation, without_pool
from pet.method.provenance import first_labeled, training_set_counts, write_generation
from pet.method.publish import publish_model, replace_distilled, write_metrics
from pet.method.stages import Workbench
from pet.method.summary import DISTILLED, Summary, verdict
from pet.method.trial import crew_for, settle, settled_before
from pet.runs.directory import RunDirectory
from pet.runs.lock import run_lock
from pet.runs.log import RunLog
from pet.runs.progress import Stages
from pet.runs.results import Arrays, Work
from pet.settings.config import RunConfig

__all__ = ["RunResult", "distill", "label", "run"]


@dataclass(frozen=True)
class RunResult:
    """Where the results lie, and the figures. `model` and `summary` are None after `label`.

    `columns` maps the task's fields to the columns of the labeled data set. `verdict` says whether something simpler
    would have done better, `work` what was computed, and `forecast` what was predicted and what it took (None where
    that was a matter of seconds).
    """

    directory: Path
    pseudo_labels: Path
    columns: Mapping[str, str]
    soft_labels: SoftLabels
    model: Path | None = None
    summary: Summary | None = None
    verdict: str | None = None
    work: str | None = None
    forecast: str | None = None


def run(
    config: RunConfig, output_dir: str | Path | None = None, *, force: bool = False, quiet: bool = False
) -> RunResult:
    """Label the pool, distill a classifier, and compare it with what else could have been done.

    The run lies in `output_dir` (default: ``runs/<task name>``). One that was interrupted goes on where it stopped.
    `force` deletes the results of another run there, and labels that were corrected by hand.

    Raises
    ------
    PetError
        If an input is wrong, the directory holds another run, or the work fails.
    """
    plan = check_prompts(prepare(config))
    with _workplace(plan, output_dir, plan.stage_count, force=force, quiet=quiet) as (directory, bench, log):
        watch = Watch.start(replace(plan, inputs=bench.inputs), bench, log.say)
        bench = adapted(bench, plan.config.adapt, log.say)
        plan = replace(plan, inputs=bench.inputs)
        generations = _label_pool(plan, directory, bench, log, force)
        rows = read_labeled_rows(directory.pseudo_labels, plan.data.columns, plan.data.task.labels)
        model, student = _train_student(plan.config, bench, rows)
        summary = compare(plan, bench, generations, student)
        publish_model(directory.model, model, _card_facts(plan.config, rows), summary.test_figures())
        work = sum(bench.work.values(), Work())
        write_metrics(directory.metrics_path, _facts(plan, generations, work) | adaptation_facts(bench), summary)
        predicted = watch.stop(directory, bench.seconds)
    soft_labels = combine(accepted(generations)[-1].votes)
    return RunResult(
        directory=directory.root,
        pseudo_labels=directory.pseudo_labels,
        columns=plan.data.columns,
        soft_labels=soft_labels,
        model=directory.model,
        summary=summary,
        verdict=verdict(summary),
        work=f"{work.forwards:,} rows went forward through a model, {work.steps:,} optimizer steps; "
        f"{footprint(directory.root, plan.inputs.workers)}",
        forecast=predicted,
    )


def label(
    config: RunConfig, output_dir: str | Path | None = None, *, force: bool = False, quiet: bool = False
) -> RunResult:
    """Label the pool and stop at `pseudo_labels.parquet`; `run` on the same directory goes on from there."""
    plan = check_prompts(prepare(config))
    voters = plan.generations * len(plan.voters)
    with _workplace(plan, output_dir, voters, force=force, quiet=quiet) as (directory, bench, log):
        watch = Watch.start(replace(plan, inputs=bench.inputs), bench, log.say, whole=False)
        bench = adapted(bench, plan.config.adapt, log.say)
        plan = replace(plan, inputs=bench.inputs)
        last = accepted(_label_pool(plan, directory, bench, log, force))[-1]
        for line in quality_lines(last, plan.data):
            log.say(line)
        predicted = watch.stop(directory, bench.seconds)
    found = combine(last.votes)
    return RunResult(directory.root, directory.pseudo_labels, plan.data.columns, found, forecast=predicted)


def _label_pool(
    plan: Plan, directory: RunDirectory, bench: Workbench, log: RunLog, force: bool
) -> tuple[Generation, ...]:
    """Train the generations, and label the pool with the last one accepted."""
    found: dict[int, Generation] = {}
    with crew_for(plan.config, bench):
        for generation in Generations(plan, bench, log.say, log.warn).train():
            directory.expect(bench.voter_jobs)
            write_generation(directory.generations, generation, plan.voters, plan.data)
            found[generation.number] = generation  # one that labels the whole pool later replaces itself
    generations = tuple(found.values())
    _write_labels(plan, directory, generations, log, force)
    return generations


def distill(
    run_dir: str | Path, overrides: Sequence[str] = (), output_dir: str | Path | None = None, *, quiet: bool = False
) -> Path:
    """Train a classifier from the `pseudo_labels.parquet` of a run as it is now, corrections included.

    `overrides` such as ``distill.steps=300`` or ``distill.model="my/model"`` change the run's settings; the classifier
    goes to `output_dir`, or in the place of the run's own. Of the run's input files only the test file is read, if it
    is still there.

    Raises
    ------
    ConfigError
        If an override is about anything but `[distill]`, or `output_dir` holds something.
    DataError
        If there is no labeled data set.
    """
    directory = RunDirectory(Path(run_dir))
    target = Path(output_dir) if output_dir else directory.model
    if not directory.manifest_path.is_file():
        raise ConfigError(f"{run_dir} is no run directory: give one that `pet label` or `pet run` has made.")
    config = with_distillation(RunConfig.from_toml(directory.config_path), overrides)
    if target != directory.model and target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"{target} exists already: choose a new --output-dir.")
    quiet_transformers()
    rows = read_labeled_rows(directory.pseudo_labels, config.task.fields, config.task.labels)
    with run_lock(directory.root):
        log = RunLog(directory.log_path, io.StringIO() if quiet else None)
        if rows.corrected:
            log.say(f"{rows.corrected} rows have a label that was set by hand")
        inputs = settled_before(without_pool(config, _test_rows(config, log)), config.run, directory.jobs)
        bench = Workbench(inputs, directory.store(log), Stages(1), log.say)
        if config.distill.model == "same":
            bench = adapted_before(bench, directory)
        model, arrays = _train_student(config, bench, rows)
        gold = gold_columns(inputs.data.test, config.task.labels)
        found = evaluate(arrays["test"].argmax(axis=1), gold, config.task.labels) if len(gold) else None
        publish_model(target, model, _card_facts(config, rows), {DISTILLED: found} if found else {})
        if target == directory.model:
            directory.tell_exports(log.warn)
            replace_distilled(directory.metrics_path, found, config.distill.model_dump(mode="json"))
        if found:
            log.say(f"on the test rows: accuracy {found.accuracy:.1%}, macro-F1 {found.macro_f1:.1%}")
    return target


def _test_rows(config: RunConfig, log: RunLog) -> Rows:
    """Return the test rows of a finished run, or none where its test file is gone or has changed beyond use."""
    try:
        return load_test_rows(config.task, config.data, config.run.seed)
    except DataError as error:
        log.warn(f"the classifier is not measured: {error}")
        return Rows.of(())


@contextmanager
def _workplace(
    plan: Plan, output_dir: str | Path | None, stages: int, *, force: bool = False, quiet: bool = False
) -> Iterator[tuple[RunDirectory, Workbench, RunLog]]:
    """Open the run directory and tell what was noticed in the data; `stages` jobs will be asked for."""
    root = Path(output_dir) if output_dir else Path("runs") / plan.data.task.name
    with RunDirectory.open(root, plan.config.to_toml(), plan.identity, force) as directory:
        directory.remove_drafts()
        log = RunLog(directory.log_path, io.StringIO() if quiet else None)
        for message in (*plan.data.messages, *plan.notes):
            log.say(message)
        if rejected := plan.data.rejected:
            columns = {name: [getattr(row, name) for row in rejected] for name in ("file", "line", "reason", "row")}
            write_table(directory.rejected_path, columns)
            log.say(f"the rows left out are in {directory.rejected_path}")
        history = RunLog(directory.log_path, io.StringIO())  # for the file alone
        history.say(f"started: {len(plan.voters)} voters, {len(plan.data.unlabeled)} rows to label")
        store = directory.store(log)
        bench = Workbench(plan.inputs, store, Stages(stages), history.say, plan.untried, directory.tokens)
        settle(plan, bench, log.say)
        yield directory, bench, log
        shutil.rmtree(directory.tokens, ignore_errors=True)


def _write_labels(
    plan: Plan, directory: RunDirectory, generations: Sequence[Generation], log: RunLog, force: bool
) -> None:
    """Write the labeled data set, unless that would undo what a person has corrected in it."""
    missing = directory.missing()
    if missing:
        raise RunError(
            f"The votes of {', '.join(missing)} are missing in {directory.jobs}: run the same command again."
        )
    data, pool = plan.data, len(plan.data.unlabeled)
    deciding = accepted(generations)
    history = History(first_labeled(deciding, pool), training_set_counts(deciding, pool))
    found = LabeledPool(data.labeled, data.unlabeled, data.columns, deciding[-1].votes, history)
    if not (force or directory.labels_are_ours()) and differs(directory.pseudo_labels, found.pieces):
        raise ConfigError(
            f"{directory.pseudo_labels} has been changed since it was written: train on it as it is with "
            f"`pet distill {directory.root}`, or add --force to undo the changes."
        )
    if force and not directory.labels_are_ours():
        directory.tell_exports(log.warn)
    write_pieces(directory.pseudo_labels, found.pieces)
    directory.labels_written()


def _train_student(config: RunConfig, bench: Workbench, rows: LabeledRows) -> tuple[Path, Arrays]:
    """Distill the labeled data set into a classifier: soft labels of the pool, and the gold rows if wanted."""
    used = _used(config, rows)
    examples = rows.examples.take(used)
    if not examples:
        raise DataError("The labeled data set has no rows to train on: keep some, or set distill.gold_rows = true.")
    probs = rows.probs if used.all() else rows.probs[used]
    source = bench.inputs.source if config.distill.model == "same" else student_source(config)
    return bench.distill(examples, probs, config.distill, source)


def _used(config: RunConfig, rows: LabeledRows) -> np.ndarray:
    return np.ones(len(rows.gold), np.bool_) if config.distill.gold_rows else ~rows.gold


def _card_facts(config: RunConfig, rows: LabeledRows) -> CardFacts:
    used = _used(config, rows)
    return CardFacts(
        task=config.task.name,
        labels=config.task.labels,
        fields=tuple(config.task.fields),
        # A folder's own name: where it lies on this machine is nobody's business.
        base_model=_shown(config.model.name if config.distill.model == "same" else config.distill.model),
        gold_rows=int((rows.gold & used).sum()),
        pool_rows=int((~rows.gold & used).sum()),
        corrected=rows.corrected,
        settings=config.distill.model_dump(mode="json", exclude={"model"}),
    )


def _shown(name: str) -> str:
    return Path(name).name if Path(name).is_dir() else name


def _facts(plan: Plan, generations: Sequence[Generation], work: Work) -> dict[str, object]:
    """Return what `metrics.json` says besides the summary."""
    data, config = plan.data, plan.config
    return {
        "task": data.task.name,
        "labels": list(data.task.labels),
        "seed": config.run.seed,
        "rows": {"labeled": len(data.labeled), "unlabeled": len(data.unlabeled), "test": len(data.test)},
        "train": config.train.model_dump(mode="json"),
        "distill": config.distill.model_dump(mode="json"),
        "ipet": config.ipet.model_dump(mode="json"),
        "generations": [
            {
                "generation": one.number,
                "continues": one.continues,
                "rejected": one.rejected,
                "training_rows": [len(training) for training in one.sets],
                "labeled_rows": len(one.rows),
                **one.figures.as_json(),
            }
            for one in generations
        ],
        "work": asdict(work),
        "precision": plan.inputs.machine.precision,
        "scoring": plan.inputs.machine.inference,
    }
