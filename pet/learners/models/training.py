"""The one training loop: counted in optimizer updates, on accelerate, the same for voters and classifiers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from transformers import get_linear_schedule_with_warmup

from pet.errors import ModelError, RunError
from pet.learners.models.fast.dropout import QuickDropout
from pet.learners.models.machine import reproducible, reproducibly
from pet.settings.training import OptimizerSettings

__all__ = ["LossFunction", "TrainLog", "Trained", "fit", "row_stream", "weight_groups"]

LossFunction = Callable[[np.ndarray], torch.Tensor | Iterable[torch.Tensor]]
"""Maps int64 row indices of a micro-batch to its mean loss, or to the summands of it: each is made once the gradient of
the one before is known, so that only one of them is held with all that it was computed from."""


_LOOK_EVERY = 16
"""On a GPU, which is not waited for, losses are fetched once in so many updates."""


@dataclass(frozen=True)
class TrainLog:
    """What a training did: the loss of every update, in order.

    `discarded` counts the updates of other starts that were not kept.
    """

    losses: tuple[float, ...]
    discarded: int = 0

    @property
    def updates(self) -> int:
        """The number of optimizer updates made."""
        return len(self.losses)

    @property
    def made(self) -> int:
        """The number of updates made, those of other starts too."""
        return self.updates + self.discarded

    @property
    def last(self) -> float:
        """The mean loss over the last tenth of the updates; infinite without any."""
        end = self.losses[-max(1, len(self.losses) // 10) :]
        return float(np.mean(end)) if end else float("inf")


def row_stream(n: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield int64 [size] row indices without end: shuffled passes over n rows, cut regardless of where a pass ends.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if n < 1:
        raise ValueError("expected at least one row")
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(n)])
        yield waiting[:size]
        waiting = waiting[size:]


@dataclass(frozen=True)
class Trained:
    """What trains: modules to be in training mode meanwhile, and their tensors in groups of the optimizer.

    A group has `params`, and the `lr` and `weight_decay` of AdamW; `setting` is what its rate is called, if that is not
    learning_rate. `updated` hears the number of every update made, from 0 on, while the gradients are still there.
    """

    modules: tuple[nn.Module, ...]
    groups: tuple[dict[str, Any], ...]
    updated: Callable[[int], None] = lambda _: None

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that trains."""
        return [tensor for group in self.groups for tensor in group["params"]]

    @property
    def rates(self) -> str:
        """The learning rates by the names of their settings, for a person."""
        rates = {group.get("setting", "learning_rate"): group["lr"] for group in self.groups}
        return " or ".join(f"{name} (now {rate:g})" for name, rate in rates.items())

    @property
    def on_cpu(self) -> bool:
        """Whether all of it trains on the CPU."""
        return all(tensor.device.type == "cpu" for tensor in self.tensors)

    @contextmanager
    def training(self, checkpointing: bool = False) -> Iterator[None]:
        """Keep the modules in training mode while active.

        With `checkpointing`, the first of them, the model, computes its layers again in the backward pass instead of
        keeping what they made: the same gradient with less memory.

        Raises
        ------
        ModelError
            If the model cannot.
        """
        model: Any = self.modules[0]
        if checkpointing and not getattr(model, "supports_gradient_checkpointing", False):
            raise ModelError(
                f"{type(model).__name__} has no gradient checkpointing: leave out gradient_checkpointing, or lower "
                "model.max_length."
            )
        for module in self.modules:
            module.train()
        if checkpointing:
            # The backward pass goes forward again outside of what is active here, with the same random bits.
            again = {"context_fn": lambda: (nullcontext(), self._dropout())}
            _checkpointing(model, "enable")({"use_reentrant": False, **again})
        try:
            with self._dropout(), reproducible(self.tensors[0].device):
                yield
        finally:
            if checkpointing:
                _checkpointing(model, "disable")()
                if hasattr(model, "_require_grads_hook"):  # newer transformers leave a hook on the embeddings
                    model.disable_input_require_grads()
            for module in self.modules:
                module.eval()

    def _dropout(self) -> AbstractContextManager[Any]:
        return QuickDropout() if self.on_cpu else nullcontext()

    @classmethod
    def weights_of(cls, model: nn.Module, settings: OptimizerSettings) -> "Trained":
        """Return all weights of a model that want a gradient."""
        return cls((model,), weight_groups((w for w in model.parameters() if w.requires_grad), settings))


