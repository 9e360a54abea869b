"""Labels for new texts from a finished classifier, and how good they are on labeled ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.examples import Example
from pet.data.output import Columns, OutputNames, row_pieces
from pet.data.readers import ReadOptions, ReadResult, Role, read_examples
from pet.data.rows import Rows
from pet.data.source import parse_source
from pet.data.streams import has_byte_order_mark
from pet.data.writers import check_output, write_pieces
from pet.errors import DataError, ModelError
from pet.labeling.votes import SoftLabels
from pet.learners.models.machine import Machine
from pet.learners.models.sources import quiet_transformers
from pet.learners.students.base import Classifier
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.sizes import load_student
from pet.method.metrics import Evaluation, evaluate, gold_columns
from pet.method.trial import AGREEMENT, PROBED_ROWS, tries_bfloat16
from pet.runs.progress import stage_progress
from pet.settings.run import RunSettings

_DIGITS = 6
"""A float32 has no more decimals to tell."""


@dataclass(frozen=True)
class Prediction:
    """The label of one text, its probability, and the probabilities of all labels."""

    label: str
    confidence: float
    probs: dict[str, float]


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
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}: give a run directory, or its model folder.")
    if (folder / "manifest.json").is_file():
        if not (folder / "model" / "config.json").is_file():
            raise ModelError(f"The run in {folder} has no classifier yet: finish it with `pet run` or `pet distill`.")
        return folder / "model"
    return folder


def predict(
    model: str | Path | Classifier, texts: Sequence[str | Sequence[str]], settings: RunSettings | None = None
) -> list[Prediction]:
    """Label texts, or tuples of texts in the order of the task's fields. A folder is loaded anew by each call.

    Raises `ModelError` if there is no classifier. Raises `DataError` if a row does not have the classifier's number
    of fields, or one of them is no text.
    """
    if isinstance(texts, str):
        raise DataError(f"Expected a list of texts, found one text: write [{texts[:40]!r}].")
    classifier = load_classifier(model, settings) if isinstance(model, str | Path) else model
    names = tuple(classifier.form.columns)
    examples = []
    for i, text in enumerate(texts):
        values = (text,) if isinstance(text, str) else tuple(text)
        if len(values) != len(names):
            raise DataError(f"Row {i} has {len(values)} text(s), expected {len(names)}: {', '.join(names)}.")
        if wrong := [value for value in values if not _is_text(value)]:
            raise DataError(f"Row {i} holds {str(wrong[0])[:40]!a}, which is no text: leave it out.")
        if not any(map(str.strip, values)):
            raise DataError(f"Row {i} is blank: leave it out.")
        examples.append(Example(str(i), dict(zip(names, values, strict=True))))
    soft = _soft_labels(classifier, examples)
    return [
        Prediction(soft.labels[k], float(row[k]), {label: float(p) for label, p in zip(soft.labels, row, strict=True)})
        for k, row in zip(soft.hard(), soft.probs, strict=True)
    ]


def _is_text(value: object) -> bool:
    """Say whether a tokenizer takes a value: it takes no half of a surrogate pair."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value))


def predict_file(model: str | Path, source: str, output: Path, on_bad_row: str = "error") -> ReadResult:
    """Label every row of a file and write it with columns label, confidence and prob_<label>; return what was read.

    Raises `UsageError` if the model or the file cannot be used.
    """
    check_output(output, source)
    classifier = load_classifier(model)
    parsed = parse_source(source)
    found = read_examples(parsed, _options(classifier, "input", on_bad_row))
    soft = _soft_labels(classifier, found.examples)
    marked = has_byte_order_mark(parsed)
    write_pieces(output, lambda: prediction_pieces(found.examples, found.fields, soft), marked=marked)
    return found


def prediction_pieces(examples: Rows, columns: Mapping[str, str], soft: SoftLabels) -> Iterator[Columns]:
    """Yield id, fields and the user's columns, then label, confidence and prob_<label>, of some rows at a time.

    A label that the input had is kept as ``input_label``.
    """
    probs = [f"prob_{label}" for label in soft.labels]
    given = any(row.label for row in examples)
    reserved = {"id", "label", "confidence", *probs, *(["input_label"] if given else [])}
    names = OutputNames.of(examples, columns, reserved.__contains__)
    for rows in row_pieces(len(examples)):
        part = examples[rows]
        found = SoftLabels(soft.ids[rows], soft.labels, soft.probs[rows])
        table = names.columns(part) | ({"input_label": [row.label for row in part]} if given else {})
        table["label"] = [found.labels[k] for k in found.hard()]
        shown = found.probs.astype(np.float64).round(_DIGITS)
        table["confidence"] = shown.max(axis=1).tolist()
        yield table | {name: shown[:, k].tolist() for k, name in enumerate(probs)}


def evaluate_file(model: str | Path, source: str, on_bad_row: str = "error") -> tuple[Evaluation, ReadResult]:
    """Compare a classifier with the labels of a file; return what was read, too.

    Raises `DataError` if a row has no label, or one that the classifier does not know.
    """
    classifier = load_classifier(model)
    labels = classifier.form.labels
    options = _options(classifier, "test", on_bad_row)
    found = read_examples(parse_source(source), replace(options, labels=labels))
    hard = _soft_labels(classifier, found.examples).hard()
    return evaluate(np.asarray(hard), gold_columns(found.examples, labels), labels), found


def _options(classifier: Classifier, role: Role, on_bad_row: Any) -> ReadOptions:
    form = classifier.form
    return ReadOptions(role, form.columns, form.label_column, form.id_column, on_bad_row=on_bad_row, mapped=False)


def _soft_labels(classifier: Classifier, examples: Sequence[Example]) -> SoftLabels:
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
    some = rows.take(np.linspace(0, len(rows) - 1, PROBED_ROWS).astype(np.int64))
    labels = [one.probabilities(some).argmax(axis=1) for one in (classifier, quick)]
    return quick if float((labels[0] == labels[1]).mean()) >= AGREEMENT else classifier
