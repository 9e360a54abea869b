"""How votes become labels, how the training sets grow, and where a run happens."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pet.settings.base import AsList, AutoOrNot, CountOrAuto, PositiveInt, Section
from pet.settings.task import Label


class EnsembleSettings(Section):
    """`[ensemble]`: how the voters' scores are calibrated, matched to a prior, and weighted.

    The `mean` is that of "calibrated" log-probabilities, with a temperature for each voter, or of "raw" scores, the
    paper's. With `weighting` "auto" each family of voters has the weight that gold rows held out give it.
    `prior` is "none", "labels" (the smoothed ratio of the gold rows), "uniform", or a share per label.
    """

    mean: Literal["calibrated", "raw"] = "calibrated"
    weighting: Literal["auto", "uniform", "accuracy", "agreement"] = "auto"
    calibration: Literal["auto", "none", "batch", "contextual"] = "auto"
    prior: Literal["none", "labels", "uniform"] | dict[Label, float] = "none"

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


class RefineSettings(Section):
    """`[refine]`: the ensemble's labels are smoothed over the nearest rows of the pool, by the encoder's vectors.

    "auto" does so unless the accuracy on gold rows held out falls by it.
    """

    method: Literal["auto", "graph", "none"] = "auto"
    neighbours: PositiveInt | None = None


class IpetSettings(Section):
    """`[ipet]`: the generations of self-training; `generations` counts the ensembles trained, and 1 is plain PET.

    `growth` is d of the paper, `share` its lambda. The sets keep the `ratio` of the labeled rows ("labels", the
    paper's), or no label gets more than its share of the labels given allows it ("predicted"); of the rows that have a
    label no more than the part `cap` is drawn (1: all, as in the paper). Without labeled rows the first sets have
    `first_rows` (10 in the paper). `subset` lets all generations but the last label only a part of a large pool;
    `held_out` keeps a fold of the gold rows out of each voter's set, to be measured on.
    """

    generations: CountOrAuto = 1
    growth: Annotated[float, Field(gt=1.0)] = 5.0
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    confidence: Literal["probability", "margin", "consensus", "neighbourhood"] = "consensus"
    ratio: Literal["labels", "predicted"] = "predicted"
    cap: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    first_rows: PositiveInt = 100
    subset: bool = True
    held_out: AutoOrNot = "auto"
    accept_all: bool = False


class PlaceSettings(Section):
    """The seed and the machine: all of `[run]` in a recipe."""

    seed: Annotated[int, Field(ge=0)] = 42
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class RunSettings(PlaceSettings):
    """`[run]`: the seed, the machine, and what is done beside the labels.

    `workers` processes do voters side by side; "auto" finds out whether that is faster than one with more threads.
    The method is compared with what costs seconds beside it, classifiers on the vectors of the encoder; with `baseline`
    true also with a classifier trained on the labeled rows and with untrained patterns, which take a sixth of a run.
    Trackers in `report_to` get losses and figures, and no text.
    """

    baseline: AutoOrNot = "auto"
    keep_models: bool = False
    workers: CountOrAuto = "auto"
    report_to: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...], AsList] = ()
