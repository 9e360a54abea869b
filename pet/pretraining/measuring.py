"""How well a masked language model tells held-out text: the same rows and masks each time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pet.learners.models.batching import token_budget_batches
from pet.learners.models.machine import Machine
from pet.pretraining.corpus import Corpus, padded
from pet.pretraining.masking import MaskedBatch, Masker
from pet.pretraining.objective import masked_logits
from pet.seeding import rng_for
from pet.settings.pretraining import MaskingSettings

__all__ = ["held_out_batches", "masked_accuracy"]

_MASKED = MaskingSettings(rate=0.15, masked=1.0, random=0.0)
"""What is measured: 15 % of the tokens, all of them masked, whatever the training masks."""


def held_out_batches(
    corpus: Corpus, tokenizer: Any, longest: int, tokens: int, budget: int, seed: int = 0
) -> list[MaskedBatch]:
    """Return masked batches of about so many tokens of a corpus: rows and masks depend on the seed alone."""
    rows = rng_for(seed, "held out").permutation(len(corpus))
    rows = rows[: int(np.searchsorted(np.cumsum(corpus.lengths[rows]), tokens)) + 1]
    masker = Masker(tokenizer, _MASKED, longest)
    batches = token_budget_batches(padded(corpus.lengths[rows]).tolist(), budget, max_rows=budget)
    return [masker.batch(corpus, rows[batch], rng_for(seed, "held out", i)) for i, batch in enumerate(batches)]


@torch.inference_mode()
def masked_accuracy(model: Any, batches: list[MaskedBatch], machine: Machine) -> tuple[float, float]:
    """Return the mean cross-entropy of the masked tokens, and the share of them that the model tells."""
    was_training = model.training
    model.eval()
    found = torch.stack(list(_sums(model, batches, machine)))
    model.train(was_training)
    loss, right, count = found.double().sum(0).tolist()
    return loss / max(1.0, count), right / max(1.0, count)


def _sums(model: Any, batches: list[MaskedBatch], machine: Machine) -> Iterator[torch.Tensor]:
    """Yield the sum of the losses, the tokens told, and their number, float32 [3] for each batch."""
    for batch in (batch.to(machine.device) for batch in batches):
        logits = masked_logits(model, batch, machine.precision)[0].float()
        loss = functional.cross_entropy(logits, batch.targets, reduction="sum")
        right = (logits.argmax(-1) == batch.targets).sum()
        yield torch.stack([loss, right.float(), loss.new_tensor(float(len(batch.targets)))])
