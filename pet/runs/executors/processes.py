"""Jobs done side by side: several processes of few threads instead of one of many.

The steps of a small model are too small to be divided among cores: two processes with one thread each do nearly twice
what one process with two threads does. Each process gets ready by itself, does the duties that it is handed, and leaves
its jobs in the store. The processes end with the one that started them, however that ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from types import ModuleType
from typing import Any, Protocol, cast

from pet.errors import PetError, RunError

__all__ = ["Crew", "Duty", "Foreman", "Tell"]

Duty = tuple[str, tuple[Any, ...]]
"""What to do: the name of a method of what the foreman has got ready, and what it is given."""

Tell = Callable[[str, Any], None]
"""Says something to the process that started the crew: "advance" with a count, or "note" with a line."""


class Foreman(Protocol):
    """Gets a process of the crew ready; sent to it once."""

    def begin(self, tell: Tell) -> Any:
        """Return what has the methods that duties name."""


@dataclass
class Crew:
    """So many processes of so many threads, started when there is something to do, ended by `close`."""

    foreman: Foreman
    workers: int
    threads: int = 1
    _hands: dict[Any, Any] = field(default_factory=dict, init=False)  # the processes, by the pipes to them

    def do(self, duties: Sequence[Duty], hear: Tell) -> None:
        """Have all duties done; `hear` gets what the processes tell meanwhile.

        Raises
        ------
        PetError
            As the first of them that failed.
        RunError
            If a process ended by itself, or anything else failed.
        """
        waiting, busy = list(duties), list[Any]()
        if waiting and not self._hands:
            self._start()
        idle = list(self._hands)
        while waiting or busy:
            while waiting and idle:
                busy.append(idle.pop(0))
                self._tell(busy[-1], waiting.pop(0))
            for pipe in cast(list[Any], wait(busy)):
                kind, content = self._told(pipe)
                if kind == "failed":
                    raise content if isinstance(content, PetError) else RunError(content)
                if kind == "done":
                    busy.remove(pipe)
                    idle.append(pipe)
                else:
                    hear(kind, content)

    def close(self) -> None:
        """End the processes, whatever they do."""
        for pipe, process in self._hands.items():
            process.kill()
            process.join()
            pipe.close()
        self._hands.clear()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would take over locks of torch's threads
        with _without_main(), _limited(self.threads):
            for _ in range(self.workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(self.foreman, theirs), daemon=True)
                process.start()
                theirs.close()
                self._hands[ours] = process

    def _tell(self, pipe: Any, duty: Duty) -> None:
        try:
            pipe.send(duty)
        except OSError:
            raise self._ended(pipe) from None

    def _told(self, pipe: Any) -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = pipe.recv()
            return message
        except (EOFError, OSError):
            raise self._ended(pipe) from None

    def _ended(self, pipe: Any) -> RunError:
        process = self._hands[pipe]
        process.join()
        return RunError(
            f"One of {self.workers} processes that worked side by side ended by itself (exit code "
            f"{process.exitcode}; -9 means that the memory was full): set run.workers = 1, and start again."
        )


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep new processes from running the caller's script again, which they do not need."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    """Let new processes have so many threads: torch looks at its environment once, when it is loaded."""
    wanted = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({name: value} if value is not None else {})


def _work(foreman: Foreman, pipe: Any) -> None:
    """Do duties until the end: the life of a process of the crew."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us is told, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        hand = foreman.begin(lambda kind, content: pipe.send((kind, content)))
        while True:
            method, given = pipe.recv()
            getattr(hand, method)(*given)
            pipe.send(("done", None))
    except PetError as error:
        pipe.send(("failed", error))
    except EOFError:  # the one who started us is gone
        return
    except BaseException as error:  # whatever it is, the one who waits has to hear of it
        pipe.send(("failed", f"{type(error).__name__}: {error} (in a process that worked side by side with others)"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
