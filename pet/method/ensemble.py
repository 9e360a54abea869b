"""From what each voter says to what they say together: calibrated, matched to a prior, weighted, combined once.

Source of the method: 2001.07676, section 3.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.labeling.calibration import Calibration, calibrated, calibration_offset, prior_offset
from pet.labeling.ensemble import combine
from pet.labeling.ensemble import weigh as with_weights
from pet.labeling.votes import Votes
from pet.learners.voters.spec import VoterSpec
from pet.method.generation import Ensemble
from pet.method.jobs import Jobs
from pet.method.vote import VoterScores, zero_shot
from pet.settings.run import EnsembleSettings


@dataclass(frozen=True)
class Rules:
    """How scores become votes; `prior` float64 [k] is the label ratio that is expected of the pool."""

    settings: EnsembleSettings
    prior: np.ndarray

    def calibration(self, trained: bool) -> Calibration:
        """Return how a voter's scores are calibrated."""
        how = self.settings.calibration
        if how != "auto":
            return how
        return "none" if trained else "batch"


def calibrate(scores: Sequence[VoterScores], rules: Rules) -> list[VoterScores]:
    """Return scores without what each voter prefers whatever the text is, and matched to the prior where one is set."""
    return [_calibrated(one, rules) for one in scores]


def _calibrated(one: VoterScores, rules: Rules) -> VoterScores:
    how, matched = rules.calibration(one.trained), rules.settings.prior != "none"
    if how == "none" and not matched:
        return one
    offset = calibration_offset(how, one.pool, one.content_free)
    if matched:
        # What all labels of a row share has no effect.
        offset = offset + prior_offset(one.pool + offset, rules.prior)

    def without(raw: np.ndarray) -> np.ndarray:
        return calibrated(raw, offset)

    return replace(
        one,
        pool=without(one.pool),
        gold=without(one.gold),
        content_free=without(one.content_free),
        test=without(one.test),
    )


def weigh(scores: Sequence[VoterScores], rows: np.ndarray, rules: Rules, jobs: Jobs) -> Ensemble:
    """Return what voters say together of pool rows (int64 [n]): the weighted mean of their scores."""
    data = jobs.rows.data
    ids = data.unlabeled.take(rows).ids
    votes = [Votes(one.spec.name, one.spec.seed_index, ids, data.task.labels, one.pool) for one in scores]
    by_accuracy = rules.settings.weighting == "accuracy"
    accuracies = untrained_accuracies([one.spec for one in scores], jobs) if by_accuracy else {}
    weighted = tuple(with_weights(votes, rules.settings.weighting, accuracies))
    gold, test = (np.stack([getattr(one, part) for one in scores]).astype(np.float64) for part in ("gold", "test"))
    return Ensemble(weighted, combine(weighted), gold, test)


def untrained_accuracies(voters: Sequence[VoterSpec], jobs: Jobs) -> Mapping[str, float]:
    """Return the accuracy of each voter's PVP on the labeled rows before training: the paper's weight."""
    gold = jobs.rows.gold
    if not len(gold):
        return {spec.name: 1.0 for spec in voters}
    return {spec.name: float((zero_shot(spec.pvp, jobs).labeled.argmax(axis=1) == gold).mean()) for spec in voters}
