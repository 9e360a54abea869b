"""Labels for new texts from a finished classifier, and how good they are on labeled ones."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.columns import same_column
from pet.data.examples import Example
from pet.data.output import Columns, GivenColumns, row_pieces
from pet.data.readers import ReadOptions, ReadResult, Role, is_given, read_examples
from pet.data.rows import Rows
from pet.data.source import File, parse_source
from pet.data.tables import dialect_of
from pet.data.writers import check_output, write_pieces
from pet.errors import ModelError, UsageError, shown
from pet.labeling.votes import SoftLabels
from pet.learners.models.machine import Machine
from pet.learners.models.readability import readability
from pet.learners.models.sources import quiet_transformers
from pet.learners.students.base import Classifier, ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.sizes import load_student
from pet.method.metrics import Evaluation, evaluate, gold_columns
from pet.method.trial import AGREEMENT, probed_rows, tries_bfloat16
from pet.runs.progress import stage_progress
from pet.settings.run import RunSettings
from pet.using.inputs import rows_of

Texts = Iterable[str | Sequence[str] | Mapping[str, str]] | Mapping[str, Sequence[str]]
"""Rows as Python code has them; tables of pandas and others are iterables of them, too."""

ENOUGH_WORDS = 100
"""Of fewer words the number of pieces says little."""

_DIGITS = 6
"""A float32 has no more decimals to tell."""


@dataclass(frozen=True)
class Prediction:
    """The label of one text, its probability, and the probabilities of all labels.

    `accept` says whether to trust it, where a precision or a confidence was wished for.
    """

    label: str
    confidence: float
    probs: dict[str, float]
    accept: bool | None = None


@dataclass(frozen=True)
class Wish:
    """How sure a label has to be to be accepted: a precision over all that are, or a confidence of each. Or neither."""

    min_precision: float | None = None
    abstain: float | None = None

    def __post_init__(self) -> None:
        """Raise `UsageError` if both are given, or one of them is no share."""
        if self.min_precision is not None and self.abstain is not None:
            raise UsageError("Found both a minimal precision and a confidence to abstain below, expected one: choose.")
        for name, value in (("minimal precision", self.min_precision), ("confidence to abstain below", self.abstain)):
            if value is None:
                continue
            if not isinstance(value, int | float):
                raise UsageError(f"The {name} is {shown(value)}, expected a number from 0 to 1, such as 0.95.")
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"The {name} is {value:g}, expected a share from 0 to 1, such as 0.95.")

    def threshold(self, form: ClassifierForm) -> float | None:
        """Return the confidence from which a label of a classifier is accepted; None where nothing was wished.

        Raises `ModelError` if the classifier has no curve that tells it. Raises `UsageError` if no confidence reaches
        the precision.
        """
        if self.min_precision is None:
            return self.abstain
        if form.acceptance is None:
            raise ModelError(
                "The classifier does not say how precise it is at which confidence (its pool was too small, or it was "
                "made by an earlier version): distill it again with `pet distill`, or abstain by confidence."
            )
        point, best = form.acceptance.reaching(self.min_precision), form.acceptance.best
        if point is None:
            raise UsageError(
                f"No confidence of this classifier reaches the precision {self.min_precision:g}, expected at most "
                f"{best.precision:.3f} (for {best.share:.0%} of the rows): ask for less, or label more rows."
            )
        return point.threshold


def load_classifier(model: str | Path, settings: RunSettings | None = None) -> Classifier:
    """Load the classifier of a run directory, or of a model folder of any kind.

    Raises `ModelError` if there is none.
    """
    folder, settings = model_folder(model), settings or RunSettings()
    quiet_transformers()
    machine = Machine.pick(settings)
    # What is to be tried first is float32 until then, see `_settled`.
    return load_student(folder, replace(machine, scoring="fp32") if settings.precision == "auto" else machine)


def model_folder(model: str | Path) -> Path:
    """Return the model folder of a run directory; any other folder is one itself.

    Raises `ModelError` if there is none.
    """
    folder = Path(model)
    if folder.is_file():
        what = "the graph of an exported classifier" if folder.suffix == ".onnx" else "a file"
        raise ModelError(f"{folder} is {what}: give the folder that it lies in, {folder.parent}, or a run directory.")
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}: give a run directory, or its model folder.")
    if (folder / "manifest.json").is_file():
        if not (folder / "model" / "config.json").is_file():
            raise ModelError(f"The run in {folder} has no classifier yet: finish it with `pet run` or `pet distill`.")
        return folder / "model"
    return folder


def _given(classifier: Classifier) -> Classifier:
    """Return a classifier that is one."""
    if not hasattr(classifier, "probabilities"):
        found = shown(classifier)
        raise ModelError(f"Expected a run directory, its model folder or a classifier, found {found}: give its path.")
    return classifier


def predict(
    model: str | Path | Classifier,
    texts: Texts,
    settings: RunSettings | None = None,
    *,
    min_precision: float | None = None,
    abstain: float | None = None,
) -> list[Prediction]:
    """Label texts. A folder is loaded anew by each call.

    With several fields a row is a tuple of texts in their order, or a mapping. A table is read by its columns, whatever
    library it is of: a frame, a data set, an Arrow table, a mapping of columns.

    With `min_precision` each says whether to accept it, so that so large a share of those accepted is expected to be
    right; with `abstain` those of a smaller confidence are not accepted.

    Raises `UsageError` if both are given, or the classifier does not reach the precision. Raises `ModelError` if there
    is no classifier, or it does not tell its precision. Raises `DataError` if a row does not have the classifier's
    fields, or one of them is no text. Warns where its tokenizer does not know the words of the texts.
    """
    classifier = load_classifier(model, settings) if isinstance(model, str | Path) else _given(model)
    threshold = Wish(min_precision, abstain).threshold(classifier.form)
    examples = rows_of(texts, classifier.form.columns)
    for line in doubts(classifier, examples):
        warnings.warn(line, stacklevel=2)
    soft = _soft_labels(classifier, examples)
    return [
        Prediction(
            label=soft.labels[k],
            confidence=float(row[k]),
            probs={label: float(p) for label, p in zip(soft.labels, row, strict=True)},
            accept=None if threshold is None else bool(row[k] >= threshold),
        )
        for k, row in zip(soft.hard(), soft.probs, strict=True)
    ]


@dataclass(frozen=True)
class Labeled:
    """What was read of a file that was labeled, and how many of its rows to accept (None: not asked).

    `given` says how many rows got each label; `renamed` which of our columns have another name, since the file has one
    of that name.
    """

    read: ReadResult
    given: Mapping[str, int]
    renamed: Mapping[str, str]
    accepted: int | None = None


def predict_file(
    model: str | Path,
    source: str,
    output: Path,
    on_bad_row: str = "error",
    wish: Wish | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Labeled:
    """Label every row of a file: its columns as they are, and label, confidence and prob_<label>; say what was read.

    With a `wish` a column accept says of each row whether its label is sure enough. What is doubtful about the file, or
    about the classifier for it, is told to `say` before the work.

    Raises `UsageError` if the model or the file cannot be used, or the wish cannot be met.
    """
    check_output(output, source)
    classifier = load_classifier(model)
    threshold = (wish or Wish()).threshold(classifier.form)
    parsed = parse_source(source)
    found = read_examples(parsed, _options(classifier, "input", on_bad_row))
    _tell(found, classifier, say)
    soft = _soft_labels(classifier, found.examples)
    typed = File.at(output).suffix not in (".csv", ".tsv")
    given = given_columns(found, classifier.form, typed)
    write_pieces(output, lambda: prediction_pieces(found.examples, given, soft, threshold), dialect_of(parsed))
    counts = np.bincount(soft.hard(), minlength=len(soft.labels)).tolist()
    return Labeled(
        read=found,
        given=dict(zip(soft.labels, counts, strict=True)),
        renamed={name: given.beside(name) for name in _ours(soft, threshold) if name in given.names},
        accepted=None if threshold is None else int((soft.confidence() >= threshold).sum()),
    )


def doubts(classifier: Classifier, rows: Sequence[Example]) -> tuple[str, ...]:
    """Say so where the tokenizer of a classifier does not know the words of rows."""
    found = readability(classifier.tokenizer, rows)
    if found.words < ENOUGH_WORDS and not found.unreadable:
        return ()
    problem = found.problem("the classifier")
    return (f"{problem}: take one that was made of a model that reads their language",) if problem else ()


def given_columns(found: ReadResult, form: ClassifierForm, typed: bool) -> GivenColumns:
    """Return the columns of a file for an output; a column of labels in which none is given leaves its place to ours.

    Where the output is `typed`, cells that are text and mean numbers are numbers there.
    """
    column = same_column(form.label_column, found.columns)
    cells = (row.extra.get(column) for row in found.examples)
    empty = column == "label" and not any(is_given(cell) or cell == [] for cell in cells)
    return GivenColumns.of(found, form.id_column, typed, (column,) if empty else ())


def prediction_pieces(
    examples: Rows, given: GivenColumns, soft: SoftLabels, threshold: float | None = None
) -> Iterator[Columns]:
    """Yield the user's columns, then label, confidence and prob_<label>, of some rows at a time.

    With a `threshold` a column accept follows the confidence.
    """
    names = [given.beside(name) for name in _ours(soft, threshold)]
    for rows in row_pieces(len(examples)):
        found = SoftLabels(soft.ids[rows], soft.labels, soft.probs[rows])
        shown = found.probs.astype(np.float64).round(_DIGITS)
        ours = [[found.labels[k] for k in found.hard()], shown.max(axis=1).tolist()]
        if threshold is not None:
            ours.append((found.confidence() >= threshold).tolist())
        yield given.columns(examples[rows]) | dict(zip(names, [*ours, *shown.T.tolist()], strict=True))


def _ours(soft: SoftLabels, threshold: float | None) -> list[str]:
    """Return the columns that are added to a file."""
    asked = [] if threshold is None else ["accept"]
    return ["label", "confidence", *asked, *(f"prob_{label}" for label in soft.labels)]


def _tell(found: ReadResult, classifier: Classifier, say: Callable[[str], None]) -> None:
    for line in (*found.notes, *doubts(classifier, found.examples)):
        say(line)


def evaluate_file(
    model: str | Path, source: str, on_bad_row: str = "error", say: Callable[[str], None] = lambda _: None
) -> tuple[Evaluation, ReadResult]:
    """Compare a classifier with the labels of a file; return what was read, too. `say` is as for `predict_file`.

    Raises `DataError` if a row has no label, or one that the classifier does not know.
    """
    classifier = load_classifier(model)
    labels = classifier.form.labels
    options = _options(classifier, "test", on_bad_row)
    found = read_examples(parse_source(source), replace(options, labels=labels))
    _tell(found, classifier, say)
    hard = _soft_labels(classifier, found.examples).hard()
    return evaluate(np.asarray(hard), gold_columns(found.examples, labels), labels), found


def _options(classifier: Classifier, role: Role, on_bad_row: Any) -> ReadOptions:
    form = classifier.form
    return ReadOptions(role, form.columns, form.label_column, form.id_column, on_bad_row=on_bad_row, mapped=False)


def _soft_labels(classifier: Classifier, examples: Sequence[Example]) -> SoftLabels:
    if classifier.form.independent:
        raise ModelError("The classifier gives a row several labels: use `predict_several`, or `pet predict`.")
    rows = Rows.of(examples)
    classifier = _settled(classifier, rows)
    with stage_progress("labeling", len(rows)) as advance:
        probs = classifier.probabilities(rows, advance)
    return SoftLabels(rows.ids, classifier.form.labels, probs)


def _settled(classifier: Classifier, rows: Rows) -> Classifier:
    """Return a classifier that computes many rows in bfloat16 if that gives enough of some rows the same label."""
    if not isinstance(classifier, TextClassifier) or classifier.machine.scoring != "fp32":
        return classifier
    if not tries_bfloat16(classifier.machine, RunSettings(), len(rows)):
        return classifier
    quick = replace(classifier, machine=replace(classifier.machine, scoring="bf16"))
    some = rows.take(np.linspace(0, len(rows) - 1, probed_rows(len(rows))).astype(np.int64))
    labels = [one.probabilities(some).argmax(axis=1) for one in (classifier, quick)]
    return quick if float((labels[0] == labels[1]).mean()) >= AGREEMENT else classifier
