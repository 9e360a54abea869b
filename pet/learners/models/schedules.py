"""How long a model of a given size trains, and at what rates, where the settings do not say it."""

from dataclasses import dataclass, replace
from typing import Literal

from pet.errors import ConfigError
from pet.settings.pretraining import UpdateSettings
from pet.settings.training import DistillSettings, OptimizerSettings, TrainSettings
from pet.settings.variants import Weights

NewWeights = Literal["nothing", "head", "all"]
"""Which weights of a masked language model are random when its training begins."""

SMALL_MODEL = 50_000_000
"""Parameters below which a model counts as small."""


@dataclass(frozen=True)
class Schedule:
    """How long, and at what rate."""

    steps: int
    learning_rate: float


_STATIC = Schedule(1000, 3e-3)

# Of a final classifier whose training ends by itself: the most updates, and so many times the usual steps at the most.
_UPDATES_PER_LABEL, _PASSES, _LONGEST = 20, 5, 10


# What few tensors need: larger steps, and more of them; of a small model, and of one of base size. The latter are those
# of the methods' own code (LoRA 2106.09685, adapters 1902.00751, BitFit 2106.10199, P-tuning v2 2110.07602).
_LARGER_RATES: dict[Weights, tuple[float, float]] = {
    "bitfit": (5e-3, 1e-3),
    "layernorm": (1e-3, 1e-3),
    "adapter": (1e-3, 1e-4),
    "lora": (1e-3, 5e-4),
    "prefix": (2e-3, 5e-3),
    "unipelt": (2e-3, 5e-4),
    "head": (1e-3, 1e-3),
    "peft": (1e-3, 5e-4),
    "none": (1e-3, 1e-3),
}
# Of a small masked language model that is trained on text: from trained weights, and from scratch; a new head on a
# trained encoder learns so much faster than that.
_TRAINED_RATE, _NEW_RATE, _HEAD_FACTOR = 2e-4, 7e-4, 4.0
_PROMPT_RATES = {"none": 1e-2, "mlp": 1e-3, "lstm": 1e-3}


def default_schedule(parameters: int, voter: bool) -> Schedule:
    """Return the schedule for all weights of a model of that size: a voter or baseline, or the final classifier.

    For a base-size model those of 2001.07676, appendix B; a small one needs larger steps.
    """
    if parameters < SMALL_MODEL:
        return Schedule(60, 1e-4) if voter else Schedule(300, 1e-4)
    return Schedule(250, 1e-5) if voter else Schedule(1000, 1e-5)


def scheduled(settings: OptimizerSettings, parameters: int) -> OptimizerSettings:
    """Return a baseline's settings whose steps and learning rate, where unset, follow the model's size."""
    schedule = default_schedule(parameters, voter=True)
    return settings.resolved(schedule.steps, schedule.learning_rate)


def scheduled_student(
    settings: DistillSettings, parameters: int, watched: tuple[int, int] | None = None
) -> DistillSettings:
    """Return the final classifier's settings without gaps; a smaller one takes larger steps, a static one more of them.

    Chosen with pet-mini on three data sets, by agreement with the teacher on rows that were kept from the student.
    Where its training is `watched`, and ends by itself, the steps are the most: for so many labels and rows.
    """
    schedule = _STATIC if settings.size == "static" else default_schedule(parameters, voter=False)
    if settings.size == "small":
        schedule = replace(schedule, learning_rate=2 * schedule.learning_rate)
    steps = schedule.steps
    if watched:
        labels, rows = watched
        wanted = max(_UPDATES_PER_LABEL * labels, _PASSES * rows // settings.batch_size)
        steps = max(steps, min(wanted, _LONGEST * steps))
    return settings.resolved(steps, schedule.learning_rate)


def scheduled_voter(settings: TrainSettings, parameters: int) -> TrainSettings:
    """Return a voter's settings without gaps: the parts of its preset, steps and learning rates.

    A voter that does not train all weights takes steps of its own size, and more of them. AdaLoRA divides its ranks
    over all of its steps.

    Raises `ConfigError` if AdaLoRA is to do so over another number of them.
    """
    settings = settings.with_preset()
    schedule = default_schedule(parameters, voter=True)
    if settings.weights != "full":
        rates = _LARGER_RATES[settings.weights or "none"]
        schedule = Schedule(5 * schedule.steps // 3, rates[parameters >= SMALL_MODEL])
    if settings.prompt_learning_rate is None:
        rate = _PROMPT_RATES[settings.prompt_encoder or "none"]
        settings = settings.model_copy(update={"prompt_learning_rate": rate})
    return _with_all_steps(settings.resolved(schedule.steps, schedule.learning_rate))


def scheduled_pretraining(settings: UpdateSettings, new: NewWeights) -> UpdateSettings:
    """Return the settings of a training on text whose learning rates, where unset, follow from what is new."""
    rate = settings.learning_rate or (_NEW_RATE if new == "all" else _TRAINED_RATE)
    head_rate = settings.head_learning_rate or (rate * _HEAD_FACTOR if new == "head" else rate)
    return settings.model_copy(update={"learning_rate": rate, "head_learning_rate": head_rate})


def _with_all_steps(settings: TrainSettings) -> TrainSettings:
    """Return settings whose AdaLoRA knows how many steps there are."""
    if not settings.peft or str(settings.peft.get("peft_type")).upper() != "ADALORA":
        return settings
    peft = {"total_step": settings.steps, **settings.peft}
    if peft["total_step"] != settings.steps:
        raise ConfigError(
            f"AdaLoRA has total_step = {peft['total_step']}, but the voter trains for {settings.steps} steps: leave "
            "total_step out, or set train.steps to the same number."
        )
    return settings.model_copy(update={"peft": peft})
