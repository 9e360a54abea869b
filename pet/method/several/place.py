"""Where a run of rows with several labels lies, and what is kept of it: labels, classifier, figures."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pet.data.examples import Example
from pet.data.label_sets import label_matrix
from pet.data.output import Columns, OutputNames, row_pieces
from pet.data.rows import Rows
from pet.data.writers import write_pieces
from pet.errors import ConfigError, RunError
from pet.labeling.label_sets import SetLabels, sigmoid
from pet.learners.students.choice import Choice
from pet.method.card import CardFacts
from pet.method.jobs import Jobs
from pet.method.labels import LabeledRows, is_ours
from pet.method.publish import publish_model
from pet.method.several.figures import SetLine, evaluate_sets
from pet.method.several.weigh import SetEnsemble
from pet.method.summary import DISTILLED
from pet.method.teach import Predicted, TargetRows, Taught, teach, train_classifier
from pet.runs.atomic import write_folder, write_json
from pet.runs.directory import RunDirectory
from pet.runs.log import RunLog
from pet.settings.training import DistillSettings, OptimizerSettings


@dataclass(frozen=True)
class SetResult:
    """Where the results of a run lie, and the figures; `given` says how many rows of the pool got each label.

    `sample` are some rows of the pool with their labels, for a terminal.
    """

    directory: Path
    pseudo_labels: Path
    model: Path
    columns: Mapping[str, str]
    soft_labels: SetLabels
    lines: tuple[SetLine, ...]
    given: Mapping[str, int]
    choice: Choice
    sample: tuple[str, ...]


@dataclass(frozen=True)
class SetPlace:
    """The directory of a run, whose lock is held, its log and its jobs; `facts` begin its `metrics.json`.

    `baseline` is how a classifier is trained on the labeled rows alone (None: it is not); `force` says that labels that
    were changed by hand may be lost.
    """

    directory: RunDirectory
    log: RunLog
    jobs: Jobs
    distill: DistillSettings
    facts: Mapping[str, object]
    baseline: OptimizerSettings | None = None
    force: bool = False

    def write_labels(self, ensemble: SetEnsemble) -> LabeledRows:
        """Write the labeled data set; return its rows: the gold ones, then the pool.

        Raises `RunError` if votes are missing, or the disk is full or may not be written. Raises `ConfigError` if a
        person has changed the labeled data set.
        """
        path = self.directory.pseudo_labels
        if path.is_file() and not (self.force or self.directory.labels_are_ours()):
            raise ConfigError(
                f"{path} has been changed since it was written: move it away, or add --force to undo that."
            )
        self.directory.expect(self.jobs.runner.journal.keys)
        if missing := self.directory.missing():
            raise RunError(f"The votes of {', '.join(missing)} are missing: run the same command again.")
        data, soft = self.jobs.rows.data, ensemble.soft
        given = label_matrix(data.labeled, data.task.labels)
        names = OutputNames.of(chain(data.labeled, data.unlabeled), data.columns, is_ours, data.numbers)

        def pieces() -> Iterator[Columns]:
            for rows in row_pieces(len(data.unlabeled)):
                part = data.unlabeled[rows]
                pool = replace(soft, ids=[row.id for row in part], probs=soft.probs[rows])
                found = names.columns(part) | _ours(pool, "pseudo")
                sure = SetLabels(
                    [row.id for row in data.labeled], soft.labels, given.astype(np.float32), soft.thresholds
                )
                gold = names.columns(data.labeled) | _ours(sure, "gold") if not rows.start else {}
                yield {name: gold.get(name, []) + values for name, values in found.items()}

        write_pieces(self.directory.pseudo_labels, pieces)
        self.directory.labels_written()
        examples = Rows.of(chain(data.labeled, data.unlabeled))
        probs = np.concatenate([given.astype(np.float32), soft.probs])
        return LabeledRows(examples, probs, np.arange(len(probs)) < len(given))

    def taught(self, rows: LabeledRows, ensemble: SetEnsemble) -> Taught:
        """Distill the labeled data set into a stock classifier that gives labels from the ensemble's thresholds on."""
        return teach(rows, self.distill, self._thresholded(ensemble))

    def supervised(self, ensemble: SetEnsemble) -> SetLine | None:
        """Return the figures of a classifier trained on the labeled rows alone, where one is wanted."""
        if self.baseline is None or not len(self.jobs.rows.data.test):
            return None
        data, jobs, settings = self.jobs.rows.data, self._thresholded(ensemble), self.baseline
        given = label_matrix(data.labeled, data.task.labels).astype(np.float32)
        job = jobs.runner.job("supervised", settings=settings.model_dump(mode="json"))

        def work(folder: Path) -> None:
            rows = TargetRows(data.labeled, given, settings, jobs.model.source)
            train_classifier(folder, "supervised", rows, {"pool": [], "test": data.test}, Predicted, jobs)

        said = jobs.runner.run(job, Predicted, work).test
        test = label_matrix(data.test, data.task.labels)
        return SetLine("supervised baseline", test=evaluate_sets(said >= 0.5, test, data.task.labels))

    def publish(self, ensemble: SetEnsemble, student: Taught, rows: LabeledRows) -> SetResult:
        """Put the classifier and the figures into their places, and return where all of it lies."""
        data, soft, directory = self.jobs.rows.data, ensemble.soft, self.directory
        for line in student.choice.lines():
            self.log.say(line)
        test = label_matrix(data.test, data.task.labels)
        final = evaluate_sets(student.says.test >= soft.thresholds, test, data.task.labels) if len(test) else None
        lines = [*ensemble.lines(data), SetLine(DISTILLED, test=final)]
        lines += [line for line in [self.supervised(ensemble)] if line]
        publish_model(directory.model, student.folder, self._card(student.choice, rows, soft), {})
        write_votes(directory.generations / "0", ensemble)
        given = dict(zip(soft.labels, soft.chosen().sum(axis=0).tolist(), strict=True))
        voters = zip(ensemble.votes, ensemble.weights.tolist(), ensemble.slopes, strict=True)
        facts = {
            **self.facts,
            "thresholds": dict(zip(soft.labels, soft.thresholds.round(4).tolist(), strict=True)),
            "given": given,
            "students": student.choice.as_json(),
            "voters": [{"name": vote.voter, "weight": round(w, 4), **vars(slope)} for vote, w, slope in voters],
            "label_sets": [line.as_json() for line in lines],
        }
        write_json(directory.metrics_path, facts)
        shutil.rmtree(directory.tokens, ignore_errors=True)
        places = (directory.root, directory.pseudo_labels, directory.model)
        sample = tuple(sample_sets(data.unlabeled, soft))
        return SetResult(*places, data.columns, soft, tuple(lines), given, student.choice, sample)

    def _thresholded(self, ensemble: SetEnsemble) -> Jobs:
        """Return the jobs with classifiers that give several labels."""
        form = replace(self.jobs.rows.form, thresholds=tuple(ensemble.soft.thresholds.tolist()))
        return replace(self.jobs, rows=replace(self.jobs.rows, form=form))

    def _card(self, choice: Choice, rows: LabeledRows, soft: SetLabels) -> CardFacts:
        data, settings, used = self.jobs.rows.data, self.distill, rows.used(self.distill.gold_rows)
        plain = settings.model_dump(mode="json", exclude={"model", "steps", "temperature"}, exclude_none=True)
        return CardFacts(
            task=data.task.name,
            labels=data.task.labels,
            fields=data.task.fields,
            base_model=choice.chosen.model,
            gold_rows=int((rows.gold & used).sum()),
            pool_rows=int((~rows.gold & used).sum()),
            settings={**plain, "size": choice.chosen.size, "steps": choice.chosen.updates},
            thresholds=dict(zip(soft.labels, soft.thresholds.tolist(), strict=True)),
        )


