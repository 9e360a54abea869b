"""Scores of labels from a masked language model: the head runs on the mask rows only.

A forward hook on the base model replaces its [b, t, h] hidden states by the rows at the masks, so that the model's own
head, whatever its family calls it, sees [1, b * p, h]. The scores equal those of the full computation; the work of the
head falls from every token to one row (a test compares both for each family).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pet.errors import ModelError
from pet.learners.models.batching import Batch
from pet.learners.models.families import FAMILIES
from pet.learners.models.fast.last_layer import last_layer_at_masks
from pet.learners.models.words import LabelWords

Gather = Callable[[torch.Tensor], torch.Tensor]
"""Maps the last hidden states of a batch, [b, t, h], to those that the head reads, [1, r, h]."""


@contextmanager
def head_reads(model: Any, gather: Gather) -> Iterator[None]:
    """While active, the head of `model` reads what `gather` makes of its base model's last hidden states, [b, t, h]."""

    def replace(_module: Any, _inputs: Any, output: Any) -> Any:
        output.last_hidden_state = gather(output.last_hidden_state)
        return output

    with model.base_model.register_forward_hook(replace):
        yield


def states_at(rows: torch.Tensor, positions: torch.Tensor, *, picked: bool = False) -> Gather:
    """Return what picks the hidden states at (rows, positions), each int64 [r], as float32 [1, r, h].

    With `picked` the base model itself gives no others.
    Autocast ends there: the head's few rows are computed in float32, since bfloat16 would round logits to steps of
    about 0.06.
    """

    def gather(states: torch.Tensor) -> torch.Tensor:
        torch.set_autocast_enabled(rows.device.type, False)
        return (states.flatten(0, 1) if picked else states[rows, positions]).unsqueeze(0).float()

    return gather


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context for the encoder's arithmetic: bfloat16 or plain float32."""
    # No cache of bfloat16 copies: a pass uses each weight once, so it would only cost memory.
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def head_logits(
    model: Any, inputs: Mapping[str, torch.Tensor], gather: Gather, count: int, precision: str
) -> torch.Tensor:
    """Return the vocabulary logits, [count, v], of the hidden states that `gather` picks, [1, count, h].

    Raises `ModelError` if the model's head reads anything but the output of its base model.
    """
    with head_reads(model, gather), autocast(inputs["input_ids"].device, precision):
        logits: torch.Tensor = model(**inputs).logits
    if logits.shape[:2] != (1, count):
        raise ModelError(
            f"The masked-LM head of {model.config.model_type!r} models is not known: choose another model."
        )
    return logits[0]


def logits_at(
    model: Any, batch: Batch, rows: torch.Tensor, positions: torch.Tensor, precision: str, *, picked: bool = False
) -> torch.Tensor:
    """Return the vocabulary logits at (rows, positions), each int64 [r], as float32 [r, v].

    `picked` is as for `states_at`; errors are those of `head_logits`.
    """
    gather = states_at(rows, positions, picked=picked)
    return head_logits(model, batch.inputs, gather, len(rows), precision).float()


def mask_logits(model: Any, batch: Batch, precision: str) -> torch.Tensor:
    """Return the vocabulary logits at the masks, float32 [b, p, v]."""
    with last_layer_at_masks(model, batch) as picked:
        logits = logits_at(model, batch, batch.rows, batch.positions, precision, picked=picked)
    return logits.view(len(batch), batch.slots, -1)


