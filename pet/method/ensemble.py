"""From what each voter says to what they say together: calibrated, matched to a prior, weighted, combined once.

Source of the method: 2001.07676, section 3.3.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pet.labeling.calibration import (
    USUAL_TEMPERATURE,
    Calibration,
    at_temperature,
    calibrated,
    calibration_offset,
    fitted_temperature,
)
from pet.labeling.ensemble import combine
from pet.labeling.ensemble import weigh as with_weights
from pet.labeling.stacking import family_weights
from pet.labeling.transport import prior_offset
from pet.labeling.votes import Votes, log_softmax
from pet.learners.voters.embedding import EmbeddingSpec
from pet.learners.voters.outside import OutsideSpec
from pet.learners.voters.spec import VoterSpec
from pet.method.generation import Ensemble
from pet.method.jobs import Jobs
from pet.method.vote import VoterScores, zero_shot
from pet.settings.run import EnsembleSettings

PATTERNS, EMBEDDINGS = "patterns", "embeddings"
"""The families of voters: those that read a row with a pattern, and those that read its vector.

Each outside voter is a family of its own, by its name: nobody knows who errs like it.
"""


@dataclass(frozen=True)
class Rules:
    """How scores become votes; `prior` float64 [k] is the label ratio that is expected of the pool.

    `gold` int64 [n] are the columns of the labeled rows, `out_of_fold` bool [m, n] says which of them each voter did
    not learn from.
    """

    settings: EnsembleSettings
    prior: np.ndarray
    gold: np.ndarray
    out_of_fold: np.ndarray

    def calibration(self, trained: bool) -> Calibration:
        """Return how a voter's scores are calibrated."""
        how = self.settings.calibration
        if how != "auto":
            return how
        return "none" if trained else "batch"


def family_of(one: VoterScores) -> str:
    """Return the family of a voter."""
    if isinstance(one.spec, OutsideSpec):
        return one.spec.name
    return EMBEDDINGS if isinstance(one.spec, EmbeddingSpec) else PATTERNS


def calibrate(scores: Sequence[VoterScores], rules: Rules) -> list[VoterScores]:
    """Return scores without what each voter prefers whatever the text is, and matched to the prior where one is set.

    Unless raw ones are wanted they are log-probabilities with a temperature that fits the gold rows which the voter did
    not learn from, so that no voter decides by its scale.
    """
    plain = [_without_preference(one, rules) for one in scores]
    return plain if rules.settings.mean == "raw" else _with_temperatures(plain, rules)


def _without_preference(one: VoterScores, rules: Rules) -> VoterScores:
    if isinstance(one.spec, OutsideSpec):  # nothing is known of what it prefers
        return one
    how, matched = rules.calibration(one.trained), rules.settings.prior != "none"
    if how == "none" and not matched:
        return one
    offset = calibration_offset(how, one.pool, one.content_free)
    if matched:
        # What all labels of a row share has no effect.
        offset = offset + prior_offset(one.pool + offset, rules.prior)
    return _each(one, lambda raw: calibrated(raw, offset))


def _each(one: VoterScores, change: Callable[[np.ndarray], np.ndarray]) -> VoterScores:
    return replace(
        one, pool=change(one.pool), gold=change(one.gold), content_free=change(one.content_free), test=change(one.test)
    )


def _with_temperatures(scores: Sequence[VoterScores], rules: Rules) -> list[VoterScores]:
    """Divide scores by temperatures; those of a family have one centre, which all of its gold rows have fitted."""
    held = [(one.gold[kept], rules.gold[kept]) for one, kept in zip(scores, rules.out_of_fold, strict=True)]
    found = []
    for one, (own, gold) in zip(scores, held, strict=True):
        if one.accuracy is not None:  # which its scores are made of
            found.append(one)
            continue
        alike = [pair for other, pair in zip(scores, held, strict=True) if family_of(other) == family_of(one)]
        together, golds = np.concatenate([rows for rows, _ in alike]), np.concatenate([rows for _, rows in alike])
        centre = fitted_temperature(together, golds, USUAL_TEMPERATURE.get(family_of(one), 1.0))
        found.append(_each(one, partial(at_temperature, temperature=fitted_temperature(own, gold, centre))))
    return found


def weigh(scores: Sequence[VoterScores], rows: np.ndarray, rules: Rules, jobs: Jobs) -> Ensemble:
    """Return what voters say together of pool rows (int64 [n]): the weighted mean of their scores."""
    data, settings = jobs.rows.data, rules.settings
    if settings.weighting == "auto":
        scores, weights = _with_family_weights(scores, rules)
    ids = data.unlabeled.take(rows).ids
    votes = [_votes_of(one, ids, data.task.labels) for one in scores]
    if settings.weighting == "auto":
        weighted = tuple(vote.with_weight(weight) for vote, weight in zip(votes, weights, strict=True))
    else:
        accuracies = untrained_accuracies(scores, jobs) if settings.weighting == "accuracy" else {}
        weighted = tuple(with_weights(votes, settings.weighting, accuracies))
    gold, test = (np.stack([getattr(one, part) for one in scores]).astype(np.float64) for part in ("gold", "test"))
    return Ensemble(weighted, combine(weighted), np.nan_to_num(gold), test)


