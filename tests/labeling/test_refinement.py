"""Refinement by hand: its three terms, rows beyond the core, and when it is left."""

import numpy as np
import pytest

from pet.labeling import refinement
from pet.labeling.neighbours import Graph, neighbour_graph
from pet.labeling.refinement import (
    CLUSTER_WEIGHT,
    NEIGHBOUR_WEIGHT,
    Clusters,
    assortativity,
    beside,
    objection,
    refined,
)
from pet.labeling.votes import softmax

NOWHERE = np.ones((4, 2))
"""Embeddings that say nothing: all the mean."""


def graph_of(places: list[list[int]]) -> Graph:
    """Return a graph of whole edges."""
    array = np.array(places, np.int32)
    return Graph(array, np.ones(array.shape, np.float32), np.arange(len(array)), NOWHERE)


def test_neighbours_add_their_mean_to_the_log_odds() -> None:
    first = np.array([[0.5, 0.5], [0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
    found = refined(first, graph_of([[1, 2], [1, 1], [2, 2], [3, 3]]), rounds=1)
    # The mean of the neighbours of the first row is (0.7, 0.3), that of the others is what they are themselves.
    assert np.log(found[0, 0] / found[0, 1]) == pytest.approx(NEIGHBOUR_WEIGHT * 0.4, abs=1e-5)
    assert np.log(found[1, 0] / found[1, 1]) == pytest.approx(np.log(4) + NEIGHBOUR_WEIGHT * 0.6, abs=1e-5)
    assert found[3].tolist() == [0.5, 0.5]


def test_clusters_by_hand() -> None:
    vectors = np.array([[1.0, 0.0], [3.0, 0.0], [-1.0, 1.0], [-3.0, -1.0]])
    clusters = Clusters.of(vectors, np.eye(2)[[0, 0, 1, 1]])
    assert clusters.means == pytest.approx(np.array([[2.0, 0.0], [-2.0, 0.0]]), abs=1e-5)
    assert clusters.variances == pytest.approx([1.0, 0.5], abs=1e-5)
    # At (1, 0) the squared distances are 1 and 9: a difference of 4 in the log density, 2 per dimension.
    found = clusters.log_likelihood(np.array([[1.0, 0.0]]))
    assert found[0, 0] - found[0, 1] == pytest.approx(2.0, abs=1e-4)


def test_a_row_that_nobody_knows_gets_the_label_of_its_cluster() -> None:
    vectors = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]])
    first = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.5, 0.5]])
    alone = Graph(np.zeros((4, 1), np.int32), np.zeros((4, 1), np.float32), np.arange(4), vectors)
    found = refined(first, alone)
    assert found.argmax(axis=1).tolist() == [0, 0, 1, 1]
    expected = softmax(
        np.log(first) + CLUSTER_WEIGHT * Clusters.of(_unit(vectors), found).log_likelihood(_unit(vectors))
    )
    assert found == pytest.approx(expected, abs=1e-3)  # a fixed point


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_rows_beyond_the_core_follow_it_and_move_nobody() -> None:
    rng, core = np.random.default_rng(0), np.arange(0, 40, 2)
    vectors, first = rng.normal(size=(40, 5)), rng.dirichlet(np.ones(3), size=40)
    graph = neighbour_graph(vectors, 4, core)
    whole = refined(first, graph)
    assert whole[core] == pytest.approx(refined(first[core], neighbour_graph(vectors[core], 4)), abs=1e-6)
    moved = np.linalg.norm(whole[graph.rest] - first[graph.rest], axis=1)
    assert (moved > 0).all()
    first[graph.rest] = 1 / 3
    assert refined(first, graph)[core].tolist() == whole[core].tolist()


@pytest.mark.parametrize("rounds", [0, 1, 10])
@pytest.mark.parametrize("sure", [1.0, 1e-3])
def test_rows_stay_distributions(rounds: int, sure: float) -> None:
    rng = np.random.default_rng(1)
    vectors, first = rng.normal(size=(30, 6)), rng.dirichlet(np.full(4, sure), size=30)
    found = refined(first, neighbour_graph(vectors, 3), rounds)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    assert (found >= 0).all()


