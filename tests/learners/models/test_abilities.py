"""What models can, as it is found out when they are opened, and that all that computes with them keeps to it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES
from tiny_families import save_family
from voters import settings_of, voter_of

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.abilities import Abilities
from pet.learners.models.backbone import Backbone
from pet.learners.models.encoder import Encoder
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.prompts.pvp import PVP

CPU = torch.device("cpu")
BF16 = Machine(CPU, "bf16")
READS_PADDING = ("convbert", "fnet", "funnel", "nystromformer", "yoso")
FORM = ClassifierForm(("Sports", "Tech"), {"text": "text"}, 64)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelSource]:
    """Write a tiny model of any family, once."""
    known: dict[str, ModelSource] = {}

    def make(family: str) -> ModelSource:
        if family not in known:
            known[family] = ModelSource(family, save_family(family, tmp_path_factory.mktemp(family)))
        return known[family]

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_common_families_leave_padding_alone_and_compute_in_bfloat16(
    backbones: dict[str, Backbone], family: str
) -> None:
    assert backbones[family].abilities == Abilities()
    assert Abilities().fit(BF16) is BF16


def alone_and_together(score: Callable[[list[Example]], Any], rows: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([np.asarray(score([row])) for row in rows]), np.asarray(score(rows))


@pytest.mark.parametrize("family", READS_PADDING)
def test_a_model_that_reads_padding_gives_a_row_the_same_scores_alone_and_beside_others(
    source: Callable[[str], ModelSource], machine: Machine, rows: list[Example], pvp: PVP, family: str
) -> None:
    few = rows[:12]
    backbone = Backbone.masked_lm(source(family), CPU)
    assert not backbone.abilities.ignores_padding
    voter = voter_of(backbone, pvp, machine, settings_of())
    classifier = TextClassifier.from_source(source(family), FORM, machine, seed=0)
    encoder = Encoder.load(source(family), machine)
    for score in (voter.scores, classifier.probabilities, lambda some: encoder.embed(some, ("text",), 64)):
        alone, together = alone_and_together(score, few)
        apart = np.abs(alone - alone[0]).max()
        assert apart > 0
        assert np.abs(alone - together).max() < 1e-3 * apart


@pytest.mark.parametrize("preset", ["pet", "adapet"])
def test_it_is_trained_on_rows_without_padding(
    source: Callable[[str], ModelSource], machine: Machine, rows: list[Example], pvp: PVP, preset: str
) -> None:
    backbone = Backbone.masked_lm(source("fnet"), CPU)
    settings = settings_of(preset, steps=2)
    voter, padded = voter_of(backbone, pvp, machine, settings), list[bool]()

    def look(_module: object, _args: object, given: dict[str, torch.Tensor]) -> None:
        padded.append(not bool(given["attention_mask"].all()))

    with backbone.model.register_forward_pre_hook(look, with_kwargs=True):
        log = voter.train(rows, settings, np.random.default_rng(0), rows)
    assert log.updates == 2 and len(padded) > 2 and not any(padded)


def test_a_classifier_is_trained_on_rows_without_padding(
    source: Callable[[str], ModelSource], machine: Machine, rows: list[Example]
) -> None:
    classifier, padded = TextClassifier.from_source(source("nystromformer"), FORM, machine, seed=0), list[bool]()

    def look(_module: object, _args: object, given: dict[str, torch.Tensor]) -> None:
        padded.append(not bool(given["attention_mask"].all()))

    targets = np.eye(2, dtype=np.float32)[np.arange(len(rows)) % 2]
    with classifier.backbone.model.register_forward_pre_hook(look, with_kwargs=True):
        classifier.fit(rows, targets, settings_of(steps=2), np.random.default_rng(0))
    assert len(padded) > 2 and not any(padded)


@pytest.mark.parametrize("preset", ["pet", "lora"])
def test_a_family_that_fails_in_bfloat16_computes_in_float32(
    source: Callable[[str], ModelSource], machine: Machine, rows: list[Example], pvp: PVP, preset: str
) -> None:
    backbone = Backbone.masked_lm(source("deberta"), CPU)
    assert not backbone.abilities.bfloat16
    settings = settings_of(preset, steps=1)
    trained = []
    for asked in (BF16, replace(machine, scoring="bf16"), machine):
        voter = voter_of(backbone, pvp, asked, settings)
        voter.train(rows, settings, np.random.default_rng(0), rows)
        trained.append(voter.scores(rows))
        backbone.reset()
    assert np.array_equal(trained[0], trained[2]) and np.array_equal(trained[1], trained[2])


def test_so_do_its_classifiers_and_its_vectors(source: Callable[[str], ModelSource], rows: list[Example]) -> None:
    classifier = TextClassifier.from_source(source("deberta"), FORM, BF16, seed=0)
    classifier.fit(rows, np.full((len(rows), 2), 0.5, np.float32), settings_of(steps=1), np.random.default_rng(0))
    encoder = Encoder.load(source("deberta"), BF16)
    assert np.isfinite(classifier.probabilities(rows)).all()
    assert np.isfinite(encoder.embed(rows, ("text",), 64)).all()
    assert classifier.machine.inference == encoder.machine.inference == "fp32"


@pytest.mark.parametrize(
    ("family", "why"),
    [("xmod", "cannot read a row of tokens alone (Input language unknown"), ("mra", "whatever the words beside it")],
)
def test_a_model_that_cannot_be_used_is_refused_when_it_is_opened(
    source: Callable[[str], ModelSource], refuses: Callable[..., None], family: str, why: str
) -> None:
    refuses(ModelError, lambda: Backbone.masked_lm(source(family), CPU), f"{family!r} model", why, "another model")


def test_opening_a_model_draws_no_number_and_changes_none(folders: dict[str, Path]) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    backbone = Backbone.masked_lm(ModelSource("bert", folders["bert"]), CPU)
    assert torch.equal(torch.rand(3), wanted)
    assert not backbone.model.training
    assert all(weight.requires_grad and weight.grad is None for weight in backbone.model.parameters())
