"""Frozen settings of a run, read from a TOML pipeline and written back resolved.

Each section is a model of its own, so that a stage takes its section and never the whole `RunConfig`. Unknown keys are
refused with the near match. Paths are relative to the pipeline file; `[task.fields]` maps fields to columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from pet.errors import ConfigError, near_matches
from pet.sections import Section
from pet.settings import (
    DataSettings,
    DistillSettings,
    EnsembleSettings,
    IpetSettings,
    ModelSettings,
    OptimizerSettings,
    PromptSettings,
    RunSettings,
    TaskSettings,
    TrainSettings,
    VoterSettings,
)
from pet.toml import absolute, merged, overrides_as_tables, read_toml
from pet.variants import VariantSettings

__all__ = [
    "DataSettings",
    "DistillSettings",
    "EnsembleSettings",
    "IpetSettings",
    "ModelSettings",
    "OptimizerSettings",
    "PromptSettings",
    "RunConfig",
    "RunSettings",
    "TaskSettings",
    "TrainSettings",
    "VariantSettings",
    "VoterSettings",
]


class RunConfig(Section):
    """A whole pipeline.

    `from_toml` and `from_mapping` say in one sentence what is wrong, as a `ConfigError`; built by keywords, a config
    raises pydantic's `ValidationError`.
    """

    task: TaskSettings = TaskSettings()
    data: DataSettings = DataSettings()
    prompts: PromptSettings = PromptSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    ipet: IpetSettings = IpetSettings()
    distill: DistillSettings = DistillSettings()
    run: RunSettings = RunSettings()

    @classmethod
    def from_toml(cls, path: str | Path, overrides: Sequence[str] = ()) -> "RunConfig":
        """Read a pipeline file; `overrides` are ``"section.key=value"`` and win.

        Relative paths in `[data]`, `[prompts] registry`, `[model]` and `[distill]` are resolved against the file's
        folder; those given as overrides are relative to the working directory.

        Raises
        ------
        ConfigError
            If the file is missing or no TOML, or a key or value is not known.
        """
        path = Path(path)
        changes = absolute(overrides_as_tables(overrides), Path.cwd())
        return cls.from_mapping(merged(absolute(read_toml(path), path.parent), changes), origin=str(path))

    @classmethod
    def from_mapping(cls, tables: Mapping[str, Any], origin: str = "settings") -> "RunConfig":
        """Build a config from nested mappings; `origin` names their source in errors.

        Raises
        ------
        ConfigError
            If a key or value is not known.
        """
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            raise ConfigError(_explain(error, origin)) from None

    def with_registries(self, folders: Sequence[str | Path]) -> "RunConfig":
        """Return this config with more folders of patterns and verbalizers."""
        registry = (*self.prompts.registry, *(str(Path(folder).absolute()) for folder in folders))
        return self.model_copy(update={"prompts": self.prompts.model_copy(update={"registry": registry})})

    def absolute(self) -> "RunConfig":
        """Return this config with its relative paths resolved against the working directory."""
        return RunConfig.model_validate(absolute(self.model_dump(exclude_none=True), Path.cwd()))

    def to_toml(self) -> str:
        """Return every setting as TOML; unset values are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def _explain(error: ValidationError, origin: str) -> str:
    """Say in one sentence what the first problem of a validation is."""
    problem = error.errors()[0]
    place = [str(part) for part in problem["loc"]]
    more = f" ({error.error_count() - 1} more after it)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        section = place[:-1]
        kind = f"key '{place[-1]}' in [{'.'.join(section)}]" if section else f"section [{place[-1]}]"
        return f"{origin}: unknown {kind}.{near_matches(place[-1], _known_keys(section))}{more}"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    found = problem.get("input")
    found_text = f", found {found!r}" if not isinstance(found, dict | BaseModel) else ""
    return f"{origin}: {'.'.join(place)}: {reason[0].lower()}{reason[1:]}{found_text}{more}."


def _known_keys(section: Sequence[str]) -> list[str]:
    if not section:
        return list(RunConfig.model_fields)
    annotation = RunConfig.model_fields[section[0]].annotation if section[0] in RunConfig.model_fields else None
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
