"""The final classifier in three sizes, made new or read from its folder.

"same" is the encoder it starts from, "small" every other layer of it, "static" the mean of its token vectors.
"""

import json
from pathlib import Path

import torch

from pet.errors import ModelError
from pet.learners.models.backbone import check_classifier
from pet.learners.models.machine import Machine
from pet.learners.models.schedules import scheduled_student
from pet.learners.models.sources import ModelSource, find_model
from pet.learners.students.base import Classifier, ClassifierForm, Student, read_form
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.layers import check_half, shorten_encoder
from pet.learners.students.onnx import ONNX_FILE, OnnxClassifier
from pet.learners.students.static import MODEL_TYPE, StaticClassifier
from pet.settings.training import DistillSettings, StudentSize


def student_source(settings: DistillSettings, own: ModelSource) -> ModelSource:
    """Return the model that the final classifier starts from: the voters' `own`, or another.

    Raises `ModelError` if there is no such model.
    """
    return own if settings.model == "same" else find_model(settings.model)


def resolved_student(settings: DistillSettings, own: ModelSource) -> DistillSettings:
    """Return the final classifier's settings without gaps; a ModelError says that it cannot be made of its model."""
    source = student_source(settings, own)
    check_classifier(source)
    if settings.size == "small":
        check_half(source.config)
    return scheduled_student(settings, source.parameters)


def new_student(size: StudentSize, source: ModelSource, form: ClassifierForm, machine: Machine, seed: int) -> Student:
    """Make a classifier of a size out of a pretrained model; its head is drawn from `seed`.

    Raises `ModelError` if the model cannot be a classifier, or not one of that size.
    """
    if size == "static":
        return StaticClassifier.from_source(source, form)
    classifier = TextClassifier.from_source(source, form, machine, seed)
    if size == "small":
        shorten_encoder(classifier.backbone.model)
    return classifier


def load_student(folder: Path, machine: Machine) -> Classifier:
    """Load a classifier of any kind from its folder, which says what it is.

    Raises `ModelError` if it is no classifier of ours, or a file of it is missing or broken.
    """
    form = read_form(folder)
    if (folder / ONNX_FILE).is_file():
        return OnnxClassifier.load(folder, form)
    if _is_static(folder):
        return StaticClassifier.load(folder, form)
    return TextClassifier.load(folder, machine)


def load_for_export(folder: Path) -> TextClassifier:
    """Load a classifier that can be exported, in float32 on the CPU.

    Raises `ModelError` if it is no classifier of ours, or of a kind that is not exported.
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
    return bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") == MODEL_TYPE)
