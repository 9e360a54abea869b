"""What a person's own code hears of a run while it goes on: voters, generations, the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pet.method.summary import Summary


@dataclass(frozen=True)
class VoterEnd:
    """A voter has learned from so many `training_rows` and voted; `losses` are those of its updates, if it had any.

    It is told also of a voter that an earlier start of the run has finished.
    """

    voter: str
    generation: int
    training_rows: int
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class GenerationEnd:
    """A generation is over: its `figures` are those of `metrics.json`, `rejected` the reason where it decides nothing.

    Numbers among them are finite; what was not measured is None.
    """

    generation: int
    figures: Mapping[str, Any]
    rejected: str | None = None


@dataclass(frozen=True)
class RunEnd:
    """A run is over: `pet.read_run(directory)` reads all of it. `summary` is None after `label`."""

    directory: Path
    summary: Summary | None = None


class Callback(Protocol):
    """What hears of a run. A class that derives from this one overrides what it wants to hear.

    >>> class Losses(Callback):
    ...     def on_voter_end(self, end):
    ...         print(end.voter, end.losses[-1:])
    """

    def on_voter_end(self, end: VoterEnd) -> None:
        """Hear that a voter has voted; of voters done side by side, once all of these have."""

    def on_generation_end(self, end: GenerationEnd) -> None:
        """Hear that a generation is over."""

    def on_end(self, end: RunEnd) -> None:
        """Hear that all results are in their places."""


@dataclass
class Callbacks:
    """Tells all of some callbacks. One that raises is reported to `warn`, and hears no more: the run goes on.

    A callback watches; that it fails says nothing about the labels, which may be hours of work.
    """

    hearers: Sequence[Callback] = ()
    warn: Callable[[str], None] = lambda _: None
    _told: set[VoterEnd] = field(default_factory=set)

    def voter(self, end: VoterEnd) -> None:
        """Tell of a voter, once: one that is asked for other rows is the same voter."""
        if self.hearers and end not in self._told:
            self._told.add(end)
            self._tell("on_voter_end", end)

    def generation(self, end: GenerationEnd) -> None:
        """Tell of a generation."""
        self._tell("on_generation_end", end)

    def end(self, end: RunEnd) -> None:
        """Tell that the run is over."""
        self._tell("on_end", end)

    def _tell(self, method: str, end: object) -> None:
        for hearer in tuple(self.hearers):
            try:
                # What does not derive from `Callback` may offer one of the three alone.
                getattr(hearer, method, lambda _: None)(end)
            except Exception as error:
                self.hearers = [other for other in self.hearers if other is not hearer]
                said = " ".join(f"{type(error).__name__}: {error}".split())
                self.warn(f"the callback {type(hearer).__name__} failed in {method} ({said}) and is told no more")
