"""Programs in processes of their own, so that their CPU time and their peak memory are their own, by stage.

    measured(program, asked)      runs a program on a JSON table, and says what it found and what it took
    answer(work)                  is the whole of such a program: `work(asked, clock)` returns what it found

The standard library alone: a rival may have an environment of its own.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

STARTING, REST, TEST = "starting Python", "rest", "test rows"
"""`TEST` is what serves the measurement alone: it is no part of what labels cost."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class StageClock:
    """The CPU-seconds of this process, user and system, of all its threads, by stage: of stages within one another
    the innermost counts."""

    seconds: Counter[str] = field(default_factory=Counter)
    _open: list[str] = field(default_factory=lambda: [REST])
    _since: float = 0.0

    @property
    def stage(self) -> str:
        """The stage that counts now."""
        return self._open[-1]

    def turn(self, name: str) -> None:
        """Count all since the last turn for a stage."""
        now = time.process_time()
        self.seconds[name] += now - self._since  # type: ignore[assignment]
        self._since = now

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count what is done in the block for a stage."""
        self.turn(self.stage)
        self._open.append(name)
        try:
            yield
        finally:
            self.turn(self._open.pop())

    def watch(self, owner: Any, name: str, stage: Callable[..., str]) -> None:
        """Count each call of a function or method, which `owner` is to have, for the stage that its arguments tell."""
        whole = getattr(owner, name)

        @wraps(whole)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.during(stage(*args, **kwargs)):
                return whole(*args, **kwargs)

        setattr(owner, name, timed)


@dataclass(frozen=True)
class Measured:
    """What a program found, and its CPU-seconds by stage; `seconds` went by, and it held at most `peak` bytes."""

    found: dict[str, Any]
    stages: dict[str, float]
    seconds: float
    peak: int

    @property
    def cpu_seconds(self) -> float:
        """What it took, without what served the measurement alone."""
        return sum(seconds for name, seconds in self.stages.items() if name != TEST)


def measured(
    program: Path,
    asked: Mapping[str, Any],
    python: str | Path = sys.executable,
    threads: int = 1,
    first_path: Path | None = None,
) -> Measured:
    """Run a program that `answer`s; `first_path` is the folder that it imports from first, such as another checkout.

    Raises `RuntimeError` with its last lines if it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / name for name in ("asked.json", "found.json", "log")]
        files[0].write_text(json.dumps(asked), encoding="utf-8")
        paths = [str(first_path)] if first_path else []
        paths += filter(None, [os.environ.get("PYTHONPATH")])
        env = os.environ | dict.fromkeys(_THREADS, str(threads)) | {"PYTHONPATH": os.pathsep.join(paths)}
        env |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        began = time.monotonic()
        with files[2].open("wb") as log:
            process = subprocess.Popen([python, program, *files[:2]], env=env, stdout=log, stderr=log)
            _, status, used = os.wait4(process.pid, 0)
        seconds, process.returncode = time.monotonic() - began, os.waitstatus_to_exitcode(status)
        if process.returncode:
            lines = files[2].read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            raise RuntimeError("\n".join([f"{program} ended with {process.returncode}:", *lines]))
        answered = json.loads(files[1].read_text(encoding="utf-8"))
    # That of processes it has waited for, and of its end, is in the sum alone.
    missing = used.ru_utime + used.ru_stime - sum(answered["stages"].values())
    answered["stages"][REST] = answered["stages"].get(REST, 0.0) + missing
    return Measured(answered["found"], answered["stages"], seconds, answered["peak"])


def answer(work: Callable[[dict[str, Any], StageClock], dict[str, Any]]) -> None:
    """Do what the first file asks for, and write into the second one what was found and what it took."""
    asked, found = map(Path, sys.argv[1:])
    clock = StageClock()
    clock.turn(STARTING)
    result = work(json.loads(asked.read_text(encoding="utf-8")), clock)
    clock.turn(clock.stage)
    report = {"found": result, "stages": clock.seconds, "peak": _peak_memory()}
    found.write_text(json.dumps(report), encoding="utf-8")


def _peak_memory() -> int:
    """Return the most bytes of memory that this process has held.

    On Linux that is not `ru_maxrss`, which is never less than that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = status.read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def rows_of(path: str | Path) -> list[dict[str, str]]:
    """Read a JSON Lines file."""
    rows: list[dict[str, str]] = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return rows
