"""What a full or write-protected disk looks like in each library, and how it is told to the person."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pet.errors import StorageError

_REASONS = {
    errno.ENOSPC: "The disk is full while writing {what}: free some space",
    errno.EDQUOT: "The disk quota is used up while writing {what}: free some space",
    errno.EROFS: "{what} cannot be written because its file system is read-only: make it writable",
    errno.EACCES: "{what} cannot be written because the permission is denied: grant it",
    errno.EPERM: "{what} cannot be written because the operation is not permitted: allow it",
}
_DENIED = (errno.EACCES, errno.EPERM)


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turn "disk full" and "may not be written", from any library, into a `StorageError` that names `target`.

    Raises `StorageError` in place of such an error; every other error is passed on.
    """
    try:
        yield
    except Exception as error:
        reason = _REASONS.get(_storage_code(error, target.parent))
        if reason is None:
            raise
        message = f"{reason.format(what=target)} and run the same command again; nothing finished is lost."
        raise StorageError(message) from error


def _storage_code(error: Exception, folder: Path) -> int:
    """Return the errno of a failed write, 0 for anything else."""
    if isinstance(error, OSError) and error.errno is not None:
        # A file elsewhere that may not be read (a model, say) is not a fault of the place that is written to.
        elsewhere = error.errno in _DENIED and not _is_in(error.filename, folder)
        return 0 if elsewhere else error.errno
    # numpy tells it only by how much of an array it wrote, libraries in Rust only by a number in the text.
    if isinstance(error, OSError) and re.search(r"\d+ requested and \d+ written", str(error)):
        return errno.ENOSPC
    found = re.search(r"\(os error (\d+)\)", str(error))
    code = int(found.group(1)) if found else 0
    return 0 if code in _DENIED else code


def _is_in(path: object, folder: Path) -> bool:
    return isinstance(path, str | os.PathLike) and Path(path).absolute().is_relative_to(folder.absolute())
