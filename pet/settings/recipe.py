"""The settings of `pet pretrain`, read from a TOML recipe and from flags."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pet.library import pipeline_path
from pet.settings.base import SettingsFile
from pet.settings.pretraining import (
    MaskingSettings,
    OutputSettings,
    PlaceSettings,
    StartSettings,
    TextSettings,
    UpdateSettings,
)
from pet.settings.toml import as_path, merged, overrides_as_tables, read_toml

__all__ = ["PretrainConfig"]

_EITHER = {"start": ("model", "from_scratch"), "train": ("steps", "tokens", "minutes")}
"""Of these settings, one that is given on the command line excludes those of the recipe."""


class PretrainConfig(SettingsFile):
    """A whole recipe. Relative paths in it are relative to the file, those of flags to the working directory."""

    start: StartSettings = StartSettings()
    text: TextSettings = TextSettings()
    masking: MaskingSettings = MaskingSettings()
    train: UpdateSettings = UpdateSettings()
    output: OutputSettings = OutputSettings()
    run: PlaceSettings = PlaceSettings()

    @classmethod
    def from_recipe(
        cls, name: str | None, overrides: Sequence[str] = (), flags: Mapping[str, Mapping[str, Any]] | None = None
    ) -> "PretrainConfig":
        """Read a recipe, a file or a ready-made one, or none; `overrides` ``"section.key=value"`` and `flags` win.

        A start or a limit among the flags takes the place of every other in the recipe.

        Raises
        ------
        ConfigError
            If there is no such recipe, or a key or value is not known.
        """
        path = pipeline_path(name) if name else None
        tables = _absolute(read_toml(path), path.parent) if path else {}
        changes = merged(overrides_as_tables(overrides), flags or {})
        for section, keys in _EITHER.items():
            if isinstance(tables.get(section), Mapping) and set(keys) & set(changes.get(section, {})):
                tables[section] = {key: value for key, value in tables[section].items() if key not in keys}
        return cls.from_mapping(merged(tables, changes), origin=str(path) if path else "settings")


def _absolute(tables: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return tables whose paths are taken from the folder `base`; a start that is no folder there is a name."""
    found = dict(tables)
    start, text = found.get("start"), found.get("text")
    if isinstance(start, Mapping) and (base / str(start.get("model", "?"))).is_dir():
        found["start"] = {**start, "model": str((base / str(start["model"])).absolute())}
    if isinstance(text, Mapping):
        found["text"] = {**text, **{key: _placed(text[key], base) for key in ("files", "valid") if key in text}}
    return found


def _placed(value: Any, base: Path) -> Any:
    if isinstance(value, list):
        return [_placed(item, base) for item in value]
    if not isinstance(value, str):
        return value
    # NAME=FILE:SHARE, of which only the file has to be there; what is behind the colon of a hub data set is no number.
    found = re.fullmatch(r"(?s)(.*=)?(.*?)(:[0-9.]+)?", value)
    assert found
    return f"{found[1] or ''}{as_path('data', found[2], base)}{found[3] or ''}"
