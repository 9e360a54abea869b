"""How far a training is, and what the learning rate is multiplied by there."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from pet.settings.pretraining import LimitSettings

_HEAR: ContextVar[Callable[[float], None]] = ContextVar("hear", default=lambda _: None)


@contextmanager
def heard_losses(hear: Callable[[float], None]) -> Iterator[None]:
    """Let `hear` get the loss of every update that is made while active, as soon as it is known."""
    before = _HEAR.set(hear)
    try:
        yield
    finally:
        _HEAR.reset(before)


def tell_loss(loss: float) -> None:
    """Hand a loss to who shows how far a training is."""
    _HEAR.get()(loss)


@dataclass
class Progress:
    """Optimizer updates made and tokens read; `seconds` of training, `spent` with all that is done in between."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    spent: float = 0.0


def done_share(progress: Progress, limits: LimitSettings) -> float:
    """Return how much of a training is done, from 0 to 1: by the limit that is nearest.

    >>> done_share(Progress(step=5, tokens=80), LimitSettings(steps=20, tokens=100))
    0.8
    """
    shares = (
        progress.step / (limits.steps or math.inf),
        progress.tokens / (limits.tokens or math.inf),
        progress.spent / (60 * (limits.minutes or math.inf)),
    )
    return min(1.0, max(shares))


def linear_factor(step: int, steps: int, warmup: float) -> float:
    """Return what the learning rate of an update, the first being 0, is multiplied by: up from 0, then down to 0.

    >>> [linear_factor(step, steps=10, warmup=0.2) for step in (0, 1, 2, 6)]
    [0.0, 0.5, 1.0, 0.5]
    """
    rising = round(warmup * steps)
    return step / rising if step < rising else (steps - step) / (steps - rising)


def cosine_factor(done: float, warmup: float, final: float) -> float:
    """Return what the learning rate is multiplied by at a share done: linear warm-up, then a cosine to `final`.

    >>> [round(cosine_factor(done, warmup=0.1, final=0.0), 2) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if done < warmup:
        return done / warmup
    after = (done - warmup) / (1.0 - warmup)
    return float(final + (1.0 - final) * 0.5 * (1.0 + np.cos(np.pi * after)))
