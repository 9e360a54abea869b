"""The settings of `pet pretrain`, read from a TOML recipe and from flags."""

from collections.abc import Mapping, Sequence
from typing import Any

from pet.library import pipeline_path
from pet.settings.base import SettingsFile
from pet.settings.pretraining import MaskingSettings, OutputSettings, StartSettings, TextSettings, UpdateSettings
from pet.settings.run import PlaceSettings
from pet.settings.toml import absolute, merged, overrides_as_tables, read_toml

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

        Raises `ConfigError` if there is no such recipe, or a key or value is not known.
        """
        path = pipeline_path(name) if name else None
        tables = absolute(read_toml(path), path.parent) if path else {}
        changes = merged(overrides_as_tables(overrides), flags or {})
        for section, keys in _EITHER.items():
            if isinstance(tables.get(section), Mapping) and set(keys) & set(changes.get(section, {})):
                tables[section] = {key: value for key, value in tables[section].items() if key not in keys}
        return cls.from_mapping(merged(tables, changes), origin=str(path) if path else "settings")
