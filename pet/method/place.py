"""Where a run lies, and what is kept of it: generations, the labeled data set, the classifier, the figures."""

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.writers import write_pieces
from pet.errors import ConfigError, RunError
from pet.forecast.footprint import footprint
from pet.forecast.outlook import Watch
from pet.labeling.guards import uneven_labels
from pet.labeling.votes import SoftLabels
from pet.learners.models.sources import ModelSource
from pet.learners.students.choice import Choice
from pet.learners.students.stock import spelled
from pet.learners.voters.embedding import AnySpec
from pet.method.about import about
from pet.method.analysis import Asked, analysis, classifier_figures
from pet.method.callbacks import GenerationEnd
from pet.method.card import CardFacts
from pet.method.compare import given_line
from pet.method.curve import Curve, run_curve
from pet.method.generation import Ensemble, Generation, accepted
from pet.method.handing import Handing
from pet.method.jobs import Jobs
from pet.method.judge import NAME_THE_RATIO, tell_of_generation
from pet.method.labels import History, LabeledPool, LabeledRows, differs, read_labeled_rows
from pet.method.measured import replace_measured, write_measured
from pet.method.metrics import evaluate, gold_columns
from pet.method.plan.plan import Plan
from pet.method.provenance import first_labeled, outside_facts, training_set_counts, write_generation
from pet.method.publish import (
    preliminary_voters,
    publish_model,
    remove_preliminary,
    replace_distilled,
    write_metrics,
)
from pet.method.summary import DISTILLED, Summary, simpler_flags, verdict, weak_classifier
from pet.method.teach import Taught
from pet.method.trial import Trial
from pet.method.vote import tuned_encoder, voter_job
from pet.runs.atomic import write_json
from pet.runs.directory import RunDirectory
from pet.runs.log import RunLog
from pet.runs.manifest import Manifest
from pet.runs.results import Work
from pet.settings.task import TaskSettings
from pet.settings.training import DistillSettings


@dataclass(frozen=True)
class RunResult:
    """Where the results lie, and the figures. `model`, `summary` and `choice` are None after `label`.

    `columns` maps the task's fields to the columns of the labeled data set. `choice` says which classifier was kept,
    and by what; `reviewed` how many rows that people have labeled count; `verdict` whether something simpler would have
    done better, and `simpler` with which flags; `curve` what more labels would bring, `work` what was computed, and
    `forecast` what was predicted and what it took (None where that was a matter of seconds).
    """

    directory: Path
    pseudo_labels: Path
    columns: Mapping[str, str]
    soft_labels: SoftLabels
    model: Path | None = None
    summary: Summary | None = None
    choice: Choice | None = None
    reviewed: str | None = None
    verdict: str | None = None
    simpler: str | None = None
    curve: Curve | None = None
    work: str | None = None
    forecast: str | None = None


@dataclass(frozen=True)
class Place:
    """The directory of a run, whose lock is held, its log, and its jobs."""

    directory: RunDirectory
    log: RunLog
    jobs: Jobs
    task: TaskSettings
    distill: DistillSettings

    @property
    def tuned(self) -> ModelSource | None:
        """The encoder that a voter of the run has tuned, if there is one."""
        return tuned_encoder(self.directory.expected(), self.jobs.runner.store)

    def labeled_rows(self) -> LabeledRows:
        """Read the labeled data set as it is now, corrections included.

        Raises `DataError` if there is none, or it cannot be used.
        """
        data = self.jobs.rows.data
        return read_labeled_rows(self.directory.pseudo_labels, data.columns, data.task.labels)

    def tell_of_rows(self, rows: LabeledRows) -> None:
        """Tell how many labels were set by hand, and whether the labels are preliminary ones."""
        if rows.corrected:
            have = "1 row has" if rows.corrected == 1 else f"{rows.corrected} rows have"
            self.log.say(f"{have} a label that was set by hand")
        if voters := preliminary_voters(self.directory.metrics_path):
            self.log.warn(f"the labels are the preliminary ones, by {', '.join(voters)} alone: the run is not finished")

    def replace_model(self, student: Taught, rows: LabeledRows, target: Path) -> None:
        """Put a classifier that was taught later into a place, with its test figures."""
        data = self.jobs.rows.data
        gold, labels = gold_columns(data.test, data.task.labels), data.task.labels
        found = evaluate(student.says.test.argmax(axis=1), gold, labels) if len(gold) else None
        self.tell_of_choice(student.choice)
        card, figures = self._card(rows, student), {DISTILLED: found} if found else {}
        by_hand = rows.labeled_by_hand(labels)
        publish_model(target, student.folder, card, figures, self._about(rows, student.choice), by_hand)
        if target == self.directory.model:
            self.directory.tell_exports(self.log.warn)
            told = {"distill": self.distill.model_dump(mode="json"), "students": student.choice.as_json()}
            told |= {"classifier": classifier_figures(student.says.test, data)}
            replace_distilled(self.directory.metrics_path, found, told)
            replace_measured(self.directory.measured_path, student.says.test, labels)
        if found:
            self.log.say(f"on the test rows: accuracy {found.accuracy:.1%}, macro-F1 {found.macro_f1:.1%}")

    def tell_of_choice(self, choice: Choice) -> None:
        """Tell which classifier was chosen, and by what."""
        for line in choice.lines():
            self.log.say(line)

    def _about(self, rows: LabeledRows, choice: Choice) -> Mapping[str, object]:
        jobs, manifest = self.jobs, Manifest.from_file(self.directory.manifest_path)
        identity = manifest.identity if manifest else {}
        sources = [source for source in (jobs.model.source, jobs.encoder) if source]
        return about(
            rows, choice, jobs.rows.data, self.distill.model_dump(mode="json", exclude_none=True), identity, sources
        )

    def _card(self, rows: LabeledRows, student: Taught) -> CardFacts:
        settings, used, choice = self.distill, rows.used(self.distill.gold_rows), student.choice
        return CardFacts(
            task=self.task.name,
            labels=self.task.labels,
            fields=tuple(self.task.fields),
            base_model=choice.chosen.model,
            gold_rows=int((rows.gold & used).sum()),
            pool_rows=int((~rows.gold & used).sum()),
            corrected=rows.corrected,
            truncation=self.jobs.rows.form.truncation,
            settings={
                **settings.model_dump(mode="json", exclude={"model", "steps"}, exclude_none=True),
                "size": choice.chosen.size,
                "steps": choice.chosen.updates,
            },
            spelled=spelled(student.folder),
        )


