"""Labels for new texts from a finished classifier, and how good they are on labeled ones."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pet.data.dataset import indices
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.errors import ModelError, UsageError, shown
from pet.labeling.drift import Sketch
from pet.labeling.votes import SoftLabels
from pet.learners.models.machine import Machine
from pet.learners.models.readability import readability
from pet.learners.models.sources import quiet_transformers
from pet.learners.students.base import Classifier, ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.sizes import load_student
from pet.learners.students.sketch import Scorer, read_sketch
from pet.method.trial import AGREEMENT, probed_rows, tries_bfloat16
from pet.runs.progress import stage_progress
from pet.settings.run import RunSettings
from pet.using.inputs import rows_of

Texts = Iterable[str | Sequence[str] | Mapping[str, str]] | Mapping[str, Sequence[str]]
"""Rows as Python code has them; tables of pandas and others are iterables of them, too."""

ENOUGH_WORDS = 100
"""Of fewer words the number of pieces says little."""


@dataclass(frozen=True)
class Prediction:
    """The label of one text, its probability, and the probabilities of all labels.

    `accept` says whether to trust it, where a precision or a confidence was wished for; `unfamiliar` whether the text
    is unlike all of the run's pool (None: nothing tells, for the pool was small or the classifier has no vectors);
    `choice` is the candidate that was chosen, of rows that have some: the label is its index.
    """

    label: str
    confidence: float
    probs: dict[str, float]
    accept: bool | None = None
    unfamiliar: bool | None = None
    choice: str | None = None


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
    # What is to be tried first is float32 until then, see `settled`.
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
    sketch = sketch_of(classifier)
    scorer = Scorer.of(settled(classifier, Rows.of(examples)), sketch)
    limit = sketch.limit if sketch and scorer.references else None
    with stage_progress("labeling", len(examples)) as advance:
        scores = scorer.scores(examples, advance)
    labels = labels_of(classifier, scores.shape[1])
    k = len(labels)
    return [
        Prediction(
            label=labels[best],
            confidence=float(row[best]),
            probs={label: float(p) for label, p in zip(labels, row, strict=False)},
            accept=None if threshold is None else bool(row[best] >= threshold),
            unfamiliar=None if limit is None else bool(row[k] > limit),
            choice=example.choices[best] if example.choices else None,
        )
        for best, row, example in zip(scores[:, :k].argmax(axis=1), scores, examples, strict=True)
    ]


def sketch_of(classifier: Classifier) -> Sketch | None:
    """Return what a classifier with vectors keeps of its pool, where it was loaded from its folder."""
    if not isinstance(classifier, TextClassifier) or classifier.form.chooses:
        return None
    return read_sketch(classifier.backbone.source.folder, len(classifier.form.labels))


def doubts(classifier: Classifier, rows: Sequence[Example]) -> tuple[str, ...]:
    """Say so where the tokenizer of a classifier does not know the words of rows."""
    found = readability(classifier.tokenizer, rows)
    if found.words < ENOUGH_WORDS and not found.unreadable:
        return ()
    problem = found.problem("the classifier")
    return (f"{problem}: take one that was made of a model that reads their language",) if problem else ()


def soft_labels(classifier: Classifier, examples: Sequence[Example]) -> SoftLabels:
    """Return what a classifier says of rows."""
    rows = Rows.of(examples)
    classifier = settled(classifier, rows)
    with stage_progress("labeling", len(rows)) as advance:
        probs = classifier.probabilities(rows, advance)
    return SoftLabels(rows.ids, labels_of(classifier, probs.shape[1]), probs)


def labels_of(classifier: Classifier, columns: int) -> tuple[str, ...]:
    """Return the labels of so many columns of probabilities: a row may have more candidates than any that was seen."""
    return indices(columns) if classifier.form.chooses else classifier.form.labels


def settled(classifier: Classifier, rows: Rows) -> Classifier:
    """Return a classifier that computes many rows in bfloat16 if that gives enough of some rows the same label."""
    if not isinstance(classifier, TextClassifier) or classifier.machine.scoring != "fp32":
        return classifier
    if not tries_bfloat16(classifier.machine, RunSettings(), len(rows)):
        return classifier
    quick = replace(classifier, machine=replace(classifier.machine, scoring="bf16"))
    some = rows.take(np.linspace(0, len(rows) - 1, probed_rows(len(rows))).astype(np.int64))
    labels = [one.probabilities(some).argmax(axis=1) for one in (classifier, quick)]
    return quick if float((labels[0] == labels[1]).mean()) >= AGREEMENT else classifier
