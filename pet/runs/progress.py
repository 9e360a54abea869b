"""How far the work is, on the standard error output: bars on a terminal, elsewhere a line per job and per minute."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from pet.errors import visible
from pet.learners.models.progress import heard_losses
from pet.runs.log import is_quiet


class Advance(Protocol):
    """Says that so many more steps are done."""

    def __call__(self, count: int = 1, /) -> None:
        """Move on by `count` steps."""


@contextmanager
def stage_progress(
    description: str | Callable[[], str], total: int | None, enabled: bool | None = None
) -> Iterator[Advance]:
    """Show a bar with the elapsed and the remaining time, and yield the function that moves it on.

    The `description`, or what it returns at each moment, stands above the bar.

    `total` None means that the number of steps is unknown; `enabled` None means: if a person watches.

    >>> with stage_progress("training agnews/colon", total=100, enabled=False) as advance:
    ...     advance(50)
    """
    head = (lambda: description) if isinstance(description, str) else description
    with _bar(head, total, MofNCompleteColumn(), enabled=enabled) as (bar, task):

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
    with _bar(lambda: description, 1.0, *columns, enabled=enabled) as (bar, task):
        yield lambda done, rate: bar.update(task, completed=done, rate=f"{rate:,.0f} {unit}/s")


class _Headed(RichProgress):
    """A bar below a line of text, which takes no room from it; `head` says what stands there ("": nothing)."""

    def __init__(self, *columns: ProgressColumn, head: Callable[[], str], **options: Any) -> None:
        self._head = head
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield the line, cut at the width of the terminal, then the bar."""
        if text := self._head():
            yield Text(visible(text), no_wrap=True, overflow="ellipsis")
        yield from super().get_renderables()


@contextmanager
def _bar(
    head: Callable[[], str], total: float | None, *counts: ProgressColumn, enabled: bool | None
) -> Iterator[tuple[RichProgress, TaskID]]:
    """Show a bar with `counts` between it and the times, or none where it is not enabled; yield it and its task."""
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=24), *counts, TimeElapsedColumn(), TimeRemainingColumn())
    shown = is_watched() and not is_quiet() if enabled is None else enabled
    # The bar goes when the stage ends: what stays on the screen is what was said to the log.
    with _Headed(*columns, head=head, console=console, transient=console.is_terminal, disable=not shown) as bar:
        yield bar, bar.add_task("", total=total, rate="")


@dataclass
class Stages:
    """Numbers the stages of a run, to show what remains of the whole: ``job 3 of 9, 4 min left: training colon``.

    `enabled` as for `stage_progress`. Where nobody watches, `lines` gets a line at the beginning of each stage and
    another each minute (None: nothing does). `seconds` are those that the whole was predicted to take.
    """

    total: int
    enabled: bool | None = None
    lines: Callable[[str], None] | None = None
    seconds: float | None = None
    started: int = field(default=0, init=False)
    _skipped: int = field(default=0, init=False)
    _begun: float = field(default_factory=lambda: time.monotonic(), init=False)

    def skip(self, count: int = 1) -> None:
        """Count stages that need no work, such as the finished jobs of an earlier start."""
        self.started += count
        self._skipped += count

    @contextmanager
    def stage(self, description: str, total: int | None) -> Iterator[Advance]:
        """Show the next stage (see `stage_progress`)."""
        self.started += 1
        with self._shown(lambda: f"job {self.started} of {self.total}", description, total) as advance:
            yield advance

    @contextmanager
    def together(self, count: int, description: str, total: int) -> Iterator[Advance]:
        """Show the next `count` stages, which are done side by side, as one; they are counted once they are read."""
        numbers = f"jobs {self.started + 1} to {self.started + count} of {self.total}"
        with self._shown(lambda: numbers, description, total) as advance:
            yield advance

    @contextmanager
    def _shown(self, number: Callable[[], str], description: str, total: int | None) -> Iterator[Advance]:
        stage, losses = _Stage(total), list[float]()

        def head() -> str:
            loss = f", loss {losses[-1]:.3f}" if losses else ""
            return f"{number()}{self._left(stage)}: {description}{loss}"

        spoken = self.lines if self.enabled is None and not is_watched() else None
        if spoken:
            spoken(head())
        with heard_losses(losses.append), stage_progress(head, total, self.enabled) as move:

            def advance(count: int = 1, /) -> None:
                stage.done += count
                move(count)
                if spoken and stage.is_minute():
                    spoken(f"{head()}, {stage.share:.0%} of it")

            yield advance

    def _left(self, stage: "_Stage") -> str:
        """Say how long the whole takes from now on: as predicted at first, and more and more by what it took so far."""
        jobs = max(1, self.total - self._skipped)
        done = min(0.99, (self.started - self._skipped - 1 + stage.share) / jobs)
        spent = time.monotonic() - self._begun
        if self.seconds is None and (done <= 0.0 or spent < _TOO_SOON):
            return ""
        paced = spent * (1 - done) / done if done > 0.0 else 0.0
        predicted = max(self.seconds - spent, 0.0) if self.seconds is not None else paced
        return f", {_span(done * paced + (1 - done) * predicted)} left"


_TOO_SOON, _MINUTE = 5.0, 60.0


@dataclass
class _Stage:
    """How far a stage is."""

    total: int | None
    done: int = 0
    _told: float = field(default_factory=lambda: time.monotonic())

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def is_minute(self) -> bool:
        """Return whether a minute has passed since the stage began, or since this was last so."""
        now = time.monotonic()
        if now - self._told < _MINUTE:
            return False
        self._told = now
        return True


def _span(seconds: float) -> str:
    """Say a time in its largest unit.

    >>> _span(20), _span(100), _span(7300)
    ('20 s', '2 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


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
