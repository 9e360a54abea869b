"""What a run was made from, as digests: data, model, code and settings."""

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pet
from pet.config import RunConfig
from pet.data import TaskData, data_digest
from pet.learners import ModelSource, model_digest
from pet.runs.jobs import job_hash

__all__ = ["code_digest", "run_identity"]

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "numpy")


@cache
def code_digest() -> str:
    """Return the sha256 (hex) over pet's source files and the versions of the libraries that do its arithmetic."""
    digest = hashlib.sha256()
    for path in _sources(Path(pet.__file__).parent):
        digest.update(path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name}={version(name)};".encode())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*.py") if "_builtin" not in path.parts)


def run_identity(config: RunConfig, data: TaskData, source: ModelSource) -> dict[str, str]:
    """Return the digests that a run directory is checked against.

    Paths are left out of the settings: files count by what is in them.
    """
    settings = config.model_dump(mode="json", exclude={"data": {"train", "unlabeled", "test"}, "model": {"name"}})
    return {
        "config": job_hash(settings=settings),
        "data": job_hash(
            labels=list(data.task.labels),
            sets=[data_digest(rows) for rows in (data.labeled, data.unlabeled, data.test)],
        ),
        "model": model_digest(source.folder),
        "code": code_digest(),
    }
