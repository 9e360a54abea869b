"""Scores of labels from a masked language model: the head runs on the mask rows only.

A forward hook on the base model replaces its [b, t, h] hidden states by the rows at the masks, so that the model's own
head, whatever its family calls it, sees [1, b * p, h]. The scores equal those of the full computation; the work of the
head falls from every token to one row (a test compares both for each family).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from pet.errors import ModelError
from pet.learners.batching import Batch
from pet.learners.words import LabelWords

__all__ = ["autocast", "keep_rows", "label_scores", "logits_at", "mask_logits", "word_scores"]


@contextmanager
def keep_rows(model: Any, rows: torch.Tensor, positions: torch.Tensor) -> Iterator[None]:
    """While active, the head of `model` sees only the hidden states at (rows, positions), as float32 [1, r, h].

    Autocast ends at the hook: the head's few rows are computed in float32, since bfloat16 would round logits to
    steps of about 0.06.
    """

    def gather(_module: Any, _inputs: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[rows, positions].unsqueeze(0).float()
        torch.set_autocast_enabled(rows.device.type, False)
        return output

    handle = model.base_model.register_forward_hook(gather)
    try:
        yield
    finally:
        handle.remove()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context for the encoder's arithmetic: bfloat16 or plain float32."""
    # No cache of bfloat16 copies: a pass uses each weight once, so it would only cost memory.
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def logits_at(model: Any, batch: Batch, rows: torch.Tensor, positions: torch.Tensor, precision: str) -> torch.Tensor:
    """Return the vocabulary logits at (rows, positions), each int64 [r], as float32 [r, v].

    Raises
    ------
    ModelError
        If the model's head reads anything but the output of its base model.
    """
    with keep_rows(model, rows, positions), autocast(rows.device, precision):
        logits: torch.Tensor = model(**batch.inputs).logits
    if logits.shape[:2] != (1, len(rows)):
        raise ModelError(
            f"The masked-LM head of {model.config.model_type!r} models is not known: choose another model."
        )
    return logits[0].float()


def mask_logits(model: Any, batch: Batch, precision: str) -> torch.Tensor:
    """Return the vocabulary logits at the masks, float32 [b, p, v]."""
    logits = logits_at(model, batch, batch.rows, batch.positions, precision)
    return logits.view(len(batch), batch.slots, -1)


def word_scores(logits: torch.Tensor, words: LabelWords) -> torch.Tensor:
    """Return label scores [b, k] from logits at the masks [b, p, v].

    The score of a label is the mean over its words of the logit at the mask (2001.07676, section 3.1). With several
    slots a word scores the mean log-probability of its pieces, piece i at slot i, so that words of different length
    compare.
    """
    ids = torch.from_numpy(words.ids).to(logits.device)
    used = ids >= 0
    values = logits if words.slots == 1 else functional.log_softmax(logits, dim=-1)
    slot = torch.arange(words.slots, device=logits.device).expand_as(ids)
    picked = values[:, slot, ids.clamp_min(0)] * used  # [b, k, w, p]
    pieces = used.sum(-1)
    per_word = picked.sum(-1) / pieces.clamp_min(1)
    return per_word.sum(-1) / (pieces > 0).sum(-1)


def label_scores(model: Any, batch: Batch, words: LabelWords, precision: str) -> torch.Tensor:
    """Return raw label scores, float32 [b, k], of a batch under one PVP."""
    return word_scores(mask_logits(model, batch, precision), words)