def _checkpointing(model: Any, verb: str) -> Any:
    # transformers renamed it within version 5.
    return getattr(model, f"activation_checkpointing_{verb}", None) or getattr(model, f"gradient_checkpointing_{verb}")


def weight_groups(weights: Iterable[torch.Tensor], settings: OptimizerSettings) -> tuple[dict[str, Any], ...]:
    """Split weights into groups of the optimizer: matrices decay, biases and norms do not."""
    learning_rate, tensors = settings.learning_rate or 1e-5, list(weights)
    groups = (
        {"params": [w for w in tensors if w.dim() > 1], "lr": learning_rate, "weight_decay": settings.weight_decay},
        {"params": [w for w in tensors if w.dim() <= 1], "lr": learning_rate, "weight_decay": 0.0},
    )
    return tuple(group for group in groups if group["params"])


def fit(
    trained: Trained,
    loss: LossFunction,
    n: int,
    settings: OptimizerSettings,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda _: None,
) -> TrainLog:
    """Train in place for exactly `settings.steps` updates of `batch_size` rows out of n.

    `rng` decides the order of the rows and seeds torch (dropout). AdamW without decay on biases and norms, linear
    warm-up and decay, gradient clipping.

    Raises
    ------
    RunError
        If the loss or its gradient is no longer finite.
    """
    steps, tensors = settings.steps or 0, trained.tensors
    torch.manual_seed(int(rng.integers(2**62)))
    # The model lies where it shall train, and the loss sees to its own precision: accelerate moves and wraps neither.
    accelerator = Accelerator(device_placement=False, mixed_precision="no")
    optimizer = torch.optim.AdamW([dict(group) for group in trained.groups], fused=True)
    warmup = round(settings.warmup * steps)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)  # type: ignore[no-untyped-call]
    optimizer = accelerator.prepare_optimizer(optimizer)
    ledger = _Ledger(steps, trained.rates, every=1 if trained.on_cpu else _LOOK_EVERY)
    with trained.training(settings.gradient_checkpointing):
        for update, rows in zip(range(steps), row_stream(n, settings.batch_size, rng), strict=False):
            parts = np.split(rows, settings.accumulation)
            value = reproducibly(partial(_gradient, loss, parts, accelerator), optimizer.zero_grad)
            norm = accelerator.clip_grad_norm_(tensors, settings.max_grad_norm)
            ledger.add(value, norm)
            optimizer.step()
            schedule.step()
            trained.updated(update)
            optimizer.zero_grad(set_to_none=True)
            advance(1)
    return TrainLog(ledger.losses())


def _gradient(loss: LossFunction, parts: Sequence[np.ndarray], accelerator: Accelerator) -> torch.Tensor:
    """Add up the gradient of an update; return its loss, the mean over the parts."""
    values = []
    for part in parts:
        found = loss(part)
        for summand in [found] if isinstance(found, torch.Tensor) else found:
            value = summand / len(parts)
            accelerator.backward(value)
            values.append(value.detach())
    return torch.stack(values).sum()


@dataclass
class _Ledger:
    """Losses and gradient norms as they lie on the device, looked at once in `every` updates."""

    steps: int
    rates: str
    every: int
    _seen: list[float] = field(default_factory=list)
    _waiting: list[torch.Tensor] = field(default_factory=list)

    def add(self, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Note an update before it is made."""
        self._waiting.append(torch.stack([loss, norm.to(loss)]))
        if len(self._waiting) == self.every:
            self._look()

    def losses(self) -> tuple[float, ...]:
        """Return the loss of every update.

        Raises
        ------
        RunError
            If one of them, or its gradient, is not finite; so does `add`.
        """
        self._look()
        return tuple(self._seen)

    def _look(self) -> None:
        for loss, norm in torch.stack(self._waiting).tolist() if self._waiting else []:
            if not np.isfinite([loss, norm]).all():
                raise RunError(
                    f"The loss became {loss} (gradient {norm}) at update {len(self._seen) + 1} of {self.steps}: lower "
                    f'{self.rates}, or set run.precision = "fp32".'
                )
            self._seen.append(loss)
        self._waiting.clear()
