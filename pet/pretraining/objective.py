"""The loss of pretraining: masked tokens predicted by the head, and sentence embeddings kept as the start has them."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from pet.learners.models.embeddings import weighted_mean
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import autocast, head_logits
from pet.pretraining.masking import MaskedBatch


def loss_terms(model: Any, batch: MaskedBatch, precision: str, start: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum of the cross-entropies of the masked tokens, and the mean of 1 - cosine of the embeddings.

    Both are scalars. The head reads the masked tokens only, so that its work falls to that part. The cosine is that to
    the embeddings of the frozen `start`, by the rows of the batch without a mask; without such rows the mean is 0.
    """
    logits, hidden = masked_logits(model, batch, precision)
    predicted = functional.cross_entropy(logits.float(), batch.targets, reduction="sum")
    if not batch.whole:
        return predicted, predicted.new_zeros(())
    own = weighted_mean(hidden[-batch.whole :], batch.weights)
    with torch.no_grad(), autocast(own.device, precision):
        inputs = {name: tensor[-batch.whole :] for name, tensor in batch.inputs.items()}
        first = weighted_mean(start.base_model(**inputs).last_hidden_state, batch.weights)
    return predicted, (1.0 - functional.cosine_similarity(own, first)).mean()


def masked_logits(model: Any, batch: MaskedBatch, precision: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vocabulary logits at the masked tokens, [m, v], and all last hidden states, [b + whole, t, h].

    Unlike the scores of labels, the logits have the encoder's precision: they are many, and their rounding is small
    beside the noise of the masks.

    Raises `ModelError` if the model's head reads anything but the output of its base model.
    """
    hidden: list[torch.Tensor] = []

    def gather(states: torch.Tensor) -> torch.Tensor:
        hidden.append(states)
        return states.flatten(0, 1).index_select(0, batch.places).unsqueeze(0)

    logits = head_logits(model, batch.inputs, gather, len(batch.places), precision)
    return logits, hidden[0]


@torch.inference_mode()
def masked_accuracy(model: Any, batches: Sequence[MaskedBatch], machine: Machine) -> tuple[float, float]:
    """Return the mean cross-entropy of the masked tokens, and the share of them that the model predicts."""
    was_training = model.training
    model.eval()
    found = torch.stack(list(_sums(model, batches, machine)))
    model.train(was_training)
    loss, right, count = found.double().sum(0).tolist()
    return loss / max(1.0, count), right / max(1.0, count)


def _sums(model: Any, batches: Sequence[MaskedBatch], machine: Machine) -> Iterator[torch.Tensor]:
    """Yield the sum of the losses, the tokens predicted, and their number, float32 [3] for each batch."""
    for batch in (batch.to(machine.device) for batch in batches):
        logits = masked_logits(model, batch, machine.precision)[0].float()
        loss = functional.cross_entropy(logits, batch.targets, reduction="sum")
        right = (logits.argmax(-1) == batch.targets).sum()
        yield torch.stack([loss, right.float(), loss.new_tensor(float(len(batch.targets)))])
