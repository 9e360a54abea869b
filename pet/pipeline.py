"""The method, top to bottom: voters, their votes, the ensemble's soft labels, the distilled classifier.

Pattern-Exploiting Training (Schick and Schütze, 2001.07676): one masked language model per pattern-verbalizer pair is
trained on the labeled rows; their weighted ensemble labels the pool; a stock classifier learns from those soft labels.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.config import RunConfig
from pet.data import Example, load_test_rows, write_table
from pet.errors import ConfigError, DataError, RunError
from pet.labeling import SoftLabels, Votes, batch_calibrated, combine, weigh
from pet.learners import quiet_transformers
from pet.reports.cards import CardFacts
from pet.reports.labeled import LabeledRows, differs, pseudo_label_columns, read_labeled_rows
from pet.reports.metrics import evaluate, gold_columns
from pet.reports.publish import publish_model, replace_distilled, write_metrics
from pet.reports.summary import DISTILLED, Summary, SummaryRow, summary_row
from pet.runs import RunDirectory, RunLog, Stages
from pet.runs.lock import run_lock
from pet.runs.plan import Plan, check_prompts, prepare, student_source, with_distillation, without_pool
from pet.runs.stages import Arrays, VoterSpec, Workbench

__all__ = ["RunResult", "distill", "label", "run"]


@dataclass(frozen=True)
class RunResult:
    """Where the results lie, and the figures. `model` and `summary` are None after `label`.

    `columns` maps the task's fields to the columns of the labeled data set.
    """

    directory: Path
    pseudo_labels: Path
    columns: Mapping[str, str]
    soft_labels: SoftLabels
    model: Path | None = None
    summary: Summary | None = None


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
    stages = len(plan.voters) + len(plan.pvps) + 1 + plan.has_baseline
    with _workplace(plan, output_dir, stages, force=force, quiet=quiet) as (directory, bench):
        votes = cast_votes(plan, bench)
        soft_labels = combine(votes)
        _write_labels(plan, directory, votes, force)
        rows = read_labeled_rows(directory.pseudo_labels, plan.data.columns, plan.data.task.labels)
        model, student = _train_student(plan.config, bench, rows)
        summary = _compare(plan, bench, votes, student)
        publish_model(directory.model, model, _card_facts(plan.config, rows), summary.test_figures())
        write_metrics(directory.metrics_path, _facts(plan), summary)
    return RunResult(directory.root, directory.pseudo_labels, plan.data.columns, soft_labels, directory.model, summary)


def label(
    config: RunConfig, output_dir: str | Path | None = None, *, force: bool = False, quiet: bool = False
) -> RunResult:
    """Label the pool and stop at `pseudo_labels.parquet`; `run` on the same directory goes on from there."""
    plan = check_prompts(prepare(config))
    stages = len(plan.voters) + (len(plan.pvps) if plan.config.ensemble.weighting == "accuracy" else 0)
    with _workplace(plan, output_dir, stages, force=force, quiet=quiet) as (directory, bench):
        votes = cast_votes(plan, bench)
        soft_labels = combine(votes)
        _write_labels(plan, directory, votes, force)
    return RunResult(directory.root, directory.pseudo_labels, plan.data.columns, soft_labels)


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
        inputs = without_pool(config, _test_rows(config, log))
        bench = Workbench(inputs, directory.store(log), Stages(1), log.say)
        model, arrays = _train_student(config, bench, rows)
        gold = gold_columns(inputs.data.test, config.task.labels)
        found = evaluate(arrays["test"].argmax(axis=1), gold, config.task.labels) if len(gold) else None
        publish_model(target, model, _card_facts(config, rows), {DISTILLED: found} if found else {})
        if target == directory.model:
            replace_distilled(directory.metrics_path, found)
        if found:
            log.say(f"on the test rows: accuracy {found.accuracy:.1%}, macro-F1 {found.macro_f1:.1%}")
    return target


def _test_rows(config: RunConfig, log: RunLog) -> tuple[Example, ...]:
    """Return the test rows of a finished run, or none where its test file is gone or has changed beyond use."""
    try:
        return load_test_rows(config.task, config.data, config.run.seed)
    except DataError as error:
        log.warn(f"the classifier is not measured: {error}")
        return ()


def cast_votes(plan: Plan, bench: Workbench) -> list[Votes]:
    """Return the weighted votes of all voters on the pool."""
    ids = tuple(example.id for example in plan.data.unlabeled)
    votes = [
        Votes(spec.name, spec.seed_index, ids, plan.data.task.labels, _scores(plan, bench, spec)["pool"])
        for spec in plan.voters
    ]
    weighting = plan.config.ensemble.weighting
    accuracies = _untrained_accuracies(plan, bench) if weighting == "accuracy" else {}
    return weigh(votes, weighting, accuracies)


def _scores(plan: Plan, bench: Workbench, spec: VoterSpec) -> Arrays:
    """Return a voter's scores on the pool and the test rows, float32 [n, k] each.

    Without labeled rows the voters stay untrained, and what a pattern prefers by itself is taken off their scores.
    """
    scores = bench.vote(spec)
    if plan.data.labeled:
        return scores
    return {part: batch_calibrated(rows, scores["pool"]).astype(np.float32) for part, rows in scores.items()}


def _untrained_accuracies(plan: Plan, bench: Workbench) -> dict[str, float]:
    """Return the accuracy of each voter's PVP on the labeled rows before training: the paper's weight."""
    gold = gold_columns(plan.data.labeled, plan.data.task.labels)
    return {
        spec.name: float((bench.zero_shot(spec.pvp)["labeled"].argmax(axis=1) == gold).mean()) if len(gold) else 1.0
        for spec in plan.voters
    }


@contextmanager
def _workplace(
    plan: Plan, output_dir: str | Path | None, stages: int, *, force: bool = False, quiet: bool = False
) -> Iterator[tuple[RunDirectory, Workbench]]:
    """Open the run directory and tell what was noticed in the data; `stages` jobs will be asked for."""
    root = Path(output_dir) if output_dir else Path("runs") / plan.data.task.name
    with RunDirectory.open(root, plan.config.to_toml(), plan.identity, force) as directory:
        _remove_drafts(directory)
        log = RunLog(directory.log_path, io.StringIO() if quiet else None)
        for message in plan.data.messages:
            log.say(message)
        if rejected := plan.data.rejected:
            columns = {name: [getattr(row, name) for row in rejected] for name in ("file", "line", "reason", "row")}
            write_table(directory.rejected_path, columns)
            log.say(f"the rows left out are in {directory.rejected_path}")
        history = RunLog(directory.log_path, io.StringIO())  # for the file alone
        history.say(f"started: {len(plan.voters)} voters, {len(plan.data.unlabeled)} rows to label")
        bench = Workbench(plan.inputs, directory.store(log), Stages(stages), history.say)
        # The jobs without which the labels would be those of a smaller ensemble.
        expected = [bench.voter_job(spec) for spec in plan.voters]
        directory.expect({job.name: job.key for job in expected})
        yield directory, bench


def _remove_drafts(directory: RunDirectory) -> None:
    """Remove what `write_table` left of a table when it was killed; only for the one who holds the lock."""
    for table in (directory.pseudo_labels, directory.rejected_path):
        for draft in directory.root.glob(f".{table.name}.*.tmp"):
            draft.unlink(missing_ok=True)


def _write_labels(plan: Plan, directory: RunDirectory, votes: Sequence[Votes], force: bool) -> None:
    """Write the labeled data set, unless that would undo what a person has corrected in it."""
    missing = directory.missing()
    if missing:
        raise RunError(
            f"The votes of {', '.join(missing)} are missing in {directory.jobs}: run the same command again."
        )
    data = plan.data
    columns = pseudo_label_columns(data.labeled, data.unlabeled, data.columns, combine(votes), votes)
    if not force and differs(directory.pseudo_labels, columns):
        raise ConfigError(
            f"{directory.pseudo_labels} has been changed since it was written: train on it as it is with "
            f"`pet distill {directory.root}`, or add --force to undo the changes."
        )
    write_table(directory.pseudo_labels, columns)


def _train_student(config: RunConfig, bench: Workbench, rows: LabeledRows) -> tuple[Path, Arrays]:
    """Distill the labeled data set into a classifier: soft labels of the pool, and the gold rows if wanted."""
    used = _used(config, rows)
    examples = [example for example, is_used in zip(rows.examples, used, strict=True) if is_used]
    if not examples:
        raise DataError("The labeled data set has no rows to train on: keep some, or set distill.gold_rows = true.")
    return bench.distill(examples, rows.probs[used], config.distill, student_source(config))


def _used(config: RunConfig, rows: LabeledRows) -> np.ndarray:
    return np.ones(len(rows.gold), np.bool_) if config.distill.gold_rows else ~rows.gold


def _compare(plan: Plan, bench: Workbench, votes: Sequence[Votes], student: Arrays) -> Summary:
    """Set every way to label side by side, on the test rows and on a sample of the pool."""
    data, compared = plan.data, plan.inputs.compared
    gold = gold_columns(data.test, data.task.labels)
    ensemble = combine(votes).hard()[compared]

    def row(name: str, pool: np.ndarray, test: np.ndarray) -> SummaryRow:
        return summary_row(name, pool.argmax(axis=1), ensemble, test.argmax(axis=1), gold, data.task.labels)

    zero = [bench.zero_shot(pvp) for pvp in plan.pvps]
    rows = [row("zero-shot (calibrated)", *(_calibrated_mean(zero, part) for part in ("pool", "test")))]
    tests = [_scores(plan, bench, spec)["test"] for spec in plan.voters]
    rows += [row(vote.voter, vote.scores[compared], test) for vote, test in zip(votes, tests, strict=True)]
    weights = np.asarray([vote.weight for vote in votes])
    together = np.tensordot(weights / weights.sum(), np.stack(tests).astype(np.float64), axes=1)
    rows.append(row("ensemble", combine(votes).probs[compared], together))
    rows.append(row(DISTILLED, student["pool"], student["test"]))
    if plan.has_baseline:
        baseline = bench.supervised()
        rows.append(row("supervised baseline", baseline["pool"], baseline["test"]))
    return Summary(tuple(rows), len(compared))


def _calibrated_mean(scores: Sequence[Arrays], part: str) -> np.ndarray:
    """Return the mean over untrained PVPs of scores [n, k] without each pattern's own preference."""
    mean: np.ndarray = np.mean([batch_calibrated(arrays[part], arrays["pool"]) for arrays in scores], axis=0)
    return mean


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
        settings=config.distill.model_dump(mode="json", exclude={"model"}),
    )


def _shown(name: str) -> str:
    return Path(name).name if Path(name).is_dir() else name


def _facts(plan: Plan) -> dict[str, object]:
    """Return what `metrics.json` says besides the summary."""
    data, config = plan.data, plan.config
    return {
        "task": data.task.name,
        "labels": list(data.task.labels),
        "seed": config.run.seed,
        "rows": {"labeled": len(data.labeled), "unlabeled": len(data.unlabeled), "test": len(data.test)},
        "train": config.train.model_dump(mode="json"),
        "distill": config.distill.model_dump(mode="json"),
        "precision": plan.inputs.machine.precision,
    }
