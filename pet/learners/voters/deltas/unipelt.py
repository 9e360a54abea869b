"""UniPELT (2110.07577): a prefix, adapters and LoRA together, each let in by a gate per row and layer.

The gates are those of section 3 of the paper. They are averaged over real tokens only, so that a row scores the same
whatever it is padded to; its authors average over padding too.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from pet.learners.models.batching import Batch
from pet.learners.models.delta import Delta, drawn_from
from pet.learners.models.families import Family, family_of, layers
from pet.learners.voters.deltas.prefix import Prefix


class UniPELT(Delta):
    """A gated prefix at every layer, a gated adapter after its feed-forward part, gated LoRA on query and value.

    A gate is ``mean_t sigmoid(w x_t + b)`` in (0, 1), over the real tokens x_t that enter the layer. It multiplies

    - the prefix, its keys and its values (a prefix times 0 is not gone: it still takes its share of the softmax),
    - the adapter's ``U relu(D x)`` with ``h / adapter_reduction`` numbers between,
    - LoRA's ``B A x``, once for the query and once for the value, in place of alpha / r. A fused projection of query,
      key and value has one LoRA and one gate.

    The prefix is a plain table (the paper's passes through an MLP), which shifts positions as `Prefix` does. B and U
    start at zero: at first only the prefix changes anything. Layers that share a module (ALBERT) share all but the
    prefix. `gate_names` are the parts: "prefix", "adapter" and "query", "value", or "lora" where projections are fused.

    Raises `ConfigError` if the prefix has no place, or more than half as many as the model reads tokens. Raises
    `ModelError` if models of this type ignore a prefix, have no positions to shift, or their parts are not known.
    """

    def __init__(
        self,
        model: Any,
        rank: int = 8,
        adapter_reduction: int = 16,
        prefix_length: int = 10,
        shifts_positions: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(model)
        self.prefix = Prefix(model, prefix_length, "none", shifts_positions, seed)
        self.reserved = self.prefix.reserved
        family = family_of(model)
        fused = family.query == family.value
        self.gate_names = ("prefix", "adapter", *(("lora",) if fused else ("query", "value")))
        width = max(1, model.config.hidden_size // adapter_reduction)
        with drawn_from(seed + 1):  # other numbers than the prefix's
            self._layers = [_GatedLayer(layer, family, rank, width) for layer in layers(model)]
        self.layers = nn.ModuleList(self._layers)
        self.to(next(model.parameters()).device)
        self._passed: list[torch.Tensor] = []

    def attach(self) -> None:
        """Freeze the model and give it the attention that reads the prefix (see `Prefix.attach`)."""
        self.prefix.attach()

    def detach(self) -> None:
        """Leave the model as it was before `attach`, its attention too."""
        self.prefix.detach()

    @contextmanager
    def during(self, batch: Batch) -> Iterator[None]:
        """While active, forward passes of the model on `batch` compute with all three parts."""
        real = batch.inputs["attention_mask"].unsqueeze(-1).float()
        with ExitStack() as stack:
            stack.enter_context(self.prefix.during(batch, lambda: self._passed[-1][:, 0]))
            stack.enter_context(self.model.base_model.register_forward_pre_hook(lambda *_: self._passed.clear()))
            for layer in self._layers:
                for handle in layer.hooks(real, self._passed):
                    stack.enter_context(handle)
            yield

    def gates(self) -> dict[str, np.ndarray]:
        """Return the gates of the last forward pass, float32 [b, l] by part; nothing before the first.

        Their means over many rows tell how much of each part a layer lets in.
        """
        if len(self._passed) != self.prefix.depth:
            return {}
        found = torch.stack(self._passed, dim=1).detach().cpu().numpy()  # [b, l, gates]
        return {name: found[:, :, i] for i, name in enumerate(self.gate_names)}


class _GatedLayer(nn.Module):
    """What is new in one layer: gates, an adapter of `width` numbers, LoRA of `rank` on each target."""

    def __init__(self, layer: nn.Module, family: Family, rank: int, width: int) -> None:
        super().__init__()
        # In tuples, that they are no submodules: their weights are not the delta's.
        self._places = (layer, layer.get_submodule(family.ffn_output))
        names = dict.fromkeys((family.query, family.value))
        self.targets: tuple[Any, ...] = tuple(layer.get_submodule(name) for name in names)
        sizes = [(each.in_features, each.out_features) for each in self.targets]
        hidden = sizes[0][0]
        self.gate = nn.Linear(hidden, 2 + len(sizes))
        self.down, self.up = nn.Linear(hidden, width), nn.Linear(width, hidden)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.lora_a = nn.ParameterList(nn.Linear(size, rank, bias=False).weight for size, _ in sizes)
        self.lora_b = nn.ParameterList(torch.zeros(size, rank) for _, size in sizes)

    def hooks(self, real: torch.Tensor, passed: list[torch.Tensor]) -> Iterator[RemovableHandle]:
        """Register what this layer adds; `real` [b, t, 1] is 1 at tokens, `passed` gets the gates [b, g] of a pass."""
        layer, ffn_output = self._places

        def enter(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            passed.append(self._gates(inputs[0], real))

        def adapt(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            change: torch.Tensor = self.up(functional.relu(self.down(output)))
            return output + (change * passed[-1][:, 1].view(-1, 1, 1)).to(output.dtype)

        yield layer.register_forward_pre_hook(enter)
        yield ffn_output.register_forward_hook(adapt)
        for i, target in enumerate(self.targets):
            yield target.register_forward_hook(self._lora(i, passed))

    def _gates(self, entering: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Return the mean gates of rows [b, g] from what enters the layer [b, t, h]."""
        with torch.autocast(entering.device.type, enabled=False):
            gates = self.gate(entering.float()).sigmoid()
        mean: torch.Tensor = (gates * real).sum(1) / real.sum(1)
        return mean

    def _lora(self, i: int, passed: list[torch.Tensor]) -> Callable[..., torch.Tensor]:
        def add(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            change = functional.linear(functional.linear(inputs[0], self.lora_a[i]), self.lora_b[i])
            return output + (change * passed[-1][:, 2 + i].view(-1, 1, 1)).to(output.dtype)

        return add
