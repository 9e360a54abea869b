"""The final classifier in its sizes, made new or read from its folder.

"same" is the encoder it starts from, "small" every other layer of it, "static" the mean of its token vectors,
"logistic" the encoder as it is under a linear layer; "auto" begins with that one, and trains more where needed.
"""

import json
from pathlib import Path

import torch

from pet.errors import ModelError
from pet.learners.models.backbone import check_classifier
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, find_model
from pet.learners.students.base import Classifier, ClassifierForm, Student, read_form
from pet.learners.students.choosing import ChoiceClassifier
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.layers import check_half, shorten_encoder
from pet.learners.students.linear import LogisticClassifier, check_mean
from pet.learners.students.onnx import ONNX_FILE, OnnxClassifier
from pet.learners.students.static import MODEL_TYPE, StaticClassifier
from pet.settings.training import DistillSettings, StudentSize


def student_sources(
    settings: DistillSettings, own: ModelSource, *encoders: ModelSource | None
) -> tuple[ModelSource, ...]:
    """Return the models that the final classifier may start from: one, or with "auto" `encoders` and the voters' `own`.

    Raises `ModelError` if there is no such model.
    """
    if settings.model == "auto":
        return (*filter(None, encoders), own)
    return (own if settings.model == "same" else find_model(settings.model),)


def check_student(settings: DistillSettings, own: ModelSource, encoder: ModelSource | None = None) -> None:
    """Refuse a final classifier that cannot be made of a model it is to start from: a ModelError says so."""
    for source in student_sources(settings, own, encoder):
        check_classifier(source)
        if settings.size == "small":
            check_half(source.config)
        if settings.size == "logistic":
            check_mean(source)


def new_encoder(
    size: StudentSize, source: ModelSource, form: ClassifierForm, machine: Machine, seed: int
) -> TextClassifier:
    """Make a stock classifier out of a pretrained model, half of its layers if "small"; its head is from `seed`.

    Raises `ModelError` if the model cannot be a classifier, or not one of that size.
    """
    kind = ChoiceClassifier if form.chooses else TextClassifier
    classifier = kind.from_source(source, form, machine, seed)
    if size == "small":
        shorten_encoder(classifier.backbone.model)
    return classifier


def new_student(size: StudentSize, source: ModelSource, form: ClassifierForm, machine: Machine, seed: int) -> Student:
    """Make an untrained classifier of a size; of "auto" the one that trains longest, the whole encoder.

    Raises `ModelError` if the model cannot be a classifier, or not one of that size.
    """
    if size == "static":
        return StaticClassifier.from_source(source, form)
    classifier = new_encoder(size, source, form, machine, seed)
    return LogisticClassifier.on(classifier) if size == "logistic" else classifier


def load_student(folder: Path, machine: Machine) -> Classifier:
    """Load a classifier of any kind from its folder, which says what it is.

    Raises `ModelError` if it is no classifier of ours, or a file of it is missing or broken.
    """
    form = read_form(folder)
    if (folder / ONNX_FILE).is_file():
        return OnnxClassifier.load(folder, form)
    if _is_static(folder):
        return StaticClassifier.load(folder, form)
    if form.chooses:
        return ChoiceClassifier.load(folder, machine)
    return TextClassifier.load(folder, machine)


def load_for_export(folder: Path) -> TextClassifier:
    """Load a classifier that can be exported, in float32 on the CPU.

    Raises `ModelError` if it is no classifier of ours, or of a kind that is not exported.
    """
    if read_form(folder).chooses:
        raise ModelError(
            f"{folder} chooses among the candidates of a row, which no exported graph does: use it as it is."
        )
    if (folder / ONNX_FILE).is_file():
        raise ModelError(f"{folder} is an exported model already: give the run directory, or its model folder.")
    if _is_static(folder):
        raise ModelError(
            f"{folder} holds a static classifier, which is one table and has nothing to gain from ONNX: "
            'use it as it is, or export one of size "same", "small" or "logistic".'
        )
    return TextClassifier.load(folder, Machine(torch.device("cpu"), "fp32"))


def _is_static(folder: Path) -> bool:
    return bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") == MODEL_TYPE)
