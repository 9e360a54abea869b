"""The method, top to bottom: voters, their votes, the ensemble's soft labels, the distilled classifier.

Pattern-Exploiting Training (Schick and Schütze, 2001.07676): one masked language model per pattern-verbalizer pair is
trained on the labeled rows; their weighted ensemble labels the pool; a stock classifier learns from those soft labels.
"""

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pet.config import RunConfig
from pet.data import write_table
from pet.errors import ConfigError, RunError
from pet.labeling import SoftLabels, Votes, batch_calibrated, combine, weigh
from pet.reports.cards import CardFacts, model_card
from pet.reports.labeled import LabeledRows, pseudo_label_columns, read_labeled_rows
from pet.reports.metrics import gold_columns
from pet.reports.summary import Summary, SummaryRow, summary_row
from pet.runs import Job, RunDirectory, RunLog, Stages, write_folder, write_json
from pet.runs.plan import Plan, prepare
from pet.runs.stages import Arrays, Workbench

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


def run(config: RunConfig, output_dir: str | Path, *, force: bool = False, quiet: bool = False) -> RunResult:
    """Label the pool, distill a classifier, and compare it with what else could have been done.

    A run that was interrupted goes on where it stopped.

    Raises
    ------
    PetError
        If an input is wrong, the directory holds another run, or the work fails.
    """
    plan = prepare(config)
    with _workplace(plan, output_dir, force, quiet) as (directory, bench):
        votes = cast_votes(plan, bench)
        soft_labels = combine(votes)
        _write_labels(plan, directory, soft_labels, votes)
        rows = read_labeled_rows(directory.pseudo_labels, plan.data.columns, plan.data.task.labels)
        model, student = _train_student(plan, bench, rows)
        summary = _compare(plan, bench, votes, student)
        _publish_model(plan, directory.model, model, summary)
        _write_metrics(plan, directory, summary)
    return RunResult(directory.root, directory.pseudo_labels, plan.data.columns, soft_labels, directory.model, summary)


def label(config: RunConfig, output_dir: str | Path, *, force: bool = False, quiet: bool = False) -> RunResult:
    """Label the pool and stop at `pseudo_labels.parquet`; `run` on the same directory goes on from there."""
    plan = prepare(config)
    with _workplace(plan, output_dir, force, quiet) as (directory, bench):
        votes = cast_votes(plan, bench)
        soft_labels = combine(votes)
        _write_labels(plan, directory, soft_labels, votes)
    return RunResult(directory.root, directory.pseudo_labels, plan.data.columns, soft_labels)


def distill(
    run_dir: str | Path, overrides: Sequence[str] = (), output_dir: str | Path | None = None, *, quiet: bool = False
) -> Path:
    """Train a classifier from the `pseudo_labels.parquet` of a run as it is now, corrections included.

    `overrides` such as ``distill.steps=300`` or ``distill.model="my/model"`` change the run's settings; the classifier
    goes to `output_dir`, or in the place of the run's own.

    Raises
    ------
    ConfigError
        If an override is about anything but `[distill]`.
    DataError
        If there is no labeled data set.
    """
    directory = RunDirectory(Path(run_dir))
    if not directory.manifest_path.is_file():
        raise ConfigError(f"{run_dir} is no run directory: give one that `pet label` or `pet run` has made.")
    if other := [change for change in overrides if not change.strip().startswith("distill.")]:
        raise ConfigError(f"--set {other[0]}: only distill.* can change here; use `pet run` for the rest.")
    original = RunConfig.from_toml(directory.config_path)
    plan = prepare(original)
    changed = replace(plan, config=RunConfig.from_toml(directory.config_path, overrides))
    rows = read_labeled_rows(directory.pseudo_labels, plan.data.columns, plan.data.task.labels)
    with _workplace(plan, run_dir, False, quiet) as (directory, bench):
        model, _ = _train_student(changed, bench, rows)
        target = Path(output_dir) if output_dir else directory.model
        _publish_model(changed, target, model, None)
    return target


def cast_votes(plan: Plan, bench: Workbench) -> list[Votes]:
    """Return the weighted votes of all voters on the pool.

    Without labeled rows the voters stay untrained, and what a pattern prefers by itself is taken off their scores.
    """
    data = plan.data
    votes = []
    for spec in plan.voters:
        scores = bench.vote(spec)["pool"]
        if not data.labeled:
            scores = batch_calibrated(scores, scores).astype(np.float32)
        ids = tuple(example.id for example in data.unlabeled)
        votes.append(Votes(spec.name, spec.seed_index, ids, data.task.labels, scores))
    weighting = plan.config.ensemble.weighting
    accuracies = _untrained_accuracies(plan, bench) if weighting == "accuracy" else {}
    return weigh(votes, weighting, accuracies)


def _untrained_accuracies(plan: Plan, bench: Workbench) -> dict[str, float]:
    """Return the accuracy of each voter's PVP on the labeled rows before training: the paper's weight."""
    gold = gold_columns(plan.data.labeled, plan.data.task.labels)
    return {
        spec.name: float((bench.zero_shot(spec.pvp)["labeled"].argmax(axis=1) == gold).mean()) if len(gold) else 1.0
        for spec in plan.voters
    }


