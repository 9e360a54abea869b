"""How jobs are handed to whoever does them: in this process, in others, on a cluster.

Only the path of a folder is handed over. It has all that is needed to do one job, `pet job FOLDER` does it from
anywhere that sees the folder, and how it goes is told there:

    task.json    what is to be done: its `name`, the `threads` that it has, and what `pet.method.handing` adds
    attempt-<n>  somebody has begun, and has not said how it ended
    told.jsonl   what is said meanwhile
    failed.json  why it cannot be done

Correctness rests on the store of finished jobs alone: a job that is done twice leaves the same bytes.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pet.errors
from pet.errors import PetError, RunError
from pet.runs.atomic import write_json

Tell = Callable[[str, Any], None]
"""Says something to who waits for a job: "advance" with a count, or "note" with a line."""

Work = Callable[[str], object]
"""Does the job of a folder, by its path; a function of a module, so that other processes find it by its name."""

POLL_SECONDS = 0.2
"""How often is looked for what has been told."""

MOST_ATTEMPTS = 3
"""A job whose process has ended so often without a word is not tried again: it is likely to end the next one, too."""

_TASK, _TOLD, _FAILED = "task.json", "told.jsonl", "failed.json"


@dataclass(frozen=True)
class Needs:
    """What a job takes: threads, GPUs or a part of one, and bytes of memory (0: it is not known)."""

    cpus: int = 1
    gpus: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Handle:
    """A job that was handed over, by its folder; `died` is how whoever did it ended, where that was without a word."""

    folder: Path
    died: str = ""

    def result(self) -> None:
        """Return where the job is done.

        Raises the `PetError` that it failed by, and `RunError` where its process ended by itself.
        """
        with suppress(FileNotFoundError):
            failed = json.loads((self.folder / _FAILED).read_bytes())
            raise getattr(pet.errors, failed["kind"])(failed["message"])
        if self.died:
            raise RunError(self.died)


class Executor(Protocol):
    """Has jobs done."""

    def submit(self, folder: Path, needs: Needs) -> Handle:
        """Hand over the job of a folder."""

    def as_completed(self) -> Iterator[Handle | None]:
        """Yield each job as it ends, those that were handed over meanwhile too; None where none has for a while."""

    def cancel(self) -> None:
        """End whatever is under way."""


def done_by(executor: Executor, folders: Iterable[Path], needs: Needs, most: int, hear: Tell) -> None:
    """Have the jobs of all folders done, at `most` so many at a time; `hear` gets what is told meanwhile.

    A folder is asked for when there is room for its job.

    Raises the `PetError` of the first that failed, and `RunError` if a process ended by itself.
    """
    told, coming = dict[Path, _Reader](), iter(folders)

    def hand_over(count: int) -> None:
        for folder in islice(coming, count):
            told[folder] = _Reader(folder / _TOLD)
            executor.submit(folder, needs)

    hand_over(most)
    for handle in executor.as_completed():
        for one in told.values():
            one.pass_on(hear)
        if handle is not None:
            handle.result()
            del told[handle.folder]
            hand_over(1)


def write_task(folder: Path, task: Mapping[str, Any]) -> None:
    """Write what is to be done into the folder of a job: plain values, `name` and `threads` among them.

    Raises `RunError` if the disk is full or may not be written.
    """
    write_json(folder / _TASK, task)


def read_task(folder: Path) -> Mapping[str, Any]:
    """Return what `write_task` has left.

    Raises `RunError` if there is no job in the folder.
    """
    try:
        found = json.loads((folder / _TASK).read_bytes())
        return {"name": str(found["name"]), "threads": int(found["threads"]), **found}
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder} has no job to do ({type(error).__name__}): expected a folder that a run has made, below "
        raise RunError(message + "RUN/tasks; they go when the run has ended.") from None


def limit_threads(threads: int) -> None:
    """Let this process have so many threads; before torch is loaded, which looks at its environment once.

    Whatever has started it may have said otherwise: Ray sets OMP_NUM_THREADS to what it was asked for in processors.
    With another number of threads, sums are rounded otherwise.
    """
    os.environ.update(thread_limits(threads))


def thread_limits(threads: int) -> dict[str, str]:
    """Return the variables of the environment that keep a process to so many threads."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def do_job(folder: Path, work: Callable[[Mapping[str, Any], Tell], object]) -> None:
    """Do the job of a folder by `work`, which gets what is to be done and what tells of it; failures are left there.

    Raises the `PetError` it failed by, a `RunError` for whatever is none.
    """
    task = read_task(folder)
    try:
        attempt = _begin(folder, task["name"])
        try:
            with _Writer(folder / _TOLD) as told:
                work(task, told.tell)
        except BaseException:
            attempt.unlink(missing_ok=True)  # it says itself how it ended
            raise
    except (KeyboardInterrupt, PetError) as error:
        _leave(folder, error)
        raise
    except BaseException as error:  # nor is one that exits to end the whole run
        reason = RunError(f"{type(error).__name__}: {error} (in the job {task['name']})")
        _leave(folder, reason)
        raise reason from error


def _begin(folder: Path, name: str) -> Path:
    """Count an attempt; return its mark.

    Raises `RunError` if there have been enough.
    """
    for number in range(1, MOST_ATTEMPTS + 1):
        mark = folder / f"attempt-{number}"
        with suppress(FileExistsError):
            mark.touch(exist_ok=False)
            return mark
    raise RunError(
        f"The job {name} was begun {MOST_ATTEMPTS} times, and each time its process ended without a word, as one does "
        "whose machine is lost or out of memory: it is not tried again. Set fewer run.workers, and start again."
    )


def _leave(folder: Path, error: BaseException) -> None:
    if isinstance(error, PetError):
        write_json(folder / _FAILED, {"kind": type(error).__name__, "message": str(error)})


@dataclass
class _Writer:
    """Appends what is told to a file, counts together: a step of a small model takes a millisecond."""

    path: Path
    _count: int = field(default=0, init=False)
    _written: float = field(default=0.0, init=False)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()

    def tell(self, kind: str, content: Any) -> None:
        """Tell something."""
        if kind == "advance":
            self._count += content
            if time.monotonic() - self._written >= POLL_SECONDS:
                self._flush()
        else:
            self._append(kind, content)

    def _flush(self) -> None:
        if self._count:
            self._append("advance", self._count)
        self._count, self._written = 0, time.monotonic()

    def _append(self, kind: str, content: Any) -> None:
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:  # results say it if the disk is full
            file.write(json.dumps([kind, content]) + "\n")


@dataclass
class _Reader:
    """Passes on what was appended to a file since it was last looked at."""

    path: Path
    _place: int = field(default=0, init=False)

    def pass_on(self, hear: Tell) -> None:
        """Pass on whole lines."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self._place)
            whole, _, _ = file.read().rpartition(b"\n")
            self._place += len(whole) + 1 if whole else 0
            for line in whole.splitlines():
                hear(*json.loads(line))
