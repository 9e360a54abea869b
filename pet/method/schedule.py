"""How many generations a run trains, and which label ratio it expects, checked before anything is trained."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pet.data.dataset import TaskData
from pet.errors import ConfigError, near_matches
from pet.labeling.calibration import smoothed_prior
from pet.labeling.growth import MOST_STEPS, Growth
from pet.labeling.guards import LEAST_PER_LABEL
from pet.settings.run import IpetSettings


@dataclass(frozen=True)
class Schedule:
    """How many ensembles are trained, by so many voters on these rows; checked when it is made.

    They are the rows as they were drawn: what people label later does not change how many generations a run has.
    "auto" is the k growth steps of 2001.07676, section 3.4, or as many as the pool can fill.

    Raises `ConfigError` if a voter has no other to learn from, the pool is too small, the prior names other labels,
    or gold rows are to be held out and there are too few.
    """

    settings: IpetSettings
    prior: str | Mapping[str, float]
    data: TaskData
    voters: int

    def __post_init__(self) -> None:
        """Check that the generations asked for can be trained."""
        _check_prior(self.prior, self.data.task.labels, sum(self.growth.counts))
        if self.generations > 1 and self.voters == 1:
            raise ConfigError(
                "One pattern with one seed is a single voter, and generations need another that labels its rows: add a "
                "pattern, or set train.seeds = 2."
            )
        if self.settings.held_out is True and (lack := self._too_few):
            raise ConfigError(f"ipet.held_out = true: {lack}; give more, or leave it out.")

    @cached_property
    def growth(self) -> Growth:
        """How the training sets grow."""
        counts = Counter(row.label for row in self.data.labeled)
        of_each = tuple(counts[label] for label in self.data.task.labels)
        return Growth(of_each, self.settings.growth, self.settings.first_rows)

    @cached_property
    def generations(self) -> int:
        """The number of ensembles to train."""
        wanted, possible = self.settings.generations, self.growth.largest_step(len(self.data.unlabeled))
        if wanted == "auto":
            return min(self.growth.automatic(), possible) + 1
        if wanted > possible + 1 == MOST_STEPS + 1:
            raise ConfigError(f"ipet.generations = {wanted}: {possible + 1} are the most; raise ipet.growth instead.")
        if wanted > possible + 1:
            growth, drawn = self.growth, self.growth.wanted(possible + 1).sum()
            key, value = ("first_rows", growth.first) if growth.from_zero else ("growth", growth.factor)
            raise ConfigError(
                f"ipet.generations = {wanted}: the training sets of generation {possible + 1} draw {drawn} rows, "
                f"and there are {len(self.data.unlabeled)} unlabeled ones; set ipet.generations to {possible + 1} at "
                f"most, lower ipet.{key} (now {value:g}), or give more unlabeled rows."
            )
        return wanted

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of them."""
        notes = () if self.settings.generations == 1 else (self._sizes,)
        lack = self.settings.held_out and self.generations > 1 and self.data.labeled and self._too_few
        return (
            (*notes, f"no gold rows are held out, so nothing measures the generations on them: {lack}")
            if lack
            else notes
        )

    @property
    def _sizes(self) -> str:
        pool, growth, steps = len(self.data.unlabeled), self.growth, self.generations - 1
        possible, cut = growth.largest_step(pool), ""
        if self.settings.generations == "auto" and possible < growth.automatic():
            most = "the most there are" if possible == MOST_STEPS else f"as many as {pool} unlabeled rows can fill"
            cut = f", {most}"
        gold = sum(growth.counts)
        rows = [gold, *(gold + int(growth.wanted(i + 1).sum()) for i in range(steps))]
        plural = "s" if steps else ""
        return f"{steps + 1} generation{plural}{cut}: training sets of up to {', '.join(map(str, rows))} rows"

    @property
    def _too_few(self) -> str | None:
        """Why no gold rows can be held out; None where they can."""
        counts = Counter(str(row.label) for row in self.data.labeled)
        fewest = min(counts, key=lambda label: counts[label], default=None)
        if fewest and counts[fewest] >= LEAST_PER_LABEL:
            return None
        lack = f"{fewest!r} has {counts[fewest]}" if fewest else "there is no labeled row"
        return f"{LEAST_PER_LABEL} labeled rows of each label are needed, and {lack}"


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
