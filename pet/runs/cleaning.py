"""What of a run can go: drafts of killed runs, jobs that others have replaced, and what only a rerun would need."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pet.runs.atomic import SUCCESS, is_leftover, remove_whole
from pet.runs.directory import RunDirectory
from pet.runs.lock import run_lock
from pet.runs.manifest import Manifest
from pet.runs.state import RunState


@dataclass(frozen=True)
class Removable:
    """A file or folder of a run that can go, why, and its size in bytes. What is `needed_again` a rerun makes anew."""

    path: Path
    why: str
    size: int
    needed_again: bool = False


def removable(directory: RunDirectory) -> list[Removable]:
    """Return what can go of a run; nothing of one that is running. Labels, classifier and figures always stay."""
    state = RunState.of(directory).state
    if state == "running":
        return []
    found = [Removable(path, "left by a killed run", disk_size(path)) for path in _drafts(directory)]
    if state in ("finished", "labeled") and directory.tokens.is_dir():
        found.append(Removable(directory.tokens, "token ids, of use while it runs", disk_size(directory.tokens)))
    replaced = _replaced(directory)
    found += [Removable(path, f"the job {name}, done anew since", disk_size(path)) for path, name in replaced]
    jobs = [path for path in _jobs(directory) if path not in {path for path, _ in replaced}]
    if jobs:
        why = {
            "finished": "jobs: `pet run` would do them again, and `pet distill` starts from them",
            "labeled": "jobs: `pet run` would do them again",
        }.get(state, f"jobs of a run that is {state}: the same command goes on from them")
        found += [Removable(path, why, disk_size(path), needed_again=True) for path in jobs]
    return found


def remove(directory: RunDirectory, found: list[Removable]) -> int:
    """Remove what was found of a run, and return the bytes that were freed.

    Raises `RunLocked` if a process works in it by now. Raises `OSError` if something may not be removed.
    """
    with run_lock(directory.root):
        for one in found:
            remove_whole(one.path)
    return sum(one.size for one in found)


def disk_size(path: Path) -> int:
    """Return the bytes that go with a file or folder; a file that has another name elsewhere stays there."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(stat.st_size for stat in (file.stat() for file in files) if stat.st_nlink == 1)


def _drafts(directory: RunDirectory) -> Iterator[Path]:
    for folder in (directory.root, directory.jobs, directory.generations):
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir()) if is_leftover(path.name))
    for table in (directory.pseudo_labels, directory.rejected_path):
        yield from sorted(directory.root.glob(f".{table.name}.*.tmp"))


def _jobs(directory: RunDirectory) -> list[Path]:
    return sorted(success.parent for success in directory.jobs.glob(f"*/{SUCCESS}"))


def _replaced(directory: RunDirectory) -> list[tuple[Path, str]]:
    """Return the voters' jobs that the labels do not rest on, where another of the same name is one of those that do.

    Jobs of other names are not told apart: a name may stand for several that are all of use.
    """
    manifest = Manifest.from_file(directory.manifest_path)
    expected = manifest.jobs if manifest else {}
    found = []
    for path in _jobs(directory):
        with suppress(OSError, ValueError, KeyError, TypeError):
            name = str(json.loads((path / "job.json").read_bytes())["name"])
            current = expected.get(name)
            if current not in (None, path.name) and (directory.jobs / str(current) / SUCCESS).is_file():
                found.append((path, name))
    return found
