"""Frozen settings of a run, read from a TOML pipeline and written back resolved.

Each section is a model of its own, so that a stage takes its section and never the whole `RunConfig`. Unknown keys are
refused with the near match. Paths are relative to the pipeline file; `[task.fields]` maps fields to columns.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pet.errors import ConfigError, near_matches
from pet.toml import absolute, merged, overrides_as_tables, read_toml

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
]


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("expected a bundled name, a folder or a hub id")
    return name


PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
ModelName = Annotated[str, AfterValidator(_not_blank)]


_TASK_NAME = re.compile(r"[\w-][\w .-]*")  # it names the folder of a run, and must not lead out of runs/


class _Section(BaseModel):
    """One frozen table of a pipeline."""

    # A number where a name belongs (`--set task.name=2024`) is that name; infinity and NaN are no settings.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


class TaskSettings(_Section):
    """`[task]`: what is labeled. Empty `labels` means those of the train file, else of the verbalizer."""

    name: str = "task"
    labels: tuple[str, ...] = ()
    fields: dict[str, str] = Field(default_factory=dict)
    label_column: str = "label"
    id_column: str = "id"

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if not _TASK_NAME.fullmatch(value):
            raise ValueError("expected letters, digits, spaces, '.', '_' and '-', neither '.' nor a space first")
        return value

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_are_words(cls, value: Any) -> Any:
        return tuple(_as_label(label) for label in value) if isinstance(value, list | tuple) else value

    @field_validator("labels")
    @classmethod
    def _at_least_two(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) == 1 or len(set(value)) != len(value):
            raise ValueError("expected at least two different labels")
        return value


class DataSettings(_Section):
    """`[data]`: the files, or hub data sets such as ``"owner/name:split"``."""

    train: str | None = None
    unlabeled: str | None = None
    test: str | None = None
    examples_per_label: PositiveInt | None = None
    max_unlabeled: PositiveInt | None = None
    max_test: PositiveInt | None = None
    on_bad_row: Literal["error", "skip"] = "error"

    def sources(self) -> tuple[str, ...]:
        """Return the files and data sets that are named."""
        return tuple(source for source in (self.train, self.unlabeled, self.test) if source)

    @field_validator("train", "unlabeled", "test", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value


class PromptSettings(_Section):
    """`[prompts]`: which patterns, and the words of the labels (default: the label names)."""

    patterns: tuple[str, ...] = ()
    verbalizer: str | None = None
    registry: tuple[str, ...] = ()
    multi_token: bool = False

    @field_validator("patterns", "registry", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class ModelSettings(_Section):
    """`[model]`: the masked language model: a bundled name, a folder, or a hub id."""

    name: ModelName = "pet-mini"
    revision: str | None = None
    max_length: Annotated[int, Field(ge=8)] = 256
    truncation: Literal["tail", "head+tail"] = "tail"


class OptimizerSettings(_Section):
    """What every training shares. `steps` are optimizer updates; None is derived from the model's size."""

    steps: Annotated[int, Field(ge=0)] | None = None
    batch_size: PositiveInt = 16
    accumulation: PositiveInt = 1
    learning_rate: PositiveFloat | None = None
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    warmup: Share = 0.1
    max_grad_norm: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _accumulation_divides(self) -> Self:
        if self.batch_size % self.accumulation:
            raise ValueError(f"accumulation = {self.accumulation} does not divide batch_size = {self.batch_size}")
        return self

    def resolved(self, steps: int, learning_rate: float) -> Self:
        """Return these settings with the given values where none is set."""
        return self.model_copy(
            update={
                "steps": steps if self.steps is None else self.steps,
                "learning_rate": self.learning_rate or learning_rate,
            }
        )


class TrainSettings(OptimizerSettings):
    """`[train]`: how one voter (a pattern with a seed) is trained."""

    preset: Literal["pet"] = "pet"
    seeds: PositiveInt = 1
    auxiliary_mlm: Share = 0.0


class EnsembleSettings(_Section):
    """`[ensemble]`: how the voters' scores are weighted."""

    weighting: Literal["uniform", "accuracy", "agreement"] = "uniform"


class IpetSettings(_Section):
    """`[ipet]`: the number of ensembles trained; 1 is plain PET."""

    generations: Annotated[int, Field(ge=1, le=1)] = 1


class DistillSettings(OptimizerSettings):
    """`[distill]`: the final classifier. `model = "same"` starts from the voters' model."""

    model: ModelName = "same"
    temperature: PositiveFloat = 2.0
    gold_rows: bool = True


class RunSettings(_Section):
    """`[run]`: the seed and the machine."""

    seed: Annotated[int, Field(ge=0)] = 42
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    baseline: bool = True


class RunConfig(_Section):
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


def _as_label(value: Any) -> Any:
    """Return a label as the readers of rows do: true is "true", 1 is "1"; what is no word stays, to be refused."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


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
