"""What a run does otherwise where each row has candidates of its own: what labels have in common is nothing there."""

import numpy as np

from pet.errors import ConfigError
from pet.settings.config import RunConfig

_NOTE = (
    "each row has candidates of its own: voters read patterns alone, nothing is learned of indices, and the classifier "
    "scores a row with each candidate"
)


def for_choices(config: RunConfig) -> RunConfig:
    """Return a config without what an index of a candidate has no use for, if it has candidates; else as it is.

    That are voters on vectors, the refinement by near rows, priors, calibration by label and descriptions.

    Raises `ConfigError` if something is asked for that needs labels of a meaning of their own.
    """
    if not config.task.choices:
        return config
    _check(config)
    changes: dict[str, dict[str, object]] = {
        "encoder": {"name": "none"},
        "train": {"embedding": False, "contrastive": False, "descriptions": 0.0},
        "ensemble": {"calibration": "none", "prior": "none"},
        "refine": {"method": "none"},
        "distill": {name: "same" for name in ("model", "size") if getattr(config.distill, name) == "auto"},
    }
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update=values) for name, values in changes.items()}
    )


def candidate_notes(config: RunConfig) -> tuple[str, ...]:
    """Return what a person should know of a run whose rows have candidates."""
    return (_NOTE,) if config.task.choices else ()


def strata(gold: np.ndarray, config: RunConfig) -> np.ndarray:
    """Return what the folds of gold rows are balanced by, int64 [n]: their labels, unless these are indices."""
    return np.zeros_like(gold) if config.task.choices else gold


def _check(config: RunConfig) -> None:
    sized = config.distill.size in ("static", "logistic")
    refused = {
        "prompts.verbalizer or prompts.words: the candidates are the words": bool(
            config.prompts.verbalizer or config.prompts.words
        ),
        f"ipet.generations = {config.ipet.generations}: expected 1": config.ipet.generations != 1,
        'train.preset = "fast": voters on vectors know no candidates': config.train.is_fast,
        f'distill.size = "{config.distill.size}": expected "same" or "small"': sized,
        f'adapt.method = "{config.adapt.method}": expected "none" or "mlm"': config.adapt.method == "pcp",
        "prompts.demonstrations: they show rows with label words": config.prompts.demonstrations > 0,
        'model.truncation = "windows": a row with each candidate is read once': config.model.truncation == "windows",
        "tables [[train.voters]] of a learner on vectors": any(own.learner != "pvp" for own in config.train.voters),
    }
    if found := next((what for what, is_so in refused.items() if is_so), None):
        raise ConfigError(f"[task] choices does not go with {found}; leave it out.")