def decoder_inputs(model: Any, batch: Batch, precision: str) -> torch.Tensor:
    """Return what the vocabulary decoder reads at the masks, float32 [b, p, d]: the output of the head's transform.

    d is the decoder's own width, which in ALBERT and ELECTRA is not the hidden size. The logits at the masks are
    these times the decoder's weight [v, d], plus its bias; they are not computed.

    Raises `ModelError` if the model has no such decoder, or it reads anything but the mask rows.
    """
    rows = batch.rows
    read: list[torch.Tensor] = []

    def catch(_module: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        read.append(inputs[0])
        return (inputs[0][:, :0],)  # no rows: no product with the whole vocabulary

    with (
        last_layer_at_masks(model, batch) as picked,
        vocabulary_decoder(model).register_forward_pre_hook(catch),
        head_reads(model, states_at(rows, batch.positions, picked=picked)),
        autocast(rows.device, precision),
    ):
        model(**batch.inputs)
    if len(read) != 1 or read[0].shape[:2] != (1, len(rows)):
        raise _unknown_decoder(model)
    return read[0][0].float().view(len(batch), batch.slots, -1)


def vocabulary_decoder(model: Any) -> Any:
    """Return the linear layer that maps what the head makes of a token to vocabulary logits.

    Its `weight` is [v, d]; its `bias`, [v], may be None.

    Raises `ModelError` if the model has none.
    """
    decoder = model.get_output_embeddings()
    if not hasattr(decoder, "weight") or len(decoder.weight) != model.config.vocab_size:
        raise _unknown_decoder(model)
    return decoder


def _unknown_decoder(model: Any) -> ModelError:
    return ModelError(
        f"The vocabulary decoder of {model.config.model_type!r} models is not known: choose another model, or "
        'train.output = "words".'
    )


def first_token_states(model: Any, batch: Batch, precision: str) -> torch.Tensor:
    """Return the last hidden states of the first token, float32 [b, h]; the masked-LM head is not run."""
    with autocast(batch.rows.device, precision):
        states: torch.Tensor = model.base_model(**batch.inputs).last_hidden_state[:, 0]
    return states.float()


def word_values(logits: torch.Tensor, words: LabelWords) -> torch.Tensor:
    """Return the score of each word of each label, [b, k, w], from logits at the masks [b, p, v]; 0 for absent words.

    It is the logit at the mask. With several slots it is the mean log-probability of the word's pieces, piece i at
    slot i, so that words of different length compare.
    """
    ids = torch.from_numpy(words.ids).to(logits.device)
    used = ids >= 0
    values = logits if words.slots == 1 else functional.log_softmax(logits, dim=-1)
    slot = torch.arange(words.slots, device=logits.device).expand_as(ids)
    picked = values[:, slot, ids.clamp_min(0)] * used  # [b, k, w, p]
    return picked.sum(-1) / used.sum(-1).clamp_min(1)


def mean_over_words(values: torch.Tensor, words: LabelWords) -> torch.Tensor:
    """Return the mean over the words of each label, [..., k], of values [..., k, w] that are 0 for absent words."""
    present = torch.from_numpy(words.ids[:, :, 0] >= 0).to(values.device)
    return values.sum(-1) / present.sum(-1)


def words_at_masks(model: Any, batch: Batch, words: LabelWords, precision: str) -> torch.Tensor:
    """Return the `word_values` of a batch, float32 [b, k, w]; of one slot, no other logits are computed than theirs."""
    if words.slots > 1:
        return word_values(mask_logits(model, batch, precision), words)
    ids = torch.from_numpy(words.ids[:, :, 0]).to(batch.rows.device)
    with _decoder_of(model, ids.clamp_min(0).flatten()) as picked:
        logits = mask_logits(model, batch, precision)[:, 0]
    values = logits if picked else logits[:, ids.clamp_min(0).flatten()]
    return values.view(-1, *ids.shape) * (ids >= 0)


@contextmanager
def _decoder_of(model: Any, ids: torch.Tensor) -> Iterator[list[bool]]:
    """While active, the decoder gives the logits of `ids`, int64 [n], alone; collects a value each time it does.

    In other families than the known ones a head may add something to all logits: it is left alone.
    """
    decoder: Any = model.get_output_embeddings()
    picked: list[bool] = []
    known = model.config.model_type in FAMILIES and type(decoder) is nn.Linear
    if not known:
        yield picked
        return

    def pick(states: torch.Tensor) -> torch.Tensor:
        picked.append(True)
        return functional.linear(states, decoder.weight[ids], None if decoder.bias is None else decoder.bias[ids])

    decoder.forward = pick
    try:
        yield picked
    finally:
        del decoder.forward


def label_scores(model: Any, batch: Batch, words: LabelWords, precision: str) -> torch.Tensor:
    """Return raw label scores, float32 [b, k], of a batch under one PVP: a label's mean over its words.

    This is the score of 2001.07676, section 3.1, for labels of several words.
    """
    return mean_over_words(words_at_masks(model, batch, words, precision), words)
