"""Label words scored by causal language models, after the text, and by encoder-decoders, at the sentinel of the slot.

A word is scored by the sum of the log-probabilities of its tokens, each given those before it, or by their mean. Words
that begin alike are read in one pass, and words of one token cost none beside the text.

    causal      text ... slot        what stands in the slot is predicted from all before it
    seq2seq     text ... <extra_id_0> ...  ->  <extra_id_0> slot
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pet.learners.models.batching import Batch
from pet.learners.models.masked_lm import autocast, logits_at
from pet.learners.models.words import LabelWords


def generated_log_probs(model: Any, batch: Batch, words: LabelWords, precision: str) -> torch.Tensor:
    """Return the log-probability of each word of each label, float32 [b, k, w]; 0 for absent words.

    It is the sum over the tokens of a word, or their mean where the `words` are `averaged`.
    """
    ids = words.ids
    stems = word_stems(ids)
    logs = [_log_probs(model, batch, stem, precision) for stem in stems]
    values = torch.zeros((len(batch), *ids.shape[:2]), device=batch.rows.device)
    for k, w in np.argwhere(ids[:, :, 0] >= 0).tolist():
        word = ids[k, w][ids[k, w] >= 0]
        stem = next(i for i, stem in enumerate(stems) if np.array_equal(stem[: len(word) - 1], word[:-1]))
        total = logs[stem][:, np.arange(len(word)), word].sum(-1)
        values[:, k, w] = total / len(word) if words.averaged else total
    return values


def word_stems(ids: np.ndarray) -> list[np.ndarray]:
    """Return what has to be read before the last tokens of words: int64 [s] each, none the beginning of another.

    `ids` int64 [k, w, p] are those of `LabelWords`.

    >>> [stem.tolist() for stem in word_stems(np.array([[[5, -1, -1]], [[7, 8, -1]], [[7, 8, 9]]]))]
    [[7, 8]]
    """
    words = ids.reshape(-1, ids.shape[2])
    stems = sorted({tuple(word[word >= 0][:-1].tolist()) for word in words if word[0] >= 0})
    # In this order those that go on with a stem follow it at once.
    kept = [one for one, after in zip(stems, [*stems[1:], ()], strict=True) if after[: len(one)] != one or not after]
    return [np.asarray(stem, np.int64) for stem in kept]


def _log_probs(model: Any, batch: Batch, stem: np.ndarray, precision: str) -> torch.Tensor:
    """Return the log-probabilities of what follows each token of a stem in the slot, float32 [b, s + 1, v]."""
    if model.config.is_encoder_decoder:
        logits = _decoder_logits(model, batch, stem, precision)
    else:
        logits = _causal_logits(model, batch, stem, precision)
    return functional.log_softmax(logits.float(), dim=-1)


def _causal_logits(model: Any, batch: Batch, stem: np.ndarray, precision: str) -> torch.Tensor:
    """Return logits from the last token before the slot on: what stands behind the stem is not seen by it."""
    slots = batch.positions.view(len(batch), batch.slots)
    rows, ids = torch.arange(len(batch), device=slots.device)[:, None], batch.inputs["input_ids"].clone()
    ids[rows, slots[:, : len(stem)]] = torch.from_numpy(stem).to(ids.device)
    places = (slots[:, :1] - 1).clamp_min(0) + torch.arange(len(stem) + 1, device=slots.device)
    read = replace(batch, inputs={**batch.inputs, "input_ids": ids})
    at = rows.expand_as(places).reshape(-1)
    return logits_at(model, read, at, places.reshape(-1), precision).view(*places.shape, -1)


def _decoder_logits(model: Any, batch: Batch, stem: np.ndarray, precision: str) -> torch.Tensor:
    """Return logits of a decoder that was given the sentinel and the stem."""
    sentinel = batch.inputs["input_ids"][batch.rows, batch.positions].view(-1, 1)
    start = torch.full_like(sentinel, model.config.decoder_start_token_id or 0)
    given = torch.cat([start, sentinel, torch.from_numpy(stem).to(sentinel).expand(len(sentinel), -1)], dim=1)
    with autocast(given.device, precision):
        logits: torch.Tensor = model(**batch.inputs, decoder_input_ids=given).logits
    return logits[:, 1:]
