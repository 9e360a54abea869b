"""Half of an encoder: the right layers, as they were, in a folder that transformers loads."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES, save_tiny
from torch import nn
from transformers import EsmConfig, LongformerConfig, LongformerForSequenceClassification

import pet
from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.families import layers
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.layers import check_half, kept_layers, shorten_encoder
from pet.learners.students.sizes import load_student, new_student
from pet.method.plan.plan import prepare

FORM = ClassifierForm(("Sports", "Tech"), {"text": "text"}, 64)


def source_of(family: str, folder: Path, count: int = 5) -> ModelSource:
    name = "n_layers" if family == "distilbert" else "num_hidden_layers"
    return ModelSource(family, save_tiny(family, folder, **{name: count}))


@pytest.mark.parametrize(
    ("count", "kept"), [(1, [0]), (2, [0]), (3, [0, 2]), (6, [0, 2, 5]), (12, [0, 2, 4, 7, 9, 11])]
)
def test_the_layers_kept_are_spread_over_all(count: int, kept: list[int]) -> None:
    assert kept_layers(count) == kept


@pytest.mark.parametrize("family", FAMILIES)
def test_half_of_the_layers_as_they_were(family: str, tmp_path: Path, machine: Machine, rows: list[Example]) -> None:
    source = source_of(family, tmp_path / "source")
    whole = TextClassifier.from_source(source, FORM, machine, 0)
    half: Any = new_student("small", source, FORM, machine, 0)
    model = half.backbone.model
    assert model.config.num_hidden_layers == 3
    if family != "albert":  # one set of weights, applied three times
        before, after = layers(whole.backbone.model), layers(model)
        assert len(after) == 3
        for i, layer in zip((0, 2, 4), after, strict=True):
            weights = layer.state_dict()
            assert all(torch.equal(weights[name], value) for name, value in before[i].state_dict().items())
    assert np.abs(half.probabilities(rows) - whole.probabilities(rows)).max() > 1e-6
    half.save(tmp_path / "saved")
    loaded = load_student(tmp_path / "saved", machine)
    assert loaded.probabilities(rows) == pytest.approx(half.probabilities(rows), abs=1e-6)


def test_a_layer_keeps_its_kind_of_attention(tmp_path: Path, machine: Machine) -> None:
    source = source_of("modernbert", tmp_path / "source", 4)  # global, local, global, local
    half: Any = new_student("small", source, FORM, machine, 0)
    model = half.backbone.model
    assert model.config.layer_types == ["full_attention", "sliding_attention"]
    assert [layer.attention_type for layer in layers(model)] == model.config.layer_types


def test_a_plan_knows_that_there_is_no_half(tmp_path: Path, toy_pipeline: Path, refuses: Callable[..., None]) -> None:
    name = save_tiny("bert", tmp_path / "one", num_hidden_layers=1).as_posix()
    settings = pet.RunConfig.from_toml(toy_pipeline, [f"model.name={name}", "distill.size=small"])
    refuses(ModelError, lambda: prepare(settings), "has 1 layer(s)", '"same" or "static"')


def small_config(kind: type[Any], **settings: Any) -> Any:
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50}
    return kind(**sizes, num_hidden_layers=4, **settings)


def test_whether_half_can_be_loaded_again_is_known_without_weights(refuses: Callable[..., None]) -> None:
    longformer = small_config(LongformerConfig, attention_window=[2, 4, 6, 8])
    check_half(longformer)
    assert longformer.attention_window == [2, 4, 6, 8] and longformer.num_hidden_layers == 4
    esm = small_config(EsmConfig, pad_token_id=1, mask_token_id=4)
    refuses(ModelError, lambda: check_half(esm), "'esm'", "contact_head", '"static"')


def test_a_window_for_each_layer_stays_with_its_layer() -> None:
    model = LongformerForSequenceClassification(small_config(LongformerConfig, attention_window=[2, 4, 6, 8]))
    shorten_encoder(model)
    assert model.config.attention_window == [2, 8] and len(model.longformer.encoder.layer) == 2


def test_what_has_no_half_is_refused(tmp_path: Path, machine: Machine, refuses: Callable[..., None]) -> None:
    source = source_of("bert", tmp_path / "one", 1)
    refuses(ModelError, lambda: new_student("small", source, FORM, machine, 0), "'bert'", "has 1 layer(s)", '"static"')
    strange = SimpleNamespace(config=SimpleNamespace(model_type="strange", num_hidden_layers=3))
    strange.base_model = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]) for _ in range(2)])
    refuses(ModelError, lambda: shorten_encoder(strange), "2 lists of 3 layers", "'strange'", '"same"')
    strange.base_model = nn.Linear(2, 2)
    refuses(ModelError, lambda: shorten_encoder(strange), "0 lists of 3 layers")
