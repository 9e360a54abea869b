"""Files labeled and measured by a finished classifier: any format in, any out, millions of rows in flat memory.

Rows are read into a file without a name, scored in parts (see `pet.using.parts`), and written piece by piece.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pet.data.columns import same_column
from pet.data.output import Columns, GivenColumns, row_pieces
from pet.data.readers import ReadOptions, ReadResult, Role, is_given, read_examples
from pet.data.rows import Rows
from pet.data.source import File, Folder, Source, parse_source
from pet.data.tables import dialect_of
from pet.data.writers import Pieces, check_output, write_part_files, write_pieces
from pet.errors import DataError, UsageError, close_match, shown
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, quiet_transformers
from pet.learners.students.base import Classifier, ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.sizes import load_student
from pet.learners.students.sketch import Scorer, read_sketch
from pet.method.metrics import Evaluation, evaluate, gold_columns
from pet.runs.atomic import file_sha256, remove_whole, write_folder
from pet.runs.executors.base import Tell, do_job
from pet.settings.run import RunSettings
from pet.settings.task import keeps_ascii
from pet.using.parts import PART_ROWS, Pace, Parts, Side, compute_parts, open_parts, paced, taken_up
from pet.using.predict import Wish, doubts, labels_of, load_classifier, model_folder, settled, soft_labels

_DIGITS = 6
"""A float32 has no more decimals to tell."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class FileOptions:
    """How a file is labeled: how it is read, which `columns` are kept (empty: all), and how the work is done.

    `resume` goes on with work that was interrupted; `workers` processes do it side by side; `tell` gets a line a minute
    on how far it is, where nobody watches.
    """

    on_bad_row: Literal["error", "skip"] = "error"
    encoding: str = "utf-8"
    columns: Sequence[str] = ()
    resume: bool = False
    workers: int = 1
    tell: Say = print

    def __post_init__(self) -> None:
        """Raise `UsageError` if the encoding is none, or there is no process to do the work."""
        if not keeps_ascii(self.encoding):
            raise UsageError(
                f"The encoding {shown(self.encoding)} cannot be used, expected one that Python knows and that has "
                'ASCII as it is, such as "cp1252" or "utf-8".'
            )
        if self.workers < 1:
            raise UsageError(f"Found {self.workers} workers, expected at least 1.")


@dataclass(frozen=True)
class Labeled:
    """What was read of a file that was labeled, and how many of its rows to accept (None: not asked).

    `given` says how many rows got each label; `renamed` which of our columns have another name, since the file has one
    of that name; `unfamiliar` how many rows are unlike the pool of the run (None: nothing tells); `rate` how many rows
    were labeled a second.
    """

    read: ReadResult
    given: Mapping[str, int]
    renamed: Mapping[str, str]
    accepted: int | None = None
    unfamiliar: int | None = None
    rate: float = 0.0


