"""Prefix tuning and P-tuning v2 (2101.00190, 2110.07602): trained keys and values in front of those of every layer.

Masked language models no longer take keys and values from outside, but transformers lets an attention function be
registered: this one puts a layer's prefix in front, makes it visible to every token, and goes on with PyTorch's
scaled dot product. A prefix so placed takes no positions and no tokens of the input. With rotary positions its keys are
not rotated: they are trained as they are, and seen by local layers too.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pet.errors import ConfigError, ModelError
from pet.learners.models.batching import Batch
from pet.learners.models.delta import Delta, drawn_from
from pet.learners.models.families import hidden_dropout

Encoder = Literal["none", "mlp"]
Scale = Callable[[], torch.Tensor]

PREFIX_FAMILIES: Mapping[str, Literal["zero", "padding", "rotary"]] = {
    "albert": "zero",
    "bert": "zero",
    "distilbert": "zero",
    "electra": "zero",
    "modernbert": "rotary",
    "roberta": "padding",
    "xlm-roberta": "padding",
}
"""Models that a prefix works on, by `model_type`: their positions count from 0, from past the padding id, or rotate."""

_ATTENTION = "pet_prefix"
_MIDDLE = 512  # width of the MLP, as published
_OWN_ATTENTION = ("deberta", "deberta-v2", "mpnet")


@dataclass
class _Pass:
    """One forward pass of one model: which layer attends next is told by counting, since layers may share a module."""

    table: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # [l, 2, 1, a, p, d]
    scale: Scale | None = None
    calls: int = 0

    def next_layer(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the keys and the values of the layer that attends, each [b, a, p, d], or [1, a, p, d] for all rows."""
        keys, values = self.table[self.calls].unbind(0)
        self.calls += 1
        if self.scale is None:
            return keys, values
        factors = self.scale().view(-1, 1, 1, 1)
        return factors * keys, factors * values


_PASS: ContextVar[_Pass | None] = ContextVar("_PASS", default=None)


class Prefix(Delta):
    """Trained keys and values at every layer, `length` of each.

    With encoder "none" they are one table [p, 2 l h], drawn from N(0, 1), with the model's hidden dropout while it
    trains (2110.07602). With "mlp" a table [p, h] passes through linear, tanh, linear with 512 numbers between
    (2101.00190), without dropout.

    `shifts_positions` counts the positions of the input from `length`, as if the prefix were tokens before it: what
    models do that are given a prefix as past keys and values. The input may then be `length` tokens shorter at most.

    Raises `ConfigError` if the prefix has no place, or more than half as many as the model reads tokens. Raises
    `ModelError` if models of this type ignore a prefix or are not known to use it, or have no positions to shift.
    """

    def __init__(
        self, model: Any, length: int, encoder: Encoder = "none", shifts_positions: bool = False, seed: int = 0
    ) -> None:
        super().__init__(model)
        _check_family(model, shifts_positions)
        check_prefix_length(length, model.config.max_position_embeddings - _first_position(model))
        config, self.length, self.heads = model.config, length, model.config.num_attention_heads
        self.shifts_positions, self.reserved = shifts_positions, length * shifts_positions
        self.depth = config.num_hidden_layers * getattr(config, "inner_group_num", 1)
        self._former: Any = None
        hidden, numbers = config.hidden_size, 2 * self.depth * config.hidden_size
        with drawn_from(seed):
            self.table = nn.Parameter(torch.randn(length, hidden if encoder == "mlp" else numbers))
            self.encoder: nn.Sequential | None = None
            if encoder == "mlp":
                self.encoder = nn.Sequential(nn.Linear(hidden, _MIDDLE), nn.Tanh(), nn.Linear(_MIDDLE, numbers))
        self.to(next(model.parameters()).device)

    def attach(self) -> None:
        """Freeze the model and give it the attention that reads the prefix.

        Raises `ModelError` if the prefix does not change the model's output, or not in every layer.
        """
        AttentionInterface.register(_ATTENTION, _attention)
        AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
        super().attach()
        self._former = self.model.config._attn_implementation
        self.model.set_attn_implementation(_ATTENTION)
        if not self._works():
            self.detach()
            raise _ignored(self.model.config.model_type)

    def detach(self) -> None:
        """Leave the model as it was before `attach`, its attention too."""
        self.model.set_attn_implementation(self._former)
        super().detach()

    @contextmanager
    def during(self, batch: Batch, scale: Scale | None = None) -> Iterator[_Pass]:
        """While active, forward passes of the model on `batch` see the prefix.

        `scale` is asked at each layer for one factor per row, [b].

        Raises `ModelError` if positions are shifted and the batch is too wide for it.
        """
        current = _Pass(scale=scale)
        shifted = {"position_ids": self._positions(batch)} if self.shifts_positions else {}

        def begin(_module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            current.table, current.calls = self._by_layer(), 0
            _PASS.set(current)
            return args, kwargs | shifted

        def end(*_: Any) -> None:
            _PASS.set(None)

        base = self.model.base_model
        # Another model that runs between two passes of this one sees no prefix, not even after an error.
        ended = base.register_forward_hook(end, always_call=True)
        try:
            with base.register_forward_pre_hook(begin, with_kwargs=True), ended:
                yield current
        finally:
            _PASS.set(None)

    def _by_layer(self) -> torch.Tensor:
        """Return keys and values as [l, 2, 1, a, p, d]."""
        if self.encoder is None:  # the model tells whether it trains: it is shared, and switched by who trains it
            flat = functional.dropout(self.table, hidden_dropout(self.model.config), self.model.training)
        else:
            with torch.autocast(self.table.device.type, enabled=False):  # in float32, whatever the model computes in
                flat = self.encoder(self.table)
        return flat.view(self.length, self.depth, 2, 1, self.heads, -1).permute(1, 2, 3, 4, 0, 5)

    def _positions(self, batch: Batch) -> torch.Tensor:
        """Return the positions of a batch as if the prefix stood before it, int64 [b, t] or [1, t]."""
        ids, first = batch.inputs["input_ids"], _first_position(self.model)
        most = self.model.config.max_position_embeddings - first - self.length
        if ids.shape[1] > most:
            raise ModelError(
                f"An input of {ids.shape[1]} tokens does not fit behind a prefix of {self.length} that takes positions "
                f"(at most {most} do): set max_length to {most}, or prefix_shifts_positions to false."
            )
        if not first:
            return torch.arange(self.length, self.length + ids.shape[1], device=ids.device).unsqueeze(0)
        real = (ids != first - 1).long()  # these models count the tokens that are no padding
        return (real.cumsum(1) + self.length) * real + first - 1

    @torch.no_grad()
    def _works(self) -> bool:
        """Say whether every layer reads the prefix and the output depends on it."""
        ids = torch.arange(4, device=self.table.device).unsqueeze(0)
        batch = Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids[0], ids[0], 1)
        training = self.model.training
        self.model.eval()
        try:
            without = self.model.base_model(**batch.inputs).last_hidden_state
            with self.during(batch) as current:
                within = self.model.base_model(**batch.inputs).last_hidden_state
        finally:
            self.model.train(training)
        return current.calls == self.depth and not torch.equal(without, within)


