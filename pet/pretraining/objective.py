"""The loss of pretraining: masked tokens told by the head, and sentence embeddings kept as the start has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from pet.errors import ModelError
from pet.learners.models.masked_lm import autocast
from pet.pretraining.masking import MaskedBatch

__all__ = ["Objective", "masked_logits"]


@dataclass(frozen=True)
class Objective:
    """The masked-LM loss of a model, and `weight` times 1 - cosine to the embeddings of the frozen `start`."""

    model: Any
    precision: str
    weight: float = 0.0
    start: Any = None

    def terms(self, batch: MaskedBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sum of the cross-entropies of the masked tokens, and the mean of 1 - cosine (0 without weight).

        Both are scalars. The head reads the masked tokens only, so that its work falls to that part.
        """
        logits, hidden = masked_logits(self.model, batch, self.precision)
        told = functional.cross_entropy(logits.float(), batch.targets, reduction="sum")
        if not batch.whole:
            return told, told.new_zeros(())
        own = _pooled(hidden[-batch.whole :], batch.weights)
        with torch.no_grad(), autocast(own.device, self.precision):
            inputs = {name: tensor[-batch.whole :] for name, tensor in batch.inputs.items()}
            first = _pooled(self.start.base_model(**inputs).last_hidden_state, batch.weights)
        return told, (1.0 - functional.cosine_similarity(own, first)).mean()


def masked_logits(model: Any, batch: MaskedBatch, precision: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vocabulary logits at the masked tokens, [m, v], and all last hidden states, [b + whole, t, h].

    Unlike the scores of labels, the logits have the encoder's precision: they are many, and their rounding is small
    beside the noise of the masks.

    Raises
    ------
    ModelError
        If the model's head reads anything but the output of its base model.
    """
    with _head_reads(model, batch.places) as hidden, autocast(batch.places.device, precision):
        logits: torch.Tensor = model(**batch.inputs).logits
    if logits.shape[:2] != (1, len(batch.places)):
        raise ModelError(
            f"The masked-LM head of {model.config.model_type!r} models is not known: choose another model."
        )
    return logits[0], hidden[0]


@contextmanager
def _head_reads(model: Any, places: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """While active, the head sees only the hidden states at `places` int64 [m]; all of them are collected."""
    found: list[torch.Tensor] = []

    def gather(_module: Any, _inputs: Any, output: Any) -> Any:
        found.append(output.last_hidden_state)
        output.last_hidden_state = found[0].flatten(0, 1).index_select(0, places).unsqueeze(0)
        return output

    handle = model.base_model.register_forward_hook(gather)
    try:
        yield found
    finally:
        handle.remove()


def _pooled(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the weighted means over the tokens of rows, float32 [b, h], of hidden states [b, t, h]."""
    return torch.einsum("bt,bth->bh", weights, hidden.float())
