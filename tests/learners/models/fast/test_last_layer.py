"""That scores and gradients are those of the whole layer stands in test_masked_lm.py, for every family."""

from typing import Any

import pytest
import torch

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch, collate
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.families import family_of, layers
from pet.learners.models.fast.last_layer import last_layer_at_masks
from pet.learners.models.masked_lm import mask_logits
from pet.learners.voters.deltas.prefix import Prefix
from pet.prompts.patterns import Pattern


def batch_of(backbone: Backbone, slots: int = 1) -> Batch:
    backbone.reset()
    encoder = PatternEncoder(Pattern("p", "It was {mask}. {text}"), backbone.pieces, 64)
    rows = encoder.encode([Example(text, {"text": text}) for text in ("good", "man plays at my city")], slots)
    return collate(rows, backbone.tokenizer.pad_token_id, backbone.uses_segments, "cpu")


def rows_of_last_layer(backbone: Backbone, batch: Batch) -> int:
    """Return how many rows the feed-forward part of the last layer computes."""
    seen = []
    last = layers(backbone.model)[-1].get_submodule(family_of(backbone.model).ffn_output)
    handle = last.register_forward_hook(lambda _m, _i, output: seen.append(output.shape[:-1].numel()))
    mask_logits(backbone.model, batch, "fp32")
    handle.remove()
    return seen[-1]


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "electra"])
def test_the_last_layer_computes_the_mask_rows_alone(backbones: dict[str, Backbone], family: str) -> None:
    backbone = backbones[family]
    batch = batch_of(backbone, 2)
    assert rows_of_last_layer(backbone, batch) == 2 * len(batch)
    assert "forward" not in vars(layers(backbone.model)[-1].attention)


def test_it_is_left_alone_where_it_would_be_wrong(backbones: dict[str, Backbone]) -> None:
    whole = lambda name: batch_of(backbones[name]).inputs["input_ids"].numel()  # noqa: E731
    for name in ("modernbert", "distilbert", "albert"):
        assert rows_of_last_layer(backbones[name], batch_of(backbones[name])) == whole(name)
    backbone = backbones["bert"]
    batch, delta = batch_of(backbone), Prefix(backbone.model, 4, "none", False, 0)
    backbone.attach(delta)
    with last_layer_at_masks(backbone.model, batch) as picked:
        assert not picked
    backbone.reset()
    last: Any = layers(backbone.model)[-1]
    last.gradient_checkpointing = True
    assert rows_of_last_layer(backbone, batch) == whole("bert")
    last.gradient_checkpointing = False


def test_an_error_leaves_the_layer_as_it_was(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    batch = batch_of(backbone)
    with pytest.raises(RuntimeError, match="stop"), last_layer_at_masks(backbone.model, batch):
        raise RuntimeError("stop")
    whole = backbone.model.base_model(**batch.inputs).last_hidden_state
    assert whole.shape[:2] == batch.inputs["input_ids"].shape
    assert torch.isfinite(whole).all()
