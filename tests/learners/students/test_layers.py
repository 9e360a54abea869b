"""Half of an encoder: the right layers, as they were, in a folder that transformers loads."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import FAMILIES, save_tiny
from torch import nn

from pet.errors import ModelError
from pet.learners import ClassifierForm, ModelSource, TextClassifier
from pet.learners.deltas.families import layers
from pet.learners.students import load_student, new_student
from pet.learners.students.layers import kept_layers, shorten_encoder

FORM = ClassifierForm(("Sports", "Tech"), {"text": "text"}, 64)


def source_of(family, folder, count=5):
    name = "n_layers" if family == "distilbert" else "num_hidden_layers"
    return ModelSource(family, save_tiny(family, folder, **{name: count}))


@pytest.mark.parametrize(
    ("count", "kept"), [(1, [0]), (2, [0]), (3, [0, 2]), (6, [0, 2, 5]), (12, [0, 2, 4, 7, 9, 11])]
)
def test_the_layers_kept_are_spread_over_all(count, kept):
    assert kept_layers(count) == kept


@pytest.mark.parametrize("family", FAMILIES)
def test_half_of_the_layers_as_they_were(family, tmp_path, machine, rows):
    source = source_of(family, tmp_path / "source")
    whole = TextClassifier.from_source(source, FORM, machine, 0)
    half = new_student("small", source, FORM, machine, 0)
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


def test_a_layer_keeps_its_kind_of_attention(tmp_path, machine):
    source = source_of("modernbert", tmp_path / "source", 4)  # global, local, global, local
    model = new_student("small", source, FORM, machine, 0).backbone.model
    assert model.config.layer_types == ["full_attention", "sliding_attention"]
    assert [layer.attention_type for layer in layers(model)] == model.config.layer_types


def test_what_has_no_half_is_refused(tmp_path, machine, refuses):
    source = source_of("bert", tmp_path / "one", 1)
    refuses(ModelError, lambda: new_student("small", source, FORM, machine, 0), "'bert'", "has 1 layer(s)", '"static"')
    strange = SimpleNamespace(config=SimpleNamespace(model_type="strange", num_hidden_layers=3))
    strange.base_model = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]) for _ in range(2)])
    refuses(ModelError, lambda: shorten_encoder(strange), "2 lists of 3 layers", "'strange'", '"same"')
    strange.base_model = nn.Linear(2, 2)
    refuses(ModelError, lambda: shorten_encoder(strange), "0 lists of 3 layers")
