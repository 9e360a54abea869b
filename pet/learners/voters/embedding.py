"""The embedding voter: logistic regression on the vectors of an encoder, which reads rows without any pattern.

With no labeled row it scores a label by the cosine to the texts that stand for it. With both, these texts are rows to
learn from, and their cosines are added to what was learned (a product of both). Strength and scale of the cosines are
chosen on folds of the labeled rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from pet.errors import ConfigError
from pet.labeling.votes import log_softmax
from pet.learners.models.encoder import find_encoder
from pet.learners.models.sources import ModelSource
from pet.learners.voters.outside import OutsideSpec
from pet.learners.voters.spec import VoterSpec
from pet.settings.training import Learner, TrainSettings

STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse strengths of the L2 penalty (scikit-learn's C) to choose from, on vectors of length 1."""

SCALES = (0.0, 5.0, 10.0)
"""What the cosines to the texts of a label are multiplied with, to choose from."""

USUAL = (10.0, 5.0)
"""Strength and scale where no folds can be made: best in the mean of eight tasks, with 2 and with 8 rows per label."""

COSINE_SCALE = 20.0
"""The scale without any labeled row."""

TEXT_WEIGHT = 2.0
"""What the texts that stand for a label weigh beside its labeled rows, all together, in rows.

Of 0 to 4 on eight tasks, 2 and 4 are best and 3 to 9 points above none; with cosines added, 2.
"""

TUNED_ROWS, TUNED_LABELS, FEWEST_LABELS = 8, 20, 3
"""By default an encoder is tuned with so many labeled rows of each label, or so many labels, never for fewer labels.

Beside the voter on the vectors as they are it brings 15.6 points on TREC, 1.8 on AG News, 0.6 on banking77 (5 rows of
each label), and takes 1.3 on MR, which has two labels (3 samples).
"""

_MOST_FOLDS = 5
_NO_FAST_VOTER = (
    'train.preset = "fast" does without patterns and leaves the voters on the vectors of an encoder, but there is '
    "none: set [encoder] name and train.embedding = true, or leave it out."
)


@dataclass(frozen=True)
class EmbeddingSpec:
    """A voter on the vectors of an encoder; `name` is unique in a run."""

    source: ModelSource
    learner: Learner = "embedding"
    seed_index: int = 0

    @property
    def name(self) -> str:
        """Learner and encoder; the plus sign tells columns of votes from those of a person's own table."""
        return f"{self.learner}+{Path(self.source.name).name}"

    @property
    def kind(self) -> str:
        """The name: there is one of each."""
        return self.name

    @property
    def learns(self) -> bool:
        """Whether anything of it is learned from rows."""
        return True


AnySpec = VoterSpec | EmbeddingSpec | OutsideSpec
"""What a run knows of a voter, whatever it reads rows with."""


@dataclass(frozen=True)
class Rows:
    """What is learned from: `vectors` float32 [n, h] of length 1, `columns` int64 [n], `weights` float64 [n]."""

    vectors: np.ndarray
    columns: np.ndarray
    weights: np.ndarray

    def __add__(self, other: "Rows") -> "Rows":
        """Return both."""
        pairs = zip(
            (self.vectors, self.columns, self.weights), (other.vectors, other.columns, other.weights), strict=True
        )
        return Rows(*(np.concatenate(pair) for pair in pairs))

    def take(self, places: np.ndarray) -> "Rows":
        """Return some rows: int64 places or a bool mask."""
        return Rows(self.vectors[places], self.columns[places], self.weights[places])

    @classmethod
    def of(cls, vectors: np.ndarray, columns: np.ndarray) -> "Rows":
        """Return rows that count as one each."""
        return cls(vectors, columns, np.ones(len(columns)))

    @classmethod
    def standing_for(cls, vectors: np.ndarray, columns: np.ndarray) -> "Rows":
        """Return texts that stand for labels, which share `TEXT_WEIGHT` per label."""
        counts = np.bincount(columns, minlength=1)
        return cls(vectors, columns, TEXT_WEIGHT / np.maximum(counts[columns], 1))


@dataclass(frozen=True)
class LinearVoter:
    """Scores of labels that are linear in a vector: `weights` float64 [h, k], `bias` float64 [k]."""

    weights: np.ndarray
    bias: np.ndarray

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return log-probabilities, float32 [n, k], of vectors float32 [n, h]."""
        return log_softmax(vectors.astype(np.float64) @ self.weights + self.bias).astype(np.float32)

    def plus(self, other: "LinearVoter", scale: float) -> "LinearVoter":
        """Return the voter that adds another's scores, scaled, to its own."""
        return LinearVoter(self.weights + scale * other.weights, self.bias + scale * other.bias)


def cosines(texts: Rows, k: int) -> LinearVoter:
    """Return the voter whose score of a label is the cosine to the mean of the texts that stand for it."""
    means = np.stack([texts.vectors[texts.columns == column].mean(axis=0) for column in range(k)]).astype(np.float64)
    return LinearVoter((means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)).T, np.zeros(k))


