"""The embedding voter for several labels per row: a logistic regression per label on the vectors of an encoder.

The texts that stand for a label are rows that have it and no other, and their cosines to a row are added to what was
learned; of a label that no row has, the cosines alone speak. Strength and scale are chosen on folds of the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from pet.labeling.label_sets import MOST, label_rates, log_loss, offset_to
from pet.learners.voters.embedding import STRENGTHS, Rows, cosines

SCALES = (0.0, 0.5, 1.0)
"""What the cosines to the texts of a label, in standard deviations over the pool, are multiplied with."""

USUAL = (10.0, 0.5)
"""Strength and scale where no folds can be made."""

ALONE = 1.5
"""The scale of the cosines of a label that no labeled row has."""

_MOST_FOLDS = 5


@dataclass(frozen=True)
class LabelVoter:
    """Log-odds of each label that are linear in a vector: `weights` float64 [h, k], `bias` float64 [k]."""

    weights: np.ndarray
    bias: np.ndarray

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return log-odds, float32 [n, k], of vectors float32 [n, h]."""
        found = vectors.astype(np.float64) @ self.weights + self.bias
        return np.asarray(np.clip(found, -MOST, MOST), np.float32)


@dataclass(frozen=True)
class TrainedOnSets:
    """A voter that has learned, and how; `on_gold` float32 [n, k] are log-odds of the gold rows out of fold, or NaN."""

    voter: LabelVoter
    on_gold: np.ndarray
    strength: float
    scale: float


@dataclass(frozen=True)
class Anchors:
    """The texts that stand for labels as vectors, and their cosines to rows in standard deviations over the pool.

    `weights` float64 [h, k] and `bias` float64 [k] give these of a vector.
    """

    texts: Rows
    weights: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, texts: Rows, pool: np.ndarray, k: int) -> "Anchors":
        """Measure the cosines on rows of the pool, float32 [n, h], which is not empty."""
        cosine = cosines(texts, k)
        found = pool.astype(np.float64) @ cosine.weights
        spread = np.maximum(found.std(axis=0), 1e-6)
        return cls(texts, cosine.weights / spread, -found.mean(axis=0) / spread)


def trained_on_sets(
    vectors: np.ndarray, given: np.ndarray, anchors: Anchors, pool: np.ndarray, seed: int
) -> TrainedOnSets:
    """Return the voter that learned gold rows, float32 [n, h] with labels bool [n, k].

    `pool` float32 [r, h] are rows on which a label that no gold row has is given as often as labels usually are.
    """
    n = len(given)
    unknown = np.full(given.shape, np.nan, np.float32)
    tried = {choice: unknown.copy() for choice in product(STRENGTHS, SCALES)}
    divided = list(_folds(n, seed))
    for kept, held_out in divided:
        for strength in STRENGTHS:
            learned = _regressions(vectors[kept], given[kept], anchors, strength)
            for scale in SCALES:
                voter = _with_cosines(learned, given[kept], anchors, pool, scale)
                tried[strength, scale][held_out] = voter.scores(vectors[held_out])
    best = min(tried, key=lambda choice: log_loss(tried[choice], given)) if divided else USUAL
    voter = _with_cosines(_regressions(vectors, given, anchors, best[0]), given, anchors, pool, best[1])
    return TrainedOnSets(voter, tried[best], *best)


def _folds(n: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places to learn from and places held out, int64 each; none where there are fewer than four rows."""
    if n >= 4:
        yield from KFold(min(_MOST_FOLDS, n // 2), shuffle=True, random_state=seed % 2**32).split(np.arange(n))


def _regressions(vectors: np.ndarray, given: np.ndarray, anchors: Anchors, strength: float) -> LabelVoter:
    """Return a logistic regression per label on rows and on the texts of labels; nothing for one that no row has."""
    texts, (h, k) = anchors.texts, (vectors.shape[1], given.shape[1])
    rows = np.concatenate([vectors, texts.vectors]).astype(np.float64)
    weights, bias = np.zeros((h, k)), np.zeros(k)
    for column in np.flatnonzero(given.any(axis=0)):
        own = texts.columns == column
        wanted = np.concatenate([given[:, column], own])
        # The texts of other labels count as one row together: a row of a text's label may have this one, too.
        others = np.where(own, texts.weights, 1.0 / max(1, int((~own).sum())))
        model = LogisticRegression(C=strength, max_iter=200)
        model.fit(rows, wanted, sample_weight=np.concatenate([np.ones(len(given)), others]))
        weights[:, column], bias[column] = model.coef_[0], model.intercept_[0]
    return LabelVoter(weights, bias)


def _with_cosines(
    learned: LabelVoter, given: np.ndarray, anchors: Anchors, pool: np.ndarray, scale: float
) -> LabelVoter:
    """Add the cosines to the texts of labels, scaled; a label without a row has them alone, at its expected rate."""
    bare = ~given.any(axis=0)
    scales = np.where(bare, ALONE, scale)
    weights, bias = learned.weights + scales * anchors.weights, learned.bias + scales * anchors.bias
    if bare.any():
        rates, found = label_rates(given), LabelVoter(weights, bias).scores(pool)
        for column in np.flatnonzero(bare):
            bias[column] += offset_to(found[:, column], float(rates[column]))
    return LabelVoter(weights, bias)
