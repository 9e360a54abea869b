"""Where the parts of a transformer layer are, by model family."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from pet.errors import ModelError


@dataclass(frozen=True)
class Family:
    """Names of the parts that weight deltas are attached to.

    `layers` is a regular expression for the names of the layers in the base model. The other names are relative to a
    layer, but those of `transform`, the modules of the head before the vocabulary, to the model, which may lack some.
    The outputs of `attention_output` and `ffn_output` are added to the residual stream. `query` and `value` are the
    same module where projections are fused.
    """

    attention_output: str
    ffn_output: str
    query: str
    value: str
    transform: tuple[str, ...]
    layers: str = r"encoder\.layer\.\d+"


_BERT = Family(
    attention_output="attention.output.dense",
    ffn_output="output.dense",
    query="attention.self.query",
    value="attention.self.value",
    transform=("cls.predictions.transform",),
)
_ROBERTA = replace(_BERT, transform=("lm_head.dense", "lm_head.layer_norm"))

FAMILIES: Mapping[str, Family] = {
    "albert": Family(
        attention_output="attention.dense",
        ffn_output="ffn_output",
        query="attention.query",
        value="attention.value",
        transform=("predictions.dense", "predictions.LayerNorm"),
        layers=r"encoder\.albert_layer_groups\.\d+\.albert_layers\.\d+",
    ),
    "bert": _BERT,
    "deberta-v2": replace(
        _BERT,
        query="attention.self.query_proj",
        value="attention.self.value_proj",
        # A model has one of two heads, as `legacy` in its configuration says.
        transform=(*_BERT.transform, "lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm"),
    ),
    "distilbert": Family(
        attention_output="attention.out_lin",
        ffn_output="ffn.lin2",
        query="attention.q_lin",
        value="attention.v_lin",
        transform=("vocab_transform", "vocab_layer_norm"),
        layers=r"transformer\.layer\.\d+",
    ),
    "electra": replace(_BERT, transform=("generator_predictions",)),
    "modernbert": Family(
        attention_output="attn.Wo",
        ffn_output="mlp.Wo",
        query="attn.Wqkv",
        value="attn.Wqkv",
        transform=("head",),
        layers=r"layers\.\d+",
    ),
    "mpnet": replace(
        _ROBERTA,
        attention_output="attention.attn.o",
        query="attention.attn.q",
        value="attention.attn.v",
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
"""By `model_type` of the configuration."""


def family_of(model: Any) -> Family:
    """Return the names of the parts of a model.

    Raises `ModelError` if they are not known for models of this type.
    """
    kind = model.config.model_type
    if kind not in FAMILIES:
        raise ModelError(
            f"The parts of the layers of {kind!r} models are not known (those of {', '.join(FAMILIES)} are): choose "
            'another model, or train with weights = "full".'
        )
    return FAMILIES[kind]


def layers(model: Any) -> list[nn.Module]:
    """Return the layers of a model, the first one first.

    A module that serves as several layers, as in ALBERT, is there once: what is attached to it is shared too. Errors
    are those of `family_of`.
    """
    pattern = family_of(model).layers
    return [module for name, module in model.base_model.named_modules() if re.fullmatch(pattern, name)]


def hidden_dropout(config: Any) -> float:
    """Return the dropout of a model's hidden states, whatever its family calls it."""
    names = ("hidden_dropout_prob", "dropout", "mlp_dropout")  # BERT and most, DistilBERT, ModernBERT
    return next((float(getattr(config, name)) for name in names if hasattr(config, name)), 0.0)
