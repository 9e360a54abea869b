"""Bottleneck adapters in every layer of a frozen model."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils import skip_init

from pet.learners.models.batching import Batch
from pet.learners.models.delta import Delta
from pet.learners.models.families import family_of, layers

Layout = Literal["houlsby", "pfeiffer"]


class Bottleneck(nn.Module):
    """U act(D x): what an adapter adds to x [b, t, h], by way of `width` numbers per token; 2hw + w + h weights.

    D starts uniform (as a new linear layer does), U and both biases zero: a new bottleneck adds nothing.
    """

    def __init__(self, hidden: int, width: int, activation: nn.Module, generator: torch.Generator) -> None:
        super().__init__()
        self.down: nn.Linear = skip_init(nn.Linear, hidden, width)  # type: ignore[no-untyped-call]
        self.up: nn.Linear = skip_init(nn.Linear, width, hidden)  # type: ignore[no-untyped-call]
        self.activation = activation
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5), generator=generator)
        for weight in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is added to x, [b, t, h] as x is."""
        change: torch.Tensor = self.up(self.activation(self.down(x)))
        return change


class Adapter(Delta):
    """x + U act(D x) on the output of a sublayer, before it is added to the residual stream.

    `houlsby` (1902.00751, section 2.1) has one after the attention and one after the feed-forward part of each layer,
    with SiLU; `pfeiffer` (2005.00247, section 3.2.2) the second alone, with ReLU. The width is the hidden size divided
    by `reduction`, at least 1. The layer normalizations, which 1902.00751 trains too, stay frozen: what trains is new,
    and the model's own weights are in no saved file. Where layers share their weights (ALBERT) they share the adapter.

    Raises `ModelError` if the parts are not known for models of this type.
    """

    def __init__(self, model: Any, layout: Layout, reduction: int, seed: int) -> None:
        super().__init__(model)
        family = family_of(model)
        self._places: dict[str, nn.Module] = {}
        self.bottlenecks = nn.ModuleDict()
        parts = {"attention": family.attention_output, "ffn": family.ffn_output}
        if layout == "pfeiffer":
            del parts["attention"]
        activation = nn.SiLU() if layout == "houlsby" else nn.ReLU()
        width = max(1, model.config.hidden_size // reduction)
        generator = torch.Generator().manual_seed(seed)
        for i, layer in enumerate(layers(model)):
            for part, name in parts.items():
                self._places[f"{i}_{part}"] = layer.get_submodule(name)
                self.bottlenecks[f"{i}_{part}"] = Bottleneck(model.config.hidden_size, width, activation, generator)
        self.to(model.device)

    @contextmanager
    def during(self, batch: Batch) -> Iterator[None]:
        """While active, the adapters compute."""
        with super().during(batch), ExitStack() as hooks:
            for name, place in self._places.items():
                change = self.bottlenecks[name]
                add = lambda _module, _inputs, output, change=change: output + change(output)  # noqa: E731
                hooks.enter_context(place.register_forward_hook(add))
            yield
