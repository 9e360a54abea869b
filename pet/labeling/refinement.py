"""Soft labels refined on the pool: what was said of a row, its neighbours and the clusters of the labels decide anew.

Source: TransCLIP (2406.01837), whose objective has these three terms. Means over neighbours (label spreading) gain two
thirds as much accuracy, and lose likelihood where this gains it.
"""

from dataclasses import dataclass

import numpy as np

from pet.labeling.neighbours import Graph, centred, nearest
from pet.labeling.votes import row_blocks, softmax

ROUNDS = 10
"""After so many rounds the labels hardly change."""

NEIGHBOUR_WEIGHT = 2.0
"""What neighbours say together adds at most so much to the log-odds of a label."""

CLUSTER_WEIGHT = 4.0
"""The log-likelihood of a cluster, a mean over dimensions, counts so many times."""

LEAST_ASSORTATIVITY = 0.1
"""Below it neighbours hardly share their labels more often than any two rows: embeddings that cannot read the texts."""

FEW_GOLD = 20
"""The accuracy on fewer gold rows says nothing about refinement."""


@dataclass(frozen=True)
class Clusters:
    """A Gaussian cluster of the embeddings per label, all of one diagonal covariance.

    `means` float32 [k, h]; `variances` float32 [h].
    """

    means: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, probs: np.ndarray) -> "Clusters":
        """Fit the clusters to vectors [n, h] that belong to the labels by soft labels [n, k]."""
        mass = probs.sum(axis=0) + 1e-6
        means = probs.T @ vectors / mass[:, None]
        spread = (vectors**2).mean(axis=0) - (mass / mass.sum()) @ means**2
        return cls(means, np.maximum(spread, 1e-6))

    def log_likelihood(self, vectors: np.ndarray) -> np.ndarray:
        """Return float32 [n, k]: log densities of vectors [n, h], a mean over dimensions, but for what labels share."""
        scaled = self.means / self.variances
        return np.asarray((vectors @ scaled.T - (scaled * self.means).sum(axis=1) / 2) / vectors.shape[1])


def refined(probs: np.ndarray, graph: Graph, rounds: int = ROUNDS) -> np.ndarray:
    """Return soft labels float32 [n, k], near to `probs` [n, k], to those of neighbours, and to the clusters of labels.

    In each round the clusters are fitted to the soft labels of the core, and these become softmax(log probs +
    CLUSTER_WEIGHT * log-likelihood + NEIGHBOUR_WEIGHT * mean of the neighbours): the block updates of TransCLIP
    (section 3). All other rows, which are nobody's neighbours, have theirs in closed form, a block at a time.

    >>> graph = Graph(np.array([[1], [0]], np.int32), np.ones((2, 1), np.float32), np.arange(2), np.ones((2, 3)))
    >>> refined(np.array([[0.5, 0.5], [0.9, 0.1]]), graph).argmax(axis=1).tolist()
    [0, 0]
    """
    core, first = graph.core, np.asarray(probs, np.float32)
    found, inner = first.copy(), np.asarray(graph.vectors[core], np.float32)
    mean = inner.mean(axis=0, dtype=np.float64)
    inner = centred(inner, mean)
    for _ in range(rounds):
        clusters = Clusters.of(inner, found[core])
        found[core] = _updated(first[core], clusters.log_likelihood(inner), graph.mean(found, core))
    clusters, rest = Clusters.of(inner, found[core]), graph.rest
    for rows in row_blocks(len(rest)):
        block = rest[rows]
        likelihood = clusters.log_likelihood(centred(graph.vectors[block], mean))
        found[block] = _updated(first[block], likelihood, graph.mean(found, block))
    return found


def beside(first: np.ndarray, vectors: np.ndarray, graph: Graph, labels: np.ndarray) -> np.ndarray:
    """Return soft labels float32 [r, k] of rows that are no part of a graph, as of its rows outside the core.

    `first` [r, k] is what was said of them, `vectors` [r, h] are their embeddings, as they are. `labels` [n, k] are
    those that `refined` gives the rows of the graph.
    """
    inner = np.asarray(graph.vectors[graph.core], np.float32)
    mean = inner.mean(axis=0, dtype=np.float64)
    inner, own = centred(inner, mean), centred(vectors, mean)
    places, _ = nearest(inner, graph.places.shape[1], own)
    core = labels[graph.core]
    neighbours = core[places].mean(axis=1) if len(own) else np.empty((0, core.shape[1]), np.float32)
    return _updated(np.asarray(first, np.float32), Clusters.of(inner, core).log_likelihood(own), neighbours)


def _updated(first: np.ndarray, likelihood: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return float32 [n, k]: the soft labels that are best for all three terms, neighbours and clusters as they are."""
    return softmax(np.log(np.maximum(first, 1e-6)) + CLUSTER_WEIGHT * likelihood + NEIGHBOUR_WEIGHT * neighbours)


def assortativity(hard: np.ndarray, graph: Graph) -> float:
    """Return how much more often neighbours share a label (int64 [n]) than any two rows: 1 always, 0 no more.

    It is the assortativity coefficient by labels (Newman 2003, equation 2), and needs no gold row.

    >>> places, ones = np.array([[1], [0], [3], [2]], np.int32), np.ones((4, 1), np.float32)
    >>> graph = Graph(places, ones, np.arange(4), ones)
    >>> assortativity(np.array([0, 0, 1, 1]), graph), assortativity(np.array([0, 1, 0, 1]), graph)
    (1.0, -1.0)
    """
    rows, edges = np.nonzero(graph.weights)
    ends = hard[rows], hard[graph.places[rows, edges]]
    k = int(hard.max()) + 1
    shares = [np.bincount(end, minlength=k) / max(1, len(rows)) for end in ends]
    expected = float(shares[0] @ shares[1])
    same = float((ends[0] == ends[1]).mean()) if len(rows) else 0.0
    return (same - expected) / (1 - expected) if expected < 1 else 0.0


def objection(hard: np.ndarray, graph: Graph, before: np.ndarray, after: np.ndarray, gold: np.ndarray) -> str | None:
    """Return why soft labels are better left unrefined; None where they are not.

    `hard` int64 [n] are the labels of the rows of the graph without refinement. `before` and `after` [g, k] are soft
    labels of gold rows (int64 [g]) without and with it, given by voters that did not learn from them; in the graph they
    were rows as all others. There is an objection where neighbours do not share labels, or where the accuracy falls by
    more than a standard error of the paired difference, with one row more that rose and one that fell (Bonett and Price
    2012). It errs towards refinement: the voters that label a gold row's neighbours may have learned from it.
    """
    alike = assortativity(hard, graph)
    if alike < LEAST_ASSORTATIVITY:
        return f"rows that lie near each other seldom share a label (assortativity {alike:.2f})"
    right = [(probs.argmax(axis=1) == gold).astype(np.float64) for probs in (before, after)]
    difference = np.append(right[1] - right[0], [1.0, -1.0])
    if len(gold) >= FEW_GOLD and difference.mean() < -difference.std() / np.sqrt(len(difference)):
        was, now = (one.mean() for one in right)
        return f"the accuracy on {len(gold)} gold rows held out falls from {was:.1%} to {now:.1%}"
    return None
