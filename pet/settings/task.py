"""What is labeled, from which files, with which patterns and which model."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from pet.settings.base import PositiveInt, Section

__all__ = ["DataSettings", "ModelName", "ModelSettings", "PromptSettings", "TaskSettings"]


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("expected a bundled name, a folder or a hub id")
    return name


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

    @field_validator("fields")
    @classmethod
    def _fields_are_texts(cls, value: dict[str, str]) -> dict[str, str]:
        if name := next((name for name in ("id", "label") if name in value), None):
            raise ValueError(f'expected texts; the column of the {name}s is [task] {name}_column = "{value[name]}"')
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


def _as_label(value: Any) -> Any:
    """Return a label as the readers of rows do: true is "true", 1 is "1"; what is no word stays, to be refused."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value
