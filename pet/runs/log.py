"""What happened, said once to the person and kept in `run.log`."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO

from pet.errors import visible

Talk = Literal["quiet", "usual", "verbose"]
"""How much is said: warnings alone, what a person wants to know, or every job too."""

_TALK: ContextVar[Talk] = ContextVar("talk", default="usual")


@contextmanager
def talking(talk: Talk) -> Iterator[None]:
    """Let so much be said while active."""
    before = _TALK.set(talk)
    try:
        yield
    finally:
        _TALK.reset(before)


def is_quiet() -> bool:
    """Return whether warnings alone are to be said."""
    return _TALK.get() == "quiet"


def tell(line: str) -> None:
    """Print a line for the person, where no log keeps it."""
    if not is_quiet():
        _print(line, sys.stderr)


class RunLog:
    """Says messages on a stream and appends them with their time to a file.

    Its methods `say` and `warn` take one string, to be handed to stages as plain functions. Logging never
    stops the work: a full disk is met again, and reported, by whatever writes results.
    """

    def __init__(self, path: Path, stream: TextIO | None = None) -> None:
        """Store where to write; without a stream that is the standard error output of each moment."""
        self.path = path
        self.stream = stream

    def say(self, message: str) -> None:
        """Append ``<ISO time> message`` to the file as one line, and print the message."""
        self._keep(message)
        if not is_quiet():
            self._print(message)

    def warn(self, message: str) -> None:
        """Say ``warning: message``, and print it with a mark that tells it from all else."""
        self._keep(f"warning: {message}")
        self._print(f"! warning: {message}")

    def detail(self, message: str) -> None:
        """Append a message to the file; it is printed for who wants to hear of every job."""
        self._keep(message)
        if _TALK.get() == "verbose":
            self._print(message)

    def _keep(self, message: str) -> None:
        time = datetime.now().astimezone().isoformat(timespec="seconds")
        line = f"{time} {visible(' '.join(message.splitlines()))}\n"
        with suppress(OSError), self.path.open("ab") as file:
            file.write(line.encode("utf-8", "backslashreplace"))

    def _print(self, message: str) -> None:
        # Looked up now: a progress display replaces it to keep its own lines below the messages.
        _print(message, sys.stderr if self.stream is None else self.stream)


def _print(message: str, stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        print(*map(visible, message.splitlines()), sep="\n", file=stream, flush=True)


STARTED, FAILED = "started: ", "failed: "
"""How a line of the log begins that says what has become of a run."""


@contextmanager
def failures_logged(path: Path) -> Iterator[None]:
    """Note in a log why the work within failed; an interruption is none."""
    try:
        yield
    except Exception as error:
        RunLog(path, io.StringIO()).say(f"{FAILED}{type(error).__name__}: {error}")
        raise


class NullLog(RunLog):
    """Says and keeps nothing, for use as a library."""

    def __init__(self) -> None:
        """Store nothing."""

    def say(self, message: str) -> None:
        """Drop the message."""

    warn = detail = say


NULL_LOG = NullLog()
"""The log of those who want none."""
