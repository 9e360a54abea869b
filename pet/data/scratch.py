"""Large temporary files that have no name, so that no kill leaves anything behind."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pet.errors import StorageError

IN_MEMORY = 16 * 2**20
"""So many bytes stay in memory; what is more goes to the disk."""


def unnamed_file() -> Any:
    """Return a file to write and read, in memory while it is small; it is gone when it is closed, or by any kill."""
    return tempfile.SpooledTemporaryFile(IN_MEMORY, dir=temporary_folder())


@contextmanager
def told_if_full() -> Iterator[None]:
    """Turn the failure to write such a file into a sentence.

    Raises `StorageError` in place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The rows do not fit into the temporary folder {temporary_folder()} ({error.strerror or error}): free "
            "some space, or name another folder in the environment variable TMPDIR."
        ) from None


def temporary_folder() -> str:
    """Return the folder of large temporary files: as TMPDIR says; else not in /tmp, which is often memory."""
    large = "/var/tmp"
    return os.environ.get("TMPDIR") or (large if os.access(large, os.W_OK) else tempfile.gettempdir())
