"""The losses of a training as they come."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from pet.errors import RunError
from pet.learners.models.progress import tell_loss


@dataclass
class LossLog:
    """Losses and gradient norms as they lie on the device, fetched once in `every` updates.

    `error` is what is said of one that is not finite: a text with the fields loss, norm and update.
    """

    error: str
    every: int = 1
    _seen: list[float] = field(default_factory=list)
    _waiting: dict[int, torch.Tensor] = field(default_factory=dict)

    def add(self, update: int, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Note an update, the first being 1, before it is made; `loss` and `norm` are scalars."""
        self._waiting[update] = torch.stack([loss, norm.to(loss)])
        if len(self._waiting) == self.every:
            self.fetch()

    def resume(self, losses: Sequence[float]) -> None:
        """Go on behind so many updates."""
        self._seen[:] = losses

    def mean_of_last(self, updates: int) -> float:
        """Return the mean loss of the last updates that were fetched; infinite before there are so many."""
        return float(np.mean(self._seen[-updates:])) if len(self._seen) >= updates else float("inf")

    def fetch(self) -> tuple[float, ...]:
        """Fetch what still lies on the device; return the loss of every update.

        Raises `RunError` if a loss, or its gradient, is not finite; so does `add`.
        """
        values = torch.stack(list(self._waiting.values())).tolist() if self._waiting else []
        for update, (loss, norm) in zip(self._waiting, values, strict=True):
            if not np.isfinite([loss, norm]).all():
                raise RunError(self.error.format(loss=loss, norm=norm, update=update))
            self._seen.append(loss)
            tell_loss(loss)
        self._waiting.clear()
        return tuple(self._seen)
