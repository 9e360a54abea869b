"""Forward passes in bfloat16 on a CPU, nearer to its limit: weights packed once, attention as two products per head.

Under autocast each batch casts every weight anew, and a bias is a pass of its own over what a product gives. Here
weights are cast and laid out once for all batches, and oneDNN adds the bias on the way. torch's attention works on
small blocks, which for rows of tens to hundreds of tokens takes up to twice as long as two products of whole heads.
"""

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

CACHED_SCORES = 2**20
"""So many attention scores are worked on at a time: what the cache of a core holds."""

_HIGHEST, _LOWEST = 32.0, 2.0**-80
"""Scores beyond the one, base 2, are too rough in bfloat16; where a row's powers sum to less, some may be lost."""

_FEW_QUERIES = 16
"""A product of fewer is not worth it: the last layer asks for the masks alone."""


class PackedForward(TorchFunctionMode):
    """While active, the passes of a model without gradients, under bfloat16 autocast on a CPU, are done faster.

    It answers for `linear`, and for `scaled_dot_product_attention`, whose scores are rounded to bfloat16 before the
    softmax; all else is left to torch. No weight may change meanwhile: `packed` are those that are laid out by now.
    """

    def __init__(self) -> None:
        super().__init__()
        self.packed: dict[nn.Parameter, Callable[[torch.Tensor], torch.Tensor]] = {}
        self._narrowed: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Answer for the two functions; leave all others to torch."""
        if func is functional.linear:
            func = self._linear
        elif func is functional.scaled_dot_product_attention:
            func = _attention
        return func(*args, **(kwargs or {}))

    def _linear(
        self,
        input: torch.Tensor,  # noqa: A002
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if not (_in_bfloat16(input) and input.numel() and isinstance(weight, nn.Parameter) and can_pack()):
            return functional.linear(input, weight, bias)
        if weight not in self.packed:
            self.packed[weight] = _laid_out(weight, bias)
        return self.packed[weight](self._narrow(input))

    def _narrow(self, states: torch.Tensor) -> torch.Tensor:
        """Return states as bfloat16; queries, keys and values are made of the same ones."""
        if self._narrowed is None or self._narrowed[0] is not states:
            self._narrowed = states, states.bfloat16().contiguous()
        return self._narrowed[1]


def _laid_out(weight: torch.Tensor, bias: torch.Tensor | None) -> Callable[[torch.Tensor], torch.Tensor]:
    """Lay a weight [o, i] out for the processor; return what makes bf16 [..., o] of bf16 states [..., i]."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().bfloat16())
    narrow = None if bias is None else bias.detach().bfloat16()
    return lambda states: torch.ops.mkldnn._linear_pointwise(states, packed, narrow, "none", [], "")


@cache
def can_pack() -> bool:
    """Say whether torch packs weights here: its functions for that are not public ones, so they are tried."""
    states, weight, bias = torch.eye(16, 32).bfloat16(), torch.arange(512.0).view(16, 32), torch.ones(16)
    try:
        found = _laid_out(weight, bias)(states)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found, functional.linear(states, weight.bfloat16(), bias.bfloat16()))


def _in_bfloat16(tensor: torch.Tensor) -> bool:
    on = tensor.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not torch.is_grad_enabled()
    return on and torch.get_autocast_dtype("cpu") is torch.bfloat16


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> torch.Tensor:
    plain = dropout_p == 0 and not is_causal and options.keys() <= {"scale"}
    if not (plain and _are_rows_of_tokens(query, key, value) and (attn_mask is None or _hides_keys(attn_mask))):
        return functional.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)
    mask = None if attn_mask is None else attn_mask[:, :1]
    found, rough = _two_products(query, key, value, mask, options.get("scale") or query.shape[-1] ** -0.5)
    if len(heads := rough.nonzero()[:, 0]):
        query, key, value = query[:, heads], key[:, heads], value[:, heads]
        found[:, heads] = functional.scaled_dot_product_attention(query, key, value, mask, **options)
    return found


def _are_rows_of_tokens(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Say whether queries, keys and values are [b, a, t, d] in bfloat16, with queries enough to make a product of."""
    narrow = query.dtype is key.dtype is value.dtype is torch.bfloat16 and _in_bfloat16(query)
    return narrow and query.dim() == 4 and query.shape[2] >= _FEW_QUERIES


def _hides_keys(mask: torch.Tensor) -> bool:
    """Say whether a mask [b, a, q, t] hides the same keys from all heads and queries, as one for padding does."""
    return mask.dtype is torch.bool and bool((mask == mask[:, :1, :1]).all())


def _two_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return softmax(q k' scale) v, bf16 [b, a, q, d], and for which heads, bool [a], bfloat16 is too rough for it.

    Keys and values are [b, a, t, d]; a column of ones beside the values makes the second product sum the powers too.
    Keys that the mask [b, 1, q, t] hides from all queries are left out by values, and ones, of 0.
    """
    (b, a, t, d), q = value.shape, query.shape[2]
    values = value.new_empty(b, a, t, d + 1)
    values[..., :d], values[..., d:] = value, 1.0
    if mask is not None:
        values *= mask[:, :, 0, :, None]
    queries, keys = query.reshape(b * a, q, d), key.reshape(b * a, t, d).transpose(1, 2)
    values, sums, highest = values.view(b * a, t, d + 1), query.new_empty(b * a, q, d + 1), query.new_empty(b * a)
    step, zero, exponent = max(1, CACHED_SCORES // (q * t)), query.new_zeros(1), scale * math.log2(math.e)
    for part in (slice(start, start + step) for start in range(0, b * a, step)):
        scores = torch.baddbmm(zero, queries[part], keys[part], beta=0, alpha=exponent)
        # As integers, eight times as fast: positive ones keep their order, and negative ones stay below them.
        highest[part] = scores.view(torch.int16).flatten(1).amax(1).view(torch.bfloat16)
        torch.bmm(scores.exp2_(), values[part], out=sums[part])
    sums = sums.view(b, a, q, d + 1).transpose(1, 2)
    good = (highest.view(b, a) < _HIGHEST) & (sums[..., d].amin(1) > _LOWEST)
    return (sums[..., :d] / sums[..., d:]).transpose(1, 2), ~good.all(0)