def check_prefix_length(length: int, longest_input: int) -> None:
    """Refuse, by a ConfigError, a prefix of less than one place, or of more than half the most tokens of a row."""
    if not 1 <= length <= longest_input // 2:
        raise ConfigError(
            f"prefix_length is {length}, expected 1 to {longest_input // 2}, half of the {longest_input} tokens of the "
            "longest input: set another, or a larger max_length."
        )


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention over the prefix and the tokens, [b, t, a, d]; queries are [b, a, t, d]."""
    if (current := _PASS.get()) is not None:
        keys, values = current.next_layer()
        key, value = _before(keys, key), _before(values, value)
        if attention_mask is not None:  # True or 0: visible
            seen = float(attention_mask.dtype == torch.bool)
            attention_mask = functional.pad(attention_mask, (keys.shape[2], 0), value=seen)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)


def _before(prefix: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return [b, a, p + t, d] from [b or 1, a, p, d] and [b, a, t, d], in the type of the latter."""
    return torch.cat((prefix.to(tokens.dtype).expand(len(tokens), -1, -1, -1), tokens), dim=2)


def _check_family(model: Any, shifts_positions: bool) -> None:
    """Refuse models that a prefix, or a shift of positions, does nothing to."""
    kind = model.config.model_type
    if kind not in PREFIX_FAMILIES and kind in _OWN_ATTENTION:
        raise _ignored(kind)
    if kind not in PREFIX_FAMILIES:
        raise ModelError(
            f"Prefix tuning is not known to work on {kind!r} models (it does on {', '.join(PREFIX_FAMILIES)}): choose "
            'one of those, or weights = "lora".'
        )
    if shifts_positions and PREFIX_FAMILIES[kind] == "rotary":
        # Turning all trained keys by one angle undoes the shift.
        raise ModelError(
            f"{kind!r} models have rotary positions, where a shift only turns the keys that the prefix trains anyway: "
            "leave prefix_shifts_positions false."
        )


def _ignored(kind: str) -> ModelError:
    return ModelError(
        f"{kind!r} models ignore a prefix, since they compute attention in their own way, without the attention "
        f'functions of transformers: choose a model of type {", ".join(PREFIX_FAMILIES)}, or weights = "lora".'
    )


def _first_position(model: Any) -> int:
    """Return the position of the first token: models of RoBERTa's kind count from past the padding id."""
    return model.config.pad_token_id + 1 if PREFIX_FAMILIES[model.config.model_type] == "padding" else 0
