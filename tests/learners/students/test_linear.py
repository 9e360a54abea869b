"""Logistic regression on mean vectors as a stock classifier: exactly that, wherever it is loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny import FAMILIES

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import HeldOut, Learning
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.fitting import SoftTargets, logistic_regression
from pet.learners.students.linear import NARROW, SHAPES, USUAL_PENALTY, LogisticClassifier
from pet.learners.students.onnx import export_onnx, quantize_onnx
from pet.learners.students.sizes import load_for_export, load_student, new_student
from pet.settings.training import OptimizerSettings

MEAN = tuple(family for family in FAMILIES if family in SHAPES)
Build = Callable[..., TextClassifier]


def soft(rows: list[Example]) -> np.ndarray:
    return np.asarray([[0.9, 0.1] if row.label == "Sports" else [0.2, 0.8] for row in rows], np.float32)


def learned(classifier: TextClassifier, rows: list[Example], learning: Learning | None = None) -> LogisticClassifier:
    student = LogisticClassifier.on(classifier)
    student.fit(rows, soft(rows), OptimizerSettings(), np.random.default_rng(0), learning or Learning())
    return student


def test_these_families_have_it() -> None:
    assert set(MEAN) == {"bert", "roberta", "xlm-roberta"}


@pytest.mark.parametrize("family", MEAN)
def test_the_stock_model_is_the_regression_on_mean_vectors(
    new_classifier: Build, rows: list[Example], tmp_path: Path, family: str
) -> None:
    student = learned(new_classifier(family), rows)
    # By hand, from the encoder as it was.
    classifier = new_classifier(family)
    encoder, means = classifier.backbone.model.base_model, []
    for encoded in classifier.encode(rows):
        with torch.no_grad():
            states = encoder(**classifier.backbone.batch([encoded]).inputs).last_hidden_state[0]
        means.append(torch.nn.functional.layer_norm(states.mean(dim=0), states.shape[1:]).numpy())
    centred = np.stack(means) - np.mean(means, axis=0)
    vectors = np.tanh(NARROW * centred / centred.std()) / NARROW
    expected = logistic_regression(SoftTargets(vectors, soft(rows)), USUAL_PENALTY).probabilities(vectors)
    assert student.probabilities(rows) == pytest.approx(expected, abs=2e-3)  # tokens of their own weigh 1 / 10,000
    # And in the stock pipeline.
    student.save(tmp_path / "model")
    pipeline: Any = transformers.pipeline("text-classification", model=str(tmp_path / "model"), top_k=None)
    for row, probs in zip(rows[:8], student.probabilities(rows), strict=False):
        found = {one["label"]: one["score"] for one in pipeline([row.fields["text"]], truncation=True)[0]}
        assert [found["Sports"], found["Tech"]] == pytest.approx(probs, abs=1e-4)


@pytest.mark.parametrize("family", MEAN)
def test_bfloat16_says_the_same(new_classifier: Build, rows: list[Example], tmp_path: Path, family: str) -> None:
    student = learned(new_classifier(family), rows)
    student.save(tmp_path)
    quick = load_student(tmp_path, Machine(torch.device("cpu"), "bf16"))
    found, exact = quick.probabilities(rows), student.probabilities(rows)
    assert found == pytest.approx(exact, abs=0.05)
    assert (found.argmax(1) == exact.argmax(1)).mean() > 0.9


def test_padding_and_order_change_nothing(new_classifier: Build, rows: list[Example]) -> None:
    student = learned(new_classifier("bert"), rows)
    whole = student.probabilities(rows)
    assert np.concatenate([student.probabilities([row]) for row in rows]) == pytest.approx(whole, abs=1e-5)


def test_it_learns_and_repeats_itself(new_classifier: Build, rows: list[Example]) -> None:
    first, again = (learned(new_classifier("bert"), rows).probabilities(rows) for _ in range(2))
    assert np.array_equal(first, again)
    assert (first.argmax(1) == soft(rows).argmax(1)).mean() > 0.9


def test_rows_held_out_choose_the_penalty(new_classifier: Build, rows: list[Example]) -> None:
    """A teacher that follows the text is followed; one that does not is not."""
    held = HeldOut(rows[20:], soft(rows[20:]))
    noise = np.random.default_rng(0).permutation(soft(rows[20:]))
    sure = learned(new_classifier("bert"), rows[:20], Learning(1.0, held)).probabilities(rows)
    unsure = learned(new_classifier("bert"), rows[:20], Learning(1.0, HeldOut(rows[20:], noise))).probabilities(rows)
    assert held.fidelity(sure[20:]).divergence < held.fidelity(unsure[20:]).divergence
    assert sure.std() > unsure.std()


def test_fine_tuning_starts_there_and_is_never_worse(new_classifier: Build, rows: list[Example]) -> None:
    held = HeldOut(rows[20:], soft(rows[20:]))
    student = learned(new_classifier("bert"), rows[:20], Learning(1.0, held))
    before = held.fidelity(student.probabilities(held.examples))
    layer = student.text.backbone.model.base_model.encoder.layer[-1]
    kept = {name: value.clone() for name, value in layer.state_dict().items()}
    settings = OptimizerSettings(steps=60, batch_size=8, learning_rate=1e-2)
    log = student.text.fit(rows[:20], soft(rows[:20]), settings, np.random.default_rng(0), Learning(1.0, held))
    after = held.fidelity(student.text.probabilities(held.examples))
    assert after.rank >= before.rank
    assert log.kept is not None and log.kept <= log.updates <= 60
    assert all(torch.equal(value, kept[name]) for name, value in layer.state_dict().items())


def test_a_scale_and_offsets_are_folded_in(new_classifier: Build, rows: list[Example], tmp_path: Path) -> None:
    student = learned(new_classifier("roberta"), rows)
    before = student.probabilities(rows).astype(np.float64)
    student.rescale(0.5, np.array([1.0, 0.0]))
    expected = np.sqrt(before) * np.exp([1.0, 0.0])
    student.save(tmp_path)
    found = load_student(tmp_path, student.text.machine).probabilities(rows)
    assert found == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-4)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(MEAN)))
def test_another_family_is_refused(folders: dict[str, Path], new_classifier: Build, family: str) -> None:
    classifier = new_classifier(family)
    with pytest.raises(ModelError, match=f"size = \"logistic\" cannot be made of the '{family}' model"):
        new_student("logistic", ModelSource(family, folders[family]), classifier.form, classifier.machine, 0)


@pytest.mark.slow
def test_it_is_exported_and_quantized(
    new_classifier: Build, rows: list[Example], machine: Machine, tmp_path: Path
) -> None:
    student = learned(new_classifier("bert"), rows)
    student.save(tmp_path / "model")
    export_onnx(load_for_export(tmp_path / "model"), tmp_path / "model", tmp_path / "onnx")
    exact = student.probabilities(rows)
    assert load_student(tmp_path / "onnx", machine).probabilities(rows) == pytest.approx(exact, abs=1e-4)
    quantize_onnx(tmp_path / "onnx", tmp_path / "int8", careful=True)
    found = load_student(tmp_path / "int8", machine).probabilities(rows)
    assert (found.argmax(1) == exact.argmax(1)).mean() > 0.9
