"""Which rows a voter learns from next: drawn by the others, each once, as likely as they are certain."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pet.errors import RunError
from pet.labeling.neighbours import Graph
from pet.labeling.refinement import refined
from pet.labeling.selection import MOST_LIKELY, Rule, Selection, select
from pet.labeling.votes import Votes

ALL = Rule(share=1.0, floor=(9, 9))
MOST_LIKELY_ROWS = Rule(share=1.0, most_likely=MOST_LIKELY)


def voter(name: str, probs: Sequence[Sequence[float]] | np.ndarray, weight: float = 1.0) -> Votes:
    """Return votes whose softmax are these probabilities."""
    scores = np.log(np.asarray(probs, np.float64)).astype(np.float32)
    ids, labels = (tuple(str(i) for i in range(size)) for size in scores.shape)
    return Votes(name, 0, ids, labels, scores, weight)


def binary(*first: float) -> np.ndarray:
    """Return [n, 2] probabilities from those of the first label."""
    return np.stack([np.asarray(first), 1 - np.asarray(first)], axis=1)


def draw(probs: np.ndarray, wanted: list[int], rule: Rule = ALL, seed: int = 0) -> Selection:
    """Select with a single other voter."""
    return select([voter("a", probs)], "me", np.array(wanted), rule, np.random.default_rng(seed))


def pairs(chosen: Selection) -> list[tuple[int, int]]:
    return list(zip(chosen.rows.tolist(), chosen.columns.tolist(), strict=True))


def test_a_voter_never_labels_its_own_rows() -> None:
    # Its own opinion is the opposite of everybody's, and has the largest weight by far.
    own = voter("me", binary(0.001, 0.001, 0.999, 0.999), weight=1000.0)
    others = [voter(name, binary(0.9, 0.8, 0.1, 0.2)) for name in "ab"]
    chosen = select([others[0], own, others[1]], "me", np.array([2, 2]), ALL, np.random.default_rng(0))
    assert pairs(chosen) == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert chosen.deciders == ("a", "b")
    assert chosen.filled == chosen.missing == {}


def test_a_voter_does_not_take_part_in_the_consensus_on_its_own_rows() -> None:
    # It doubts row 0, on which the others agree: with its vote that row would have no weight.
    own, others = voter("me", binary(0.001, 0.999)), [voter(name, binary(0.9, 0.9)) for name in "ab"]
    rng, rule = np.random.default_rng(0), Rule(1.0, "consensus")
    rows = [select([own, *others], "me", np.array([1, 0]), rule, rng).rows.item() for _ in range(50)]
    assert 10 < rows.count(0) < 40


def test_a_voter_without_others_is_an_error() -> None:
    with pytest.raises(RunError, match=r"No voter but 'me' .* add a pattern, or set train\.seeds = 2"):
        select([voter("me", binary(0.9))], "me", np.array([1, 0]), ALL, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("share", "others", "deciders"),
    [(0.25, 8, 2), (0.25, 2, 1), (0.25, 5, 1), (0.01, 8, 1), (0.5, 3, 2), (0.9, 4, 4), (1.0, 8, 8)],
)
def test_a_share_of_the_others_decides_and_one_at_least(share: float, others: int, deciders: int) -> None:
    votes = [voter(str(i), binary(0.9, 0.1)) for i in range(others)] + [voter("me", binary(0.9, 0.1))]
    for seed in range(20):
        chosen = select(votes, "me", np.array([1, 1]), Rule(share), np.random.default_rng(seed))
        assert len(set(chosen.deciders)) == len(chosen.deciders) == deciders
        assert set(chosen.deciders) <= {str(i) for i in range(others)}


def test_every_other_voter_decides_equally_often() -> None:
    votes, rng = [voter(str(i), binary(0.9, 0.1)) for i in range(8)], np.random.default_rng(0)
    chosen = [select(votes, "3", np.array([1, 1]), Rule(0.25), rng).deciders for _ in range(700)]
    times = {name: sum(name in deciders for deciders in chosen) for name in "01234567"}
    assert times.pop("3") == 0
    assert all(160 < count < 240 for count in times.values())  # 700 * 2 / 7 = 200, standard deviation 12


def test_the_deciders_alone_say_the_label_by_the_weighted_mean_of_their_raw_scores() -> None:
    # Row 0: (3 * 2 + 0, 0 + 5) / 4 = (1.5, 1.25): label 0; equal weights would say 1. Row 1: (0, 1).
    scores = {"a": [[2.0, 0.0], [0.0, 1.0]], "b": [[0.0, 5.0], [0.0, 1.0]]}
    a, b = (Votes(name, 0, ("x", "y"), ("n", "y"), np.asarray(s, np.float32)) for name, s in scores.items())
    chosen = select([a.with_weight(3.0), b], "me", np.array([1, 1]), ALL, np.random.default_rng(0))
    assert pairs(chosen) == [(0, 0), (1, 1)]
    assert chosen.confidence == pytest.approx([1 / (1 + np.exp(-0.25)), 1 / (1 + np.exp(-1.0))])
    assert chosen.confidence.dtype == np.float32


def test_the_confidence_told_is_the_probability_whatever_the_rows_were_drawn_by() -> None:
    for rule in (Rule(1.0, "probability"), Rule(1.0, "margin"), Rule(1.0, "consensus")):
        assert draw(binary(0.9, 0.3), [1, 1], rule).confidence == pytest.approx([0.9, 0.7])
    # A row that fills a label has the probability of that label, though another one is higher.
    assert draw(binary(0.9, 0.8), [1, 1], seed=1).confidence.min() in (pytest.approx(0.1), pytest.approx(0.2))


def test_a_decider_that_has_no_weight_in_the_ensemble_can_still_decide() -> None:
    votes = [voter("a", binary(0.9, 0.2), weight=0.0), voter("b", binary(0.8, 0.3), weight=0.0)]
    chosen = select([*votes, voter("me", binary(0.5, 0.5))], "me", np.array([1, 1]), ALL, np.random.default_rng(0))
    assert pairs(chosen) == [(0, 0), (1, 1)]


@given(data=st.data(), seed=st.integers(0, 10**6), most_likely=st.sampled_from([0, 3, MOST_LIKELY]))
@settings(max_examples=150, deadline=None)
def test_no_row_is_drawn_twice_and_every_wanted_row_is_there_or_reported(
    data: st.DataObject, seed: int, most_likely: int
) -> None:
    rng = np.random.default_rng(seed)
    n, k, m = data.draw(st.integers(0, 40)), data.draw(st.integers(2, 4)), data.draw(st.integers(1, 4))
    wanted = np.asarray(data.draw(st.lists(st.integers(0, 15), min_size=k, max_size=k)), np.int64)
    floor = data.draw(st.sampled_from([0, 2, 20]))
    rule = Rule(
        data.draw(st.sampled_from([0.25, 1.0])),
        data.draw(st.sampled_from(["probability", "margin", "consensus"])),
        most_likely,
        data.draw(st.sampled_from([0.3, 0.5, 1.0])),
        (floor,) * k,
        data.draw(st.sampled_from(["labels", "predicted"])),
    )
    votes = [
        voter(str(i), rng.dirichlet(np.full(k, 0.5), size=n).clip(1e-6) if n else np.ones((0, k))) for i in range(m)
    ]
    chosen = select(votes, "me", wanted, rule, rng)
    got = np.bincount(chosen.columns, minlength=k)
    capped = np.asarray([chosen.capped.get(label, 0) for label in range(k)])
    assert (np.diff(chosen.rows) > 0).all()
    assert {label: int(count) for label, count in enumerate(wanted - capped - got) if count} == chosen.missing
    assert len(chosen) == min(n, (wanted - capped).sum())
    assert not (capped.any() and most_likely) and (capped <= np.maximum(0, wanted - floor)).all()
    assert all(0 < count <= got[label] for label, count in chosen.filled.items())
    if not most_likely:
        deciders = np.stack([vote.scores for vote in votes if vote.voter in chosen.deciders]).astype(np.float64)
        lower = deciders.mean(axis=0).argmax(axis=1)[chosen.rows] != chosen.columns
        assert np.bincount(chosen.columns[lower], minlength=k).tolist() == [chosen.filled.get(i, 0) for i in range(k)]


def test_the_same_generator_seed_draws_the_same_rows_and_another_seed_others() -> None:
    rng = np.random.default_rng(7)
    votes = [voter(name, binary(*rng.uniform(0.05, 0.95, 60))) for name in "abcdef"]

    def rows(name: str, seed: int) -> list[tuple[int, int]]:
        return pairs(select(votes, name, np.array([8, 8]), Rule(), np.random.default_rng(seed)))

    first = rows("a", 1)
    rows("b", 1)  # what is drawn for another voter changes nothing
    assert rows("a", 1) == first
    assert rows("a", 2) != first


def test_a_label_that_nobody_gives_takes_the_free_rows_that_score_highest_for_it() -> None:
    # Rows 0 to 2 are label 0, rows 3 to 5 label 1; for label 2 the order is 4 0 2 1 5 3.
    third = np.array([0.30, 0.12, 0.20, 0.05, 0.40, 0.10])
    first = np.where(np.arange(6) < 3, 0.9, 0.1) * (1 - third)
    probs = np.stack([first, 1 - third - first, third], axis=1)
    taken = set()
    for seed in range(30):
        chosen = draw(probs, [1, 1, 2], Rule(1.0, floor=(9, 9, 9)), seed=seed)
        own = {label: {row for row, column in pairs(chosen) if column == label} for label in range(3)}
        assert own[0] < {0, 1, 2} and own[1] < {3, 4, 5} and len(own[0]) == len(own[1]) == 1
        assert own[2] == set([row for row in (4, 0, 2, 1, 5, 3) if row not in own[0] | own[1]][:2])
        assert (chosen.filled, chosen.missing) == ({2: 2}, {})
        taken |= own[0] | own[1]
    assert taken == {0, 1, 2, 3, 4, 5}  # the two rows that fill label 2 are not kept from the others


def test_a_label_with_too_few_rows_takes_all_of_them_before_it_is_filled() -> None:
    chosen = draw(binary(0.9, 0.2, 0.95, 0.7, 0.8), [1, 3], seed=3)
    second = {row for row, column in pairs(chosen) if column == 1}
    (first,) = {row for row, column in pairs(chosen) if column == 0}
    assert second == {1, *[row for row in (3, 4, 0, 2) if row != first][:2]}
    assert (chosen.filled, chosen.missing) == ({1: 2}, {})


def test_no_more_than_a_part_of_the_rows_of_a_label_is_drawn() -> None:
    # Rows 0 to 5 are label 0, rows 6 to 10 label 1: half of them are 3 and, rounded up, 3.
    probs = binary(*[0.9] * 6, *[0.1] * 5)
    chosen = draw(probs, [4, 2], Rule(1.0, cap=0.5))
    assert np.bincount(chosen.columns).tolist() == [3, 2]
    assert (chosen.filled, chosen.missing, chosen.capped) == ({}, {}, {0: 1})
    # A floor that is higher counts, also for a label that no row has, but not beyond what is wanted.
    chosen = draw(binary(*[0.9] * 6), [6, 3], Rule(1.0, cap=0.5, floor=(4, 2)))
    assert np.bincount(chosen.columns).tolist() == [4, 2]
    assert (chosen.filled, chosen.missing, chosen.capped) == ({1: 2}, {}, {0: 2, 1: 1})
    chosen = draw(probs, [1, 1], Rule(1.0, cap=0.5, floor=(4, 4)))
    assert np.bincount(chosen.columns).tolist() == [1, 1] and not chosen.capped


def test_no_label_gets_more_than_its_share_of_the_labels_given() -> None:
    # Rows 0 to 8 are label 0, rows 9 to 11 label 1: of 6 rows a quarter, rounded up, is 2; of 4 it is 1.
    probs = binary(*[0.9] * 9, *[0.1] * 3)
    rule = Rule(1.0, ratio="predicted")
    assert np.bincount(draw(probs, [3, 3], rule).columns).tolist() == [3, 2]
    chosen = draw(probs, [2, 2], rule)
    assert np.bincount(chosen.columns).tolist() == [2, 1]
    assert (chosen.filled, chosen.missing, chosen.capped) == ({}, {}, {1: 1})
    # Gold rows of another ratio still count: label 0 is asked for less often than it is given.
    assert np.bincount(draw(probs, [1, 3], rule).columns).tolist() == [1, 1]
    assert np.bincount(draw(probs, [2, 2], Rule(1.0, floor=(1, 2), ratio="predicted")).columns).tolist() == [2, 2]
    assert np.bincount(draw(probs, [3, 3], Rule(1.0, cap=0.3, ratio="predicted")).columns).tolist() == [3, 1]
    assert np.bincount(draw(probs, [3, 3]).columns).tolist() == [3, 3]  # the paper's


def test_rows_that_the_pool_does_not_have_are_reported_as_missing() -> None:
    chosen = draw(binary(0.9, 0.8, 0.3), [2, 2])
    assert pairs(chosen) == [(0, 0), (1, 0), (2, 1)]
    assert (chosen.filled, chosen.missing) == ({}, {1: 1})
    nothing = draw(np.ones((0, 2)), [3, 1])
    assert (len(nothing), nothing.missing) == (0, {0: 3, 1: 1})
    assert (len(draw(binary(0.9), [0, 0])), draw(binary(0.9), [0, 0]).missing) == (0, {})


def test_the_start_without_gold_rows_draws_from_the_hundred_most_likely_rows_of_a_label() -> None:
    # Every row is label 0 by its scores; the last hundred are the most likely of label 1, the first of label 0.
    probs, seen = binary(*np.linspace(0.99, 0.55, 300)), {0: set[int](), 1: set[int]()}
    for seed in range(60):
        chosen = draw(probs, [5, 5], MOST_LIKELY_ROWS, seed)
        assert np.bincount(chosen.columns).tolist() == [5, 5]
        assert chosen.filled == chosen.missing == {}
        for row, column in pairs(chosen):
            seen[column].add(row)
    assert 95 <= max(seen[0]) < 100 and len(seen[0]) > 80
    assert 200 <= min(seen[1]) < 205 and len(seen[1]) > 80


def test_rows_taken_by_another_label_do_not_widen_the_hundred() -> None:
    for seed in range(20):  # rows 50 to 99 are among the hundred of both labels
        chosen = draw(binary(*np.linspace(0.99, 0.55, 150)), [30, 60], MOST_LIKELY_ROWS, seed)
        assert chosen.rows[chosen.columns == 1].min() >= 50
        assert chosen.rows[chosen.columns == 0].max() < 100
        assert len(set(chosen.rows.tolist())) == 90


def test_more_than_a_hundred_wanted_rows_are_not_cut_to_a_hundred() -> None:
    chosen = draw(binary(*np.linspace(0.99, 0.55, 200)), [0, 150], MOST_LIKELY_ROWS)
    assert chosen.rows.tolist() == list(range(50, 200))
    assert chosen.filled == {}


def test_rows_of_which_float32_is_certain_are_still_told_apart() -> None:
    scores = np.zeros((200, 2), np.float32)
    scores[:, 0] = np.where(np.arange(200) < 100, 20.0, 30.0)
    votes = [Votes("a", 0, tuple(map(str, range(200))), ("n", "y"), scores)]
    chosen = select(votes, "me", np.array([40, 0]), MOST_LIKELY_ROWS, np.random.default_rng(0))
    assert chosen.rows.min() >= 100


def test_the_order_of_the_votes_decides_nothing() -> None:
    rng = np.random.default_rng(2)
    votes = [voter(f"v{i}", binary(*rng.uniform(0.1, 0.9, size=40))) for i in range(5)]
    for seed in range(20):
        found = [
            select(some, "v0", np.array([4, 4]), Rule(0.5), np.random.default_rng(seed))
            for some in (votes, votes[::-1])
        ]
        assert found[0].rows.tolist() == found[1].rows.tolist()
        assert found[0].deciders == found[1].deciders


def test_with_a_graph_the_labels_are_refined_first() -> None:
    # The first row is all but undecided, and both its neighbours say 1.
    probs = binary(0.55, 0.1, 0.1)
    graph = Graph(
        np.array([[1, 2], [2, 2], [1, 1]], np.int32), np.ones((3, 2), np.float32), np.arange(3), np.ones((3, 1))
    )
    rule, rng = Rule(share=1.0, confidence="neighbourhood", floor=(0, 0)), np.random.default_rng(0)
    chosen = select([voter("a", probs)], "me", np.array([0, 3]), rule, rng, graph)
    assert pairs(chosen) == [(0, 1), (1, 1), (2, 1)]
    assert chosen.confidence == pytest.approx(refined(probs, graph)[:, 1], abs=1e-6)
    assert pairs(draw(probs, [0, 2], rule=Rule(share=1.0))) == [(1, 1), (2, 1)]
