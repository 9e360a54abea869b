"""The final classifier in three sizes, made new or read from its folder, and as an ONNX file.

"same" is the encoder it starts from, "small" every other layer of it, "static" the mean of its token vectors.
"""

import json
from pathlib import Path

import torch

from pet.errors import ModelError
from pet.learners.models.backbone import check_classifier
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, read_config
from pet.learners.students.base import Classifier, Student
from pet.learners.students.classifier import ClassifierForm, TextClassifier, read_form
from pet.learners.students.layers import check_half, shorten_encoder
from pet.learners.students.onnx import ONNX_FILE, OnnxClassifier, export_onnx, quantize_onnx
from pet.learners.students.static import MODEL_TYPE, StaticClassifier
from pet.settings.training import StudentSize

__all__ = [
    "ONNX_FILE",
    "Classifier",
    "OnnxClassifier",
    "StaticClassifier",
    "Student",
    "check_student",
    "export_onnx",
    "load_for_export",
    "load_student",
    "new_student",
    "quantize_onnx",
]


def check_student(size: StudentSize, source: ModelSource) -> None:
    """Check, without reading its weights, that a classifier of a size can be made out of a pretrained model.

    Raises
    ------
    ModelError
        If it cannot.
    """
    check_classifier(source)
    if size == "small":
        check_half(read_config(source))


def new_student(size: StudentSize, source: ModelSource, form: ClassifierForm, machine: Machine, seed: int) -> Student:
    """Make a classifier of a size out of a pretrained model; its head is drawn from `seed`.

    Raises
    ------
    ModelError
        If the model cannot be a classifier, or not one of that size.
    """
    if size == "static":
        return StaticClassifier.from_source(source, form)
    classifier = TextClassifier.from_source(source, form, machine, seed)
    if size == "small":
        shorten_encoder(classifier.backbone.model)
    return classifier


def load_student(folder: Path, machine: Machine) -> Classifier:
    """Load a classifier of any kind from its folder, which says what it is.

    Raises
    ------
    ModelError
        If it is no classifier of ours, or a file of it is missing or broken.
    """
    form = read_form(folder)
    if (folder / ONNX_FILE).is_file():
        return OnnxClassifier.load(folder, form)
    if _is_static(folder):
        return StaticClassifier.load(folder, form)
    return TextClassifier.load(folder, machine)


def load_for_export(folder: Path) -> TextClassifier:
    """Load a classifier that can be exported, in float32 on the CPU.

    Raises
    ------
    ModelError
        If it is no classifier of ours, or of a kind that is not exported.
    """
    read_form(folder)
    if (folder / ONNX_FILE).is_file():
        raise ModelError(f"{folder} is an exported model already: give the run directory, or its model folder.")
    if _is_static(folder):
        raise ModelError(
            f"{folder} holds a static classifier, which is one table and has nothing to gain from ONNX: "
            'use it as it is, or export one of size "same" or "small".'
        )
    return TextClassifier.load(folder, Machine(torch.device("cpu"), "fp32"))


def _is_static(folder: Path) -> bool:
    kind: object = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    return kind == MODEL_TYPE
