"""Where the declarative files of the project lie: in the checkout, or inside the installed package."""

import re
from pathlib import Path

from pet.errors import ConfigError, near_matches

_PACKAGE = Path(__file__).parent

BUILTIN = _PACKAGE / "_builtin" if (_PACKAGE / "_builtin").is_dir() else _PACKAGE.parent
"""The folder that holds `patterns/`, `verbalizers/`, `pipelines/` and `data/`."""

BUNDLED_MODELS = BUILTIN / "data" / "models"
"""One folder per model that ships with the package, named as in `model.name`."""


def bundled_models() -> list[str]:
    """Return the names of the models that ship with the package, sorted."""
    return sorted(path.name for path in BUNDLED_MODELS.glob("*") if path.is_dir())


def pipeline_files() -> dict[str, Path]:
    """Return the ready-made pipelines by name, sorted; one in a folder is called "superglue/copa"."""
    root = BUILTIN / "pipelines"
    found = {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.toml")}
    return dict(sorted(found.items(), key=lambda one: ("/" in one[0], one[0])))


def pipeline_path(name: str) -> Path:
    """Return the file of a pipeline: a path, or the name of a ready-made one.

    Raises `ConfigError` if there is neither.
    """
    path, known = Path(name), pipeline_files()
    if path.is_file():
        return path
    if name in known:
        return known[name]
    beside = [str(file) for file in path.parent.glob("*.toml")] if path.suffix else []
    hint = near_matches(name, beside) if beside else near_matches(path.with_suffix("").as_posix(), known)
    raise ConfigError(f"No pipeline {name!r}: it is neither a file nor a ready-made one.{hint}")


def pipeline_text(name: str) -> str:
    """Return a pipeline as a start for a file of one's own: its relative paths, which would not hold there, absolute.

    Raises `ConfigError` if there is no such pipeline.
    """
    path = pipeline_path(name)

    def absolute(found: re.Match[str]) -> str:
        return f'"{(path.parent / found[1]).resolve().as_posix()}"'

    return re.sub(r'"(\.\.?/[^"\n]*)"', absolute, path.read_text(encoding="utf-8"))
