"""The losses of the method: PET with the auxiliary masked-LM loss, and distillation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pet.labeling.votes import softmax
from pet.learners.models.batching import Batch
from pet.learners.models.masked_lm import logits_at
from pet.learners.models.splicing import Encoded

IGNORED = -100


def mask_tokens(
    encoded: Sequence[Encoded], vocabulary: int, mask_id: int, rng: np.random.Generator, rate: float = 0.15
) -> tuple[list[Encoded], list[np.ndarray]]:
    """Mask text tokens for the auxiliary loss: 80 % mask, 10 % random, 10 % kept.

    Only tokens of the row's text are chosen: never padding, special tokens, the template with its virtual tokens or the
    cloze mask. Returns the changed rows and, per row, int64 [t] targets with `IGNORED` elsewhere.
    """
    changed, targets = [], []
    for row in encoded:
        chosen = row.text_positions & (rng.random(len(row)) < rate)
        kind = rng.random(len(row))
        ids = row.input_ids.copy()
        ids[chosen & (kind < 0.8)] = mask_id
        swapped = chosen & (kind >= 0.8) & (kind < 0.9)
        ids[swapped] = rng.integers(vocabulary, size=int(swapped.sum()))
        targets.append(np.where(chosen, row.input_ids, IGNORED).astype(np.int64))
        changed.append(replace(row, input_ids=ids))
    return changed, targets


def masked_lm_loss(model: Any, batch: Batch, targets: Sequence[np.ndarray], precision: str) -> torch.Tensor:
    """Return the mean cross-entropy at the chosen tokens; vocabulary logits are computed at those only."""
    rows, positions, wanted = masked_places(targets, batch.rows.device)
    if not len(rows):  # no token was drawn from a batch of very short texts
        return torch.zeros((), device=rows.device, requires_grad=True)  # a loss like any other, of nothing
    return functional.cross_entropy(logits_at(model, batch, rows, positions, precision), wanted)


def masked_places(targets: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Return the rows and the positions of all targets but `IGNORED`, and these targets: int64 [3, r]."""
    rows = np.repeat(np.arange(len(targets)), [len(row) for row in targets])
    positions = np.concatenate([np.arange(len(row)) for row in targets])
    places = np.stack([rows, positions, np.concatenate(targets)])
    return torch.from_numpy(places[:, places[2] != IGNORED]).to(device)


def soften(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Return float32 [n, k] probabilities at a temperature: softmax(log p / T).

    >>> soften(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]], dtype=float32)
    """
    return softmax(np.log(np.clip(probs, 1e-10, None)) / temperature)


def distillation_loss(logits: torch.Tensor, softened: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return KL(soft(q/T) || soft(p/T)) * T^2, mean over rows.

    `logits` [b, k] are the student's; `softened` [b, k] the teacher's probabilities at the temperature (`soften`).
    """
    log_student = functional.log_softmax(logits / temperature, dim=-1)
    return functional.kl_div(log_student, softened, reduction="batchmean") * temperature**2
