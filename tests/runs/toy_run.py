"""A small run for the tests of crashes, started as a process of its own: ``toy_run.py MODE FOLDER``."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from pet.runs.atomic import folder_problem, write_folder, write_json
from pet.runs.directory import RunDirectory
from pet.runs.jobs import Job, job_hash
from pet.seeding import rng_for

CONFIG = "[train]\nsteps = {steps}\n"


def work(name: str, steps: int, pause: float, folder: Path) -> None:
    """Write two files in several pieces, with time in between to be killed in."""
    rows = rng_for(42, name, steps).random((64, 4)).astype("<f4")
    with (folder / "votes.bin").open("wb") as file:
        for part in np.array_split(rows, 8):
            file.write(part.tobytes())
            file.flush()
            time.sleep(pause)
    (folder / "deep").mkdir()
    (folder / "deep" / "info.json").write_text(json.dumps({"name": name}))


def run(root: Path, jobs: int, pause: float = 0.0, steps: int = 1, force: bool = False) -> None:
    """Do a whole run, like the pipeline does."""
    names = [f"voter-{number}" for number in range(jobs)]
    keys = {name: job_hash(name=name, steps=steps) for name in names}
    config = CONFIG.format(steps=steps)
    with RunDirectory.open(root, config, {"config": str(steps), "code": "1"}, force) as directory:
        print("ready", flush=True)
        directory.expect(keys)
        for name, key in keys.items():
            directory.store().run(Job(name, key), partial(work, name, steps, pause))
        assert directory.missing() == []
        write_folder(directory.model, partial(work, "model", steps, 0.0))
        write_json(directory.metrics_path, {"jobs": jobs, "steps": steps})


def content(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a run, but the lock."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def torn(root: Path) -> list[str]:
    """Return what stands half written under a final name."""
    folders = [*(root / "jobs").glob("[!.]*"), *root.glob("model")]
    found = [f"{folder.name}: {problem}" for folder in folders if (problem := folder_problem(folder))]
    for path in root.glob("[!.]*.json"):
        try:
            json.loads(path.read_text())
        except ValueError:
            found.append(path.name)
    return found


def in_fork(do: Callable[[], None]) -> int:
    """Return the exit code of `do` in a forked process; negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            do()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(step: int, do: Callable[[], None]) -> None:
    """Call `do`, and kill this process just before its `step`-th change on the disk."""
    left = step

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **options)

        return wrapper

    for name in ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "open"):
        setattr(os, name, counted(getattr(os, name)))
    do()


def every_kill(parent: Path, begin: Callable[[Path], None], resume: Callable[[Path], None]) -> list[str]:
    """Kill `begin` at every step, `resume` it, and return whatever differs from a run that nobody killed."""
    mock.patch("os.fsync").start()  # what a killed process has written is there without it, and this is faster
    reference = parent / "reference"
    begin(reference)
    wrong: list[str] = []
    for step in range(1, 1000):
        root = parent / "killed"
        if (parent / "before").is_dir():
            shutil.copytree(parent / "before", root)
        code = in_fork(partial(killed_at, step, partial(begin, root)))
        if code == 0:
            print(f"steps {step - 1}")
            return wrong
        wrong += [f"step {step}: {found}" for found in (["exit"] if code != -signal.SIGKILL else torn(root))]
        if in_fork(partial(resume, root)) or content(root) != content(reference):
            wrong.append(f"step {step}: the resumed run differs")
        shutil.rmtree(root)
    return [*wrong, "never finished"]


def main(mode: str, folder: Path) -> None:
    """Do what the mode says."""
    if mode == "run":
        run(folder, jobs=10, pause=0.003)
    elif mode == "hold":
        with RunDirectory.open(folder, CONFIG.format(steps=1), {"config": "1", "code": "1"}):
            print("ready", flush=True)
            time.sleep(60)
    elif mode == "every-kill":
        begin = partial(run, jobs=2)
        print(json.dumps(every_kill(folder, begin, begin)))
    elif mode == "every-kill-force":
        run(folder / "before", jobs=2)
        begin = partial(run, jobs=2, steps=2, force=True)
        print(json.dumps(every_kill(folder, begin, begin)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
