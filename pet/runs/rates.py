"""A progress bar of work that is limited by more than a number of steps, with its rate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pet.runs.progress import is_watched

__all__ = ["rate_progress"]


@contextmanager
def rate_progress(description: str, unit: str, enabled: bool | None = None) -> Iterator[Callable[[float, float], None]]:
    """Show a bar, and yield the function that sets it to a share done, 0 to 1, and a rate in `unit` per second.

    `enabled` None means: if a person watches.

    >>> with rate_progress("training", "tokens", enabled=False) as show:
    ...     show(0.5, 20_000.0)
    """
    if not (is_watched() if enabled is None else enabled):
        yield lambda _done, _rate: None
        return
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=console.is_terminal) as progress:
        task = progress.add_task(description, total=1.0, rate="")
        yield lambda done, rate: progress.update(task, completed=done, rate=f"{rate:,.0f} {unit}/s")
