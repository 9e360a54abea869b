"""The vectors that a run has left of its pool."""

import numpy as np

from pet.runs.directory import RunDirectory
from pet.runs.manifest import VECTORS, Manifest


def vectors_of_pool(directory: RunDirectory, rows: int) -> np.ndarray | None:
    """Return the vectors of so many rows of the pool, float32 [n, h], by an encoder as it is, or None without any.

    They stay in their file, and are in the order of the last generation's votes.
    """
    manifest = Manifest.from_file(directory.manifest_path)
    for name, key in (manifest.jobs if manifest else {}).items():
        file = directory.jobs / key / "pool.npy"
        if name.startswith(VECTORS) and file.is_file():
            vectors: np.ndarray = np.load(file, mmap_mode="r")
            if len(vectors) == rows:
                return vectors
    return None
