"""Refinement in a run: when it is left out, what it gives the pool and the test rows, and what becomes of the votes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pet.labeling.ensemble import combine
from pet.labeling.neighbours import Graph, neighbour_graph
from pet.labeling.refinement import beside, refined
from pet.labeling.votes import Votes, log_softmax, softmax
from pet.learners.models.sources import ModelSource
from pet.method.embed import Embedded
from pet.method.generation import Ensemble
from pet.method.refine import Refinement, refine
from pet.settings.run import RefineSettings

ROWS, GOLD_ROWS, TEST_ROWS = 60, 24, 9
ENCODER = ModelSource("e5", Path("e5"))


def around(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return vectors of two clouds."""
    return np.asarray(rng.normal(size=(len(columns), 6)) + 2.0 * np.where(columns, 1.0, -1.0)[:, None], np.float32)


def said(columns: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return scores float64 [n, 2] of labels, some of them wrong."""
    return np.asarray(1.5 * np.eye(2)[np.where(wrong, 1 - columns, columns)])


@dataclass
class Toy:
    """An ensemble of two voters about rows of two clouds, a fifth of whose labels are wrong."""

    pool: np.ndarray = field(default_factory=lambda: np.arange(ROWS) % 2)
    gold: np.ndarray = field(default_factory=lambda: np.arange(GOLD_ROWS) % 2)
    test: np.ndarray = field(default_factory=lambda: np.arange(TEST_ROWS) % 2)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        pool, gold, test = (around(columns, rng) for columns in (self.pool, self.gold, self.test))
        nothing, number = np.empty((0, 6), np.float32), np.empty(0, np.int64)
        self.found = Embedded(ENCODER, pool, gold, nothing, nothing, number, test, pool.mean(axis=0))
        self.asked: list[ModelSource] = []

    def ensemble(self, gold_wrong: np.ndarray | None = None) -> Ensemble:
        ids = tuple(f"u-{i}" for i in range(ROWS))
        scores = log_softmax(said(self.pool, np.arange(ROWS) % 5 == 0)).astype(np.float32)
        votes = tuple(Votes(name, 0, ids, ("no", "yes"), scores) for name in "ab")
        wrong = np.zeros(GOLD_ROWS, np.bool_) if gold_wrong is None else gold_wrong
        gold, test = said(self.gold, wrong), said(self.test, np.arange(TEST_ROWS) == 3)
        return Ensemble(votes, combine(votes), np.stack([gold] * 2), np.stack([test] * 2))

    def refinement(self, **settings: Any) -> Refinement:
        return Refinement(RefineSettings(**settings), ENCODER, self.gold, np.ones((2, GOLD_ROWS), np.bool_))

    def refine(self, ensemble: Ensemble, how: Refinement, rows: np.ndarray | None = None) -> Ensemble:
        runner = type("Runner", (), {"note": lambda _, line: self.notes.append(line)})()
        jobs: Any = type("Jobs", (), {"seed": 1, "runner": runner})()
        return refine(ensemble, np.arange(ROWS) if rows is None else rows, how, jobs)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = Toy()

    def embedded(source: ModelSource, _jobs: object) -> Embedded:
        toy.asked.append(source)
        return toy.found

    monkeypatch.setattr("pet.method.refine.embedded", embedded)
    return toy


def accuracy(probs: np.ndarray, gold: np.ndarray) -> float:
    return float((probs.argmax(axis=1) == gold).mean())


def test_labels_of_the_pool_are_those_of_their_neighbours_and_the_votes_stay(toy: Toy) -> None:
    before = toy.ensemble()
    found = toy.refine(before, toy.refinement())
    assert accuracy(before.soft.probs, toy.pool) == 0.8
    assert accuracy(found.soft.probs, toy.pool) == 1.0
    assert (found.votes, found.mean) == (before.votes, before.mean)
    assert (found.soft.ids, found.soft.labels) == (before.mean.ids, before.mean.labels)
    # Two labels, ROWS_PER_LABEL of each for a neighbour: 60 / 6.
    expected = refined(before.mean.probs, neighbour_graph(toy.found.pool, 10))
    assert found.soft.probs == pytest.approx(expected)
    assert toy.asked == [ENCODER]
    assert toy.notes == []


def test_test_rows_are_refined_beside_the_pool_and_none_moves_another(toy: Toy) -> None:
    found = toy.refine(toy.ensemble(), toy.refinement())
    assert accuracy(found.on_test(), toy.test) == 1.0 > accuracy(toy.ensemble().on_test(), toy.test)
    first = softmax(toy.ensemble().on_test())
    graph = neighbour_graph(toy.found.pool, 10)
    assert found.on_test() == pytest.approx(beside(first, toy.found.test, graph, found.soft.probs))
    alone = beside(first[3:4], toy.found.test[3:4], graph, found.soft.probs)
    assert found.on_test()[3] == pytest.approx(alone[0], abs=1e-6)


def test_labels_are_as_sure_as_gold_rows_held_out_let_them_be(toy: Toy) -> None:
    plain = toy.refine(toy.ensemble(), toy.refinement())
    third = np.arange(GOLD_ROWS) % 3 == 0
    contradicted = replace(toy.refinement(), gold=np.where(third, 1 - toy.gold, toy.gold))
    found = toy.refine(toy.ensemble(), contradicted)
    assert np.array_equal(found.soft.hard(), plain.soft.hard())
    assert plain.soft.confidence().mean() > 0.95 > found.soft.confidence().mean() > 0.6
    assert found.on_test().max(axis=1).mean() < plain.on_test().max(axis=1).mean()
    assert found.on_test().sum(axis=1) == pytest.approx(np.ones(TEST_ROWS), abs=1e-5)
    # It takes back what was too sure, and never adds to it.
    assert plain.soft.probs == pytest.approx(refined(plain.mean.probs, neighbour_graph(toy.found.pool, 10)))


def test_a_part_of_the_pool_is_refined_by_itself(toy: Toy) -> None:
    rows = np.arange(0, ROWS, 3)
    whole = toy.ensemble()
    votes = tuple(vote.take(rows) for vote in whole.votes)
    part = toy.refine(replace(whole, votes=votes, mean=combine(votes)), toy.refinement(neighbours=2), rows)
    expected = refined(combine(votes).probs, neighbour_graph(toy.found.pool[rows], 2))
    assert part.soft.probs == pytest.approx(expected)


def test_nothing_is_refined_without_an_encoder_or_where_it_is_not_wanted(toy: Toy) -> None:
    ensemble = toy.ensemble()
    assert toy.refine(ensemble, replace(toy.refinement(), encoder=None)) is ensemble
    assert toy.refine(ensemble, toy.refinement(method="none")) is ensemble
    assert toy.asked == []
    one = tuple(vote.take(np.array([0])) for vote in ensemble.votes)
    alone = replace(ensemble, votes=one, mean=combine(one))
    assert toy.refine(alone, toy.refinement(), np.array([0])) is alone


def test_labels_are_left_where_refinement_gets_gold_rows_wrong(toy: Toy) -> None:
    ensemble = toy.ensemble()
    toy.found = replace(toy.found, labeled=toy.found.labeled[::-1])  # whose neighbours have the other label
    assert toy.refine(ensemble, toy.refinement()) is ensemble
    (note,) = toy.notes
    assert note.startswith(
        "the labels are not refined on the pool: the accuracy on 24 gold rows held out falls from 100.0% to "
    )
    assert toy.refine(ensemble, toy.refinement(method="graph")).refined is not None


def test_gold_rows_that_all_voters_learned_tell_nothing(toy: Toy) -> None:
    toy.found = replace(toy.found, labeled=toy.found.labeled[::-1])
    how = replace(toy.refinement(), out_of_fold=np.zeros((2, GOLD_ROWS), np.bool_))
    assert toy.refine(toy.ensemble(), how).refined is not None
    few = replace(how, out_of_fold=np.arange(GOLD_ROWS)[None].repeat(2, axis=0) < 19)  # FEW_GOLD is 20
    assert toy.refine(toy.ensemble(), few).refined is not None


def test_only_voters_that_did_not_learn_a_gold_row_speak_of_it(toy: Toy) -> None:
    # The second voter is always wrong on gold rows, and learned them all: the first, which is right, is asked.
    ensemble = toy.ensemble()
    ensemble = replace(ensemble, gold=np.stack([ensemble.gold[0], -ensemble.gold[0]]))
    toy.found = replace(toy.found, labeled=toy.found.labeled[::-1])
    kept = np.stack([np.ones(GOLD_ROWS, np.bool_), np.zeros(GOLD_ROWS, np.bool_)])
    toy.refine(ensemble, replace(toy.refinement(), out_of_fold=kept))
    assert "falls from 100.0% to" in toy.notes[0]


def test_vectors_that_say_nothing_of_the_labels_change_none(toy: Toy) -> None:
    rng = np.random.default_rng(3)
    toy.found = replace(toy.found, pool=rng.normal(size=(ROWS, 6)).astype(np.float32))
    ensemble = toy.ensemble()
    assert toy.refine(ensemble, toy.refinement()) is ensemble
    assert "rows that lie near each other seldom share a label" in toy.notes[0]


def test_of_a_large_pool_neighbours_are_looked_for_in_a_core(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.method.refine.CORE_ROWS", 40)
    first, again = (toy.refine(toy.ensemble(), toy.refinement()) for _ in range(2))
    graph = first.graph
    assert isinstance(graph, Graph) and len(graph.core) == 40
    assert np.isin(graph.places, graph.core).all()
    assert first.soft.probs.tolist() == again.soft.probs.tolist()
    assert accuracy(first.soft.probs, toy.pool) == 1.0


def test_one_row_per_label_and_a_pool_of_two_have_one_neighbour(toy: Toy) -> None:
    rows = np.array([0, 1])
    votes = tuple(vote.take(rows) for vote in toy.ensemble().votes)
    part = replace(toy.ensemble(), votes=votes, mean=combine(votes))
    found = toy.refine(part, toy.refinement(method="graph"), rows)
    assert found.graph is not None and found.graph.places.tolist() == [[1], [0]]
    assert np.isfinite(found.soft.probs).all() and np.isfinite(found.on_test()).all()


def test_labels_are_no_surer_than_the_two_families_agree(toy: Toy) -> None:
    ensemble, how = toy.ensemble(), toy.refinement()
    patterns, vectors = (
        replace(vote, family=family) for vote, family in zip(ensemble.votes, ("patterns", "embeddings"), strict=True)
    )
    agreed = toy.refine(replace(ensemble, votes=(patterns, vectors)), how).soft
    other = replace(vectors, scores=np.concatenate([vectors.scores[:30], vectors.scores[30:, ::-1]]))
    differing = toy.refine(replace(ensemble, votes=(patterns, other)), how).soft
    assert differing.confidence().mean() < agreed.confidence().mean()
    assert (differing.hard() == agreed.hard()).all()
