"""Jobs that several runs share: each finished one is left for the others, with what it took.

A job is a pure function of what names it, so that it does not matter which run has done it.

FOLDER/<key>/       a finished job; its files are, where the file system has such, second names of those in the run
FOLDER/<key>.json   the seconds of processor time that it took
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pet.runs.atomic import SUCCESS, folder_problem, write_folder, write_json


def cpu_seconds() -> float:
    """Return the seconds of processor time, on all cores, of this process and of those it has started and ended."""
    return sum(os.times()[:4])


@dataclass(frozen=True)
class SharedJobs:
    """The folder in which runs leave finished jobs for each other."""

    folder: Path

    def has(self, key: str) -> bool:
        """Say whether a job is there, as it was left."""
        return folder_problem(self.folder / key) is None

    def take(self, key: str, final: Path) -> bool:
        """Put a job into the place `final` of another run; say whether it was there.

        Raises `RunError` if the disk is full or may not be written.
        """
        there = self.has(key)
        if there:
            write_folder(final, lambda folder: _copy(self.folder / key, folder))
        return there

    def give(self, key: str, final: Path, seconds: float) -> None:
        """Leave the job that was finished in the place `final`, and took so many seconds of processor time.

        Raises `RunError` if the disk is full or may not be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._cost(key), {"cpu_seconds": round(seconds, 3)})
        write_folder(self.folder / key, lambda folder: _copy(final, folder))

    def costs(self) -> Mapping[str, float]:
        """Return the seconds of processor time that jobs took, by key."""
        found = {}
        for path in self.folder.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                found[path.stem] = float(json.loads(path.read_bytes())["cpu_seconds"])
        return found

    def _cost(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns(SUCCESS), copy_function=_link_or_copy, dirs_exist_ok=True
    )


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)  # nothing of a finished job is ever written to
    except OSError:
        shutil.copy2(source, target)