def write_votes(folder: Path, ensemble: SetEnsemble) -> None:
    """Write what each voter says of each row of the pool: a list of k probabilities.

    Raises `RunError` if the disk is full or may not be written.
    """
    k, ids = len(ensemble.soft.labels), pa.array(ensemble.soft.ids, pa.string())

    def write(place: Path) -> None:
        columns = {"id": ids}
        for vote in ensemble.votes:
            flat = pa.array(sigmoid(vote.pool).ravel(), pa.float32())
            columns[vote.voter] = pa.FixedSizeListArray.from_arrays(flat, k)
        pq.write_table(pa.table(columns), place / "votes.parquet")

    folder.parent.mkdir(exist_ok=True)
    write_folder(folder, write)


def _ours(soft: SetLabels, source: str) -> Columns:
    """Return our columns of some rows: their labels as a list, the probability of each label, and the source."""
    probs = {f"prob_{label}": soft.probs[:, column].tolist() for column, label in enumerate(soft.labels)}
    return {"label": list(soft.sets()), **probs, "source": [source] * len(soft.ids)}


def sample_sets(pool: Sequence[Example], soft: SetLabels, count: int = 5, width: int = 88) -> list[str]:
    """Return some labeled rows of the `pool`, as examples, for a terminal, spread over it: labels and text."""
    places = np.linspace(0, len(pool) - 1, min(count, len(pool))).astype(int).tolist()
    sets = list(replace(soft, ids=[soft.ids[i] for i in places], probs=soft.probs[places]).sets())
    heads = [", ".join(labels) or "(none)" for labels in sets]
    longest = max(map(len, heads), default=0)
    texts = [" | ".join(" ".join(text.split()) for text in pool[i].fields.values()) for i in places]
    return [f"{head:<{longest}}  {text[:width]}" for head, text in zip(heads, texts, strict=True)]
