"""What a voter's training minimizes: the PET loss with the auxiliary masked-LM loss, or the losses of ADAPET."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pet.learners.models.batching import length_groups
from pet.learners.models.losses import IGNORED, mask_tokens, masked_lm_loss
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import mask_logits
from pet.learners.models.splicing import Encoded
from pet.learners.models.training import LossFunction, RowStream
from pet.learners.voters.adapet import decoupled_label_loss, label_conditioned, label_conditioned_loss
from pet.learners.voters.parts import Parts
from pet.settings.training import TrainSettings


@dataclass(frozen=True)
class LabeledRows:
    """Encoded rows with the columns of their labels, int64 [n]."""

    encoded: Sequence[Encoded]
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def groups(self, chosen: np.ndarray, overhead: int) -> "Iterator[LabeledRows]":
        """Yield the chosen rows, int64, in groups of like lengths; `overhead` as for `length_groups`."""
        for group in length_groups([len(self.encoded[i]) for i in chosen], overhead):
            yield LabeledRows([self.encoded[i] for i in chosen[group]], self.targets[chosen[group]])


def pet_objective(
    parts: Parts,
    machine: Machine,
    labeled: LabeledRows,
    settings: TrainSettings,
    draw: Callable[[], Sequence[Encoded]],
    rng: np.random.Generator,
) -> LossFunction:
    """Return the loss (1 - alpha) * CE + alpha * MLM, alpha = `settings.auxiliary_mlm` (2001.07676, section 3.1).

    For words that are asked for token by token the output has another loss in the place of the cross-entropy, CE.

    `draw` gives the next batch of rows for the auxiliary loss, MLM.
    """
    alpha, tokenizer = settings.auxiliary_mlm, parts.backbone.tokenizer

    def loss(chosen: np.ndarray) -> Iterator[torch.Tensor]:
        yield from _label_loss(parts, machine, labeled, chosen, 1.0 - alpha)
        if alpha:
            masked, tokens = mask_tokens(draw(), len(tokenizer), tokenizer.mask_token_id, rng)
            yield from _masked_loss(parts, machine, masked, tokens, alpha)

    return loss


def with_descriptions(
    objective: LossFunction,
    parts: Parts,
    machine: Machine,
    described: LabeledRows,
    settings: TrainSettings,
    stream: RowStream,
) -> LossFunction:
    """Return an objective to which the loss on rows that explain the labels is added (2305.02239).

    The `stream` draws as many of them as labeled ones for each step, and they count `settings.descriptions` times as
    much: they are short, and no row of the pool looks like them. A quarter as many gained less (TREC, 2 samples: 1.2
    points, not 3.9).
    """

    def loss(chosen: np.ndarray) -> Iterator[torch.Tensor]:
        found = objective(chosen)
        yield from [found] if isinstance(found, torch.Tensor) else found
        yield from _label_loss(parts, machine, described, next(stream), settings.descriptions)

    return loss


def adapet_objective(parts: Parts, machine: Machine, labeled: LabeledRows, rng: np.random.Generator) -> LossFunction:
    """Return the sum of the decoupled label loss and the label-conditioned masked-LM loss (2103.11955, section 3)."""
    backbone, words = parts.backbone, parts.output.words
    model, mask_id = backbone.model, backbone.tokenizer.mask_token_id

    def loss(chosen: np.ndarray) -> Iterator[torch.Tensor]:
        for group in labeled.groups(chosen, machine.group_overhead):
            share, targets = len(group) / len(chosen), torch.from_numpy(group.targets).to(machine.device)
            batch = backbone.training_batch(group.encoded)
            with parts.during(batch):
                value = decoupled_label_loss(mask_logits(model, batch, machine.precision), words, targets)
            yield share * value
            changed, tokens, is_true = label_conditioned(group.encoded, group.targets, words, mask_id, rng)
            batch = backbone.training_batch(changed)
            with parts.during(batch):
                value = label_conditioned_loss(model, batch, tokens, is_true, machine.precision)
            yield share * value

    return loss


def _masked_loss(
    parts: Parts, machine: Machine, rows: Sequence[Encoded], targets: Sequence[np.ndarray], weight: float
) -> Iterator[torch.Tensor]:
    """Yield the summands of the mean cross-entropy of masked tokens (see `mask_tokens`), times a weight."""
    backbone, counts = parts.backbone, np.asarray([np.count_nonzero(row != IGNORED) for row in targets])
    groups = [np.arange(len(rows))] if machine.pads else length_groups([len(row) for row in rows], 0)
    for group in groups:
        batch = backbone.training_batch([rows[i] for i in group.tolist()])
        with parts.during(batch):
            value = masked_lm_loss(backbone.model, batch, [targets[i] for i in group.tolist()], machine.precision)
        yield weight * (counts[group].sum() / max(1, counts.sum()) if len(groups) > 1 else 1.0) * value


def _label_loss(
    parts: Parts, machine: Machine, labeled: LabeledRows, chosen: np.ndarray, weight: float
) -> Iterator[torch.Tensor]:
    """Yield the summands of the mean loss of the labels of chosen rows, int64, times a weight."""
    for group in labeled.groups(chosen, machine.group_overhead):
        batch, targets = parts.backbone.training_batch(group.encoded), torch.from_numpy(group.targets)
        with parts.during(batch):
            scores = parts.output.training_scores(parts.backbone.model, batch, machine.precision)
        value = parts.output.loss(scores, targets.to(machine.device))
        yield weight * len(group) / len(chosen) * value
