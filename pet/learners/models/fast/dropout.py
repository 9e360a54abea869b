"""Dropout on the CPU from cheap random bits: 16 of them per element, where torch draws 64 in one thread.

A training step spends a seventh of its time on torch's masks where two threads do the rest, and a sixth on long texts,
whose attention has a mask of its own. The bits come from torch's generator, so a seed still decides every mask.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_VALUES = 2**16


class QuickDropout(TorchFunctionMode):
    """While active, `dropout` and `scaled_dot_product_attention` of tensors on the CPU draw their masks faster.

    An element is dropped with probability round(2^16 p) / 2^16, and what is kept is divided by the rest. Attention is
    computed in the type of its queries, where torch computes that of bf16 with dropout in fp32.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Answer for the two functions; leave all others to torch."""
        if func is functional.dropout:
            func = _dropout
        elif func is functional.scaled_dot_product_attention:
            func = _attention
        return func(*args, **(kwargs or {}))


def dropout_noise(of: torch.Tensor, p: float) -> torch.Tensor:
    """Return 0 where an element is dropped and 1 / (1 - p) where it is kept, in the shape and type of a tensor."""
    dropped, n = round(p * _VALUES), of.numel()
    words = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
    bits = words.view(torch.int16)[:n].view(of.shape)
    noise = torch.empty(of.shape, dtype=of.dtype)
    return torch.ge(bits, dropped - _VALUES // 2, out=noise).mul_(_VALUES / (_VALUES - dropped))


def _quick(x: torch.Tensor, p: float) -> bool:
    return x.device.type == "cpu" and 0 < round(p * _VALUES) < _VALUES


def _dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:  # noqa: A002
    if not training or inplace or not _quick(input, p):
        return functional.dropout(input, p, training, inplace)
    return input * dropout_noise(input, p)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> torch.Tensor:
    if is_causal or options.get("enable_gqa") or not _quick(query, dropout_p):
        return functional.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)
    scale = options.get("scale")
    scores = (query * (scale or query.shape[-1] ** -0.5)) @ key.transpose(-2, -1)
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            lowest = torch.finfo(scores.dtype).min
            attn_mask = torch.zeros(attn_mask.shape, dtype=scores.dtype).masked_fill_(~attn_mask, lowest)
        scores = scores + attn_mask.to(scores.dtype)
    weights = torch.softmax(scores, -1)
    return (weights * dropout_noise(weights, dropout_p)) @ value
