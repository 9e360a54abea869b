"""Training some of a model's own weights, or all of them."""

from typing import Any, Literal

import torch
from torch import nn

from pet.errors import ModelError
from pet.learners.models.delta import Delta, copies_of, copy_into
from pet.learners.models.families import family_of

Part = Literal["full", "none", "bitfit", "layernorm", "head"]


class Selected(Delta):
    """Some of the model's own weights train, the others are frozen.

        full       every weight
        none       no weight
        bitfit     the biases of the encoder and of the head before the vocabulary (2106.10199, section 3)
        layernorm  weights and biases of the layer normalizations, where they have them
        head       the masked-LM head: its transform and the bias of the vocabulary

    The bias of the vocabulary has no part in `bitfit`: in a small model it would be most of what trains. The decoder
    matrix is that of the word embeddings, or stands for it: `head` leaves it.

    `detach` brings the starting values back and keeps the trained ones for the next `attach`. Not so for `full`, which
    would take two more models of memory: there the trained values stay in the model until it is reset, and the delta
    cannot be attached again.

    Raises `ModelError` if the model has no such weights, or its parts are not known (`bitfit`, `head`).
    """

    def __init__(self, model: Any, part: Part) -> None:
        super().__init__(model)
        self.part = part
        self._names = _names_of(model, part)
        self._start: dict[str, torch.Tensor] = {}
        self._trained: dict[str, torch.Tensor] = {}
        self._lost = False
        if not self._names and part != "none":
            raise ModelError(
                f'weights = "{part}" finds nothing to train in this {model.config.model_type!r} model, it has no such '
                "weights: choose another model or other weights."
            )

    def attach(self) -> None:
        """Freeze all but the part, and go on from its trained values if it has any."""
        if self._lost:
            raise ModelError(
                "The weights of a voter that trains all of them are gone, the model has been used for another one "
                "since: save it before, or train it again."
            )
        super().attach()
        own = self.tensors()
        for tensor in own.values():
            tensor.requires_grad_(True)
        if self.part != "full":
            self._start = copies_of(own)
            if self._trained:
                copy_into(own, self._trained)

    def detach(self) -> None:
        """Bring the starting values back (not for `full`) and unfreeze the model."""
        if self._start:
            self._trained = copies_of(self.tensors())
            copy_into(self.tensors(), self._start)
            self._start = {}
        self._lost = self.part == "full"
        super().detach()

    def tensors(self) -> dict[str, nn.Parameter]:
        """Return the model's weights that train, by their names in it; tied ones are there once."""
        weights = dict(self.model.named_parameters())
        return {name: weights[name] for name in self._names}


def _names_of(model: Any, part: Part) -> tuple[str, ...]:
    """Return the names of the weights of a part, in the model's order."""
    weights = dict(model.named_parameters())
    match part:
        case "full":
            return tuple(weights)
        case "none":
            return ()
        case "layernorm":
            norms = (module for module in model.modules() if isinstance(module, nn.LayerNorm | nn.RMSNorm))
            wanted = {id(weight) for norm in norms for weight in norm.parameters()}
            return tuple(name for name, weight in weights.items() if id(weight) in wanted)
    encoder = {id(weight) for weight in model.base_model.parameters()}
    transform = tuple(f"{module}." for module in family_of(model).transform)
    if part == "bitfit":
        biases = {name: weight for name, weight in weights.items() if name.endswith(".bias")}
        return tuple(name for name, bias in biases.items() if id(bias) in encoder or name.startswith(transform))
    head = [name for name, weight in weights.items() if id(weight) not in encoder]
    outer = [name for name in head if weights[name].dim() == 1 and not name.startswith(transform)]
    # A decoder that is not tied has a bias of its own; the other one, which comes first, is then idle.
    return (*(name for name in head if name.startswith(transform)), *outer[-1:])
