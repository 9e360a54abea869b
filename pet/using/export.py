"""A classifier in another format, compared with the one it was made of before it is put in its place."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.data.examples import Example
from pet.errors import ConfigError, RunError
from pet.learners.models.sources import quiet_transformers
from pet.learners.students.base import Classifier, ClassifierForm, read_form
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.onnx import ONNX_FILE, export_onnx, quantize_onnx
from pet.learners.students.sizes import load_for_export, load_student
from pet.method.labels import read_labeled_rows
from pet.runs.atomic import files_as_published, write_folder
from pet.runs.directory import RunDirectory
from pet.using.predict import model_folder

_ROWS = 512
"""So many rows of the run are compared."""
_SCORES_WITHIN, _SAME_LABELS = 1e-4, 0.99
_MADE_UP = ("", "a", "A short text.", "It is a longer one, with more than one sentence in it. " * 9)


@dataclass(frozen=True)
class Exported:
    """Where a classifier lies now, and how it differs on `rows` rows: in probabilities at most, and in labels."""

    folder: Path
    rows: int
    largest_difference: float
    same_labels: float

    @classmethod
    def compared(cls, folder: Path, one: Classifier, other: Classifier, rows: Sequence[Example]) -> "Exported":
        """Compare two classifiers on some rows."""
        probs, found = one.probabilities(rows), other.probabilities(rows)
        same = float((probs.argmax(axis=1) == found.argmax(axis=1)).mean())
        return cls(folder, len(rows), float(np.abs(probs - found).max()), same)

    def __str__(self) -> str:
        return (
            f"{self.same_labels:.1%} of the labels are the same on {self.rows} rows; "
            f"the probabilities differ by {self.largest_difference:.1e} at most"
        )


def export_classifier(model: str | Path, output_dir: Path | None = None, *, int8: bool = False) -> Exported:
    """Write the classifier of a run, or of a model folder, as an ONNX folder that `pet predict` reads.

    It goes to `onnx` or `onnx-int8` in the run directory, or beside a model folder under its name with that behind it,
    if not to `output_dir`. Compared are rows of the run; a model folder alone has none, and made-up ones have to do.

    Raises `ModelError` if there is no classifier, it cannot be exported, or the extra `[onnx]` is not installed.
    Raises `ConfigError` if the place is taken by something else. Raises `DataError` if the labeled data set of the
    run cannot be read, or has no rows. Raises `RunError` if its probabilities differ by more than 1e-4, or with
    `int8` more than 1 % of its labels; nothing is written.
    """
    source = model_folder(model)
    target = output_dir or _place(source, "onnx-int8" if int8 else "onnx")
    if target.exists() and not (target.is_dir() and ONNX_FILE in files_as_published(target)):
        raise ConfigError(f"{target} exists already and is more than an exported model: choose a new --output-dir.")
    quiet_transformers()
    classifier = load_for_export(source)
    rows = _rows(RunDirectory(Path(model)).pseudo_labels, read_form(source))
    found: list[Exported] = []

    def is_the_same(folder: Path) -> bool:
        found.append(Exported.compared(target, classifier, load_student(folder, classifier.machine), rows))
        return found[-1].same_labels >= _SAME_LABELS and (int8 or found[-1].largest_difference <= _SCORES_WITHIN)

    def write(folder: Path) -> None:
        if not (_write_int8 if int8 else _write_exact)(classifier, source, folder, is_the_same):
            wanted = f"{_SAME_LABELS:.0%} of the labels" if int8 else f"a difference of {_SCORES_WITHIN:g} at most"
            hint = "leave out --int8" if int8 else "use the classifier as it is"
            raise RunError(f"The exported classifier is another one: {found[-1]}. Expected {wanted}: {hint}.")

    write_folder(target, write)
    return found[-1]


def _place(model: Path, form: str) -> Path:
    """Return where the export of a model folder goes: into its run, if it has one, else beside it."""
    model = model if model.name.strip(".") else model.resolve()  # "." and ".." are no names
    of_run = RunDirectory(model.parent)
    return of_run.root / form if of_run.manifest_path.is_file() else model.with_name(f"{model.name}-{form}")


def _write_exact(classifier: TextClassifier, source: Path, folder: Path, is_the_same: Callable[[Path], bool]) -> bool:
    export_onnx(classifier, source, folder)
    return is_the_same(folder)


def _write_int8(classifier: TextClassifier, source: Path, folder: Path, is_the_same: Callable[[Path], bool]) -> bool:
    """Quantize all matrices, and if that costs too many labels, fewer of them."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        export_onnx(classifier, source, Path(scratch))
        for careful in (False, True):
            quantize_onnx(Path(scratch), folder, careful=careful)
            if is_the_same(folder):
                return True
    return False


def _rows(labeled: Path, form: ClassifierForm) -> list[Example]:
    """Return rows of a labeled data set, or made-up ones where there is none."""
    if not labeled.is_file():
        return [Example(str(i), dict.fromkeys(form.columns, text)) for i, text in enumerate(_MADE_UP)]
    return list(read_labeled_rows(labeled, form.columns, form.labels, enough=_ROWS).examples[:_ROWS])
