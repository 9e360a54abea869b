"""A smaller encoder out of a pretrained one: some of its layers, as they are."""

import copy
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from pet.errors import ModelError
from pet.learners.models.sources import first_line

_PER_LAYER = ("layer_types", "attention_window")
"""Settings of a config that have a value for each layer: of ModernBERT and its like, and of Longformer."""

_SHARED = {"albert"}  # one set of weights is applied again and again: only the number of times is less


def kept_layers(count: int) -> list[int]:
    """Return the numbers of half of the layers, rounded up, evenly spaced from the first to the last.

    The first reads the embeddings and the last feeds the head, so both stay where there is room for two. Half of the
    layers, initialised so, keeps most of what a model knows (DistilBERT 1910.01108; the choice is compared in
    2004.03844).

    >>> kept_layers(6), kept_layers(12), kept_layers(2)
    ([0, 2, 5], [0, 2, 4, 7, 9, 11], [0])
    """
    # With room for one, the first: it alone may read the embeddings without a norm of its own (ModernBERT).
    return [int(place) for place in np.rint(np.linspace(0, count - 1, -(-count // 2)))]


def shorten_encoder(model: Any) -> None:
    """Take half of the layers out of a transformers model, in place; its config says so.

    Raises `ModelError` if it has fewer than two layers, or they are not found.
    """
    count = int(getattr(model.config, "num_hidden_layers", 0))
    kind = model.config.model_type
    if count < 2:
        raise ModelError(f'The {kind!r} model has {count} layer(s), size = "small" needs two: use "same" or "static".')
    kept = kept_layers(count)
    if kind not in _SHARED:
        layers = _layer_list(model, count)
        for i in sorted(set(range(count)) - set(kept), reverse=True):
            del layers[i]
    # Whether a layer sees everything or its neighborhood, and how far: each stays what it is.
    for name in _PER_LAYER:
        values = getattr(model.config, name, None)
        if isinstance(values, list) and len(values) == count:
            setattr(model.config, name, [values[i] for i in kept])
    model.config.num_hidden_layers = len(kept)


def check_half(config: Any) -> None:
    """Refuse, without any weight, a model of which half cannot be made, saved and loaded: a ModelError says why."""
    model = None
    with torch.device("meta"):
        with suppress(Exception):  # what cannot be built without memory is built when its turn comes
            model = AutoModelForSequenceClassification.from_config(copy.deepcopy(config))  # type: ignore[no-untyped-call]
        if model is None:
            return
        shorten_encoder(model)
        try:
            loaded = AutoModelForSequenceClassification.from_config(model.config)  # type: ignore[no-untyped-call]
        except Exception as error:  # each model has its own
            raise _no_half(config, first_line(error)) from None
    names = [{name: tensor.shape for name, tensor in one.state_dict().items()} for one in (model, loaded)]
    if names[0] != names[1]:
        other = min(name for name, _ in names[0].items() ^ names[1].items())
        raise _no_half(config, f"{other} would have another shape")


def _no_half(config: Any, reason: str) -> ModelError:
    return ModelError(
        f'size = "small" cannot be made of a {config.model_type!r} model ({reason}): use "same" or "static".'
    )


def _layer_list(model: Any, count: int) -> nn.ModuleList:
    """Return the one list of modules that is as long as the config says the encoder is."""
    found = [
        module
        for module in model.base_model.modules()
        if isinstance(module, nn.ModuleList) and len(module) == count and len({type(part) for part in module}) == 1
    ]
    if len(found) != 1:
        raise ModelError(
            f"{len(found)} lists of {count} layers were found in the {model.config.model_type!r} model, expected one: "
            'size = "small" cannot be made of it; use "same" or "static".'
        )
    return found[0]