def _votes_of(one: VoterScores, ids: Sequence[str], labels: tuple[str, ...]) -> Votes:
    spec, may_abstain = one.spec, isinstance(one.spec, OutsideSpec)
    return Votes(spec.name, spec.seed_index, ids, labels, one.pool, family=family_of(one), may_abstain=may_abstain)


def _with_family_weights(scores: Sequence[VoterScores], rules: Rules) -> tuple[list[VoterScores], np.ndarray]:
    """Return scores and the weights of their voters, float64 [m], by what their families are worth on the gold rows.

    The mean of the scores, weighted, is sum of b_f * the mean of family f, with the coefficients b of `family_weights`,
    over the families that vote on a row: one that abstains adds nothing.
    """
    families, shares = np.asarray([family_of(one) for one in scores]), _shares(scores)
    outside = {family_of(one) for one in scores if isinstance(one.spec, OutsideSpec)}
    names = sorted(set(families))
    for name in names:
        shares[families == name] /= shares[families == name].sum()
    means = [_out_of_fold_mean(scores, rules, np.where(families == name, shares, 0.0)) for name in names]
    means = [np.nan_to_num(mean) if name in outside else mean for name, mean in zip(names, means, strict=True)]
    # Families that vote on every row start as they would without the others: where those abstain, they are alone.
    centre = [1 / np.sqrt(len(names) - (0 if name in outside else len(outside))) for name in names]
    worth = dict(zip(names, family_weights(means, rules.gold, np.asarray(centre)), strict=True))
    weights = shares * np.asarray([worth[own] for own in families])
    total = float(weights.sum())
    if total <= 0:
        return list(scores), np.ones(len(scores))
    if outside:
        return _times_voting(scores, weights), weights / total
    return [_each(one, lambda raw: (raw * total).astype(np.float32)) for one in scores], weights / total


def _times_voting(scores: Sequence[VoterScores], weights: np.ndarray) -> list[VoterScores]:
    """Return scores times the weights [m] of those who vote on each row, by which their mean divides them."""
    found = [dict[str, Any]() for _ in scores]
    for part in ("pool", "gold", "content_free", "test"):
        raw = [getattr(one, part) for one in scores]
        total = sum(weight * ~np.isnan(own[:, :1]) for weight, own in zip(weights, raw, strict=True))
        for own, changed in zip(raw, found, strict=True):
            changed[part] = (own * total).astype(np.float32)
    return [replace(one, **changed) for one, changed in zip(scores, found, strict=True)]


def _shares(scores: Sequence[VoterScores]) -> np.ndarray:
    """Return what each voter counts in its family, float64 [m]: alike, but for one whose encoder another has tuned.

    That one only labels first. On train rows that were not drawn, 8 rows per label, one sample, the vectors as they
    are, those tuned, and both: TREC 60.0, 81.7, 78.3, AG News 81.0, 85.7, 83.0.
    """
    specs = [one.spec for one in scores]
    tuned = {spec.source for spec in specs if isinstance(spec, EmbeddingSpec) and spec.learner == "contrastive"}
    idle = [isinstance(spec, EmbeddingSpec) and spec.learner == "embedding" and spec.source in tuned for spec in specs]
    return np.where(idle, 0.0, 1.0)


def _out_of_fold_mean(scores: Sequence[VoterScores], rules: Rules, shares: np.ndarray) -> np.ndarray:
    """Return the mean log-probabilities of voters by their shares, on the gold rows they did not learn from, else NaN.

    The `shares` float64 [m] of those that are not asked are 0.
    """
    k = scores[0].pool.shape[1]
    total, count = np.zeros((len(rules.gold), k)), np.zeros((len(rules.gold), 1))
    for one, kept, share in zip(scores, rules.out_of_fold, shares, strict=True):
        if share:
            total[kept] += share * log_softmax(one.gold[kept])
            count[kept] += share
    return np.asarray(np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan))


def untrained_accuracies(scores: Sequence[VoterScores], jobs: Jobs) -> Mapping[str, float]:
    """Return the accuracy of each voter's PVP on the labeled rows before training: the paper's weight.

    An outside voter has its own, where its votes are labels; any other without a pattern the mean of the others.
    """
    gold = jobs.rows.gold
    if not len(gold):
        return {one.spec.name: 1.0 for one in scores}
    found = {
        one.spec.name: float((zero_shot(one.spec.pvp, jobs).labeled.argmax(axis=1) == gold).mean())
        for one in scores
        if isinstance(one.spec, VoterSpec)
    }
    usual = float(np.mean(list(found.values()))) if found else 1.0
    own = {one.spec.name: one.accuracy for one in scores if one.accuracy is not None}
    return {one.spec.name: {**found, **own}.get(one.spec.name, usual) for one in scores}
