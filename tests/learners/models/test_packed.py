"""Weights in 4 bits: unpacked value by value, and loaded as any model is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from packed_models import save_packed, unpacked_by_hand
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.packed import PACKED, unpacked
from pet.learners.models.sources import ModelSource, find_model

CPU = torch.device("cpu")
TABLE = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    folder = save_packed(tmp_path_factory.mktemp("packed"))
    return find_model(str(folder))


def test_every_value_is_the_one_computed_by_hand(packed: ModelSource) -> None:
    found, wanted = unpacked(packed.folder / PACKED), unpacked_by_hand(packed.folder)
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32 and np.array_equal(tensor.numpy(), wanted[name]), name
    assert packed.parameters == sum(array.size for array in wanted.values())


def test_rows_of_the_word_embeddings_alone(packed: ModelSource) -> None:
    whole, rows = unpacked(packed.folder / PACKED), np.array([0, 3, 7, 450])
    some = unpacked(packed.folder / PACKED, rows)
    assert torch.equal(some.pop(TABLE), whole.pop(TABLE)[torch.from_numpy(rows)])
    assert some.keys() == whole.keys() and all(torch.equal(some[name], whole[name]) for name in whole)


def test_it_is_an_encoder_and_no_masked_language_model(packed: ModelSource, refuses: Callable[..., None]) -> None:
    state, wanted = Backbone.encoder(packed, CPU).model.state_dict(), unpacked_by_hand(packed.folder)
    assert all(np.array_equal(state[name].numpy(), array) for name, array in wanted.items())
    refuses(ModelError, lambda: Backbone.masked_lm(packed, CPU), "has no masked-LM head", "masked-LM version")


def test_a_classifier_has_a_head_of_its_seed_and_is_saved_as_a_stock_one(packed: ModelSource, tmp_path: Path) -> None:
    one, other, third = (Backbone.classifier(packed, ("a", "b", "c"), CPU, seed) for seed in (1, 1, 2))
    heads = [backbone.model.classifier.weight for backbone in (one, other, third)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])
    assert one.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    one.save(tmp_path)
    assert not (tmp_path / PACKED).exists()
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    wanted = unpacked_by_hand(packed.folder)[TABLE]
    assert np.array_equal(again.bert.embeddings.word_embeddings.weight.detach().numpy(), wanted)
    assert load_file(tmp_path / "model.safetensors")["classifier.weight"].equal(heads[0])


def test_without_a_seed_the_head_must_be_there(packed: ModelSource, refuses: Callable[..., None]) -> None:
    refuses(ModelError, lambda: Backbone.classifier(packed, ("a", "b"), CPU, None), "no trained classifier")


def test_a_torn_file(tmp_path: Path, refuses: Callable[..., None]) -> None:
    source = ModelSource("torn", save_packed(tmp_path))
    (tmp_path / PACKED).write_bytes((tmp_path / PACKED).read_bytes()[:5000])
    refuses(ModelError, lambda: Backbone.encoder(source, CPU), "The weights of torn cannot be loaded")
    refuses(ModelError, lambda: source.parameters, PACKED, "fetch the model again")