def linear_voter(rows: Rows, k: int, strength: float) -> LinearVoter:
    """Return multinomial logistic regression on rows with columns in 0..k-1; a label without a row gets no weight.

    Raises `ValueError` if there are no rows.
    """
    present = np.unique(rows.columns)
    weights, bias = np.zeros((rows.vectors.shape[1], k)), np.full(k, -20.0)
    bias[present] = 0.0
    if len(present) > 1:
        model = LogisticRegression(C=strength, max_iter=1000)
        model.fit(rows.vectors.astype(np.float64), rows.columns, sample_weight=rows.weights)
        # Of two labels scikit-learn keeps one vector, the difference of both.
        found, offset = model.coef_, model.intercept_
        if len(present) == 2:
            found, offset = np.concatenate([-found / 2, found / 2]), np.concatenate([-offset / 2, offset / 2])
        weights[:, present], bias[present] = found.T, offset
    return LinearVoter(weights, bias)


def folds(columns: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places to learn from and places held out, int64 each; none where a label has a single row."""
    counts = np.bincount(columns)
    fewest = int(counts[counts > 0].min(initial=_MOST_FOLDS)) if len(columns) else 0
    if fewest > 1:
        yield from StratifiedKFold(min(_MOST_FOLDS, fewest), shuffle=True, random_state=seed % 2**32).split(
            columns, columns
        )


@dataclass(frozen=True)
class Trained:
    """A voter that has learned, and how; `on_gold` float32 [n, k] are scores of the gold rows out of fold, or NaN."""

    voter: LinearVoter
    on_gold: np.ndarray
    strength: float
    scale: float


def trained_voter(gold: Rows, others: Rows, texts: Rows, k: int, seed: int) -> Trained:
    """Return the voter that learned all rows: gold ones, `others`, which are pseudo-labeled, and `texts`.

    Of strengths and scales those with the highest likelihood of the gold rows out of fold are taken.
    """
    cosine = cosines(texts, k)
    unknown = np.full((len(gold.columns), k), np.nan, np.float32)
    if not len(gold.columns) + len(others.columns):
        return Trained(
            LinearVoter(np.zeros_like(cosine.weights), np.zeros(k)).plus(cosine, COSINE_SCALE),
            unknown,
            0.0,
            COSINE_SCALE,
        )
    more, divided = others + texts, list(folds(gold.columns, seed))
    tried = {choice: unknown.copy() for choice in product(STRENGTHS, SCALES)}
    for strength in STRENGTHS if divided else ():
        for kept, held_out in divided:
            voter = linear_voter(gold.take(kept) + more, k, strength)
            for scale in SCALES:
                tried[strength, scale][held_out] = voter.plus(cosine, scale).scores(gold.vectors[held_out])
    right = np.arange(len(gold.columns)), gold.columns
    best = max(tried, key=lambda choice: float(tried[choice][right].sum())) if divided else USUAL
    voter = linear_voter(gold + more, k, best[0]).plus(cosine, best[1])
    return Trained(voter, tried[best], *best)


def tunes(counts: Sequence[int]) -> bool:
    """Say whether an encoder is tuned by default, with so many labeled rows of each label.

    >>> tunes([8, 9, 8]), tunes([7, 9, 8]), tunes([5] * 20), tunes([8, 8]), tunes([])
    (True, False, True, False, False)
    """
    if len(counts) < FEWEST_LABELS or min(counts) == 0:
        return False
    return min(counts) >= TUNED_ROWS or len(counts) >= TUNED_LABELS


def embedding_specs(
    settings: TrainSettings, encoder: ModelSource | None, counts: Sequence[int] = ()
) -> tuple[EmbeddingSpec, ...]:
    """Return the voters on vectors: those of `[[train.voters]]` where there are such tables, else one where wanted.

    `encoder` is that of the run, for voters that name none; `counts` are the labeled rows of each label.

    Raises `ConfigError` if a table has no encoder, two of them are alike, or a fast run has no other voters. Raises
    `ModelError` if a model that a table names is not there, or is no encoder.
    """
    if not settings.voters:
        if settings.is_fast and not (encoder and settings.embedding):
            raise ConfigError(_NO_FAST_VOTER)
        wanted: list[Learner] = ["embedding"] if settings.embedding else []
        tuned = settings.contrastive is True or (
            settings.contrastive == "auto" and settings.embedding and tunes(counts)
        )
        wanted += ["contrastive"] if tuned else []
        return tuple(EmbeddingSpec(encoder, learner) for learner in wanted) if encoder else ()
    if settings.is_fast and all(table.has_pattern for table in settings.voters):
        raise ConfigError(_NO_FAST_VOTER)
    found = []
    for table in settings.voters:
        if not table.has_pattern:
            source = find_encoder(table.model) if table.model else encoder
            if source is None:
                raise ConfigError(f'A voter with learner = "{table.learner}" needs an encoder: set its model.')
            found.append(EmbeddingSpec(source, table.learner))
    if len({spec.name for spec in found}) < len(found):
        raise ConfigError("Two [[train.voters]] tables have the same learner and model: leave one of them out.")
    return tuple(found)
