"""Pipelines as nested tables, before they are checked: read from TOML, changed by overrides, paths made absolute."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pet.errors import ConfigError, shown
from pet.library import bundled_models

DATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".json", ".parquet", ".xlsx")
"""How a file of rows ends, perhaps with ``.gz`` behind it; any other name may be that of a hub data set."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises `ConfigError` if the file is missing or no TOML.
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
    for section, (keys, placed) in _PATHS.items():
        table = found.get(section)
        if isinstance(table, Mapping):
            found[section] = _placed(table, keys, placed, base)
        elif isinstance(table, list | tuple):  # several tables of one name
            found[section] = [_placed(one, keys, placed, base) if isinstance(one, Mapping) else one for one in table]
    return found


def _placed(table: Mapping[str, Any], keys: Sequence[str], placed: Callable[[str, Path], str], base: Path) -> Any:
    return {**table, **{key: _each(placed, table[key], base) for key in keys if key in table}}


def _each(placed: Callable[[str, Path], str], value: Any, base: Path) -> Any:
    if isinstance(value, list | tuple):
        return [_each(placed, item, base) for item in value]
    if isinstance(value, Mapping):  # a table of voters
        return {**value, **{key: _each(placed, value[key], base) for key in ("model",) if key in value}}
    return placed(value, base) if isinstance(value, str) and value else value


def _path(value: str, base: Path) -> str:
    # Not Path.resolve: a link stays what it is called, so that a path read back is the same path.
    return os.path.abspath(base / Path(value).expanduser())  # noqa: PTH100


def _is_plain(value: str) -> bool:
    """Say whether a setting is written as a path."""
    return value.startswith((".", "~", "/")) or Path(value).is_absolute()


def _rows(value: str, base: Path) -> str:
    """Return the path of a source of rows, or the name of a hub data set as it is."""
    place = _path(value, base)
    # FOLDER:SPLIT is made absolute as one text, which changes its folder alone.
    exists = os.path.lexists(place) or (":" in value and os.path.isdir(place.rpartition(":")[0]))
    is_file = value.lower().removesuffix(".gz").endswith(DATA_SUFFIXES)
    return place if _is_plain(value) or exists or is_file else value


def _texts(value: str, base: Path) -> str:
    """Return NAME=FILE:SHARE, of which only the file has to be there, with its path."""
    name, file, share = text_parts(value)
    return (name and f"{name}=") + (file and _rows(file, base)) + (share and f":{share}")


def text_parts(entry: str) -> tuple[str, str, str]:
    """Return the name, the file and the share of ``[NAME=]FILE[:SHARE]``, "" for what is not there.

    >>> text_parts("talk=b.txt:0.3"), text_parts("owner/name:train")
    (('talk', 'b.txt', '0.3'), ('', 'owner/name:train', ''))
    """
    name, _, place = entry.rpartition("=")
    file, _, share = place.rpartition(":")
    # What is behind the colon of a hub data set is no number.
    return (name, file, share) if file and _is_number(share) else (name, place, "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _model(value: str, base: Path) -> str:
    """Return the path of a model's folder, or a name (of the hub, of a bundled model, "same", "auto") as it is."""
    place, named = _path(value, base), value in ("same", "auto", "none") or value in bundled_models()
    return place if not named and (_is_plain(value) or os.path.isdir(place)) else value


_PATHS: Mapping[str, tuple[Sequence[str], Callable[[str, Path], str]]] = {
    "data": (("train", "unlabeled", "rows", "test", "reviewed"), _rows),
    "votes": (("file",), _path),
    "prompts": (("registry",), _path),
    "model": (("name",), _model),
    "encoder": (("name",), _model),
    "train": (("voters",), _model),
    "distill": (("model",), _model),
    "start": (("model",), _model),
    "text": (("files", "valid"), _texts),
}
"""The settings of a pipeline or a recipe that are, or may be, paths, and how each is made absolute."""


def merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with the values of `changes` in the place of theirs."""
    found = dict(tables)
    for key, value in changes.items():
        if value == {}:
            continue  # nothing is changed
        if isinstance(value, dict) and not isinstance(found.get(key, {}), dict):
            raise ConfigError(f"--set {key}.{next(iter(value))}: {key!r} is a value in the file, not a section.")
        found[key] = merged(found.get(key, {}), value) if isinstance(value, dict) else value
    return found


def overrides_as_tables(overrides: Sequence[str]) -> dict[str, Any]:
    """Return ``section.key=value`` overrides as nested tables; a value is read as TOML, else as a plain word.

    Raises `ConfigError` if one of them has another form.

    >>> overrides_as_tables(["train.steps=60", "model.name=pet-mini", 'task.descriptions."v1.0"=the first one'])
    {'train': {'steps': 60}, 'model': {'name': 'pet-mini'}, 'task': {'descriptions': {'v1.0': 'the first one'}}}
    """
    tables: dict[str, Any] = {}
    if isinstance(overrides, str) or not all(isinstance(override, str) for override in overrides):
        raise ConfigError(f'The overrides are {shown(overrides)}: expected a list such as ["train.steps=60"].')
    for override in overrides:
        keys, separator, text = split_override(override)
        if not separator or len(keys) < 2 or not all(keys):
            raise ConfigError(f"--set {override!r} is not of the form section.key=value, such as train.steps=60.")
        table = tables
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {override!r}: {key!r} is a value, not a section.")
        table[keys[-1]] = toml_value(text.strip())
    return tables


def split_override(override: str) -> tuple[list[str], str, str]:
    """Return the keys, the sign between and the text of ``section.key=value``; a key may be quoted as in TOML.

    >>> split_override('task.descriptions."v1.0"=first')
    (['task', 'descriptions', 'v1.0'], '=', 'first')
    """
    for sign in re.finditer("=", override):
        name = override[: sign.start()]
        try:
            table: Any = tomllib.loads(f"{name} = 0")
        except tomllib.TOMLDecodeError:
            continue  # the sign is within quotes, or a key is not quoted that ought to be
        keys: list[str] = []
        while isinstance(table, dict) and len(table) == 1:
            ((key, table),) = table.items()
            keys.append(key)
        if table == 0:
            return keys, "=", override[sign.end() :]
    name, separator, text = override.partition("=")
    return [key.strip() for key in name.split(".")], separator, text


def toml_value(text: str) -> Any:
    """Return a text as the TOML value that it is, else as it is.

    >>> toml_value("60"), toml_value("pet-mini")
    (60, 'pet-mini')
    """
    try:
        tables = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A line break in the text could smuggle in other keys.
    return tables["value"] if len(tables) == 1 else text
