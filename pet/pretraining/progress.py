"""How far a pretraining is, what it has measured, and the learning rate that follows from it."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pet.settings.pretraining import LimitSettings, UpdateSettings

__all__ = ["Point", "Progress", "done_share", "rate_factor"]


@dataclass(frozen=True)
class Point:
    """One measurement: means over the steps since the one before, and what was measured on the held-out text.

    `seconds` are those of the training itself; `kept` is 1 - cosine of the embeddings. None: not measured.
    """

    step: int
    tokens: int
    seconds: float
    loss: float | None = None
    kept: float | None = None
    valid_loss: float | None = None
    valid_accuracy: float | None = None

    def line(self) -> str:
        """Return the measurement for people."""
        parts = [f"step {self.step:,}", f"{self.tokens:,} tokens"]
        if self.seconds > 0:
            parts.append(f"{self.tokens / self.seconds:,.0f} tokens/s")
        if self.loss is not None:
            parts.append(f"loss {self.loss:.3f}")
        if self.kept is not None:
            parts.append(f"1 - cosine {self.kept:.4f}")
        if self.valid_loss is not None and self.valid_accuracy is not None:
            parts.append(f"held out: loss {self.valid_loss:.3f}, masked accuracy {self.valid_accuracy:.1%}")
        return ", ".join(parts)


@dataclass
class Progress:
    """What a checkpoint keeps besides the tensors; `seen` are tokens per source, `sums` of losses since a point.

    `seconds` is training time, `spent` that with measuring and saving, which the limit in minutes is about.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    spent: float = 0.0
    seen: list[int] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    summed: int = 0
    curve: list[Point] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Progress":
        """Return what `as_json` was made from."""
        return cls(**{**values, "curve": [Point(**point) for point in values["curve"]]})


def done_share(progress: Progress, limits: LimitSettings) -> float:
    """Return how much of the training is done, from 0 to 1: by the limit that is nearest.

    >>> done_share(Progress(step=5, tokens=80), LimitSettings(steps=20, tokens=100))
    0.8
    """
    shares = (
        progress.step / (limits.steps or math.inf),
        progress.tokens / (limits.tokens or math.inf),
        progress.spent / (60 * (limits.minutes or math.inf)),
    )
    return min(1.0, max(shares))


def rate_factor(done: float, settings: UpdateSettings) -> float:
    """Return what the learning rate is multiplied by: linear warm-up, then a cosine to `final`.

    >>> settings = UpdateSettings(warmup=0.1, final=0.0)
    >>> [round(rate_factor(done, settings), 2) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if done < settings.warmup:
        return done / settings.warmup
    after = (done - settings.warmup) / (1.0 - settings.warmup)
    return float(settings.final + (1.0 - settings.final) * 0.5 * (1.0 + np.cos(np.pi * after)))
