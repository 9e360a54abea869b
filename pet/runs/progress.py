"""Progress bars on the standard error output, for people only: silent when it is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


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
    with _bar(description, total, MofNCompleteColumn(), enabled=enabled) as (bar, task):

        def advance(count: int = 1, /) -> None:
            bar.advance(task, count)

        yield advance


@contextmanager
def rate_progress(description: str, unit: str, enabled: bool | None = None) -> Iterator[Callable[[float, float], None]]:
    """Show a bar, and yield the function that sets it to a share done, 0 to 1, and a rate in `unit` per second.

    `enabled` as for `stage_progress`.

    >>> with rate_progress("training", "tokens", enabled=False) as show:
    ...     show(0.5, 20_000.0)
    """
    columns = TaskProgressColumn(), TextColumn("{task.fields[rate]}")
    with _bar(description, 1.0, *columns, enabled=enabled) as (bar, task):
        yield lambda done, rate: bar.update(task, completed=done, rate=f"{rate:,.0f} {unit}/s")


@contextmanager
def _bar(
    description: str, total: float | None, *counts: ProgressColumn, enabled: bool | None
) -> Iterator[tuple[Progress, TaskID]]:
    """Show a bar with `counts` between it and the times, or none where it is not enabled; yield it and its task."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),  # names of patterns may contain square brackets
        BarColumn(bar_width=24),
        *counts,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown = is_watched() if enabled is None else enabled
    # The bar goes when the stage ends: what stays on the screen is what was said to the log.
    with Progress(*columns, console=console, transient=console.is_terminal, disable=not shown) as bar:
        yield bar, bar.add_task(description, total=total, rate="")


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
