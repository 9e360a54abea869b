"""Jobs done side by side: several processes of few threads instead of one of many.

The steps of a small model are too small to be divided among cores: two processes with one thread each do nearly twice
what one process with two threads does. Each process gets ready by itself, does the tasks that it is handed, and leaves
its jobs in the store. The processes end with the one that started them, however that ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait as wait_for
from types import ModuleType
from typing import Any, Protocol, Self

from pet.errors import PetError, RunError

Tell = Callable[[str, Any], None]
"""Says something to the process that started the others: "advance" with a count, or "note" with a line."""

AHEAD = 2
"""So many tasks for each process are taken at a time: they may come with rows that are not to be held all at once."""

POLL_SECONDS = 0.2
"""How often is looked for what the processes have told."""


class Setup(Protocol):
    """Gets a process ready; it travels with each task, and so is of plain values."""

    def begin(self, tell: Tell) -> Callable[..., object]:
        """Return what does a task, called with the task's arguments."""


@dataclass
class Processes:
    """So many processes of so many threads, started when there is something to do, ended by `close`."""

    setup: Setup
    workers: int
    threads: int = 1
    _pool: ProcessPoolExecutor | None = field(default=None, init=False)
    _told: Any = field(default=None, init=False)
    _children: set[Any] = field(default_factory=set, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, tasks: Iterable[tuple[Any, ...]], hear: Tell) -> None:
        """Have all tasks done; `hear` gets what the processes tell meanwhile. A few tasks are asked for ahead.

        Raises the `PetError` of the first that failed, and `RunError` if a process ended by itself, or anything else
        failed.
        """
        try:
            coming = iter(tasks)
            waiting = {self._submit(task) for task in islice(coming, AHEAD * self.workers)}
            while waiting:
                done, waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                waiting |= {self._submit(task) for task in islice(coming, len(done))}
                while not self._told.empty():
                    hear(*self._told.get())
                for future in done:
                    future.result()
        except BrokenProcessPool:
            raise self._ended() from None

    def close(self) -> None:
        """End the processes, whatever they do."""
        if self._pool is None:
            return
        for process in self._children:
            process.kill()
        self._pool.shutdown(cancel_futures=True)
        self._pool = None
        self._children.clear()

    def _submit(self, task: tuple[Any, ...]) -> Any:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a fork would take over locks of torch's threads
            self._told = context.SimpleQueue()
            self._pool = ProcessPoolExecutor(self.workers, context, _start, (self._told,))
        others = set(multiprocessing.active_children())
        with _without_main(), _limited(self.threads):  # it starts a process where none is idle
            future = self._pool.submit(_do, self.setup, task)
        self._children |= set(multiprocessing.active_children()) - others
        return future

    def _ended(self) -> RunError:
        for process in self._children:
            process.join()
        codes = [process.exitcode for process in self._children]
        # The others are terminated once one has ended.
        code = next((code for code in codes if code not in (0, None, -signal.SIGTERM)), codes[0])
        return RunError(
            f"One of {self.workers} processes that worked side by side ended by itself (exit code {code}; -9 means "
            "that the memory was full): start again with fewer of them, run.workers = 1 or --workers 1."
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


_told: Any = None
_work: Callable[..., object] | None = None


def _start(told: Any) -> None:
    """Begin the life of a process; `told` is the queue to the one that started it."""
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us is told, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _do(setup: Setup, task: tuple[Any, ...]) -> None:
    """Do a task; the first one waits until the process is ready."""
    global _work
    try:
        if _work is None:
            _work = setup.begin(lambda kind, content: _told.put((kind, content)))
        _work(*task)
    except PetError:
        raise
    except BaseException as error:  # not every one can be sent, nor is one that exits to end the whole run
        reason = f"{type(error).__name__}: {error} (in a process that worked side by side with others)"
        raise RunError(reason) from None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)