@contextmanager
def _workplace(
    plan: Plan, output_dir: str | Path, force: bool, quiet: bool
) -> Iterator[tuple[RunDirectory, Workbench]]:
    """Open the run directory and tell what was noticed in the data."""
    with RunDirectory.open(Path(output_dir), plan.config.to_toml(), plan.identity, force) as directory:
        log = RunLog(directory.log_path, io.StringIO() if quiet else None)
        for message in plan.data.messages:
            log.say(message)
        if rejected := plan.data.rejected:
            columns = {name: [getattr(row, name) for row in rejected] for name in ("file", "line", "reason", "row")}
            write_table(directory.rejected_path, columns)
        bench = Workbench(plan.inputs, directory.store(log), Stages(0))
        jobs = [*_jobs(plan, bench), *(bench.zero_shot_job(pvp) for pvp in plan.pvps)]
        bench.stages.total = len(jobs) + 1  # and the distillation, whose name depends on their results
        directory.expect({job.name: job.key for job in _jobs(plan, bench)})
        yield directory, bench


def _jobs(plan: Plan, bench: Workbench) -> list[Job]:
    """Return the jobs without which the labels would be those of a smaller ensemble."""
    return [bench.voter_job(spec) for spec in plan.voters]


def _write_labels(plan: Plan, directory: RunDirectory, soft: SoftLabels, votes: Sequence[Votes]) -> None:
    missing = directory.missing()
    if missing:
        raise RunError(
            f"The votes of {', '.join(missing)} are missing in {directory.jobs}: run the same command again."
        )
    data = plan.data
    write_table(directory.pseudo_labels, pseudo_label_columns(data.labeled, data.unlabeled, data.columns, soft, votes))


def _train_student(plan: Plan, bench: Workbench, rows: LabeledRows) -> tuple[Path, Arrays]:
    """Distill the labeled data set into a classifier: soft labels of the pool, and the gold rows if wanted."""
    source, settings = plan.student()
    used = np.ones(len(rows.gold), np.bool_) if settings.gold_rows else ~rows.gold
    examples = [example for example, is_used in zip(rows.examples, used, strict=True) if is_used]
    return bench.distill(examples, rows.probs[used], settings, source)


def _compare(plan: Plan, bench: Workbench, votes: Sequence[Votes], student: Arrays) -> Summary:
    """Set every way to label side by side, on the test rows and on a sample of the pool."""
    data, compared = plan.data, plan.inputs.compared
    gold = gold_columns(data.test, data.task.labels)
    ensemble = combine(votes).hard()[compared]

    def row(name: str, pool: np.ndarray, test: np.ndarray) -> SummaryRow:
        return summary_row(name, pool.argmax(axis=1), ensemble, test.argmax(axis=1), gold, data.task.labels)

    zero = [bench.zero_shot(pvp) for pvp in plan.pvps]
    rows = [row("zero-shot", *(_calibrated_mean(zero, part) for part in ("pool", "test")))]
    tests = [bench.vote(spec)["test"] for spec in plan.voters]
    rows += [row(vote.voter, vote.scores[compared], test) for vote, test in zip(votes, tests, strict=True)]
    weights = np.asarray([vote.weight for vote in votes])
    together = np.tensordot(weights / weights.sum(), np.stack(tests).astype(np.float64), axes=1)
    rows.append(row("ensemble", combine(votes).probs[compared], together))
    rows.append(row("distilled classifier", student["pool"], student["test"]))
    if data.labeled and plan.config.run.baseline:
        baseline = bench.supervised()
        rows.append(row("supervised baseline", baseline["pool"], baseline["test"]))
    return Summary(tuple(rows), len(compared))


def _calibrated_mean(scores: Sequence[Arrays], part: str) -> np.ndarray:
    """Return the mean over untrained PVPs of scores [n, k] without each pattern's own preference."""
    mean: np.ndarray = np.mean([batch_calibrated(arrays[part], arrays["pool"]) for arrays in scores], axis=0)
    return mean


def _publish_model(plan: Plan, target: Path, model: Path, summary: Summary | None) -> None:
    """Put the classifier with its card in its place."""
    data, (source, settings) = plan.data, plan.student()
    facts = CardFacts(
        task=data.task.name,
        labels=data.task.labels,
        base_model=source.name,
        gold_rows=len(data.labeled),
        pool_rows=len(data.unlabeled),
        settings=settings.model_dump(mode="json", exclude={"model"}),
    )

    def write(folder: Path) -> None:
        shutil.copytree(model, folder, dirs_exist_ok=True)
        (folder / "README.md").write_text(model_card(facts, summary), encoding="utf-8")

    write_folder(target, write)


def _write_metrics(plan: Plan, directory: RunDirectory, summary: Summary) -> None:
    data = plan.data
    rows = {"labeled": len(data.labeled), "unlabeled": len(data.unlabeled), "test": len(data.test)}
    figures = {"task": data.task.name, "labels": list(data.task.labels), "seed": plan.inputs.seed, "rows": rows}
    write_json(directory.metrics_path, {**figures, **summary.as_json()})
