"""What more labels, and more unlabeled rows, would bring: learning curves of the voter on vectors, which takes seconds.

The labeled rows are held out in folds; the voter learns from sub-samples of the others, and labels those held out. With
sub-samples of the pool its labels are refined as those of a run are. Nothing here reads a text: vectors are enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from pet.data.overlap import normalise
from pet.labeling.curve import LearningCurve, spread_folds, sub_sample
from pet.labeling.neighbours import NEIGHBOURS, centred, neighbour_graph
from pet.labeling.refinement import beside, refined
from pet.labeling.votes import softmax
from pet.learners.models.sources import ModelSource
from pet.learners.voters.embedding import USUAL, LinearVoter, Rows, cosines, linear_voter
from pet.method.embed import embedded
from pet.method.jobs import Jobs
from pet.method.refine import ROWS_PER_LABEL
from pet.seeding import rng_for

MORE_LABELS, MORE_ROWS = 10, 5000
"""What is compared: so many more labeled rows of each label, and so many more unlabeled rows."""

FEWEST_PER_LABEL, LEAST_POOL = 4, 200
"""Fewer labeled rows, in the mean of the labels, and fewer unlabeled ones give no curve worth a look."""

_SHARES, _POOL_SHARES = (0.25, 0.4, 0.63, 1.0), (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Effort:
    """How often folds are made, how many there are, and how many rows of the pool are looked at, at the most.

    Of more labeled rows, times labels, than `cells` no curve is made.
    """

    repeats: int
    folds: int
    pool: int
    cells: float = float("inf")


THOROUGH = Effort(repeats=4, folds=5, pool=6000)
"""What `pet curve` does."""

QUICK = Effort(repeats=1, folds=3, pool=1500, cells=40_000)
"""What a run does beside all else, in a second or so."""


@dataclass(frozen=True)
class Curve:
    """Learning curves by the labeled rows and by the unlabeled ones; `why` says why one of them is not there.

    `rows` counts the labeled rows, without copies, `pool` the unlabeled ones.
    """

    labels: int
    rows: int
    pool: int
    labeled: LearningCurve | None = None
    unlabeled: LearningCurve | None = None
    why: str = ""

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return {**asdict(self), "sentence": self.sentence}

    @property
    def sentence(self) -> str:
        """Say what more rows are expected to bring, or why nobody knows."""
        if self.labeled is None:
            return self.why
        told = f"{MORE_LABELS} more labeled rows per label are expected to bring {_gain(self.labeled)} points"
        if self.unlabeled is not None:
            told += f", {MORE_ROWS:,} more unlabeled rows {_gain(self.unlabeled)}"
        told += " (of the voter on vectors alone, extrapolated; 95 % intervals)"
        gains = [curve.gain for curve in (self.labeled, self.unlabeled) if curve]
        if all(gain.low < 0 < gain.high for gain in gains):
            told += f": {self.rows} labeled rows do not tell whether more would help"
        return told


def _gain(curve: LearningCurve) -> str:
    value, low, high = (round(100 * part, 1) + 0.0 for part in (curve.gain.value, curve.gain.low, curve.gain.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


@dataclass(frozen=True)
class _Vectors:
    """What is learned from: `gold` rows without copies, and texts that stand for the labels.

    `raw` float32 [n, h] are the vectors of the gold rows as the encoder gives them, `pool` [u, h] some of the pool's;
    `mean` [h] is that of the whole pool.
    """

    gold: Rows
    raw: np.ndarray
    texts: Rows
    pool: np.ndarray
    mean: np.ndarray
    labels: int

    def voter(self, places: np.ndarray) -> LinearVoter:
        """Return the voter that learned some of the gold rows; strength and scale are the usual ones."""
        strength, scale = USUAL
        learned = linear_voter(self.gold.take(places) + self.texts, self.labels, strength)
        return learned.plus(cosines(self.texts, self.labels), scale)


def run_curve(encoder: ModelSource, jobs: Jobs, effort: Effort = QUICK) -> Curve:
    """Return the curves of a run's rows, by the vectors of an encoder, which are the result of a job.

    Raises `ModelError` if it is no encoder.
    """
    gold, data = jobs.rows.gold, jobs.rows.data
    first: Mapping[str, int] = {normalise(row): place for place, row in reversed(list(enumerate(data.labeled)))}
    kept = np.asarray(sorted(first.values()), np.int64)
    k, none = len(data.task.labels), Curve(len(data.task.labels), len(kept), len(data.unlabeled))
    if len(kept) < FEWEST_PER_LABEL * k:
        have = f"{len(kept) / k:.1f} of each label in the mean" if len(kept) else "none"
        return replace(
            none,
            why=f"what more labels would bring cannot be told from so few labeled rows ({have}): "
            f"{FEWEST_PER_LABEL} of each are the fewest",
        )
    if len(kept) * k > effort.cells:
        return replace(none, why="what more labels would bring takes a while with so many labels: `pet curve` tells it")
    found = embedded(encoder, jobs)
    drawn = rng_for(jobs.seed, "curve", "pool").permutation(len(found.pool))[: effort.pool]
    raw, pool = found.labeled[kept], found.pool[np.sort(drawn)]
    learned = Rows.of(found.centred(raw), gold[kept])
    return _measured(_Vectors(learned, raw, found.standing_for, pool, found.mean, k), none, effort, jobs.seed)


def _measured(vectors: _Vectors, none: Curve, effort: Effort, seed: int) -> Curve:
    count = len(vectors.gold.columns)
    right, learned = np.zeros((len(_SHARES), count)), np.zeros(len(_SHARES))
    voters: list[tuple[np.ndarray, LinearVoter]] = []
    for repeat in range(effort.repeats):
        rng = rng_for(seed, "curve", repeat)
        folds = spread_folds(vectors.gold.columns, effort.folds, rng)
        for fold in range(effort.folds):
            held, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            for size, share in enumerate(_SHARES):
                places = others[sub_sample(vectors.gold.columns[others], share, rng)]
                voter = vectors.voter(places)
                said = voter.scores(vectors.gold.vectors[held]).argmax(axis=1)
                right[size, held] += (said == vectors.gold.columns[held]) / effort.repeats
                learned[size] += len(places) / (effort.repeats * effort.folds)
            voters += [(held, voter)] if repeat == 0 else []
    rng = rng_for(seed, "curve", "samples")
    labeled = LearningCurve.measured(right, learned, count, MORE_LABELS * vectors.labels, rng)
    if len(vectors.pool) < LEAST_POOL:
        few = f"what more unlabeled rows would bring cannot be told from {none.pool} of them"
        return replace(none, labeled=labeled, why=few)
    sizes, by_pool = _by_pool(vectors, voters, rng)
    return replace(none, labeled=labeled, unlabeled=LearningCurve.measured(by_pool, sizes, none.pool, MORE_ROWS, rng))


def _by_pool(
    vectors: _Vectors, voters: Sequence[tuple[np.ndarray, LinearVoter]], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes of sub-samples of the pool, and whether the gold rows are labeled rightly with each, [s, n].

    `voters` are those without a fold each, with the places of the gold rows in it.
    """
    sizes = np.asarray([round(share * len(vectors.pool)) for share in _POOL_SHARES])
    right = np.zeros((len(sizes), len(vectors.gold.columns)))
    order = rng.permutation(len(vectors.pool))
    for place, size in enumerate(sizes):
        pool = vectors.pool[np.sort(order[:size])]
        most = int(np.clip(size // (ROWS_PER_LABEL * vectors.labels), 1, NEIGHBOURS))
        graph = neighbour_graph(pool, most)
        for held, voter in voters:
            labels = refined(softmax(voter.scores(centred(pool, vectors.mean))), graph)
            first = softmax(voter.scores(vectors.gold.vectors[held]))
            said = beside(first, vectors.raw[held], graph, labels).argmax(axis=1)
            right[place, held] = said == vectors.gold.columns[held]
    return sizes.astype(np.float64), right
