from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import FAMILIES, save_tiny
from transformers import AutoModelForMaskedLM

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.families import FAMILIES as KNOWN
from pet.learners.models.families import family_of, layers
from pet.prompts.pvp import PVP


def test_the_table_has_the_nine_families() -> None:
    assert sorted(KNOWN) == sorted(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_and_their_parts(backbones: dict[str, Backbone], family: str) -> None:
    model = backbones[family].model
    names, found = family_of(model), layers(model)
    assert len(found) == (1 if family == "albert" else 2)
    for layer in found:
        query, value = layer.get_submodule(names.query), layer.get_submodule(names.value)
        assert query.out_features == value.out_features == (96 if family == "modernbert" else 32)
        assert (query is value) == (family == "modernbert")
        assert layer.get_submodule(names.attention_output).in_features == 32
        assert layer.get_submodule(names.ffn_output).in_features == 64


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_of_both_parts_are_what_is_added_to_the_residual_stream(
    backbones: dict[str, Backbone], family: str, pvp: PVP, few: list[Example]
) -> None:
    """With both outputs set to zero, and norms that leave as much of a vector as they can, a layer is the identity."""
    backbone = backbones[family]
    model, names = backbone.model, family_of(backbone.model)
    handles, seen = [], []
    for layer in layers(model):
        for name in (names.attention_output, names.ffn_output):
            handles.append(layer.get_submodule(name).register_forward_hook(lambda *parts: torch.zeros_like(parts[2])))
        for module in layer.modules():
            if isinstance(module, torch.nn.LayerNorm):
                handles.append(module.register_forward_hook(lambda *parts: parts[1][0]))
        handles.append(layer.register_forward_hook(lambda _, given, found: seen.append((given[0], found))))
    model(**backbone.batch(PatternEncoder(pvp.pattern, backbone.pieces, 64).encode(few)).inputs)
    for handle in handles:
        handle.remove()
    assert len(seen) == 2
    for given, found in seen:
        torch.testing.assert_close(found[0] if isinstance(found, tuple) else found, given)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_transform_is_the_head_without_the_vocabulary(backbones: dict[str, Backbone], family: str) -> None:
    model = backbones[family].model
    encoder = {id(weight) for weight in model.base_model.parameters()}
    head = {name for name, weight in model.named_parameters() if id(weight) not in encoder}
    known = dict(model.named_modules())
    transform = {
        f"{module}.{name}"
        for module in family_of(model).transform
        if module in known
        for name, _ in known[module].named_parameters()
    }
    assert len(head - transform) == 1
    assert transform < head
    assert next(model.get_parameter(name).shape for name in head - transform) == (model.config.vocab_size,)


def test_the_new_head_of_deberta(tmp_path: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(save_tiny("deberta-v2", tmp_path, legacy=False))
    parts = [name for name in family_of(model).transform if name in dict(model.named_modules())]
    assert parts == ["lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm"]


def test_an_unknown_family(refuses: Callable[..., None]) -> None:
    model = SimpleNamespace(config=SimpleNamespace(model_type="t5"))
    for call in (family_of, layers):
        refuses(ModelError, lambda call=call: call(model), "'t5'", "roberta", "another model", 'weights = "full"')
