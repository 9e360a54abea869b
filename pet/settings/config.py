"""Frozen settings of a run, read from a TOML pipeline and written back resolved.

Each section is a model of its own, so that a stage takes its section and never the whole `RunConfig`. Unknown keys are
refused with the near match. Paths are relative to the pipeline file; `[task.fields]` maps fields to columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pet.errors import ConfigError, shown
from pet.library import pipeline_path
from pet.settings.base import SettingsFile
from pet.settings.pretraining import AdaptSettings
from pet.settings.run import EnsembleSettings, IpetSettings, RefineSettings, RunSettings
from pet.settings.task import DataSettings, EncoderSettings, ModelSettings, PromptSettings, TaskSettings
from pet.settings.toml import absolute, merged, overrides_as_tables, read_toml
from pet.settings.training import DistillSettings, TrainSettings
from pet.settings.votes import VotesTables


class RunConfig(SettingsFile):
    """A whole pipeline.

    `from_toml` and `from_mapping` say in one sentence what is wrong, as a `ConfigError`; built by keywords, a config
    raises pydantic's `ValidationError`.
    """

    task: TaskSettings = TaskSettings()
    data: DataSettings = DataSettings()
    prompts: PromptSettings = PromptSettings()
    model: ModelSettings = ModelSettings()
    encoder: EncoderSettings = EncoderSettings()
    adapt: AdaptSettings = AdaptSettings()
    train: TrainSettings = TrainSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    refine: RefineSettings = RefineSettings()
    ipet: IpetSettings = IpetSettings()
    distill: DistillSettings = DistillSettings()
    run: RunSettings = RunSettings()
    votes: VotesTables = ()

    @classmethod
    def from_toml(cls, path: str | Path, overrides: Sequence[str] = ()) -> "RunConfig":
        """Read a pipeline file, or a ready-made pipeline by its name; `overrides` are ``"section.key=value"`` and win.

        Relative paths in `[data]`, `[[votes]]`, `[prompts] registry`, `[model]` and `[distill]` are resolved against
        the file's folder; those given as overrides are relative to the working directory.

        Raises `ConfigError` if the file is missing or no TOML, or a key or value is not known.
        """
        if not isinstance(path, str | Path):
            raise ConfigError(f"Expected the path or the name of a pipeline, found {shown(path)}.")
        path = pipeline_path(str(path))
        changes = absolute(overrides_as_tables(overrides), Path.cwd())
        return cls.from_mapping(merged(absolute(read_toml(path), path.parent), changes), str(path), changes)

    def with_registries(self, folders: Sequence[str | Path]) -> "RunConfig":
        """Return this config with more folders of patterns and verbalizers."""
        registry = (*self.prompts.registry, *(str(Path(folder).absolute()) for folder in folders))
        return self.model_copy(update={"prompts": self.prompts.model_copy(update={"registry": registry})})

    def with_settings(self, changes: Mapping[str, Any], origin: str = "settings") -> "RunConfig":
        """Return this config with nested tables of other settings; their paths are relative to the working directory.

        What nobody has set follows from the settings as they are then; `origin` names the changes in errors.

        Raises `ConfigError` if a key or value is not known.
        """
        said = self.model_dump(exclude_unset=True)
        return RunConfig.from_mapping(merged(said, absolute(changes, Path.cwd())), origin)

    def with_pattern(self, pattern: str) -> "RunConfig":
        """Return a config of one voter, under that pattern, as `[train]` has it."""
        sections = {
            "prompts": self.prompts.model_copy(update={"patterns": (pattern,)}),
            "train": self.train.model_copy(update={"voters": (), **({"preset": "pet"} if self.train.is_fast else {})}),
            "ipet": self.ipet.model_copy(update={"generations": 1}),
        }
        return self.model_copy(update=sections)

    def absolute(self) -> "RunConfig":
        """Return this config with its relative paths resolved against the working directory."""
        return RunConfig.model_validate(absolute(self.model_dump(exclude_none=True), Path.cwd()))


def one_label_config(source: "str | Path | RunConfig", what: str) -> RunConfig:
    """Return a pipeline whose rows have one label each, which `what` is about; read from a file where it is no config.

    Raises `ConfigError` if its rows have several labels; else as `RunConfig.from_toml`.
    """
    config = source if isinstance(source, RunConfig) else RunConfig.from_toml(source)
    if config.task.multi_label:
        raise ConfigError(
            f"{what} is for rows of one label each, and [task] multi_label = true: for several use `pet run`, check, "
            "predict, evaluate, explain or export to a table (from Python pet.run_several and pet.predict_several), or "
            "have a task per label, with the labels yes and no."
        )
    return config


def checked_config(config: object) -> RunConfig:
    """Return a config that is one; a ConfigError says how to make one of a name, a path or a mapping."""
    if isinstance(config, RunConfig):
        return config
    way = "from_toml" if isinstance(config, str | Path) else "from_mapping"
    raise ConfigError(f"Expected a RunConfig, found {shown(config)}: make one with pet.RunConfig.{way}(...).")
