"""How far a pretraining is, and what it has measured."""

from dataclasses import dataclass, field

from pet.learners.models.progress import Progress


@dataclass(frozen=True)
class Point:
    """One point of the curve: means over the steps since the one before, and what was measured on the held-out text.

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
class PretrainingProgress(Progress):
    """What a checkpoint keeps besides the tensors.

    `seen` are tokens per source; `sums` of the two terms of the loss over the `summed` steps since the last point.
    """

    seen: list[int] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    summed: int = 0
    curve: list[Point] = field(default_factory=list)
