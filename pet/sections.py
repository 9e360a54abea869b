"""What every table of settings has in common: frozen, unknown keys refused; and the kinds of numbers in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PositiveFloat", "PositiveInt", "Section", "Share"]

PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


class Section(BaseModel):
    """One frozen table of a pipeline."""

    # A number where a name belongs (`--set task.name=2024`) is that name; infinity and NaN are no settings.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)
