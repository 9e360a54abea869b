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
    """What is averaged: log-probabilities by temperatures, or raw scores (the paper's)."""
    weighting: Literal["auto", "uniform", "accuracy", "agreement"] = "auto"
    """What the weight of a voter, or of a family of them, goes by."""
    calibration: Literal["auto", "none", "batch", "contextual"] = "auto"
    """What is taken off of a voter's scores: nothing, its mean over the pool, or over inputs without content;
    "auto": "batch" for untrained voters.
    """
    prior: Literal["none", "labels", "uniform"] | dict[Label, float] = "none"
    """The label ratio that the mean prediction is matched to."""

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
    """Whether labels are smoothed over neighbours."""
    neighbours: PositiveInt | None = None
    """How many neighbours a row has; unset: it follows from the rows and labels."""


class IpetSettings(Section):
    """`[ipet]`: the generations of self-training; `generations` counts the ensembles trained, and 1 is plain PET.

    `growth` is d of the paper, `share` its lambda. The sets keep the `ratio` of the labeled rows ("labels", the
    paper's), or no label gets more than its share of the labels given allows it ("predicted"); of the rows that have a
    label no more than the part `cap` is drawn (1: all, as in the paper). Without labeled rows the first sets have
    `first_rows` (10 in the paper). `subset` lets all generations but the last label only a part of a large pool;
    `held_out` keeps a fold of the gold rows out of each voter's set, to be measured on.
    """

    generations: CountOrAuto = 1
    """Ensembles to train, one after the other; "auto": until the training sets have about 1,000 rows."""
    growth: Annotated[float, Field(gt=1.0)] = 5.0
    """By how much the training sets grow from one generation to the next (d of the paper)."""
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    """The part of the other voters that labels a voter's next set (lambda of the paper)."""
    confidence: Literal["probability", "margin", "consensus", "neighbourhood"] = "consensus"
    """What the rows of the next sets are drawn by; "probability" is the paper's."""
    ratio: Literal["labels", "predicted"] = "predicted"
    """The label ratio of the sets."""
    cap: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """The most that is drawn, as a part of the rows that have a label."""
    first_rows: PositiveInt = 100
    """Rows of the first sets where no row is labeled, all labels together."""
    subset: bool = True
    """Whether all generations but the last label only a part of a large pool, 4 times what is drawn from it."""
    held_out: AutoOrNot = "auto"
    """Whether gold rows are held out of the sets of patterns; "auto": where generations, temperatures or weights
    need them.
    """
    accept_all: bool = False
    """Whether generations are kept that the guard rails would reject."""


class PlaceSettings(Section):
    """The seed and the machine: all of `[run]` in a recipe."""

    seed: Annotated[int, Field(ge=0)] = 42
    """All that is drawn at random follows from it."""
    device: str = "auto"
    """What to compute on, such as "cpu" or "cuda"; "auto": a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """What is computed in; "auto": bfloat16 where the processor multiplies it and the labels stay the same."""


class RunSettings(PlaceSettings):
    """`[run]`: the seed, the machine, and what is done beside the labels.

    Voters are done by an `executor`, `workers` at a time, each with so many `threads`; "auto" finds out whether several
    processes are faster than one with more threads.
    The method is compared with what costs seconds beside it, classifiers on the vectors of the encoder; with `baseline`
    true also with a classifier trained on the labeled rows and with untrained patterns, which take a sixth of a run.
    """

    baseline: AutoOrNot = "auto"
    """Whether a supervised baseline and untrained patterns are measured too."""
    keep_models: bool = False
    """Whether the weights of every trained voter are kept."""
    executor: Literal["auto", "here", "processes", "ray", "slurm", "debug"] = "auto"
    """Where voters are done: in this process, in others, on a Ray cluster, by Slurm; "debug": here, and the debugger
    stops where one fails; "auto": in this process or in others, whichever is faster.
    """
    address: str = "auto"
    """The Ray cluster: HOST:PORT, "auto" for the one of this machine, "local" for one of the run's own; with Slurm,
    "local" does jobs on this machine.
    """
    workers: CountOrAuto = "auto"
    """How many voters are done at a time; "auto": as many as is fastest here, or all on a cluster."""
    threads: CountOrAuto = "auto"
    """The threads of a voter: with another number, the last bits of what is computed differ. "auto": an equal part of
    this machine's, or 1 on a cluster.
    """
    gpus_per_voter: Annotated[float, Field(gt=0.0)] = 1.0
    """The GPUs of a voter on a cluster, where the run computes on one; by 0.25, four voters share one."""
    report_to: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...], AsList] = ()
    """Trackers that get losses and figures, and no text."""
