"""Exported classifiers: the same scores in ONNX, nearly the same in int8, and what is said without the extra."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tiny import FAMILIES
from tiny_families import save_family

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import ClassifierForm, Student
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.onnx import ONNX_FILE, OnnxClassifier, export_onnx, quantize_onnx
from pet.learners.students.sizes import load_for_export, load_student, new_student
from pet.settings.training import OptimizerSettings

pytestmark = pytest.mark.slow  # the exporter takes seconds

FIELDS = ("first", "second")
TEXTS = ("team game", "", "phone, chip! " * 7, "good [MASK] film </s>", "It was a good film " * 30)
ROWS = [
    Example(str(i), {"first": text, "second": TEXTS[(i + shift) % len(TEXTS)]})
    for shift in (1, 2)
    for i, text in enumerate(TEXTS)
]


def taught(classifier: Student) -> Student:
    """A few steps, so that rows do not all get the same scores."""
    targets = np.eye(2, dtype=np.float32)[[int(row.fields["first"] < row.fields["second"]) for row in ROWS]]
    settings = OptimizerSettings(steps=30, batch_size=5, learning_rate=5e-3, warmup=0.0)
    classifier.fit(ROWS, targets, settings, np.random.default_rng(0))
    return classifier


class SmallMemory:
    """A session with room for two rows; its error is of no class of Python's, as the runtime's is not."""

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask")]

    def run(self, _names: object, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        if len(inputs["input_ids"]) > 2:
            raise Exception("Failed to allocate memory for requested buffer of size 12")
        return [np.zeros((len(inputs["input_ids"]), 2), np.float32)]


def test_a_batch_that_does_not_fit_is_halved(new_classifier: Callable[..., TextClassifier]) -> None:
    classifier = new_classifier("bert", *FIELDS)
    small = OnnxClassifier(SmallMemory(), classifier.backbone.tokenizer, classifier.form)
    assert small.probabilities(ROWS).tolist() == [[0.5, 0.5]] * len(ROWS)


@pytest.fixture(scope="module")
def saved(new_classifier: Callable[..., TextClassifier], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a classifier and of its export."""
    folder = tmp_path_factory.mktemp("bert")
    taught(new_classifier("bert", *FIELDS)).save(folder / "model")
    export_onnx(load_for_export(folder / "model"), folder / "model", folder / "onnx")
    return folder


def test_the_scores_are_the_same(saved: Path, machine: Machine) -> None:
    classifier, exported = load_student(saved / "model", machine), load_student(saved / "onnx", machine)
    assert {path.name for path in (saved / "onnx").iterdir()} == {
        "config.json",
        "model.onnx",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert exported.form == classifier.form
    told: list[int] = []
    assert exported.probabilities(ROWS, told.append) == pytest.approx(classifier.probabilities(ROWS), abs=1e-5)
    assert sum(told) == len(ROWS)
    assert np.ptp(classifier.probabilities(ROWS)[:, 0]) > 0.1
    for row in ROWS[:3]:  # any number of rows, of any length
        assert exported.probabilities([row]) == pytest.approx(classifier.probabilities([row]), abs=1e-5)
    assert exported.probabilities([]).shape == (0, 2)
    axes = [[axis.dim_param for axis in one.type.tensor_type.shape.dim] for one in _graph(saved / "onnx").input]
    assert axes == [["batch", "length"]] * 3


def test_a_graph_that_reads_padding_is_given_rows_of_one_length(tmp_path: Path, machine: Machine) -> None:
    form = ClassifierForm(("a", "b"), {"first": "first"}, 64)
    source = ModelSource("fnet", save_family("fnet", tmp_path / "fnet"))
    taught(TextClassifier.from_source(source, form, machine, seed=0)).save(tmp_path / "model")
    export_onnx(load_for_export(tmp_path / "model"), tmp_path / "model", tmp_path / "onnx")
    exact, found = (load_student(tmp_path / name, machine) for name in ("model", "onnx"))
    assert found.probabilities(ROWS) == pytest.approx(exact.probabilities(ROWS), abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_exported(
    new_classifier: Callable[..., TextClassifier], machine: Machine, tmp_path: Path, family: str
) -> None:
    plain = new_classifier(family, *FIELDS)
    classifier = taught(new_student("small", plain.backbone.source, plain.form, machine, 0))
    classifier.save(tmp_path / "model")
    export_onnx(load_for_export(tmp_path / "model"), tmp_path / "model", tmp_path / "onnx")
    found = load_student(tmp_path / "onnx", machine).probabilities(ROWS)
    assert found == pytest.approx(classifier.probabilities(ROWS), abs=1e-4)
    quantize_onnx(tmp_path / "onnx", tmp_path / "int8", careful=True)
    assert load_student(tmp_path / "int8", machine).probabilities(ROWS) == pytest.approx(found, abs=0.1)


def test_int8(saved: Path, machine: Machine, tmp_path: Path) -> None:
    exact = load_student(saved / "onnx", machine).probabilities(ROWS)
    products = {}
    for careful in (False, True):
        folder = tmp_path / str(careful)
        quantize_onnx(saved / "onnx", folder, careful=careful)
        found = load_student(folder, machine).probabilities(ROWS)
        assert found == pytest.approx(exact, abs=0.05)
        assert not np.array_equal(found, exact)
        products[careful] = sum(node.op_type == "MatMulInteger" for node in _graph(folder).node)
    assert products[False] - products[True] == 2  # the matrix that closes the feed-forward block of each layer
    assert products[True] == 2 * 5 + 2  # those of two layers, and the head


def test_what_cannot_be_exported_or_read(
    saved: Path, machine: Machine, tmp_path: Path, refuses: Callable[..., None]
) -> None:
    refuses(ModelError, lambda: load_for_export(saved / "onnx"), str(saved / "onnx"), "exported model already")
    folder = shutil.copytree(saved / "onnx", tmp_path / "broken")
    (folder / ONNX_FILE).write_bytes(b"no graph")
    refuses(ModelError, lambda: load_student(folder, machine), str(folder / ONNX_FILE), "pet export")


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra(
    saved: Path,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuses: Callable[..., None],
    missing: str,
) -> None:
    classifier = load_for_export(saved / "model")
    monkeypatch.setitem(sys.modules, missing, None)
    export = lambda: export_onnx(classifier, saved / "model", tmp_path / "onnx")  # noqa: E731
    refuses(ModelError, export, f"ONNX needs {missing}", "pip install 'pet-labeling[onnx]'")
    assert not (tmp_path / "onnx").exists()
    if missing == "onnxruntime":
        refuses(ModelError, lambda: load_student(saved / "onnx", machine), "ONNX needs onnxruntime")


def test_a_model_that_torch_cannot_export(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(torch.onnx, "export", fails)
    classifier = load_for_export(saved / "model")
    refuses(
        ModelError,
        lambda: export_onnx(classifier, saved / "model", tmp_path),
        "cannot export this 'bert' model to ONNX (no such operator)",
    )


def _graph(folder: Path) -> Any:
    return onnx.load(folder / ONNX_FILE).graph
