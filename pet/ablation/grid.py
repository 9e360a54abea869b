"""The grid of an ablation: axes, each a setting with its values, and cells, one value of each axis."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from typing import Any

from pet.errors import ConfigError, shown
from pet.settings.config import RunConfig
from pet.settings.toml import merged, split_override, toml_value

_FORM = "section.key=value,value, such as ensemble.calibration=none,batch"

_REFUSED = {
    "run.seed": "the samples are drawn by it: use --samples",
    "run.workers": "it changes no label",
    "run.keep_models": "it changes no label",
}


@dataclass(frozen=True)
class Axis:
    """A setting, named as ``section.key``, and its values, of which the first is the baseline's."""

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Check the values.

        Raises `ConfigError` if the name is none of a setting, or there are not at least two different values.
        """
        if len(self.keys) < 2 or not all(self.keys):
            raise ConfigError(f"--axis {self.name!r} is not of the form {_FORM}.")
        if reason := _REFUSED.get(".".join(self.keys)):
            raise ConfigError(f"--axis {self.name}: no axis, for {reason}.")
        if any(value in self.values[:place] for place, value in enumerate(self.values)):
            raise ConfigError(f"--axis {self.name} has a value twice: {', '.join(map(value_text, self.values))}.")
        if len(self.values) < 2:
            raise ConfigError(
                f"--axis {self.name} has one value, {', '.join(map(value_text, self.values))}: give two or more, the "
                f"one to compare with first, as in {_FORM}."
            )

    @classmethod
    def from_text(cls, text: str) -> "Axis":
        """Read ``section.key=value,value``; values are TOML, else plain words.

        A comma within quotes, brackets or braces is part of a value.

        Raises `ConfigError` if it has another form.

        >>> Axis.from_text('prompts.patterns=["agnews/*"],["agnews/colon", "agnews/news"]').values
        (['agnews/*'], ['agnews/colon', 'agnews/news'])
        """
        _, separator, values = split_override(text)
        parts = _split_values(values)
        if not separator or not all(parts):
            raise ConfigError(f"--axis {text!r} is not of the form {_FORM}.")
        return cls(text[: len(text) - len(values) - 1].strip(), tuple(map(toml_value, parts)))

    @property
    def keys(self) -> tuple[str, ...]:
        """The name in parts."""
        return tuple(split_override(f"{self.name}=")[0])


def axes_of(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values by setting of axes as a person writes them.

    Raises `ConfigError` if one has another form, or two are of one setting.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for axis in map(Axis.from_text, texts):
        if axis.name in found:
            raise ConfigError(f"--axis {axis.name} is there twice: give all of its values in one, {_FORM}.")
        found[axis.name] = axis.values
    return found


@dataclass(frozen=True)
class Cell:
    """One value of each axis, by its name; `number` counts the cells from 0, the baseline."""

    number: int
    settings: Mapping[str, Any]
    axes: tuple[Axis, ...]

    @property
    def changes(self) -> dict[str, Any]:
        """The settings as nested tables."""

        def table(axis: Axis) -> Any:
            return reduce(lambda inner, key: {key: inner}, reversed(axis.keys), self.settings[axis.name])

        return reduce(merged, map(table, self.axes), {})

    def __str__(self) -> str:
        return ", ".join(f"{name}={value_text(value)}" for name, value in self.settings.items())


@dataclass(frozen=True)
class Grid:
    """All cells of some axes; the last axis changes fastest."""

    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, axes: Mapping[str, Sequence[Any]]) -> "Grid":
        """Return the grid of axes, given as values by name.

        Raises `ConfigError` if there is no axis, or one is wrong.
        """
        if not isinstance(axes, Mapping) or not all(isinstance(values, list | tuple) for values in axes.values()):
            raise ConfigError(
                f"The axes are {shown(axes)}: expected lists of values by setting, such as "
                '{"ensemble.calibration": ["none", "batch"]}.'
            )
        if not axes:
            raise ConfigError(f"There is nothing to compare: give one --axis or more, as in {_FORM}.")
        return cls(tuple(Axis(name, tuple(values)) for name, values in axes.items()))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells, the baseline first."""
        every = product(*(axis.values for axis in self.axes))
        names = [axis.name for axis in self.axes]
        return tuple(
            Cell(number, dict(zip(names, values, strict=True)), self.axes) for number, values in enumerate(every)
        )

    def configs(self, config: RunConfig) -> list[RunConfig]:
        """Return the config of each cell.

        Raises `ConfigError` if an axis is no setting, or a value is none of it.
        """
        return [config.with_settings(cell.changes, "--axis") for cell in self.cells]

    def as_json(self) -> Any:
        """Return the values by name of the axis, as plain values."""
        return json.loads(json.dumps({axis.name: axis.values for axis in self.axes}))


def value_text(value: Any) -> str:
    """Return a value as a person writes it.

    >>> value_text("none"), value_text(True), value_text(["a/b"])
    ('none', 'true', '["a/b"]')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _split_values(text: str) -> list[str]:
    """Split a text at its commas, but for those within quotes, brackets or braces."""
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        else:
            depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not quote and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]
