"""What has become of a run: read from its folder, without touching it."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pet.runs.directory import RunDirectory
from pet.runs.lock import is_locked
from pet.runs.log import FAILED, STARTED
from pet.runs.manifest import Manifest

State = Literal["running", "finished", "labeled", "failed", "interrupted"]


@dataclass(frozen=True)
class RunState:
    """The `state` of a run, `why` it failed if it did, and when it was last written to (seconds since the epoch)."""

    state: State
    why: str | None
    written: float

    @classmethod
    def of(cls, directory: RunDirectory) -> "RunState":
        """Read the state of a run directory.

        A run is "labeled" after `pet label`; "interrupted" is one that neither ended nor said why.
        """
        ended, why, last = _last_words(directory.log_path)
        written = max(last, *(_age(path) for path in (directory.metrics_path, directory.pseudo_labels)))
        written = written or _age(directory.manifest_path)
        if is_locked(directory.root):
            return cls("running", None, written)
        if ended:
            return cls("failed", why, written)
        if {"summary", "label_sets"} & set(read_metrics(directory)):
            return cls("finished", None, written)
        whole = directory.pseudo_labels.is_file() and "preliminary" not in read_metrics(directory)
        return cls("labeled" if whole else "interrupted", None, written)


def read_metrics(directory: RunDirectory) -> dict[str, Any]:
    """Return what `metrics.json` has; nothing where it is not there, or damaged."""
    with suppress(OSError, ValueError):
        found = json.loads(directory.metrics_path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def run_directories(folder: Path) -> list[RunDirectory]:
    """Return the runs in a folder, at any depth, sorted by path; the folder may be a run itself."""
    found = [path.parent for path in folder.rglob("manifest.json") if Manifest.from_file(path)]
    return [RunDirectory(path) for path in sorted(found)]


def _last_words(log: Path) -> tuple[bool, str | None, float]:
    """Return whether the last start has failed, and why, and the time of the last line."""
    failed, why, last = False, None, 0.0
    with suppress(OSError), log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            time, _, said = line.rstrip("\n").partition(" ")
            with suppress(ValueError):
                last = datetime.fromisoformat(time).timestamp()
            if said.startswith((STARTED, FAILED)):
                failed = said.startswith(FAILED)
                why = said.removeprefix(FAILED) if failed else None
    return failed, why, last


def _age(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0.0
