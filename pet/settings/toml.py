"""Pipelines as nested tables, before they are checked: read from TOML, changed by overrides, paths made absolute."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pet.errors import ConfigError
from pet.library import bundled_models

__all__ = ["absolute", "as_path", "merged", "overrides_as_tables", "read_toml"]

_FILE = re.compile(r"\.(csv|tsv|jsonl|ndjson|json|parquet|txt)(\.gz)?$", re.IGNORECASE)
"""How the name of a data file ends (see `pet.data.formats.SUFFIXES`); any other name may be that of a hub data set."""
_PATHS = {"data": ("train", "unlabeled", "test"), "prompts": ("registry",), "model": ("name",), "distill": ("model",)}
"""The settings that are, or may be, paths."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"No pipeline file at {path}: give a TOML file, or a name listed by `pet pipelines`."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable TOML file ({error}): mend that line.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): give a TOML file.") from None


def absolute(tables: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return tables whose paths are absolute, taken from the folder `base`; names that are no paths stay."""
    found = dict(tables)
    for section, keys in _PATHS.items():
        table = found.get(section)
        if isinstance(table, Mapping):
            found[section] = {**table, **{key: as_path(section, table[key], base) for key in keys if key in table}}
    return found


def as_path(section: str, value: Any, base: Path) -> Any:
    """Return a setting as an absolute path, or as it is where it names something else (a hub id, a bundled model).

    `section` says what it may name: "data", "prompts", "model" or "distill".
    """
    if isinstance(value, list | tuple):
        return [as_path(section, item, base) for item in value]
    if not isinstance(value, str) or not value:
        return value
    # Not Path.resolve: a link stays what it is called, so that a path read back is the same path.
    place = os.path.abspath(base / Path(value).expanduser())  # noqa: PTH100
    plain = value.startswith((".", "~", "/")) or Path(value).is_absolute()
    if section == "data":
        # FOLDER:SPLIT is made absolute as one text, which changes its folder alone.
        exists = os.path.lexists(place) or (":" in value and os.path.isdir(place.rpartition(":")[0]))
        return place if plain or exists or _FILE.search(value) else value
    if section == "prompts":
        return place
    named = value == "same" or value in bundled_models()
    return place if not named and (plain or os.path.isdir(place)) else value


def merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with the values of `changes` in the place of theirs."""
    found = dict(tables)
    for key, value in changes.items():
        if isinstance(value, dict) and not isinstance(found.get(key, {}), dict):
            raise ConfigError(f"--set {key}.{next(iter(value))}: {key!r} is a value in the file, not a section.")
        found[key] = merged(found.get(key, {}), value) if isinstance(value, dict) else value
    return found


def overrides_as_tables(overrides: Sequence[str]) -> dict[str, Any]:
    """Return ``section.key=value`` overrides as nested tables; a value is read as TOML, else as a plain word.

    Raises
    ------
    ConfigError
        If one of them has another form.

    Examples
    --------
    >>> overrides_as_tables(["train.steps=60", "model.name=pet-mini"])
    {'train': {'steps': 60}, 'model': {'name': 'pet-mini'}}
    """
    tables: dict[str, Any] = {}
    for override in overrides:
        name, separator, text = override.partition("=")
        keys = [key.strip() for key in name.split(".")]
        if not separator or len(keys) < 2 or not all(keys):
            raise ConfigError(f"--set {override!r} is not of the form section.key=value, such as train.steps=60.")
        table = tables
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {override!r}: {key!r} is a value, not a section.")
        table[keys[-1]] = _value(text.strip())
    return tables


def _value(text: str) -> Any:
    try:
        tables = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A line break in the text could smuggle in other keys.
    return tables["value"] if len(tables) == 1 else text
