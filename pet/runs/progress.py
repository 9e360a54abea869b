"""Progress bars on the standard error output, for people only: silent when it is no terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Advance", "Relay", "Stages", "is_watched", "stage_progress"]


class Advance(Protocol):
    """Says that so many more steps are done."""

    def __call__(self, count: int = 1, /) -> None:
        """Move on by `count` steps."""


@contextmanager
def stage_progress(description: str, total: int | None, enabled: bool | None = None) -> Iterator[Advance]:
    """Show a bar with the elapsed and the remaining time, and yield the function that moves it on.

    `total` None means that the number of steps is unknown; `enabled` None means: if a person watches.

    >>> with stage_progress("training agnews/colon", total=100, enabled=False) as advance:
    ...     advance(50)
    """
    if not (is_watched() if enabled is None else enabled):
        yield _ignore
        return
    columns = (
        TextColumn("{task.description}", markup=False),  # names of patterns may contain square brackets
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # The bar goes when the stage ends: what stays on the screen is what was said to the log.
    with Progress(*columns, console=console, transient=console.is_terminal) as progress:
        task = progress.add_task(description, total=total)

        def advance(count: int = 1, /) -> None:
            progress.advance(task, count)

        yield advance


class Stages:
    """Numbers the stages of a run, to show what remains of the whole: ``job 3 of 9: training colon``."""

    def __init__(self, total: int, enabled: bool | None = None) -> None:
        """Store the number of stages, and whether to show them (None: if a person watches)."""
        self.total = total
        self.enabled = enabled
        self.started = 0

    def skip(self, count: int = 1) -> None:
        """Count stages that need no work, such as the finished jobs of an earlier start."""
        self.started += count

    @contextmanager
    def stage(self, description: str, total: int | None) -> Iterator[Advance]:
        """Show the next stage (see `stage_progress`)."""
        self.started += 1
        numbered = f"job {self.started} of {self.total}: {description}"
        with stage_progress(numbered, total, self.enabled) as advance:
            yield advance


class Relay(Stages):
    """Stages of another process, which draws the bar: every step goes to one `advance`."""

    def __init__(self, advance: Advance) -> None:
        """Store where steps go."""
        super().__init__(0, enabled=False)
        self._advance = advance

    @contextmanager
    def stage(self, _description: str, _total: int | None) -> Iterator[Advance]:
        """Yield the one `advance`."""
        yield self._advance


def is_watched() -> bool:
    """Return whether a person sees the standard error output."""
    # Not rich's own answer: FORCE_COLOR and the like would make it draw into log files.
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # no stderr (pythonw), or a closed one
        return False


def _ignore(count: int = 1, /) -> None:
    pass
