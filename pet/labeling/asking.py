"""Which rows of the pool a person should label next, and which gold rows the voters contradict.

A row is worth a label where the ensemble is unsure or the voters disagree, and where many rows are like it: its
uncertainty times its density (information density: Settles and Craven, EMNLP 2008, section 4). Of rows that are alike
one is enough, so each that is taken lowers what those near it are worth, and those of its label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pet.labeling.neighbours import centred
from pet.labeling.votes import row_blocks

CANDIDATES = 50
"""For each row that is asked for, so many of the most uncertain ones are looked at, however large the pool is."""

CORE_ROWS = 2000
"""How dense a part of the pool is, is measured on so many of its rows."""

NEIGHBOURS = 10
"""Density is the mean cosine to so many nearest rows."""


@dataclass(frozen=True)
class Asked:
    """Rows to ask for, best first: `places` int64 [s] in the pool; `uncertainty`, `density` float64 [s], 0 to 1.

    Without vectors there is no density: NaN.
    """

    places: np.ndarray
    uncertainty: np.ndarray
    density: np.ndarray

    def __len__(self) -> int:
        return len(self.places)


def uncertainty(probs: np.ndarray, votes: Sequence[np.ndarray]) -> np.ndarray:
    """Return float64 [n], 0 to 1: how unsure the ensemble is of a row, and how far its voters disagree.

    It is the mean of what the margin of the ensemble's `probs` [n, k] leaves of 1, and of the share of all pairs of
    voters that give different labels; `votes` are probabilities [n, k] of each.

    >>> uncertainty(np.array([[0.75, 0.25]]), [np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])])
    array([0.75])
    """
    top = np.sort(np.asarray(probs, np.float64), axis=1)[:, -2:]
    unsure = 1.0 - (top[:, 1] - top[:, 0])
    if len(votes) < 2:
        return np.asarray(unsure)
    hard = np.stack([vote.argmax(axis=1) for vote in votes])  # [m, n]
    alike = sum((hard == label).sum(axis=0) ** 2 for label in range(probs.shape[1]))  # ordered pairs, own ones too
    pairs = len(votes) * (len(votes) - 1)
    return np.asarray((unsure + 1.0 - (alike - len(votes)) / pairs) / 2)


def ask(
    count: int, worth: np.ndarray, labels: np.ndarray, ids: Sequence[str], vectors: np.ndarray | None = None
) -> Asked:
    """Return `count` rows that are worth a label: uncertain, where the pool is dense, and unlike each other.

    `worth` float64 [n] is the uncertainty of each row (rows of NaN are not asked for), `labels` int64 [n] the column
    that it has been given, `vectors` [n, h] what an encoder makes of it, which may lie in a file. Equals are told apart
    by their ids.
    """
    candidates = _most_uncertain(worth, ids, count * CANDIDATES)
    unsure, own = worth[candidates], labels[candidates]
    near = _Vectors.of(vectors, candidates) if vectors is not None else None
    density = near.density if near else np.full(len(candidates), np.nan)
    score = unsure * density if near else unsure
    taken = list(_taken(min(count, len(candidates)), score, own, near))
    return Asked(candidates[taken], unsure[taken], density[taken])


def _most_uncertain(worth: np.ndarray, ids: Sequence[str], most: int) -> np.ndarray:
    """Return int64 places of the rows with most uncertainty; equals in the order of their ids."""
    rows = np.flatnonzero(~np.isnan(worth))
    if len(rows) > most:  # all that equal the last one, so that ids decide between them, not places
        rows = rows[worth[rows] >= np.partition(worth[rows], -most)[-most]]
    names = [ids[row] for row in rows.tolist()]
    order = sorted(range(len(rows)), key=lambda i: (-worth[rows[i]], names[i]))
    return np.asarray(rows[order[:most]])


def _taken(count: int, score: np.ndarray, labels: np.ndarray, near: "_Vectors | None") -> Iterator[int]:
    """Yield the rows with the highest score, which falls for those that are like what was taken already."""
    new, of_label = np.ones(len(score)), np.zeros(int(labels.max(initial=0)) + 1)
    free = np.ones(len(score), np.bool_)
    for _ in range(count):
        worth = np.where(free, score * new / (1.0 + of_label[labels]), -np.inf)
        best = int(worth.argmax())  # the first of equals: the candidates are in order
        yield best
        free[best] = False
        of_label[labels[best]] += 1
        if near is not None:
            new = np.minimum(new, 1.0 - near.likeness(best))


@dataclass(frozen=True)
class _Vectors:
    """Candidates as vectors of length 1, float32 [c, h], and the `density` of the pool at each, float64 [c]."""

    vectors: np.ndarray
    density: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, candidates: np.ndarray) -> "_Vectors":
        """Compare candidates with rows evenly spread over the pool."""
        core = np.unique(np.linspace(0, len(vectors) - 1, min(CORE_ROWS, len(vectors))).astype(np.int64))
        inner = np.asarray(vectors[core], np.float32)
        mean = inner.mean(axis=0, dtype=np.float64)
        inner, own = centred(inner, mean), centred(vectors[candidates], mean)
        density = np.empty(len(own))
        for rows in row_blocks(len(own)):
            cosines = own[rows] @ inner.T
            cosines[candidates[rows, None] == core] = -1.0  # not its own neighbour
            nearest = np.sort(cosines, axis=1)[:, -min(NEIGHBOURS, max(1, len(core) - 1)) :]
            density[rows] = np.clip(nearest.mean(axis=1), 0.0, 1.0)
        return cls(own, density)

    def likeness(self, row: int) -> np.ndarray:
        """Return the cosine of each candidate to one of them, float64 [c], 0 at least."""
        return np.asarray(np.clip((self.vectors @ self.vectors[row]).astype(np.float64), 0.0, 1.0))


@dataclass(frozen=True)
class Contradicted:
    """Gold rows that the voters contradict, worst first: `places`, `labels` int64 [s], the label they give instead.

    `doubt` float64 [s] is by how much they find it more probable than the gold label, 0 to 1.
    """

    places: np.ndarray
    labels: np.ndarray
    doubt: np.ndarray


def contradicted(probs: np.ndarray, gold: np.ndarray, ids: Sequence[str]) -> Contradicted:
    """Return the gold rows whose label (int64 [n]) is not what voters that did not learn them find most probable.

    `probs` float64 [m, n, k] are what each voter says, NaN of the rows that it has learned from; the mean of those that
    are left decides (2.4 of "confident learning", 1911.00068, is about the same rows). Equals are in the order of ids.
    """
    count = (~np.isnan(probs).any(axis=2)).sum(axis=0)
    mean = np.nansum(probs, axis=0) / np.maximum(count, 1)[:, None]
    given, best = mean[np.arange(len(gold)), gold], mean.argmax(axis=1)
    doubt = mean.max(axis=1, initial=0.0) - given
    rows = np.flatnonzero((count > 0) & (doubt > 0))
    order = sorted(rows.tolist(), key=lambda row: (-doubt[row], ids[row]))
    return Contradicted(np.asarray(order, np.int64), best[order], doubt[order])
