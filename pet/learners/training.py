"""The one training loop: counted in optimizer updates, on accelerate, the same for voters and classifiers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import get_linear_schedule_with_warmup

from pet.config import OptimizerSettings
from pet.errors import RunError

__all__ = ["LossFunction", "Schedule", "TrainLog", "default_schedule", "fit", "row_stream"]

SMALL_MODEL = 50_000_000
"""Parameters below which a model counts as small."""

LossFunction = Callable[[np.ndarray], torch.Tensor]
"""Maps int64 row indices of a micro-batch to its mean loss."""


@dataclass(frozen=True)
class TrainLog:
    """What a training did: the loss of every update, in order."""

    losses: tuple[float, ...]

    @property
    def updates(self) -> int:
        """The number of optimizer updates made."""
        return len(self.losses)


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


def fit(
    model: Any,
    loss: LossFunction,
    n: int,
    settings: OptimizerSettings,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda _: None,
) -> TrainLog:
    """Train a model in place for exactly `settings.steps` updates of `batch_size` rows out of n.

    `rng` decides the order of the rows and seeds torch (dropout). AdamW without decay on biases and norms, linear
    warm-up and decay, gradient clipping.

    Raises
    ------
    RunError
        If the loss or its gradient is no longer finite.
    """
    steps, learning_rate = settings.steps or 0, settings.learning_rate or 1e-5
    torch.manual_seed(int(rng.integers(2**62)))
    # The model lies where it shall train, and the loss sees to its own precision: accelerate moves and wraps neither.
    accelerator = Accelerator(device_placement=False, mixed_precision="no")
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings.weight_decay), lr=learning_rate, fused=True)
    warmup = round(settings.warmup * steps)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)  # type: ignore[no-untyped-call]
    optimizer = accelerator.prepare_optimizer(optimizer)
    losses: list[float] = []
    model.train()
    try:
        for _, rows in zip(range(steps), row_stream(n, settings.batch_size, rng), strict=False):
            total = 0.0
            for part in np.split(rows, settings.accumulation):
                value = loss(part) / settings.accumulation
                accelerator.backward(value)
                total += float(value.detach())
            norm = float(accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm))
            if not np.isfinite([total, norm]).all():
                raise RunError(
                    f"The loss became {total} (gradient {norm}) at update {len(losses) + 1} of {steps}: lower "
                    f'the learning rate (now {learning_rate:g}), or set run.precision = "fp32".'
                )
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(total)
            advance(1)
    finally:
        model.eval()
    return TrainLog(tuple(losses))


def _parameter_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Split the weights: matrices decay, biases and norms do not."""
    matrices = [weight for weight in model.parameters() if weight.requires_grad and weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.requires_grad and weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


@dataclass(frozen=True)
class Schedule:
    """How long, and at what rate."""

    steps: int
    learning_rate: float


def default_schedule(parameters: int, voter: bool) -> Schedule:
    """Return the schedule for a model of that size: a voter or baseline, or the final classifier.

    For a base-size model those of 2001.07676, appendix B; a small one needs larger steps.
    """
    if parameters < SMALL_MODEL:
        return Schedule(60, 1e-4) if voter else Schedule(300, 1e-4)
    return Schedule(250, 1e-5) if voter else Schedule(1000, 1e-5)
