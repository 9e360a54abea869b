"""The nearest neighbours of rows among their embeddings: exact, a block of rows at a time, and the graph they make."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pet.labeling.votes import row_blocks

BLOCK_SIMILARITIES = 2**24
"""So many similarities are held at a time, 64 MiB."""

NEIGHBOURS = 10
"""A row has so many neighbours before those are left out that it is no neighbour of."""

CORE_ROWS = 20_000
"""Of a larger pool, neighbours are looked for among so many rows: what a row costs does not grow with the pool."""


@dataclass(frozen=True)
class Graph:
    """The neighbours of n rows, c each at most, nearest first, all of them rows of the core.

    `places` int32 [n, c] are rows; `weights` float32 [n, c] are 0 where there is no edge; `core` int64 [s] are the rows
    that neighbours were looked for in, sorted: all, or a sample; `vectors` [n, h] are the embeddings as they were
    given, which may lie in a file.
    """

    places: np.ndarray
    weights: np.ndarray
    core: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def rest(self) -> np.ndarray:
        """The rows that are nobody's neighbour, int64, sorted."""
        outside = np.ones(len(self), np.bool_)
        outside[self.core] = False
        return np.flatnonzero(outside)

    def take(self, kept: np.ndarray) -> "Graph":
        """Return the graph of some of the rows, bool [n]; edges to others are gone."""
        number = np.cumsum(kept) - 1
        places, weights = self.places[kept], self.weights[kept]
        inside = kept[places]
        return Graph(
            np.where(inside, number[places], 0).astype(np.int32),
            np.where(inside, weights, 0).astype(np.float32),
            number[self.core[kept[self.core]]],
            self.vectors[kept],
        )

    def mean(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return float32 [r, k]: the weighted mean of `values` [n, k] over the neighbours of some rows (int64 [r])."""
        weights = self.weights[rows]
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        total = np.zeros((len(rows), values.shape[1]), np.float32)
        for places, weight in zip(self.places[rows].T, weights.T, strict=True):  # so that no [r, c, k] is made
            total += weight[:, None] * values[places]
        return total

    def share_alike(self, hard: np.ndarray) -> np.ndarray:
        """Return float64 [n]: the weighted share of each row's neighbours that have its label (int64 [n])."""
        alike = np.zeros(len(self))
        for places, weight in zip(self.places.T, self.weights.T, strict=True):
            alike += weight * (hard[places] == hard)
        return np.asarray(alike / np.maximum(self.weights.sum(axis=1), 1e-12))


def centred(vectors: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return vectors [n, h] minus a mean [h], scaled to length 1, float32; one that is the mean itself stays zero.

    Embeddings of language models share a direction, which is most of every cosine (1702.01417, section 3).

    >>> centred(np.array([[1.0, 3.0], [1.0, 1.0]]), np.array([1.0, 1.0])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    moved = np.asarray(vectors, np.float32) - np.asarray(mean, np.float32)
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12))


def nearest(vectors: np.ndarray, count: int, queries: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the places int32 [n, c] and cosines float32 [n, c] of the `count` nearest rows of each query, best first.

    `vectors` [m, h] and `queries` [n, h] have length 1, as those of `centred`. Without queries the rows themselves ask,
    and none is its own neighbour. There are fewer than `count` where there are not so many rows.

    >>> nearest(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], np.float32), 1)[0].tolist()
    [[1], [2], [1]]
    """
    asking = vectors if queries is None else queries
    count = min(count, len(vectors) - (queries is None))
    places, similarities = np.empty((len(asking), count), np.int32), np.empty((len(asking), count), np.float32)
    for rows in _blocks(len(asking), len(vectors)):
        found = asking[rows] @ vectors.T
        if queries is None:
            found[np.arange(len(found)), np.arange(rows.start, rows.start + len(found))] = -np.inf
        places[rows], similarities[rows] = _best(found, count)
    return places, similarities


def _blocks(asking: int, asked: int) -> Iterator[slice]:
    size = max(1, BLOCK_SIMILARITIES // max(1, asked))
    return (slice(start, start + size) for start in range(0, asking, size))


def _best(found: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and values of the largest of each row, in order."""
    top = np.argpartition(found, -count, axis=1)[:, -count:] if count else np.empty((len(found), 0), np.int64)
    top.sort(axis=1)  # equals in the order of the rows
    values = np.take_along_axis(found, top, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1), np.take_along_axis(values, order, axis=1)


def mutual(places: np.ndarray) -> np.ndarray:
    """Return which edges to the nearest rows (int [n, c], best first) go both ways, bool [n, c].

    A row that is near to many others, a hub, is left with few edges. A row without any keeps that to its nearest.

    >>> mutual(np.array([[1], [2], [1]])).tolist()
    [[True], [True], [True]]
    >>> mutual(np.array([[1, 2], [0, 2], [1, 3], [2, 1]])).tolist()
    [[True, False], [True, True], [True, True], [True, False]]
    """
    n = len(places)
    rows = np.arange(n)[:, None]
    kept = np.isin(places.astype(np.int64) * n + rows, rows * n + places)
    kept[~kept.any(axis=1), :1] = True
    return kept


def neighbour_graph(vectors: np.ndarray, count: int = NEIGHBOURS, core: np.ndarray | None = None) -> Graph:
    """Return the graph of embeddings [n, h], centred on the mean of the core.

    The core (int64, sorted; all rows without it) keeps the edges that go both ways; every other row has edges to its
    nearest rows of the core. The embeddings are read a block at a time: they may lie in a file.
    """
    core = np.arange(len(vectors)) if core is None else core
    inner = np.asarray(vectors[core], np.float32)
    mean = inner.mean(axis=0, dtype=np.float64)
    inner = centred(inner, mean)
    found, _ = nearest(inner, count)
    places = np.empty((len(vectors), found.shape[1]), np.int32)
    graph = Graph(places, np.ones(places.shape, np.float32), core, vectors)
    places[core], graph.weights[core] = core[found], mutual(found)
    rest = graph.rest
    for rows in row_blocks(len(rest)):
        block = rest[rows]
        places[block] = core[nearest(inner, found.shape[1], centred(vectors[block], mean))[0]]
    return graph
