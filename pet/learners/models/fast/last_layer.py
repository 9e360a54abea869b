"""The last layer at the mask rows only: nothing else of its output is read by a masked-LM head that scores a cloze.

Keys and values come from all tokens; queries, the attention's output and the feed-forward part from the masks. The
scores are those of the whole layer (a test compares them, and their gradients), and of six layers one costs a sixth.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from pet.learners.models.batching import Batch
from pet.learners.models.families import layers

_LIKE_BERT = frozenset({"bert", "electra", "roberta", "xlm-roberta"})
"""Families whose layer is BERT's: attention to all tokens, and no position but those of the embeddings."""


@contextmanager
def last_layer_at_masks(model: Any, batch: Batch) -> Iterator[bool]:
    """While active, the base model's output is that of the masks of `batch`, [b, p, h], where its family allows it.

    Yields whether it is so. With keys from elsewhere (prefixes), or a layer that will go forward again in the backward
    pass, the layer is left alone.
    """
    plain = model.config.model_type in _LIKE_BERT and model.config._attn_implementation == "sdpa"
    last = layers(model)[-1] if plain else None
    if last is None or getattr(last, "gradient_checkpointing", False) or model.config.is_decoder:
        yield False
        return
    attention: Any = last.attention

    def attend(hidden: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> tuple[Any, None]:
        picked = hidden[batch.rows, batch.positions].view(len(batch), batch.slots, -1)
        return attention.output(_attended(attention.self, picked, hidden, attention_mask), picked), None

    attention.forward = attend
    try:
        yield True
    finally:
        del attention.forward


def _attended(inner: Any, picked: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return what the picked rows [b, p, h] see of all rows [b, t, h]: float [b, p, h]."""

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.view(*states.shape[:2], -1, inner.attention_head_size).transpose(1, 2)

    seen = functional.scaled_dot_product_attention(
        heads(inner.query(picked)),
        heads(inner.key(hidden)),
        heads(inner.value(hidden)),
        attn_mask=None if mask is None else mask[..., :1, :],  # padding hides from every query alike
        dropout_p=inner.dropout.p if inner.training else 0.0,
        scale=inner.scaling,
    )
    return seen.transpose(1, 2).flatten(2)
