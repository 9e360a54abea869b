"""When a training ends before its last step: once its measure on held-out rows is high enough, or no longer rises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from pet.learners.models.keeping import State

Rank = tuple[float, float]
"""What weights are compared by, larger is better: a share in [0, 1], and what decides between equal ones."""

ENOUGH = 0.99
"""At this share nothing is left to gain that held-out rows could show."""

PATIENCE = 3
"""A training ends when in so many measurements in a row nothing has risen.

Agreement on few rows is noisy: on 70 rows it stood still for 80 updates while the divergence fell, and rose after.
"""


@dataclass
class BestWeights:
    """Measures tensors that train once in `every` updates, and keeps a copy of the best.

    It ends the training when neither part of their rank has risen for a while.
    """

    tensors: Sequence[torch.Tensor]
    measure: Callable[[], Rank]
    every: int
    best: Rank = field(default=(float("-inf"), 0.0), init=False)
    at: int = field(default=0, init=False)
    measured: int = field(default=0, init=False)
    _kept: list[torch.Tensor] = field(default_factory=list, init=False, repr=False)
    _highest: Rank = field(default=(float("-inf"), float("-inf")), init=False)
    _waited: int = field(default=0, init=False)

    def look(self, updates: int = 0) -> bool:
        """Measure the tensors as they are after so many updates; return whether to end here."""
        found = self.measure()
        self.measured += 1
        if found > self.best:
            self.best, self.at = found, updates
            self._kept = [tensor.detach().clone() for tensor in self.tensors]
        higher = (max(found[0], self._highest[0]), max(found[1], self._highest[1]))
        self._waited = 0 if higher != self._highest else self._waited + 1
        self._highest = higher
        return self.best[0] >= ENOUGH or self._waited >= PATIENCE

    def ends(self, updates: int) -> bool:
        """Say, after each update, whether to end: it is looked at once in `every`."""
        return updates % self.every == 0 and self.look(updates)

    def state(self) -> State:
        """Return all that decides when to end, and the best values."""
        tensors = {str(place): kept for place, kept in enumerate(self._kept)}
        facts = (self.best, self.at, self.measured, self._highest, self._waited)
        return tensors, {"facts": facts}

    def resume(self, state: State) -> None:
        """Go back to a state."""
        tensors, values = state
        best, self.at, self.measured, highest, self._waited = values["facts"]
        self.best, self._highest = (best[0], best[1]), (highest[0], highest[1])
        self._kept = [tensors[str(place)].to(tensor.device) for place, tensor in enumerate(self.tensors) if tensors]

    def restore(self) -> None:
        """Give the tensors the best of their values."""
        with torch.no_grad():
            for tensor, kept in zip(self.tensors, self._kept, strict=True):
                tensor.copy_(kept)


def measured_every(held_out: int) -> int:
    """Return the updates between two measurements on so many rows: measuring shall cost less than training does.

    >>> measured_every(50), measured_every(500)
    (20, 62)
    """
    return max(20, held_out // 8)
