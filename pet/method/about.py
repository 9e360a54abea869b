"""`about.json`: what a classifier was made of and how, in its own folder, for `pet info`."""

import platform
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from pet.data.dataset import TaskData
from pet.learners.models.sources import ModelSource
from pet.learners.students.choice import Choice
from pet.library import BUNDLED_MODELS, bundled_models
from pet.method.labels import LabeledRows

ABOUT = "about.json"
FORMAT_VERSION = 1
"""Counts the changes to what stands in the file."""

_PACKAGES = ("pet-labeling", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")
_LICENCE = re.compile(r"\A---\n(?:.*\n)*?license:[ \t]*([^\n]+)\n(?:.*\n)*?---\n")


def about(
    rows: LabeledRows,
    choice: Choice,
    data: TaskData,
    settings: Mapping[str, object],
    identity: Mapping[str, str],
    sources: Iterable[ModelSource],
) -> Mapping[str, object]:
    """Return what a classifier tells of itself; the base model is one of the `sources`, or a bundled one.

    `settings` are those it was distilled with, `identity` the digests of its run.
    """
    found, model = rows.probs.argmax(axis=1), choice.chosen.model
    counts = {name: np.bincount(found[of], minlength=rows.probs.shape[1]) for name, of in _kinds(rows.gold).items()}
    names = ("labeled", "unlabeled", "test")
    return {
        "format_version": FORMAT_VERSION,
        "task": data.task.name,
        "labels": {
            label: {name: int(count[k]) for name, count in counts.items()} for k, label in enumerate(data.task.labels)
        },
        "data": {"run": dict(identity), "sets": dict(zip(names, data.digests, strict=False))},
        "settings": dict(settings),
        "versions": {"python": platform.python_version(), **versions()},
        "students": choice.as_json(),
        "calibration": {"rows": choice.held_out} if choice.held_out else None,
        "base_model": {"name": model, "licence": licence(_folder(model, sources))},
    }


def _kinds(gold: np.ndarray) -> Mapping[str, np.ndarray]:
    return {"gold": gold, "pool": ~gold}


def versions() -> dict[str, str]:
    """Return the versions of this program and of the libraries that a classifier depends on."""
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def licence(folder: Path | None) -> str | None:
    """Return the licence that the card of a model names; None where there is no card, or it names none."""
    if folder is None:
        return None
    with suppress(OSError, UnicodeDecodeError):
        if named := _LICENCE.match((folder / "README.md").read_text(encoding="utf-8")):
            return named[1].strip().strip("\"'")
    return None


def _folder(model: str, sources: Iterable[ModelSource]) -> Path | None:
    """Return where the files of a base model lie; one that a voter has tuned is of the licence of what it was."""
    name = model.removesuffix(", tuned")
    if name in bundled_models():
        return BUNDLED_MODELS / name
    return next((source.folder for source in sources if name in (source.name, Path(source.name).name)), None)