@dataclass(frozen=True)
class Scored:
    """What a classifier says of n rows: `scores` float32 [n, k], with a `limit` [n, k + 1], distances behind them.

    Where it `chooses` among candidates, the one chosen stands beside its index, in a column choice. Labels are accepted
    from a confidence of `threshold` on, and rows unfamiliar beyond the distance `limit` (None each: nothing is said of
    it).
    """

    labels: tuple[str, ...]
    scores: np.ndarray | Parts
    threshold: float | None = None
    limit: float | None = None
    chooses: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that are added to a file."""
        chosen = ["choice"] if self.chooses else []
        asked = [] if self.threshold is None else ["accept"]
        asked += [] if self.limit is None else ["unfamiliar"]
        return ["label", *chosen, "confidence", *asked, *(f"prob_{label}" for label in self.labels)]

    def values(self, examples: Rows, rows: slice) -> list[list[Any]]:
        """Return these columns of some rows, which lie in one part."""
        scores, k = self.scores[rows], len(self.labels)
        probs = scores[:, :k]
        shown, best = probs.astype(np.float64).round(_DIGITS), probs.argmax(axis=1)
        found: list[list[Any]] = [[self.labels[i] for i in best]]
        if self.chooses:
            found.append([row.choices[i] for row, i in zip(examples[rows], best, strict=True)])
        found.append(shown.max(axis=1).tolist())
        if self.threshold is not None:
            found.append((probs.max(axis=1) >= self.threshold).tolist())
        if self.limit is not None:
            found.append((scores[:, k] > self.limit).tolist())
        return [*found, *shown.T.tolist()]

    def counts(self, rows: int) -> tuple[Mapping[str, int], int, int]:
        """Return how many rows have each label, how many to accept, and how many are unfamiliar."""
        labels, accepted, unfamiliar = np.zeros(len(self.labels), np.int64), 0, 0
        for piece in row_pieces(rows):
            scores, k = self.scores[piece], len(self.labels)
            labels += np.bincount(scores[:, :k].argmax(axis=1), minlength=k)
            accepted += int((scores[:, :k].max(axis=1) >= (self.threshold or 0.0)).sum())
            unfamiliar += 0 if self.limit is None else int((scores[:, k] > self.limit).sum())
        return dict(zip(self.labels, labels.tolist(), strict=True)), accepted, unfamiliar


def predict_file(
    model: str | Path,
    source: str,
    output: Path,
    options: FileOptions = FileOptions(),
    wish: Wish | None = None,
    say: Say = lambda _: None,
) -> Labeled:
    """Label every row of a file: its columns as they are, and label, confidence and prob_<label>; say what was read.

    With a `wish` a column accept says of each row whether its label is sure enough; where the classifier has a sketch
    of its pool and vectors, a column unfamiliar says whether the row is unlike all of it. What is doubtful about the
    file, or about the classifier for it, is told to `say` before the work. An `output` without a suffix is a folder of
    Parquet files. The work is kept in parts, in a folder beside the output, until that is written.

    Raises `UsageError` if the model or the file cannot be used, the wish cannot be met, or there is work to resume.
    """
    check_place(output, source)
    classifier = load_classifier(model)
    threshold, form = (wish or Wish()).threshold(classifier.form), classifier.form
    parsed = parse_source(source, options.encoding)
    found = read_examples(parsed, _options(classifier, "input", options.on_bad_row))
    given = given_columns(found, form, typed=File.at(output).suffix not in (".csv", ".tsv"))
    _tell(found, classifier, say)
    folder = model_folder(model)
    sketch = None if form.chooses else read_sketch(folder, len(form.labels))
    scorer = Scorer.of(settled(classifier, found.examples), sketch)
    limit, labels = sketch.limit if sketch and scorer.references else None, _labels_for(classifier, found.examples)
    width = len(labels) + (scorer.references is not None)
    kept = Scored(labels, np.empty((0, width)), threshold, limit, form.chooses)
    columns = chosen_columns(given, kept, options.columns)
    work = _Work(folder, scorer, width, output, options, {"input": _digest(parsed), "on_bad_row": options.on_bad_row})
    pace = Pace(len(found.examples))
    with work.scores(found.examples, pace) as scores:
        kept = replace(kept, scores=scores)
        _write(output, lambda: prediction_pieces(found.examples, given, kept, columns), parsed)
        counts, accepted, unfamiliar = kept.counts(len(found.examples))
    return Labeled(
        read=found,
        given=counts,
        renamed={name: given.beside(name) for name in kept.columns if name in given.names},
        accepted=None if threshold is None else accepted,
        unfamiliar=None if limit is None else unfamiliar,
        rate=pace.rate,
    )


def check_place(output: Path, source: str) -> None:
    """Check, before long work, that a file or a folder of Parquet files can be written at a place.

    Raises `DataError` if it cannot, or would replace the input or a folder that holds something.
    """
    if not _is_folder(output):
        check_output(output, source)
        return
    if output.is_dir() and any(output.iterdir()):
        raise DataError(f"The folder {output} is not empty: give another place, so that nothing is lost.")
    check_output(output.with_name(f"{output.name}.parquet"))


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not File.at(output).suffix


def _write(output: Path, pieces: Pieces, source: Source) -> None:
    if _is_folder(output):
        write_folder(output, lambda folder: write_part_files(folder, pieces))
    else:
        write_pieces(output, pieces, dialect_of(source))


def _digest(source: Source) -> str:
    """Return what tells rows from others: the sha256 of the files they lie in, or the name on the hub."""
    if isinstance(source, File):
        return file_sha256(source.path)
    if isinstance(source, Folder):
        files = sorted(path for path in source.path.rglob("*") if path.is_file())
        return " ".join([source.text, *(f"{path.name} {file_sha256(path)}" for path in files)])
    return source.text


@dataclass(frozen=True)
class _Work:
    """Scores to be computed, so many a row: by which classifier, of the `folder`, for which output, and of what."""

    folder: Path
    scorer: Scorer
    columns: int
    output: Path
    options: FileOptions
    facts: Mapping[str, str]

    @contextmanager
    def scores(self, rows: Rows, pace: Pace) -> Iterator[np.ndarray | Parts]:
        """Yield the scores of all rows: of few in memory, of many in parts, which go when the block ends well."""
        if len(rows) <= PART_ROWS:
            with paced(pace, self.options.tell) as advance:
                found = self.scorer.scores(rows, advance)
            yield found
            return
        place, shape = self.output.with_name(f"{self.output.name}.parts"), (len(rows), self.columns)
        with open_parts(place, self._facts, shape, resume=self.options.resume) as parts:
            pace.before = len(rows) - sum(len(range(*parts.rows_of(part).indices(len(rows)))) for part in parts.missing)
            with paced(pace, self.options.tell) as advance:
                compute_parts(parts, rows, self.scorer.scores, self._side, advance)
            yield parts
        remove_whole(place)

    @property
    def _scoring(self) -> str:
        found = self.scorer.classifier
        return found.machine.inference if isinstance(found, TextClassifier) else ""

    @property
    def _facts(self) -> Mapping[str, object]:
        model = ModelSource(str(self.folder), self.folder).digest
        return {**self.facts, "model": model, "precision": self._scoring, "workers": self.options.workers}

    @property
    def _side(self) -> Side:
        workers = self.options.workers
        by = {"model": str(self.folder.absolute()), "scoring": self._scoring}
        return Side(do_part, by, workers, max(1, torch.get_num_threads() // workers))


def do_part(folder: str) -> None:
    """Score the rows of the job in a folder, by the classifier and in the precision that it names.

    Raises `PetError` if that cannot be done.
    """
    do_job(Path(folder), partial(_do, Path(folder)))


def _do(folder: Path, task: Mapping[str, Any], tell: Tell) -> None:
    torch.set_num_threads(task["threads"])
    scorer, (parts, part, rows) = _loaded(task["model"], task["scoring"]), taken_up(folder, task)
    parts.write(part, scorer.scores(rows, lambda count: tell("advance", count)))


@lru_cache(maxsize=1)  # a worker does many parts
def _loaded(model: str, scoring: str) -> Scorer:
    quiet_transformers()
    classifier = load_student(Path(model), replace(Machine.pick(RunSettings()), scoring=scoring))
    sketch = None if classifier.form.chooses else read_sketch(Path(model), len(classifier.form.labels))
    return Scorer.of(classifier, sketch)


def _labels_for(classifier: Classifier, rows: Rows) -> tuple[str, ...]:
    """Return what rows can be labeled with: of candidates, as many indices as the row with the most of them has."""
    most = max((len(row.choices) for row in rows), default=0) if classifier.form.chooses else 0
    return labels_of(classifier, max(len(classifier.form.labels), most))


def given_columns(found: ReadResult, form: ClassifierForm, typed: bool) -> GivenColumns:
    """Return the columns of a file for an output; a column of labels in which none is given leaves its place to ours.

    Where the output is `typed`, cells that are text and mean numbers are numbers there.
    """
    column = same_column(form.label_column, found.columns)
    empty = False
    if column == "label" and column in (*found.columns, *found.extras) and not found.labels_seen:
        cells = (row.extra.get(column) for row in found.examples)
        empty = not any(is_given(cell) or cell == [] for cell in cells)
    return GivenColumns.of(found, form.id_column, typed, (column,) if empty else ())


def chosen_columns(given: GivenColumns, scored: Scored, names: Sequence[str]) -> Sequence[str]:
    """Return the columns of an output that are asked for by name, in that order; none where all are.

    Raises `DataError` if one of them is not there.
    """
    known = [*given.columns([]), *map(given.beside, scored.columns)]
    for name in names:
        if name not in known:
            raise DataError(
                f"--columns names {shown(name)}, which the output does not have; it has {', '.join(known[:20])}: leave "
                f"it out.{close_match(name, known)}"
            )
    return names


def prediction_pieces(
    examples: Rows, given: GivenColumns, scored: Scored, columns: Sequence[str] = ()
) -> Iterator[Columns]:
    """Yield the user's columns, then those that were found, of some rows at a time; or only some `columns`."""
    names = [given.beside(name) for name in scored.columns]
    for rows in row_pieces(len(examples)):
        piece = given.columns(examples[rows]) | dict(zip(names, scored.values(examples, rows), strict=True))
        yield {name: piece[name] for name in columns} if columns else piece


def _tell(found: ReadResult, classifier: Classifier, say: Say) -> None:
    for line in (*found.notes, *doubts(classifier, found.examples)):
        say(line)


def evaluate_file(
    model: str | Path,
    source: str,
    on_bad_row: str = "error",
    say: Say = lambda _: None,
    encoding: str = "utf-8",
) -> tuple[Evaluation, ReadResult]:
    """Compare a classifier with the labels of a file; return what was read, too. `say` is as for `predict_file`.

    Raises `DataError` if a row has no label, or one that the classifier does not know.
    """
    classifier = load_classifier(model)
    labels = classifier.form.labels
    options = _options(classifier, "test", on_bad_row)
    found = read_examples(parse_source(source, encoding), replace(options, labels=labels))
    _tell(found, classifier, say)
    hard = soft_labels(classifier, found.examples).hard()
    return evaluate(np.asarray(hard), gold_columns(found.examples, labels), labels), found


def _options(classifier: Classifier, role: Role, on_bad_row: Any) -> ReadOptions:
    form = classifier.form
    return ReadOptions(role, form.columns, form.label_column, form.id_column, on_bad_row=on_bad_row, mapped=False)
