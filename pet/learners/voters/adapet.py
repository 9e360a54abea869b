"""The losses of ADAPET (2103.11955): labels told from the whole vocabulary, and text told from the label.

Both ask of a token "is it this one or not", with its probability among all tokens of the vocabulary. Logarithms of p
and of 1 - p are sums over logits, never over rounded probabilities: a wrong answer of p = 1 - 1e-9 still has a
gradient.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pet.errors import PromptError
from pet.learners.models.batching import Batch
from pet.learners.models.losses import IGNORED, masked_places
from pet.learners.models.masked_lm import logits_at
from pet.learners.models.splicing import Encoded
from pet.learners.models.words import LabelWords

MASKED_SHARE = 0.105
"""Of a row's text tokens, so many are masked for the label-conditioned loss (and one at least)."""


def decoupled_label_loss(logits: torch.Tensor, words: LabelWords, targets: torch.Tensor) -> torch.Tensor:
    """Return the decoupled label loss of logits at the masks [b, p, v] against labels int64 [b], a scalar.

    It is the mean over rows and labels of the binary cross-entropy of a label's probability and whether it is the
    row's (2103.11955, section 3.1). The probability of a label is the sum over its words. With several slots, labels
    are told apart at each slot, by the pieces that stand there; a piece of every label is left out, as is a label
    without a piece at a slot.

    Raises `PromptError` if no slot tells any labels apart.
    """
    losses = []
    for slot in range(words.slots):
        tokens, owned = _pieces(words.ids[:, :, slot])
        told = np.flatnonzero(owned.any(1))
        if len(told):
            own = torch.from_numpy(owned[told]).to(logits.device)
            wanted = targets[:, None] == torch.from_numpy(told).to(logits.device)
            losses.append(_set_losses(logits[:, slot], torch.from_numpy(tokens).to(logits.device), own, wanted))
    if not losses:
        raise PromptError(
            f"The words of the labels {', '.join(words.labels)} have the same pieces in the same places, expected some "
            'that tell them apart: choose other words, or train.loss = "pet".'
        )
    return torch.cat(losses, dim=1).mean()


def _pieces(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens int64 [u] that stand at a slot for some labels, but not for all, and bool [k, u] for which.

    `ids` int64 [k, w]. A token that two words of a label share counts once.
    """
    tokens = np.unique(ids[ids >= 0])
    owned = (ids[:, :, None] == tokens).any(1)
    some = ~owned.all(0)
    return tokens[some], owned[:, some]


def _set_losses(logits: torch.Tensor, tokens: torch.Tensor, own: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy [b, k] of the probability that the token is one of each label's.

    `logits` [b, v]; `tokens` int64 [u] are those of any label, `own` bool [k, u] says of which; `wanted` bool [b, k].
    """
    total = logits.logsumexp(-1, keepdim=True)
    rest = logits.index_fill(-1, tokens, -torch.inf).logsumexp(-1, keepdim=True)  # [b, 1]
    label = logits[:, tokens].unsqueeze(1)  # [b, 1, u]
    inside = label.masked_fill(~own, -torch.inf).logsumexp(-1)  # [b, k]
    outside = torch.logaddexp(label.masked_fill(own, -torch.inf).logsumexp(-1), rest)
    return total - torch.where(wanted, inside, outside)


def label_conditioned(
    rows: Sequence[Encoded], targets: np.ndarray, words: LabelWords, mask_id: int, rng: np.random.Generator
) -> tuple[list[Encoded], list[np.ndarray], np.ndarray]:
    """Put a random label into the cloze of each row, and mask some of its text (2103.11955, section 3.2).

    The label is any of all, alike often, as a random one of its words: piece i at slot i, the mask where it has none.
    Masked are `MASKED_SHARE` of the text's tokens: never padding, special tokens, the template, trained vectors or the
    label. Returns the changed rows; per row the masked tokens, int64 [t] with `IGNORED` elsewhere; and whether the
    label is the row's own of `targets` int64 [b], bool [b].
    """
    columns = rng.integers(len(words.labels), size=len(rows))
    changed, masked = [], []
    for row, column in zip(rows, columns, strict=True):
        ids = row.input_ids.copy()
        spellings = words.ids[column][words.ids[column, :, 0] >= 0]
        pieces = rng.choice(spellings)
        ids[row.mask_positions] = np.where(pieces >= 0, pieces, mask_id)
        places = _text_places(row, rng)
        hidden = np.full(len(row), IGNORED, np.int64)
        hidden[places] = row.input_ids[places]
        ids[places] = mask_id
        changed.append(replace(row, input_ids=ids))
        masked.append(hidden)
    return changed, masked, columns == targets


def _text_places(row: Encoded, rng: np.random.Generator) -> np.ndarray:
    """Return which tokens of a row to mask, int64 [m]: none where it has no text."""
    text = row.text_positions if row.soft_slots is None else row.text_positions & (row.soft_slots < 0)
    places = np.flatnonzero(text)
    size = min(len(places), max(1, round(MASKED_SHARE * len(places))))
    return rng.choice(places, size, replace=False)


def label_conditioned_loss(
    model: Any, batch: Batch, targets: Sequence[np.ndarray], is_true: np.ndarray, precision: str
) -> torch.Tensor:
    """Return the label-conditioned loss of rows and masked tokens as `label_conditioned` made them, a scalar.

    It is the mean over masked tokens of the binary cross-entropy of the token's probability and whether the row shows
    its own label (2103.11955, section 3.2): a wrong label shall make the text unlikely. Vocabulary logits are computed
    at the masked tokens only.
    """
    rows, positions, tokens = masked_places(targets, batch.rows.device)
    if not len(rows):  # none of the rows has a text
        return torch.zeros((), device=rows.device, requires_grad=True)
    logits = logits_at(model, batch, rows, positions, precision)
    return _token_losses(logits, tokens, torch.from_numpy(is_true).to(rows.device)[rows]).mean()


def _token_losses(logits: torch.Tensor, tokens: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy [r] of the probability of a token each; `logits` [r, v], `wanted` bool [r]."""
    column = tokens.unsqueeze(1)
    inside = logits.gather(1, column).squeeze(1)
    outside = logits.scatter(1, column, -torch.inf).logsumexp(-1)
    return logits.logsumexp(-1) - torch.where(wanted, inside, outside)
