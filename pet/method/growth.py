"""How many generations a run trains and which label ratio it expects, checked before anything is trained."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from pet.data.dataset import TaskData
from pet.errors import ConfigError, near_matches
from pet.labeling.calibration import smoothed_prior
from pet.labeling.guards import LEAST_PER_LABEL
from pet.labeling.selection import MOST_STEPS, Growth
from pet.settings.config import RunConfig

__all__ = ["held_out_notes", "plan_generations", "plan_prior"]


def plan_generations(config: RunConfig, data: TaskData, voters: int) -> tuple[int, tuple[str, ...]]:
    """Return the number of ensembles to train, and what a person should know about it.

    "auto" is the k growth steps of 2001.07676, section 3.4, or as many as the pool can fill.

    Raises
    ------
    ConfigError
        If a voter has no other to learn from, or the pool is too small, or the prior names other labels.
    """
    labels = data.task.labels
    counts = tuple(sum(example.label == label for example in data.labeled) for label in labels)
    _check_prior(config.ensemble.prior, labels, sum(counts))
    growth, pool = Growth(counts, config.ipet.growth, config.ipet.first_rows), len(data.unlabeled)
    if config.ipet.generations == 1:
        return 1, ()
    possible = growth.largest_step(pool)
    if config.ipet.generations == "auto":
        steps = min(growth.automatic(), possible)
        most = "the most there are" if possible == MOST_STEPS else f"as many as {pool} unlabeled rows can fill"
        cut = f", {most}" if possible < growth.automatic() else ""
        plural = "s" if steps else ""
        notes = (f"{steps + 1} generation{plural}{cut}: {_sizes(growth, steps)}",)
    else:
        steps = config.ipet.generations - 1
        if steps > possible == MOST_STEPS:
            raise ConfigError(
                f"ipet.generations = {steps + 1}: {MOST_STEPS + 1} are the most; raise ipet.growth instead."
            )
        if steps > possible:
            wanted = growth.wanted(possible + 1).sum()
            key, value = ("first_rows", growth.first) if growth.from_zero else ("growth", growth.factor)
            raise ConfigError(
                f"ipet.generations = {steps + 1}: the training sets of generation {possible + 1} draw {wanted} rows, "
                f"and there are {pool} unlabeled ones; set ipet.generations to {possible + 1} at most, lower "
                f"ipet.{key} (now {value:g}), or give more unlabeled rows."
            )
        notes = (f"{steps + 1} generations: {_sizes(growth, steps)}",)
    if steps and voters == 1:
        raise ConfigError(
            "One pattern with one seed is a single voter, and generations need another that labels its rows: add a "
            "pattern, or set train.seeds = 2."
        )
    return steps + 1, notes


def held_out_notes(wanted: bool | Literal["auto"], generations: int, data: TaskData) -> tuple[str, ...]:
    """Return why no gold rows are held out where they should be; nothing where all is as it should be.

    Raises
    ------
    ConfigError
        If they are asked for and cannot be.
    """
    counts = Counter(str(row.label) for row in data.labeled)
    fewest = min(counts, key=lambda label: counts[label], default=None)
    if not wanted or (fewest and counts[fewest] >= LEAST_PER_LABEL):
        return ()
    lack = f"{fewest!r} has {counts[fewest]}" if fewest else "there is no labeled row"
    reason = f"{LEAST_PER_LABEL} labeled rows of each label are needed, and {lack}"
    if wanted is True:
        raise ConfigError(f"ipet.held_out = true: {reason}; give more, or leave it out.")
    if generations == 1 or not fewest:
        return ()
    return (f"no gold rows are held out, so nothing measures the generations on them: {reason}",)


def _sizes(growth: Growth, steps: int) -> str:
    rows = [sum(growth.counts), *(sum(growth.counts) + int(growth.wanted(i + 1).sum()) for i in range(steps))]
    return f"training sets of up to {', '.join(map(str, rows))} rows"


def _check_prior(prior: str | Mapping[str, float], labels: Sequence[str], gold: int) -> None:
    if prior == "labels" and not gold:
        raise ConfigError('ensemble.prior = "labels" needs labeled rows: use "uniform", or give a share per label.')
    if isinstance(prior, str):
        return
    for name in prior:
        if name not in labels:
            hint = near_matches(name, labels)
            raise ConfigError(f"ensemble.prior names {name!r}, expected the labels {list(labels)}.{hint}")
    if lacking := [label for label in labels if label not in prior]:
        raise ConfigError(f"ensemble.prior has no share for {lacking[0]!r}: give one to each of {list(labels)}.")


def plan_prior(prior: str | Mapping[str, float], labels: Sequence[str], gold: np.ndarray) -> np.ndarray:
    """Return float64 [k]: the label ratio that is expected of the pool; `gold` int64 [n] are the labeled columns.

    Where none is set, that of the labeled rows, smoothed, or a uniform one without them.
    """
    if not isinstance(prior, str):
        shares = np.asarray([prior[label] for label in labels], np.float64)
        given: np.ndarray = shares / shares.sum()
        return given
    if prior == "uniform" or not len(gold):
        return np.full(len(labels), 1.0 / len(labels))
    return smoothed_prior(np.bincount(gold, minlength=len(labels)))