def test_what_nearly_all_around_say_is_made_better() -> None:
    # Two clouds, a fifth of whose rows were labeled wrong.
    rng = np.random.default_rng(2)
    gold = np.repeat([0, 1], 100)
    vectors = rng.normal(size=(200, 16)) + np.where(gold, 1.0, -1.0)[:, None]
    said = np.where(rng.random(200) < 0.2, 1 - gold, gold)
    found = refined(np.where(np.eye(2)[said] > 0, 0.8, 0.2), neighbour_graph(vectors))
    assert (found.argmax(axis=1) == gold).mean() > 0.97


def test_assortativity_by_hand() -> None:
    # Of the ends of four edges, half have each label: two edges of four join equals.
    graph = graph_of([[1], [2], [3], [0]])
    assert assortativity(np.array([0, 0, 1, 1]), graph) == pytest.approx(0.0)
    # One label alone tells nothing.
    assert assortativity(np.zeros(4, np.int64), graph) == 0.0


def test_edges_without_weight_are_none() -> None:
    weights = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    graph = Graph(np.array([[1, 2], [0, 2], [0, 1]], np.int32), weights, np.arange(3), NOWHERE)
    assert assortativity(np.array([0, 0, 1]), graph) == 0.0  # the third row has no edge: only one label is left


PAIRS = graph_of([[1], [0], [3], [2]])


@pytest.mark.parametrize(
    ("rose", "fell", "kept"), [(0, 0, True), (5, 0, True), (1, 2, True), (0, 1, True), (0, 9, False)]
)
def test_refinement_is_kept_unless_it_lowers_the_accuracy_by_more_than_chance(rose: int, fell: int, kept: bool) -> None:
    right, wrong, gold = np.array([0.1, 0.9]), np.array([0.9, 0.1]), np.ones(30, np.int64)
    before = np.stack([*[wrong] * rose, *[right] * (30 - rose)])
    after = np.stack([*[right] * (30 - fell), *[wrong] * fell])
    found = objection(np.array([0, 0, 1, 1]), PAIRS, before, after, gold)
    assert found is None if kept else found == "the accuracy on 30 gold rows held out falls from 100.0% to 70.0%"
    few = refinement.FEW_GOLD - 1
    assert objection(np.array([0, 0, 1, 1]), PAIRS, before[-few:], after[-few:], gold[:few]) is None


def test_neighbours_of_other_labels_are_an_objection() -> None:
    none = np.empty((0, 2))
    found = objection(np.array([0, 1, 0, 1]), PAIRS, none, none, np.empty(0, np.int64))
    assert found == "rows that lie near each other seldom share a label (assortativity -1.00)"


def test_rows_beside_a_graph_are_refined_as_its_rows_outside_the_core() -> None:
    rng, core = np.random.default_rng(4), np.arange(30)
    vectors, first = rng.normal(size=(40, 5)), rng.dirichlet(np.ones(3), size=40)
    whole = refined(first, neighbour_graph(vectors, 4, core))
    graph = neighbour_graph(vectors[core], 4)
    labels = refined(first[core], graph)
    found = beside(first[30:], vectors[30:], graph, labels)
    assert found.dtype == np.float32
    assert found == pytest.approx(whole[30:], abs=1e-5)
    assert beside(first[33:34], vectors[33:34], graph, labels) == pytest.approx(whole[33:34], abs=1e-5)


def test_no_row_beside_a_graph_is_none() -> None:
    graph = neighbour_graph(np.random.default_rng(5).normal(size=(8, 3)), 2)
    found = beside(np.empty((0, 2)), np.empty((0, 3)), graph, np.full((8, 2), 0.5, np.float32))
    assert found.shape == (0, 2)
