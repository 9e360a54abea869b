"""The sections of a pipeline: frozen tables of settings, one for each stage. Unknown keys are refused."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from pet.sections import PositiveFloat, PositiveInt, Section, Share
from pet.variants import PRESETS, VariantSettings

__all__ = [
    "DataSettings",
    "DistillSettings",
    "EnsembleSettings",
    "IpetSettings",
    "ModelSettings",
    "OptimizerSettings",
    "PromptSettings",
    "RunSettings",
    "TaskSettings",
    "TrainSettings",
    "VoterSettings",
]


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("expected a bundled name, a folder or a hub id")
    return name


Steps = Annotated[int, Field(ge=0)]
ModelName = Annotated[str, AfterValidator(_not_blank)]


_TASK_NAME = re.compile(r"[\w-][\w .-]*")  # it names the folder of a run, and must not lead out of runs/


class TaskSettings(Section):
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


class DataSettings(Section):
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


class PromptSettings(Section):
    """`[prompts]`: which patterns, and the words of the labels (default: the label names)."""

    patterns: tuple[str, ...] = ()
    verbalizer: str | None = None
    registry: tuple[str, ...] = ()
    multi_token: bool = False

    @field_validator("patterns", "registry", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class ModelSettings(Section):
    """`[model]`: the masked language model: a bundled name, a folder, or a hub id."""

    name: ModelName = "pet-mini"
    revision: str | None = None
    max_length: Annotated[int, Field(ge=8)] = 256
    truncation: Literal["tail", "head+tail"] = "tail"


class OptimizerSettings(Section):
    """What every training shares. `steps` are optimizer updates; None is derived from the model's size."""

    steps: Steps | None = None
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


class VoterSettings(VariantSettings):
    """`[[train.voters]]`: some of an ensemble's voters, their patterns and what of them trains.

    What a table leaves out is as in `[train]`; but one with a preset of its own takes neither the parts of another
    preset from there nor its learning rates. `name` tells tables of one preset apart.
    """

    name: str = ""
    patterns: tuple[str, ...] = ()
    steps: Steps | None = None
    learning_rate: PositiveFloat | None = None

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.-]*", value):
            raise ValueError("expected letters, digits, '.', '_' and '-'")
        return value

    @field_validator("patterns", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not set, so that a table read back inherits as much."""
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class TrainSettings(OptimizerSettings, VariantSettings):
    """`[train]`: how one voter (a pattern with a seed) is trained, and what of it; `voters` mix variants."""

    seeds: PositiveInt = 1
    auxiliary_mlm: Share = 0.0
    voters: tuple[VoterSettings, ...] = ()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        parts = self.with_preset()
        if (self.peft is not None) != (parts.weights == "peft"):
            raise ValueError(
                'weights = "peft" and a table peft belong together, such as peft = {peft_type = "IA3"}, found one'
            )
        if parts.loss == "adapet" and parts.output != "words":
            raise ValueError(f'loss = "adapet" is about words, expected output = "words", found "{parts.output}"')
        if parts.loss == "adapet" and self.auxiliary_mlm:
            raise ValueError(f'expected auxiliary_mlm = 0 with loss = "adapet", found {self.auxiliary_mlm:g}')
        return self

    @model_validator(mode="after")
    def _tables_fit(self) -> Self:
        for i, table in enumerate(self.voters):
            try:
                self.of(table)
            except ValidationError as error:
                reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
                raise ValueError(f"voters.{i}, with what it takes from [train]: {reason}") from None
        return self

    def of(self, voters: VoterSettings) -> Self:
        """Return the settings of the voters of one table."""
        said = voters.model_dump(exclude={"name", "patterns"})
        dropped = {"voters"}
        if "preset" in said:
            dropped |= {*PRESETS["pet"], "learning_rate", "prompt_learning_rate", "peft"}
        if said.get("weights", "peft") != "peft":
            dropped |= {"peft"}
        return type(self).model_validate({**self.model_dump(exclude=dropped), **said})


class EnsembleSettings(Section):
    """`[ensemble]`: how the voters' scores are calibrated, matched to a prior, and weighted.

    `prior` is "none", "labels" (the smoothed ratio of the gold rows), "uniform", or a share per label.
    """

    weighting: Literal["uniform", "accuracy", "agreement"] = "uniform"
    calibration: Literal["auto", "none", "batch", "contextual"] = "auto"
    prior: Literal["none", "labels", "uniform"] | dict[str, float] = "none"

    @field_validator("prior", mode="before")
    @classmethod
    def _a_name_or_a_distribution(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            if value in ("none", "labels", "uniform"):
                return value
            raise ValueError('expected "none", "labels", "uniform", or a share per label such as {yes = 0.3, no = 0.7}')
        for label, share in value.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not share > 0:
                raise ValueError(f"expected a share above 0 of each label, found {share!r} of {label!r}")
        if abs(sum(value.values()) - 1) > 1e-3:
            raise ValueError(f"expected shares that sum to 1, found a sum of {sum(value.values()):g}")
        return value


class IpetSettings(Section):
    """`[ipet]`: the generations of self-training; `generations` counts the ensembles trained, and 1 is plain PET.

    `growth` is d of the paper, `share` its lambda; `subset` lets all generations but the last label only a part of a
    large pool; `held_out` keeps a fold of the gold rows out of each voter's set, to be measured on.
    """

    generations: PositiveInt | Literal["auto"] = 1
    growth: Annotated[float, Field(gt=1.0)] = 5.0
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    confidence: Literal["probability", "margin", "consensus"] = "consensus"
    subset: bool = True
    held_out: bool | Literal["auto"] = "auto"
    accept_all: bool = False

    @field_validator("generations", mode="before")
    @classmethod
    def _a_number_or_auto(cls, value: Any) -> Any:
        if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise ValueError('expected a whole number from 1 on, or "auto"')

    @field_validator("held_out", mode="before")
    @classmethod
    def _yes_no_or_auto(cls, value: Any) -> Any:
        if value == "auto" or isinstance(value, bool):
            return value
        raise ValueError('expected true, false or "auto"')


class DistillSettings(OptimizerSettings):
    """`[distill]`: the final classifier. `model = "same"` starts from the voters' model."""

    model: ModelName = "same"
    temperature: PositiveFloat = 2.0
    gold_rows: bool = True


class RunSettings(Section):
    """`[run]`: the seed, the machine, and what is done beside the labels."""

    seed: Annotated[int, Field(ge=0)] = 42
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    baseline: bool = True
    keep_models: bool = False


def _as_label(value: Any) -> Any:
    """Return a label as the readers of rows do: true is "true", 1 is "1"; what is no word stays, to be refused."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value
