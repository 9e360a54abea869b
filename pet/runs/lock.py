"""One process at a time per run directory; a lock goes with its process, however that ends."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pet.errors import RunLocked
from pet.runs.atomic import write_json
from pet.runs.storage import storage_errors

LOCK = ".lock"
"""The file whose lock is held by the operating system for the process; that it exists means nothing."""

OWNER = ".lock-owner.json"
"""Who holds the lock, for the message to others only."""


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder.

    Raises `RunLocked` if another process holds it. Raises `RunError` if the disk is full or may not be written.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    with storage_errors(folder / LOCK):
        try:
            lock.acquire()
        except Timeout:
            raise RunLocked(
                f"Another run works in {folder}{_owner(folder)}: wait for it or choose another --output-dir."
            ) from None
    try:
        write_json(folder / OWNER, {"pid": os.getpid(), "host": socket.gethostname()})
        yield
    finally:
        with suppress(OSError):
            (folder / OWNER).unlink()
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process holds the lock of a folder; nothing is left in it.

    The lock is tried only where one has said that it holds it: who starts meanwhile is not in the way.
    """
    if not (folder / OWNER).is_file():
        return False
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a folder that may not be written to: nobody works in it
        return False
    lock.release()
    return False


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_bytes())
        return f" (process {owner['pid']} on host {owner['host']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has just started, or has just ended
        return ""
