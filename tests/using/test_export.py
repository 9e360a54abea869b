"""Exported classifiers of runs: compared with the original on its rows, put in their place whole or not at all."""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy import rows_of
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.data.examples import Example
from pet.errors import ConfigError, ModelError, RunError
from pet.learners.students.base import Classifier
from pet.learners.students.onnx import OnnxClassifier
from pet.pipeline import distill
from pet.runs.atomic import write_folder
from pet.settings.run import RunSettings
from pet.using import export as exports
from pet.using.export import export_classifier
from pet.using.predict import load_classifier

TEXTS = [str(row["text"]) for row in rows_of("test", 4)]


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_an_exported_run_predicts_as_the_run_does(copied: Path, tmp_path: Path) -> None:
    found = command("export", copied, "--to", "onnx")
    assert found.exit_code == 0, found.output
    assert "100.0% of the labels are the same on 48 rows" in found.stderr
    assert found.stdout.split() == ["onnx", str(copied / "onnx")]
    assert isinstance(load_classifier(copied / "onnx"), OnnxClassifier)
    expected = pet.predict(copied, TEXTS, RunSettings(precision="fp32"))  # what is exported
    for one, other in zip(pet.predict(copied / "onnx", TEXTS), expected, strict=True):
        assert one.probs == pytest.approx(other.probs, abs=1e-4)
    # Again, over the earlier one; and in int8, from a model folder that has no rows, to a place of one's own.
    assert command("export", copied, "--to", "onnx").exit_code == 0
    found = command("export", copied / "model", "--to", "onnx", "--int8", "--output-dir", tmp_path / "mine")
    assert found.exit_code == 0, found.output
    assert "on 4 rows" in found.stderr
    found = command("evaluate", tmp_path / "mine", copied.parent / "none.jsonl")
    assert found.exit_code == 2
    labels = [one.label for one in pet.predict(tmp_path / "mine", TEXTS)]
    assert sum(label == one.label for label, one in zip(labels, expected, strict=True)) >= len(TEXTS) - 1


def test_a_labeled_data_set_that_cannot_be_read_is_one_sentence(copied: Path) -> None:
    path = copied / "pseudo_labels.parquet"
    table = pq.read_table(path)
    for broken, said in (
        (table.slice(0, 0), "has no rows left"),
        (table.drop_columns(["text"]), "has no column 'text'"),
        (table.set_column(1, "text", pa.array([None] * len(table), pa.string())), "no text in the column 'text'"),
    ):
        pq.write_table(broken, path)
        found = command("export", copied, "--to", "onnx")
        assert found.exit_code == 2 and said in found.stderr and not (copied / "onnx").exists()


class Exporter:
    """Stands in for the exporter: what it writes says the classifier's probabilities, changed by `changes` in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *changes: Callable[[np.ndarray], np.ndarray]) -> None:
        self.classifier: Any = None
        self.asked: list[bool | None] = []
        self.changes = list(changes)
        monkeypatch.setattr(exports, "export_onnx", lambda classifier, source, folder: self.write(classifier, folder))
        monkeypatch.setattr(exports, "quantize_onnx", lambda exact, folder, careful: self.write(None, folder, careful))
        monkeypatch.setattr(exports, "load_student", lambda folder, machine: self)

    def write(self, classifier: Classifier | None, folder: Path, careful: bool | None = None) -> None:
        self.classifier = classifier or self.classifier
        self.asked.append(careful)
        (folder / "model.onnx").write_bytes(b"graph")

    def probabilities(self, rows: Sequence[Example]) -> np.ndarray:
        return self.changes.pop(0)(self.classifier.probabilities(rows))


def other_labels(probs: np.ndarray) -> np.ndarray:
    return 1 - probs


def slightly_off(probs: np.ndarray) -> np.ndarray:
    return probs + 2e-4


def test_int8_leaves_more_as_it_is_where_labels_would_change(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter(monkeypatch, slightly_off)
    assert export_classifier(copied, int8=True).largest_difference == pytest.approx(2e-4, rel=1e-2)
    assert exporter.asked == [None, False]
    exporter = Exporter(monkeypatch, other_labels, slightly_off)
    assert export_classifier(copied, int8=True).same_labels == 1.0
    assert exporter.asked == [None, False, True]
    assert {path.name for path in (copied / "onnx-int8").iterdir()} == {"model.onnx", "_SUCCESS"}


def test_exports_of_two_models_side_by_side_are_two(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Exporter(monkeypatch, *[np.copy] * 3)
    for name in ("a", "b"):
        shutil.copytree(copied / "model", tmp_path / name)
        assert export_classifier(tmp_path / name).folder == tmp_path / f"{name}-onnx"
    assert export_classifier(copied / "model").folder == copied / "onnx"


@pytest.mark.parametrize("int8", [False, True])
def test_one_that_is_not_the_same_is_not_kept(copied: Path, monkeypatch: pytest.MonkeyPatch, int8: bool) -> None:
    Exporter(monkeypatch, *((other_labels, other_labels) if int8 else (slightly_off,)))
    before = sorted(path.name for path in copied.iterdir())
    hint = (
        "99% of the labels: leave out --int8" if int8 else "difference of 0.0001 at most: use the classifier as it is"
    )
    with pytest.raises(RunError, match=f"is another one: .* on 48 rows; .*{hint}"):
        export_classifier(copied, int8=int8)
    assert sorted(path.name for path in copied.iterdir()) == before


def test_what_cannot_be_exported_is_said(
    copied: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="no classifier written by pet"):
        export_classifier(tiny_model)
    with pytest.raises(ModelError, match="There is no folder"):
        export_classifier(tmp_path / "missing")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigError, match=r"taken exists already .* --output-dir"):
        export_classifier(copied, tmp_path / "taken")
    write_folder(tmp_path / "earlier", lambda folder: (folder / "model.onnx").touch())
    (tmp_path / "earlier" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"earlier exists already and is more than an exported model"):
        export_classifier(copied, tmp_path / "earlier")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = command("export", copied, "--to", "onnx")
    assert found.exit_code == 2
    assert found.stderr.strip().splitlines()[-1].endswith("install the extra, pip install 'pet-labeling[onnx]'.")
    assert not (copied / "onnx").exists()
    assert command("export", copied, "--to", "tflite").exit_code == 2
    static = distill(copied, ["distill.size=static", "distill.steps=2"], tmp_path / "static", quiet=True)
    with pytest.raises(ModelError, match=r"holds a static classifier, .* \"same\", \"small\" or \"logistic\""):
        export_classifier(static)