@dataclass(frozen=True)
class RunPlace(Place):
    """The place in which a plan is carried out.

    `handing` gives, for jobs, what hands voters to an executor (None: they are done here) while it is entered; `trial`
    says how many work at a time; `force` says that labels set by hand may be lost; `adaptation` is what `metrics.json`
    tells of how the model has read the pool.
    """

    plan: Plan
    handing: Callable[[Jobs], AbstractContextManager[Handing | None]]
    trial: Trial
    watch: Watch
    force: bool
    adaptation: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def tell_of(self, generation: Generation) -> None:
        """Tell how a generation went: callbacks always, the person where there are several."""
        self.jobs.callbacks.generation(
            GenerationEnd(generation.number, _generation_facts(generation), generation.rejected)
        )
        if self.plan.generations > 1:
            tell_of_generation(generation, self.plan.prior, self.log)

    def tell_of_labels(self, deciding: Generation) -> None:
        """Tell how many rows got each label, and where that is not as expected."""
        self.log.say(given_line(deciding.ensemble))
        # Of several generations it was told as each came.
        if self.plan.generations == 1 and (uneven := uneven_labels(deciding.figures, self.plan.prior)):
            self.log.warn(f"{uneven}; {NAME_THE_RATIO}")

    def keep(self, generation: Generation) -> None:
        """Write down what a generation learned from and said; its jobs belong to the run."""
        self._tell_of_lost_weights(generation)
        self.directory.expect(self.jobs.runner.journal.keys)
        plan = self.plan
        write_generation(self.directory.generations, generation, plan.voters, plan.data, plan.out_of_fold)

    @property
    def awaits_first_labels(self) -> bool:
        """Whether there are no labels yet, or preliminary ones that a person may have changed."""
        directory = self.directory
        if not directory.pseudo_labels.is_file():
            return True
        return bool(preliminary_voters(directory.metrics_path)) and not directory.labels_are_ours()

    def write_first_labels(self, voters: Sequence[AnySpec], ensemble: Ensemble) -> None:
        """Write the labels of the voters that take seconds, until those of all voters replace them.

        Raises `ConfigError` if a person has changed them: the others would be trained in vain.
        """
        nothing, names = np.zeros(len(self.plan.data.unlabeled), np.int64), [spec.name for spec in voters]
        # First, so that labels that a kill has left are known for what they are.
        write_json(self.directory.metrics_path, {**self.plan.facts, "preliminary": names})
        self._write(ensemble, History(nothing, nothing))
        # The labels that come after them rest on what is voted then, in its order.
        self.jobs.runner.journal.keys.clear()
        self.log.say(
            f"preliminary labels, by {', '.join(names)} alone, are in {self.directory.pseudo_labels}; those of all "
            "voters will replace them"
        )

    def write_labels(self, deciding: Sequence[Generation]) -> None:
        """Write the labeled data set, unless that would undo what a person has corrected in it.

        The last of the generations that decide has labeled the whole pool.

        Raises `RunError` if votes are missing. Raises `ConfigError` if a person has changed the labeled data
        set.
        """
        directory = self.directory
        if missing := directory.missing():
            raise RunError(
                f"The votes of {', '.join(missing)} are missing in {directory.jobs}: run the same command again."
            )
        pool, last = len(self.plan.data.unlabeled), deciding[-1]
        remove_preliminary(directory.metrics_path)
        self._write(last.ensemble, History(first_labeled(deciding, pool), training_set_counts(deciding, pool)))

    def _write(self, ensemble: Ensemble, history: History) -> None:
        directory, data = self.directory, self.plan.data
        found = LabeledPool(
            data.labeled, data.unlabeled, data.columns, ensemble.votes, ensemble.soft, history, data.numbers
        )
        if not (self.force or directory.labels_are_ours()) and differs(directory.pseudo_labels, found.pieces):
            raise ConfigError(
                f"{directory.pseudo_labels} has been changed since it was written: train on it as it is with "
                f"`pet distill {shlex.quote(str(directory.root))}`, or add --force to undo the changes."
            )
        if self.force and not directory.labels_are_ours():
            directory.tell_exports(self.log.warn)
        write_pieces(directory.pseudo_labels, found.pieces)
        directory.labels_written()

    def publish(
        self, generations: Sequence[Generation], student: Taught, rows: LabeledRows, summary: Summary
    ) -> RunResult:
        """Put the classifier and the figures into their places, and return where all of it lies."""
        # The page of what was here before would stand beside other figures; a new one is drawn at the end.
        self.directory.report_path.unlink(missing_ok=True)
        self.tell_of_choice(student.choice)
        if worse := weak_classifier(summary):
            self.log.warn(worse)
        told, gold = self._about(rows, student.choice), rows.labeled_by_hand(self.task.labels)
        card, figures = self._card(rows, student), summary.test_figures()
        publish_model(self.directory.model, student.folder, card, figures, told, gold)
        work = sum(self.jobs.runner.journal.work.values(), Work())
        machine, encoder = self.jobs.machine, self.jobs.encoder
        curve = run_curve(encoder, self.jobs) if encoder else None
        moved = self.plan.data.reviewed
        measured = {
            **({"reviewed": moved.facts} if moved else {}),
            "generations": [_generation_facts(one) for one in generations],
            "work": asdict(work),
            "precision": machine.precision,
            "scoring": machine.inference,
            "students": student.choice.as_json(),
            "curve": curve.as_json() if curve else None,
            "votes": outside_facts(self.plan.outside, accepted(generations)[-1].ensemble),
            "verdict": verdict(summary),
            "analysis": self._analysis(accepted(generations)[-1]),
            "classifier": classifier_figures(student.says.test, self.plan.data),
        }
        data = self.plan.data
        write_measured(self.directory.measured_path, data.test, data.task.labels, summary)
        write_metrics(self.directory.metrics_path, {**self.plan.facts, **measured, **self.adaptation}, summary)
        done = self.labeled(accepted(generations)[-1].soft)
        return replace(
            done,
            model=self.directory.model,
            summary=summary,
            choice=student.choice,
            verdict=verdict(summary),
            simpler=simpler_flags(summary, fast=not self.plan.patterns),
            curve=curve,
            work=f"{work.forwards:,} rows went forward through a model, {work.steps:,} optimizer steps; "
            f"{footprint(self.directory.root, self.trial.workers)}",
        )

    def labeled(self, soft: SoftLabels) -> RunResult:
        """Return where the labeled data set lies; what served the run alone goes."""
        directory = self.directory
        predicted = self.watch.stop(directory.root, directory.forecast_path, self.jobs.runner.journal.seconds)
        shutil.rmtree(directory.tokens, ignore_errors=True)
        shutil.rmtree(directory.tasks, ignore_errors=True)
        columns, moved = self.jobs.rows.data.columns, self.plan.data.reviewed
        said = moved.said if moved else None
        return RunResult(directory.root, directory.pseudo_labels, columns, soft, forecast=predicted, reviewed=said)

    def _analysis(self, last: Generation) -> Mapping[str, Any]:
        plan = self.plan
        return analysis(last, Asked(plan.voters, plan.out_of_fold, plan.baselines.pvps), self.jobs)

    def _tell_of_lost_weights(self, generation: Generation) -> None:
        """Tell how many voters were trained by a run that did not keep weights, where this one does."""
        patterns = zip(self.plan.patterns, generation.sets, strict=False)  # voters on vectors keep no weights
        trained = [(spec, training) for spec, training in patterns if len(training)]
        jobs = [voter_job(self.jobs, *one, generation.rows, generation.number) for one in trained]
        lost = sum(not (self.jobs.runner.store.path(job) / "model").is_dir() for job in jobs)
        if self.jobs.keep_models and lost:
            self.log.warn(
                f"generation {generation.number}: {lost} voters were finished before weights were kept, and theirs are "
                "gone: use another --output-dir with --keep-models"
            )


def _generation_facts(one: Generation) -> dict[str, object]:
    return {
        "generation": one.number,
        "continues": one.continues,
        "rejected": one.rejected,
        "training_rows": [len(training) for training in one.sets],
        "labeled_rows": len(one.rows),
        **one.figures.as_json(),
    }
