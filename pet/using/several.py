"""Labels for new texts from a classifier that gives a row several, and how good they are on labeled ones."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.examples import Example
from pet.data.label_sets import label_matrix
from pet.data.output import Columns, GivenColumns, row_pieces
from pet.data.readers import ReadOptions, ReadResult, Role, read_examples
from pet.data.rows import Rows
from pet.data.source import File, parse_source
from pet.data.tables import dialect_of
from pet.data.writers import check_output, write_pieces
from pet.errors import ModelError
from pet.labeling.label_sets import SetLabels
from pet.learners.students.base import Classifier, read_form
from pet.method.several.figures import SetEvaluation, evaluate_sets
from pet.runs.progress import stage_progress
from pet.settings.run import RunSettings
from pet.using.files import given_columns
from pet.using.inputs import rows_of
from pet.using.predict import Texts, doubts, load_classifier, model_folder

_DIGITS = 6
"""A float32 has no more decimals to tell."""


@dataclass(frozen=True)
class SetPrediction:
    """The labels of one text, which may be none, and the probability of each label of the task."""

    labels: tuple[str, ...]
    probs: dict[str, float]


@dataclass(frozen=True)
class LabeledSets:
    """What was read of a file that was labeled; `given` says how many rows got each label, `without` how many none."""

    read: ReadResult
    given: Mapping[str, int]
    without: int


def gives_several(model: str | Path) -> bool:
    """Say whether the classifier of a run directory, or of a model folder, gives a row several labels.

    Raises `ModelError` if there is no classifier.
    """
    return read_form(model_folder(model)).independent


def predict_several(
    model: str | Path | Classifier, texts: Texts, settings: RunSettings | None = None
) -> list[SetPrediction]:
    """Label texts by a classifier that gives each several; as `predict` reads them.

    Raises `ModelError` if there is no classifier, or it gives a row one label. Raises `DataError` as `predict` does.
    """
    classifier = load_classifier(model, settings) if isinstance(model, str | Path) else model
    examples = rows_of(texts, classifier.form.columns)
    for line in doubts(classifier, examples):
        warnings.warn(line, stacklevel=2)
    found = _set_labels(classifier, examples)
    return [
        SetPrediction(tuple(labels), {label: float(p) for label, p in zip(found.labels, row, strict=True)})
        for labels, row in zip(found.sets(), found.probs, strict=True)
    ]


def predict_several_file(
    model: str | Path,
    source: str,
    output: Path,
    on_bad_row: str = "error",
    say: Callable[[str], None] = lambda _: None,
    encoding: str = "utf-8",
) -> LabeledSets:
    """Label every row of a file: its columns as they are, and label, a list, and prob_<label>; say what was read.

    In a format without lists the labels are joined by the separator of the task, or are a JSON list.

    Raises `UsageError` if the model or the file cannot be used.
    """
    check_output(output, source)
    classifier, parsed = load_classifier(model), parse_source(source, encoding)
    found = read_examples(parsed, _options(classifier, "input", on_bad_row))
    for line in (*found.notes, *doubts(classifier, found.examples)):
        say(line)
    said = _set_labels(classifier, found.examples)
    typed = File.at(output).suffix in (".jsonl", ".json", ".parquet")
    given = given_columns(found, classifier.form, typed)
    separator = "" if typed else classifier.form.label_separator
    write_pieces(output, lambda: _pieces(found.examples, given, said, separator), dialect_of(parsed))
    chosen = said.chosen()
    counts = dict(zip(said.labels, chosen.sum(axis=0).tolist(), strict=True))
    return LabeledSets(found, counts, int((~chosen.any(axis=1)).sum()))


def evaluate_several_file(
    model: str | Path,
    source: str,
    on_bad_row: str = "error",
    say: Callable[[str], None] = lambda _: None,
    encoding: str = "utf-8",
) -> tuple[SetEvaluation, ReadResult]:
    """Compare a classifier that gives several labels with those of a file; return what was read, too.

    Raises `DataError` if a row has a label that the classifier does not know.
    """
    classifier = load_classifier(model)
    found = read_examples(parse_source(source, encoding), _options(classifier, "test", on_bad_row))
    for line in (*found.notes, *doubts(classifier, found.examples)):
        say(line)
    labels = classifier.form.labels
    chosen = _set_labels(classifier, found.examples).chosen()
    return evaluate_sets(chosen, label_matrix(found.examples, labels), labels), found


def _pieces(examples: Rows, given: GivenColumns, said: SetLabels, separator: str) -> Iterator[Columns]:
    names = [given.beside(name) for name in ("label", *(f"prob_{label}" for label in said.labels))]
    for rows in row_pieces(len(examples)):
        part = SetLabels(said.ids[rows], said.labels, said.probs[rows], said.thresholds)
        sets: list[Any] = list(part.sets())
        labels = [separator.join(one) for one in sets] if separator else sets
        probs = part.probs.astype(np.float64).round(_DIGITS).T.tolist()
        yield given.columns(examples[rows]) | dict(zip(names, [labels, *probs], strict=True))


def _options(classifier: Classifier, role: Role, on_bad_row: Any) -> ReadOptions:
    form = classifier.form
    columns = (form.columns, form.label_column, form.id_column)
    return ReadOptions(role, *columns, form.labels, on_bad_row, mapped=False, separator=form.label_separator)


def _set_labels(classifier: Classifier, examples: Sequence[Example]) -> SetLabels:
    thresholds = classifier.form.thresholds
    if thresholds is None:
        raise ModelError("The classifier gives a row one label: use `predict`.")
    rows = Rows.of(examples)
    with stage_progress("labeling", len(rows)) as advance:
        probs = classifier.probabilities(rows, advance)
    return SetLabels(rows.ids, classifier.form.labels, probs, np.asarray(thresholds))
