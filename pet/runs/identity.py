"""What a run was made from, as digests: data, model, code and settings."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pet
from pet.data.dataset import TaskData, data_digest
from pet.learners.models.sources import ModelSource, model_digest
from pet.prompts.pvp import PVP
from pet.runs.jobs import job_hash
from pet.runs.manifest import ADDITIONS
from pet.settings.config import RunConfig

__all__ = ["code_digest", "pvp_key", "run_identity"]

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "peft", "numpy")


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


def pvp_key(pvp: PVP) -> dict[str, object]:
    """Return all that a PVP says, as plain values: its template and words may change under the same name."""
    words = {label: list(words) for label, words in pvp.verbalizer.words.items()}
    return {"name": pvp.name, "template": pvp.pattern.template, "words": list(words.items())}


def run_identity(config: RunConfig, data: TaskData, source: ModelSource, pvps: Sequence[PVP]) -> dict[str, str]:
    """Return the digests that a run directory is checked against.

    Paths are left out of the settings, for files count by what is in them, and so is what no job depends on.
    """
    paths = {"data": {"train", "unlabeled", "test"}, "model": {"name"}, "prompts": {"registry"}}
    additions: dict[str, set[str]] = {}
    for name in ADDITIONS:
        section, _, key = name.partition(".")
        additions.setdefault(section, set()).add(key)
    settings = config.model_dump(mode="json", exclude=paths | additions)
    return {
        "config": job_hash(settings=settings, pvps=[pvp_key(pvp) for pvp in pvps]),
        "data": job_hash(
            labels=list(data.task.labels),
            columns=list(data.columns.items()),
            sets=[data_digest(rows) for rows in (data.labeled, data.unlabeled, data.test)],
        ),
        "model": model_digest(source.folder),
        "code": code_digest(),
    }
