"""What happened, said once to the person and kept in `run.log`."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from pet.errors import visible


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
        time = datetime.now().astimezone().isoformat(timespec="seconds")
        line = f"{time} {visible(' '.join(message.splitlines()))}\n"
        with suppress(OSError), self.path.open("ab") as file:
            file.write(line.encode("utf-8", "backslashreplace"))
        # Looked up now: a progress display replaces it to keep its own lines below the messages.
        stream = sys.stderr if self.stream is None else self.stream
        with suppress(OSError, ValueError):
            print(*map(visible, message.splitlines()), sep="\n", file=stream, flush=True)

    def warn(self, message: str) -> None:
        """Say ``warning: message``."""
        self.say(f"warning: {message}")


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


NULL_LOG = NullLog()
"""The log of those who want none."""
