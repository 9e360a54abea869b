"""What a voter's training minimizes: the PET loss with the auxiliary masked-LM loss, or the losses of ADAPET."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from pet.learners.models.batching import Batch, length_groups
from pet.learners.models.encoding import Encoded
from pet.learners.models.losses import mask_tokens, masked_lm_loss, pet_loss
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import mask_logits
from pet.learners.models.training import LossFunction
from pet.learners.voters.adapet import decoupled_label_loss, label_conditioned, label_conditioned_loss
from pet.learners.voters.parts import Parts
from pet.settings.training import TrainSettings

__all__ = ["Draw", "Lesson", "adapet_objective", "pet_objective"]

Draw = Callable[[], Sequence[Encoded]]
"""Gives the next batch of rows for the auxiliary loss."""


@dataclass(frozen=True)
class Lesson:
    """Encoded rows with the columns of their labels, int64 [n]."""

    encoded: Sequence[Encoded]
    targets: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens per row, int64 [n]."""
        return np.asarray([len(row) for row in self.encoded], np.int64)


@dataclass(frozen=True)
class _Pass:
    """Forward passes of a voter's parts while it trains."""

    parts: Parts
    machine: Machine

    def groups(self, lesson: Lesson, chosen: np.ndarray) -> list[np.ndarray]:
        """Divide the chosen rows into groups of like lengths."""
        return [chosen[group] for group in length_groups(lesson.lengths[chosen], self.machine.group_overhead)]

    def batch(self, rows: Sequence[Encoded]) -> Batch:
        return self.parts.backbone.training_batch(rows)

    def targets(self, lesson: Lesson, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(lesson.targets[rows]).to(self.machine.device)


def pet_objective(
    parts: Parts,
    machine: Machine,
    lesson: Lesson,
    settings: TrainSettings,
    draw: Draw,
    rng: np.random.Generator,
) -> LossFunction:
    """Return the loss (1 - alpha) * CE + alpha * MLM, alpha = `settings.auxiliary_mlm` (2001.07676, section 3.1)."""
    forward, alpha = _Pass(parts, machine), settings.auxiliary_mlm
    tokenizer = parts.backbone.tokenizer

    def label_loss(group: np.ndarray) -> torch.Tensor:
        batch = forward.batch([lesson.encoded[i] for i in group])
        with parts.during(batch):
            scores = parts.output.training_scores(parts.backbone.model, batch, machine.precision)
        return pet_loss(scores, forward.targets(lesson, group))

    def auxiliary() -> torch.Tensor:
        masked, targets = mask_tokens(draw(), len(tokenizer), tokenizer.mask_token_id, rng)
        batch = forward.batch(masked)
        with parts.during(batch):
            return masked_lm_loss(parts.backbone.model, batch, targets, machine.precision)

    def loss(chosen: np.ndarray) -> Iterator[torch.Tensor]:
        for group in forward.groups(lesson, chosen):
            yield (1.0 - alpha) * len(group) / len(chosen) * label_loss(group)
        if alpha:
            yield alpha * auxiliary()

    return loss


def adapet_objective(parts: Parts, machine: Machine, lesson: Lesson, rng: np.random.Generator) -> LossFunction:
    """Return the sum of the decoupled label loss and the label-conditioned masked-LM loss (2103.11955, section 3)."""
    forward, words = _Pass(parts, machine), parts.output.words
    model, mask_id = parts.backbone.model, parts.backbone.tokenizer.mask_token_id

    def loss(chosen: np.ndarray) -> Iterator[torch.Tensor]:
        for group in forward.groups(lesson, chosen):
            rows, share = [lesson.encoded[i] for i in group], len(group) / len(chosen)
            batch, targets = forward.batch(rows), forward.targets(lesson, group)
            with parts.during(batch):
                value = decoupled_label_loss(mask_logits(model, batch, machine.precision), words, targets)
            yield share * value
            changed, tokens, is_true = label_conditioned(rows, lesson.targets[group], words, mask_id, rng)
            batch = forward.batch(changed)
            with parts.during(batch):
                value = label_conditioned_loss(model, batch, tokens, is_true, machine.precision)
            yield share * value

    return loss
