"""Rows as vectors from an encoder that was not trained on the task, for methods that need no patterns."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import autocast
from pet.learners.models.plain_rows import encode_rows
from pet.learners.models.splicing import Encoded


def mean_pooled(
    backbone: Backbone,
    examples: Sequence[Example],
    fields: Iterable[str],
    max_length: int,
    machine: Machine,
    advance: Advance = lambda _: None,
) -> np.ndarray:
    """Return the mean of the encoder's last hidden states over the text of each row, float32 [n, h].

    The rows are read as a classifier reads them, without a pattern: the first of `fields` (names, or a mapping of
    them) is the first segment, further ones the second, and at most `max_length` tokens, or the model's most, are read.
    Special tokens and padding are left out of the mean; a row without text is the mean of its special tokens. The
    order is that of `examples`, and only a chunk is held as tokens.

    The weights are those the backbone holds at the time: reset it first where the pretrained ones are meant.
    """
    names, length = tuple(fields), min(max_length, backbone.longest_input)

    def encode(rows: Sequence[Example]) -> list[Encoded]:
        return encode_rows(backbone.tokenizer, rows, names, length)

    def text_shares(rows: Sequence[Encoded], real: np.ndarray) -> np.ndarray:
        text = np.zeros_like(real)
        text[real] = np.concatenate([row.text_positions for row in rows])
        return mean_weights(text, real)

    return pooled(backbone, machine, encode, text_shares).run(examples, backbone.model.config.hidden_size, advance)


def pooled(
    backbone: Backbone,
    machine: Machine,
    encode: Callable[[Sequence[Example]], list[Encoded]],
    shares: Callable[[Sequence[Encoded], np.ndarray], np.ndarray],
) -> Inference:
    """Return a forward pass whose result is a weighted mean of the encoder's last hidden states, float32 [n, h].

    `shares` says what each token counts, float32 [b, t], given the rows and where no padding is, bool [b, t].
    """
    machine = backbone.abilities.fit(machine)

    def compute(rows: list[Encoded]) -> torch.Tensor:
        return mean_states(backbone, backbone.batch(rows), rows, shares, machine.inference)

    return Inference(machine, encode, compute)


def mean_states(
    backbone: Backbone,
    batch: Batch,
    rows: Sequence[Encoded],
    shares: Callable[[Sequence[Encoded], np.ndarray], np.ndarray],
    precision: str,
) -> torch.Tensor:
    """Return the weighted means of the encoder's last hidden states, float32 [b, h], of a `batch` made of `rows`.

    `shares` are those of `pooled`. The weights of the encoder get a gradient where they want one.
    """
    with autocast(batch.rows.device, precision):
        # Without the head, which would compute the vocabulary's logits of every token.
        model = backbone.model
        reader = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
        hidden = reader(**batch.inputs).last_hidden_state
    real = np.arange(hidden.shape[1]) < np.asarray([len(row) for row in rows])[:, None]
    return weighted_mean(hidden, torch.from_numpy(shares(rows, real)).to(hidden.device))


def mean_weights(chosen: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return the share of each token in the mean of its row, float32 [b, t]; rows sum to 1.

    The `chosen` tokens of a row, bool [b, t], count alike; in a row without any, all that are no padding, `real`.
    """
    weights = np.where(chosen.any(axis=1, keepdims=True), chosen, real).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def weighted_mean(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the means over the tokens of rows, float32 [b, h], of states [b, t, h] by weights float32 [b, t]."""
    return torch.einsum("bt,bth->bh", weights, states.float())
