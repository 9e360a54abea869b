"""What every table of settings has in common: frozen, unknown keys refused; and the kinds of numbers in them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from pet.errors import ConfigError, near_matches

PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


def expecting(expected: str, fits: Callable[[Any], object]) -> Callable[[Any], Any]:
    """Return the check that a value fits; `expected` says in words what does."""

    def check(value: Any) -> Any:
        if not fits(value):
            raise ValueError(f"expected {expected}")
        return value

    return check


_check_count = expecting(
    'a whole number from 1 on, or "auto"',
    lambda value: value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1),
)
CountOrAuto = Annotated[PositiveInt | Literal["auto"], BeforeValidator(_check_count)]

AutoOrNot = Annotated[
    bool | Literal["auto"],
    BeforeValidator(
        expecting('true, false or "auto"', lambda value: value == "auto" or isinstance(value, bool)),
    ),
]
"""Whether something is done; with "auto" it depends."""

AsList = BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
"""One name alone is a list, too."""

Texts = Annotated[tuple[str, ...], AsList]
"""A list of texts; one alone is a list, too."""


def accumulation_divides(settings: Any) -> Any:
    """Check settings of a training that have a `batch_size` and its `accumulation`, and return them."""
    if settings.batch_size % settings.accumulation:
        raise ValueError(f"accumulation = {settings.accumulation} does not divide batch_size = {settings.batch_size}")
    return settings


class Section(BaseModel):
    """One frozen table of a pipeline."""

    # A number where a name belongs (`--set task.name=2024`) is that name; infinity and NaN are no settings.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _truth_is_no_number(cls, value: Any, made: ValidatorFunctionWrapHandler) -> Any:
        """Refuse true and false where a number belongs: they would count as 1 and 0."""
        found = made(value)
        if isinstance(value, bool) and isinstance(found, int | float) and not isinstance(found, bool):
            raise ValueError("expected a number")
        return found


class SettingsFile(Section):
    """All tables of one TOML file."""

    @classmethod
    def from_mapping(
        cls, tables: Mapping[str, Any], origin: str = "settings", changes: Mapping[str, Any] | None = None
    ) -> Self:
        """Build the settings from nested mappings; `origin` names their source in errors.

        What of them is in `changes` too was given by ``--set``.

        Raises `ConfigError` if a key or value is not known.
        """
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            given = _holds(changes or {}, error.errors()[0]["loc"])
            raise ConfigError(_explained(cls, error, "--set" if given else origin)) from None

    def to_toml(self) -> str:
        """Return every setting as TOML; unset values are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def _holds(tables: Mapping[str, Any], place: Sequence[int | str]) -> bool:
    """Say whether nested tables have something at a place."""
    found: Any = tables
    for key in place:
        if not isinstance(found, Mapping) or key not in found:
            return False
        found = found[key]
    return bool(place)


def _explained(whole: type[BaseModel], error: ValidationError, origin: str) -> str:
    """Say in one sentence what the first problem of a validation is; `whole` is the file that `origin` names."""
    problem = error.errors()[0]
    place = [str(part) for part in problem["loc"]]
    more = f" ({error.error_count() - 1} more after it)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        section = place[:-1]
        kind = f"key '{place[-1]}' in [{'.'.join(section)}]" if section else f"section [{place[-1]}]"
        return f"{origin}: unknown {kind}.{near_matches(place[-1], _known_keys(whole, section))}{more}"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    found = problem.get("input")
    found_text = f", found {found!r}" if not isinstance(found, dict | BaseModel) else ""
    return f"{origin}: {'.'.join(place)}: {reason[0].lower()}{reason[1:]}{found_text}{more}."


def _known_keys(whole: type[BaseModel], section: Sequence[str]) -> list[str]:
    if not section:
        return list(whole.model_fields)
    annotation = whole.model_fields[section[0]].annotation if section[0] in whole.model_fields else None
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
