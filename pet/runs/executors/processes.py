"""Jobs done side by side: several processes of few threads instead of one of many.

The steps of a small model are too small to be divided among cores: two processes with one thread each do nearly twice
what one process with two threads does. The processes end with the one that started them, however that ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from types import ModuleType
from typing import Any

from pet.runs.executors.base import POLL_SECONDS, Handle, Needs, Work, thread_limits


@dataclass
class Processes:
    """So many processes, started when there is something to do, ended by `cancel`."""

    work: Work
    workers: int
    _pool: ProcessPoolExecutor | None = field(default=None, init=False)
    _futures: dict[Future[object], Handle] = field(default_factory=dict, init=False)
    _children: set[Any] = field(default_factory=set, init=False)

    def submit(self, folder: Path, needs: Needs) -> Handle:
        """Hand over the job of a folder; a process that is started for it has so many threads as it needs."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a fork would take over locks of torch's threads
            self._pool = ProcessPoolExecutor(self.workers, context, _start)
        others = set(multiprocessing.active_children())
        future: Future[object]
        with _without_main(), _limited(needs.cpus):  # it starts a process where none is idle
            try:
                future = self._pool.submit(self.work, str(folder))
            except BrokenProcessPool as error:
                future = Future()
                future.set_exception(error)
        self._children |= set(multiprocessing.active_children()) - others
        self._futures[future] = Handle(folder)
        return self._futures[future]

    def as_completed(self) -> Iterator[Handle | None]:
        """Yield each job as it ends; None where none has for a while."""
        while self._futures:
            done, _ = wait(self._futures, POLL_SECONDS, FIRST_COMPLETED)
            if not done:
                yield None
            for future in done:
                handle, error = self._futures.pop(future), future.exception()
                broken = isinstance(error, BrokenProcessPool)
                yield replace(handle, died=self._ended() if broken else str(error or ""))

    def cancel(self) -> None:
        """End the processes, whatever they do."""
        if self._pool is None:
            return
        for process in self._children:
            process.kill()
        self._pool.shutdown(cancel_futures=True)
        self._pool = None
        self._futures.clear()
        self._children.clear()

    def _ended(self) -> str:
        for process in self._children:
            process.join()
        codes = [process.exitcode for process in self._children]
        # The others are terminated once one has ended.
        code = next((code for code in codes if code not in (0, None, -signal.SIGTERM)), codes[0])
        return (
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
    wanted = thread_limits(threads)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({name: value} if value is not None else {})


def _start() -> None:
    """Begin the life of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us is told, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)
