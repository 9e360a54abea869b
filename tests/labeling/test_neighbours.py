"""Nearest neighbours are exact, whatever the blocks; the graph has edges that go both ways."""

import numpy as np
import pytest

from pet.labeling import neighbours
from pet.labeling.neighbours import Graph, centred, mutual, nearest, neighbour_graph

ANGLES = np.array([0.0, 10.0, 25.0, 90.0, 95.0])


def on_circle(degrees: np.ndarray) -> np.ndarray:
    """Return vectors of length 1, float32 [n, 2]."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1).astype(np.float32)


def test_nearest_by_hand() -> None:
    places, cosines = nearest(on_circle(ANGLES), 2)
    assert places.tolist() == [[1, 2], [0, 2], [1, 0], [4, 2], [3, 2]]
    assert cosines[0] == pytest.approx(np.cos(np.radians([10.0, 25.0])), abs=1e-6)
    assert places.dtype == np.int32
    assert cosines.dtype == np.float32


def test_queries_may_be_equal_to_a_row() -> None:
    places, _ = nearest(on_circle(ANGLES), 2, on_circle(np.array([0.0, 60.0])))
    assert places.tolist() == [[0, 1], [3, 2]] or places.tolist() == [[0, 1], [3, 4]]


@pytest.mark.parametrize(("rows", "count", "expected"), [(1, 3, 0), (3, 10, 2), (3, 1, 1)])
def test_there_are_no_more_neighbours_than_other_rows(rows: int, count: int, expected: int) -> None:
    assert nearest(on_circle(ANGLES[:rows]), count)[0].shape == (rows, expected)


def test_nearest_are_those_of_a_whole_sort_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    expected = np.argsort(-cosines, axis=1)[:, :7]
    for size in (1, 130, 2**24):
        monkeypatch.setattr(neighbours, "BLOCK_SIMILARITIES", size)
        assert nearest(vectors, 7)[0].tolist() == expected.tolist()


def test_centred_vectors_have_length_1_and_no_direction_in_common() -> None:
    vectors = np.array([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0]])
    half = np.sqrt(0.5)
    assert centred(vectors, vectors.mean(axis=0)) == pytest.approx(np.array([[half, -half], [-half, half], [0, 0]]))


def test_edges_go_both_ways() -> None:
    # The first row is everybody's nearest, but its own are the second and third: the last keeps its nearest alone.
    places = np.array([[1, 2], [0, 2], [0, 1], [0, 1]])
    assert mutual(places).tolist() == [[True, True], [True, True], [True, True], [True, False]]


def test_the_graph_of_two_groups_joins_none_of_one_with_one_of_the_other() -> None:
    graph = neighbour_graph(on_circle(np.array([0.0, 5.0, 10.0, 180.0, 185.0, 190.0])), 2)
    assert sorted(map(tuple, np.sort(graph.places, axis=1).tolist())) == [
        (0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5),
    ]  # fmt: skip
    assert (graph.weights == 1).all()
    assert graph.rest.tolist() == []


def test_rows_beyond_the_core_have_neighbours_in_it_alone() -> None:
    rng = np.random.default_rng(1)
    vectors, core = rng.normal(size=(60, 4)).astype(np.float32), np.arange(0, 60, 3)
    graph, inner = neighbour_graph(vectors, 5, core), neighbour_graph(vectors[core], 5)
    assert set(graph.places.ravel().tolist()) <= set(core.tolist())
    assert (graph.places[core] == core[inner.places]).all()
    assert (graph.weights[core] == inner.weights).all()
    unit, mean = centred(vectors, vectors[core].mean(axis=0)), graph.rest
    assert (graph.places[mean] == core[np.argsort(-unit[mean] @ unit[core].T, axis=1)[:, :5]]).all()
    assert (graph.weights[graph.rest] == 1).all()


def test_means_and_shares_of_neighbours_by_hand() -> None:
    places = np.array([[1, 2], [0, 2], [1, 0]], np.int32)
    graph = Graph(places, np.array([[1, 1], [1, 0], [0, 0]], np.float32), np.arange(3), np.ones((3, 1)))
    values = np.array([[1.0], [3.0], [5.0]], np.float32)
    assert graph.mean(values, np.array([1, 0])).tolist() == [[1.0], [4.0]]
    assert graph.share_alike(np.array([0, 0, 1])).tolist() == [0.5, 1.0, 0.0]


def test_a_graph_of_some_rows_has_the_edges_among_them() -> None:
    places, weights = np.array([[1, 2], [0, 3], [3, 0], [1, 2]], np.int32), np.ones((4, 2), np.float32)
    vectors = np.arange(4.0)[:, None]
    some = Graph(places, weights, np.array([0, 1, 3]), vectors).take(np.array([True, False, True, True]))
    assert some.places[some.weights > 0].tolist() == [1, 2, 0, 1]  # 0 to 2, 2 to 3 and 0, 3 to 2, by their new numbers
    assert some.weights.tolist() == [[0, 1], [1, 1], [0, 1]]
    assert some.core.tolist() == [0, 2] and some.vectors.ravel().tolist() == [0, 2, 3]
