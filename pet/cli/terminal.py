"""What the commands share: settings from flags, errors as one line and an exit code, lines and tables printed.

Nothing heavy is imported here: it is loaded before ``pet --help`` answers.
"""

import io
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from threading import current_thread, main_thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from pet.cli.order import group_of, in_order
from pet.errors import PetError, visible
from pet.runs.log import Talk, talking

if TYPE_CHECKING:
    from pet.settings.config import RunConfig

_RESUMED = ("run", "label", "pretrain", "ablate", "search")
"""The commands that go on where they stopped."""


_ANYWHERE = ("--debug", "-q", "--quiet", "-v", "--verbose")
"""Options that may stand anywhere on the line."""


class CommandGroup(TyperGroup):
    """Turns errors into one line and an exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted, 143 terminated."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = in_order(self.commands)
        for name, command in self.commands.items():
            setattr(command, "rich_help_panel", group_of(name))  # noqa: B010 -- click's commands have no such attribute

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take --debug, -q and -v from anywhere on the line."""
        ctx.obj = "--debug" in args
        talk: Talk = "quiet" if {"-q", "--quiet"} & set(args) else "usual"
        ctx.with_resource(talking("verbose" if {"-v", "--verbose"} & set(args) else talk))
        rest: list[str] = super().parse_args(ctx, [argument for argument in args if argument not in _ANYWHERE])
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")  # a code page of Windows has no sign for most texts
        try:
            with _terminable():
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            resumes = ctx.invoked_subcommand in _RESUMED
            kept = "; ".join(["the same command goes on where it stopped", *getattr(stop, "__notes__", [])])
            if ctx.invoked_subcommand == "predict":
                resumes, kept = True, "the same command with --resume goes on where it stopped"
            ended, code = ("terminated", 143) if isinstance(stop, _Terminated) else ("interrupted", 130)
            note(f"{ended}{f': {kept}' if resumes else ''}")
            raise typer.Exit(code) from None
        except BrokenPipeError:  # as of `pet patterns | head -1`; nor shall what is left be written at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except Exception as error:
            if ctx.obj or isinstance(error, typer.Exit | typer.Abort | typer.TyperException):
                raise
            note(f"error: {_one_line(error)}")
            raise typer.Exit(error.exit_code if isinstance(error, PetError) else 1) from None


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers send it: all that Ctrl-C does is done."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, where nobody else has a use for it."""

    def end(_signal: int, _frame: object) -> None:
        raise _Terminated

    ours = current_thread() is main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _one_line(error: Exception) -> str:
    if isinstance(error, PetError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "The memory is full: lower data.max_unlabeled or model.max_length."
    return f"{type(error).__name__}: {' '.join(str(error).split())} (unexpected; --debug shows where)"


def load_config(
    config: str,
    settings: Sequence[str] | None,
    registry: Sequence[Path] | None,
    on_bad_row: str | None,
    flags: Mapping[str, bool] = MappingProxyType({}),
) -> "RunConfig":
    """Return a pipeline, a file or a ready-made one, with what the command line changes in it.

    Of `flags`, changes such as ``ipet.accept_all=true``, those that are given win over `settings`.

    Raises `ConfigError` if there is no such pipeline, or a key or value is not known.
    """
    from pet.settings.config import RunConfig

    given = [change for change, wanted in flags.items() if wanted]
    given += [f'data.on_bad_row="{on_bad_row}"'] if on_bad_row else []
    changes = [*(settings or []), *given]
    return RunConfig.from_toml(config, changes).with_registries(registry or [])


def run_place(config: str, output_dir: Path | None) -> Path:
    """Return where a run lies: where it was told to, else in a folder named after the pipeline."""
    return output_dir or Path("runs") / Path(config).stem


def say(*lines: str) -> None:
    """Print lines to stdout: nothing in them is read as markup, and no sign of theirs steers the terminal."""
    for line in chain.from_iterable(line.split("\n") for line in lines):
        typer.echo(visible(line))


def note(line: str) -> None:
    """Print a line to stderr; no sign in it steers the terminal."""
    typer.echo(visible(line), err=True)


def say_json(value: object) -> None:
    """Print a value as JSON; signs that would steer the terminal are escaped as JSON has it."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # What else `visible` would change has another form there, which is no JSON.
    say("".join(sign if sign == "\n" or visible(sign) == sign else json.dumps(sign)[1:-1] for sign in text))


def print_table(table: Any) -> None:
    """Print a table of rich to stdout."""
    from rich.console import Console

    # A pipe has no width: never fold the table there.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def counted(counts: Mapping[str, int], most: int = 10) -> str:
    """Return how many there are of each name, the most frequent ones first.

    >>> counted({"a": 1, "b": 2, "c": 0}), counted({"a": 1, "b": 2, "c": 0}, 1)
    ('b 2, a 1, c 0', 'b 2 and 2 more')
    """
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])
    more = f" and {len(ranked) - most} more" if len(ranked) > most else ""
    return ", ".join(f"{name} {count}" for name, count in ranked[:most]) + more


def aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line per pair, the second parts one below the other.

    >>> aligned([("a", "x"), ("bcd", "y")])
    ['a    x', 'bcd  y']
    """
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}  {text}" for name, text in pairs]
