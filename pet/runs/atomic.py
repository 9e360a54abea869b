"""Files and folders that are there whole or not at all.

Everything is written under a temporary name in the same folder, flushed to the disk and then renamed, so
that a crash, a kill or a full disk never leaves a torn file under its final name. A published folder
carries `_SUCCESS`, the list of its files with sizes and digests, by which damage is found later.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pet.runs.storage import storage_errors

SUCCESS = "_SUCCESS"
"""The last file of a published folder: JSON {relative path: {size, sha256}}."""

TEMPORARY = ".tmp-"
"""How the name of everything unfinished starts."""

# Stricter than the prefix: what somebody else named is never taken for ours.
_LEFTOVER = re.compile(re.escape(TEMPORARY) + r".+-\d+(-[0-9a-f]{8})?")
# Flushing needs a writable descriptor on Windows; elsewhere a readable one does, also for read-only files.
_SYNC_FLAGS = os.O_RDWR if os.name == "nt" else os.O_RDONLY


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in the place of `path`.

    Raises `RunError` if the disk is full or may not be written; `path` is then as it was before.
    """
    temporary = _temporary_beside(path)
    with storage_errors(path):
        try:
            write(temporary)
            _sync(temporary)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as a whole (see `write_atomically`); lone surrogates are written as escapes.

    Raises `RunError` if the disk is full or may not be written.
    """
    write_atomically(path, lambda temporary: _write_bytes(temporary, text))


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, as a whole (see `write_atomically`), keys in the order they have.

    Raises `RunError` if the disk is full or may not be written. Raises `TypeError` or `ValueError` if the value is
    not JSON; NaN and infinity are not.
    """
    write_text(path, _as_json(value))


def write_folder(final: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill an empty temporary folder beside `final`, then publish it (see `publish_folder`).

    Raises `RunError` if the disk is full or may not be written. Whatever `write` raises is passed on.
    """
    temporary = _temporary_beside(final)  # two machines may have processes of one number
    with storage_errors(final):
        try:
            temporary.mkdir(parents=True)
            write(temporary)
            publish_folder(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def publish_folder(temporary: Path, final: Path) -> None:
    """Flush a filled folder, list its files in `_SUCCESS` and rename it to `final`, replacing what was there.

    Raises `RunError` if the disk is full or may not be written.
    """
    with storage_errors(final):
        files = {path.relative_to(temporary).as_posix(): path for path in _files(temporary)}
        success = temporary / SUCCESS
        _write_bytes(success, _as_json({name: _fingerprint(path) for name, path in sorted(files.items())}))
        for path in (*files.values(), success):
            # Some writers (safetensors) make files that only their owner can read, whatever the umask says.
            with suppress(PermissionError):
                path.chmod(path.stat().st_mode | success.stat().st_mode)
            _sync(path)
        for folder in (temporary, *(path for path in temporary.rglob("*") if path.is_dir())):
            _sync_folder(folder)
        before = _set_aside(final)
        try:
            os.rename(temporary, final)
        except OSError:
            if folder_problem(final) is not None:
                raise
            remove_whole(temporary)  # another process has published it just now, which does the same job
        _sync_folder(final.parent)
        if before is not None:
            remove_whole(before)


def folder_problem(folder: Path) -> str | None:
    """Return what is wrong with a published folder, or None when every file is as it was published."""
    try:
        listed = json.loads((folder / SUCCESS).read_bytes())
        for name, expected in listed.items():
            problem = _file_problem(folder / name, expected["size"], expected["sha256"])
            if problem:
                return f"{name} {problem}"
    except FileNotFoundError:
        return f"{SUCCESS} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{SUCCESS} cannot be read"
    return None


def files_as_published(folder: Path) -> set[str]:
    """Return the names of a published folder's files; none where anything was added to it, or nothing published."""
    try:
        listed = set(json.loads((folder / SUCCESS).read_bytes()))
    except (OSError, ValueError, TypeError):
        return set()
    found = {path.relative_to(folder).as_posix() for path in _files(folder)}
    return listed if found <= listed else set()


def remove_whole(path: Path) -> None:
    """Remove a file, link or folder if it is there; a folder never stays half removed under its own name.

    Raises `OSError` if it may not be removed.
    """
    doomed = path if is_leftover(path.name) else _set_aside(path)
    if doomed is None:
        return
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed)
    else:
        doomed.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Return whether a file or folder of this name is unfinished work of this module.

    >>> is_leftover(".tmp-config.toml-4711-0a1b2c3d"), is_leftover(".tmp-notes")
    (True, False)
    """
    return _LEFTOVER.fullmatch(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left unfinished in `folder`; only for the one who holds the lock of the run.

    Raises `OSError` if something may not be removed.
    """
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if is_leftover(path.name):
                remove_whole(path)


def _temporary_beside(path: Path) -> Path:
    # File names may have 255 bytes; the random part keeps threads apart.
    return path.with_name(f"{TEMPORARY}{path.name[:40]}-{os.getpid()}-{secrets.token_hex(4)}")


def _set_aside(path: Path) -> Path | None:
    """Give what stands at `path`, if anything does, a temporary name in one step."""
    aside = _temporary_beside(path)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return None
    return aside


def _as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write_bytes(path: Path, text: str) -> None:
    # In JSON, the escape that stands for a lone surrogate is read back as that surrogate.
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / SUCCESS]


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(path: Path) -> dict[str, int | str]:
    return {"size": path.stat().st_size, "sha256": file_sha256(path)}


def _file_problem(path: Path, size: int, sha256: str) -> str | None:
    if not path.is_file():
        return "is missing"
    found = path.stat().st_size
    if found != size:
        return f"has {found} bytes instead of {size}"
    return None if file_sha256(path) == sha256 else "has another content than was written"


def _sync(path: Path) -> None:
    descriptor = os.open(path, _SYNC_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # there a folder cannot be opened
        return
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync no folders
            raise
