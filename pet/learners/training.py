"""The one training loop: counted in optimizer updates, on accelerate, the same for voters and classifiers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from transformers import get_linear_schedule_with_warmup

from pet.config import OptimizerSettings
from pet.errors import RunError

__all__ = ["LossFunction", "TrainLog", "Trained", "fit", "row_stream", "weight_groups"]

LossFunction = Callable[[np.ndarray], torch.Tensor]
"""Maps int64 row indices of a micro-batch to its mean loss."""


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

    A group has `params`, and the `lr` and `weight_decay` of AdamW. `updated` hears the number of every update made,
    from 0 on, while the gradients are still there.
    """

    modules: tuple[nn.Module, ...]
    groups: tuple[dict[str, Any], ...]
    updated: Callable[[int], None] = lambda _: None

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that trains."""
        return [tensor for group in self.groups for tensor in group["params"]]

    @contextmanager
    def training(self) -> Iterator[None]:
        """Keep the modules in training mode while active."""
        for module in self.modules:
            module.train()
        try:
            yield
        finally:
            for module in self.modules:
                module.eval()

    @classmethod
    def weights_of(cls, model: nn.Module, settings: OptimizerSettings) -> "Trained":
        """Return all weights of a model that want a gradient."""
        return cls((model,), weight_groups((w for w in model.parameters() if w.requires_grad), settings))


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
    losses: list[float] = []
    with trained.training():
        for _, rows in zip(range(steps), row_stream(n, settings.batch_size, rng), strict=False):
            total = 0.0
            for part in np.split(rows, settings.accumulation):
                value = loss(part) / settings.accumulation
                accelerator.backward(value)
                total += float(value.detach())
            norm = float(accelerator.clip_grad_norm_(tensors, settings.max_grad_norm))
            if not np.isfinite([total, norm]).all():
                raise RunError(
                    f"The loss became {total} (gradient {norm}) at update {len(losses) + 1} of {steps}: lower "
                    f'the learning rate (now {trained.groups[0]["lr"]:g}), or set run.precision = "fp32".'
                )
            optimizer.step()
            schedule.step()
            losses.append(total)
            trained.updated(len(losses) - 1)
            optimizer.zero_grad(set_to_none=True)
            advance(1)
    return TrainLog(tuple(losses))
