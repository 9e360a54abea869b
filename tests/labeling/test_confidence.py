"""Rows are drawn as often as their confidence says: by hand, and counted over many draws."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from pet.errors import RunError
from pet.labeling.neighbours import Graph
from pet.labeling.selection import CONFIDENCES, MOST_LIKELY, Confidence, Rule, select
from pet.labeling.votes import Votes


def voter(probs: Sequence[Sequence[float]] | np.ndarray, name: str = "a") -> Votes:
    """Return votes whose softmax are these probabilities."""
    scores = np.log(np.asarray(probs, np.float64)).astype(np.float32)
    ids, labels = (tuple(str(i) for i in range(size)) for size in scores.shape)
    return Votes(name, 0, ids, labels, scores)


def binary(*first: float) -> np.ndarray:
    """Return [n, 2] probabilities from those of the first label."""
    return np.stack([np.asarray(first), 1 - np.asarray(first)], axis=1)


def inclusion(weights: Sequence[float] | np.ndarray, size: int) -> np.ndarray:
    """Return the probability that each row is among `size` drawn one after the other, by listing every order."""
    total, included = float(np.sum(weights)), np.zeros(len(weights))
    for order in permutations(range(len(weights)), size):
        left, probability = total, 1.0
        for row in order:
            probability *= weights[row] / left
            left -= weights[row]
        included[list(order)] += probability
    return included


def frequencies(draws: Iterable[Sequence[int]], rows: int) -> np.ndarray:
    return np.bincount(np.concatenate([np.asarray(list(drawn)) for drawn in draws]), minlength=rows)


def far_from(counts: np.ndarray, expected: np.ndarray) -> bool:
    """Say whether Pearson's chi-square is more than four standard deviations above its mean."""
    expected = expected / expected.sum() * counts.sum()
    free = len(counts) - 1
    return bool(((counts - expected) ** 2 / expected).sum() > free + 4 * np.sqrt(2 * free))


def drawn_rows(votes: list[Votes], wanted: list[int], rule: Rule, times: int) -> list[list[int]]:
    rng = np.random.default_rng(5)
    return [select(votes, "me", np.array(wanted), rule, rng).rows.tolist() for _ in range(times)]


def test_the_listing_of_orders_by_hand() -> None:
    assert inclusion([3, 2, 1], 1) == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    # Row 2 is first (1/6), or second after row 0 (1/2 * 1/3) or after row 1 (1/3 * 1/4).
    assert inclusion([3, 2, 1], 2)[2] == pytest.approx(1 / 6 + 1 / 6 + 1 / 12)


@pytest.mark.parametrize("size", [1, 2])
def test_a_row_is_drawn_with_a_probability_proportional_to_its_confidence(size: int) -> None:
    certain = np.array([0.9, 0.6, 0.4, 0.4])
    probs = np.stack([certain, (1 - certain) / 2, (1 - certain) / 2], axis=1)
    counts = frequencies(drawn_rows([voter(probs)], [size, 0, 0], Rule(1.0), 1500), 4)
    assert not far_from(counts, inclusion(certain, size))
    assert far_from(counts, np.ones(4))
    assert far_from(counts, inclusion(certain**2, size))


def test_the_rows_of_each_label_have_their_own_probabilities() -> None:
    # Label 0: 0.9 to 0.6; label 1: 0.8 to 0.6 (rows 1 and 3).
    drawn = drawn_rows([voter(binary(0.9, 0.2, 0.6, 0.4))], [1, 1], Rule(1.0), 1500)
    counts = frequencies(drawn, 4)
    assert not far_from(counts[[0, 2]], np.array([0.9, 0.6]))
    assert not far_from(counts[[1, 3]], np.array([0.8, 0.6]))
    assert counts[[0, 2]].sum() == counts[[1, 3]].sum() == 1500


def test_the_start_without_gold_rows_draws_by_the_probability_of_the_label_itself() -> None:
    votes = [voter(binary(0.6, 0.8, 0.9))]
    counts = frequencies(drawn_rows(votes, [0, 1], Rule(1.0, "probability", most_likely=MOST_LIKELY), 1500), 3)
    assert not far_from(counts, np.array([0.4, 0.2, 0.1]))


@pytest.mark.parametrize("confidence", ["margin", "consensus"])
def test_margins_start_without_gold_rows_from_those_that_have_the_label(confidence: Confidence) -> None:
    votes = [voter(binary(0.6, 0.45, 0.1, 0.9))]  # margins of label 1: none, 0.1, 0.8, none
    counts = frequencies(drawn_rows(votes, [0, 1], Rule(1.0, confidence, most_likely=MOST_LIKELY), 1500), 4)
    assert not far_from(counts[[1, 2]], np.array([0.1, 0.8]))
    assert counts[[0, 3]].sum() == 0
    # Rows that another label outscores are the last resort.
    rows = drawn_rows(votes, [0, 3], Rule(1.0, confidence, most_likely=MOST_LIKELY), 20)
    assert all({1, 2} < set(drawn) for drawn in rows)


def test_a_random_part_of_the_pool_gives_every_row_the_chance_it_has_in_the_whole() -> None:
    certain = np.linspace(0.5, 0.95, 18)
    probs = np.stack([certain, *[(1 - certain) / 3] * 3], axis=1)
    whole, rng = voter(probs), np.random.default_rng(11)
    of_whole = frequencies(drawn_rows([whole], [2, 0, 0, 0], Rule(1.0), 1500), 18)
    of_part = []
    for _ in range(1500):
        order = rng.permutation(18)[:10]
        chosen = select([whole.take(order)], "me", np.array([2, 0, 0, 0]), Rule(1.0), rng)
        of_part.append(order[chosen.rows])
    expected = inclusion(certain, 2)
    assert not far_from(of_whole, expected)
    assert not far_from(frequencies(of_part, 18), expected)
    assert far_from(frequencies(of_part, 18), np.ones(18))


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        ("probability", [0.6, 0.5, 0.8]),
        ("margin", [0.3, 0.0, 0.7]),  # the second is 0.3, 0.5 and 0.1
    ],
)
def test_probability_and_margin_are_those_of_the_deciders_mean(confidence: str, expected: list[float]) -> None:
    probs = np.array([[0.6, 0.1, 0.3], [0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])
    assert CONFIDENCES[confidence](probs, [], None) == pytest.approx(expected)


def test_consensus_is_the_mean_margin_of_the_voters_minus_its_spread() -> None:
    hard = binary(0.9, 0.9, 0.9, 0.9, 0.1)
    voters = [voter(binary(*first)) for first in zip(*CONSENSUS, strict=True)]
    assert CONFIDENCES["consensus"](hard, voters, None) == pytest.approx(
        [
            0.5,  # margins 0.5 0.5 0.5: no spread
            0.6 - np.sqrt(0.08 / 3),  # 0.8 0.6 0.4
            17 / 30 - np.sqrt(2) / 3,  # -0.1 0.9 0.9: the first would give another label
            0.0,  # 0.8 0.4 -0.6: mean 0.2, spread 0.59
            0.5,  # of the second label
        ],
        abs=1e-6,
    )


CONSENSUS = [(0.75, 0.75, 0.75), (0.9, 0.8, 0.7), (0.45, 0.95, 0.95), (0.9, 0.7, 0.2), (0.25, 0.25, 0.25)]
"""The first label's probability by three voters, for five rows."""


def test_consensus_compares_the_label_with_the_best_of_the_others() -> None:
    mean = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]])
    # Row 0: 0.5 - 0.4. Row 1: 0.7 - 0.1 by one voter and 0.1 - 0.6 by the other: mean 0.05, spread 0.55.
    first, second = voter([[0.5, 0.1, 0.4], [0.7, 0.2, 0.1]]), voter([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])
    assert CONFIDENCES["consensus"](mean, [first, second], None) == pytest.approx([0.1, 0.0], abs=1e-6)
    assert CONFIDENCES["consensus"](mean, [first], None)[1] == pytest.approx(0.5, abs=1e-6)


def test_consensus_asks_all_other_voters_and_not_the_deciders_alone() -> None:
    # Whoever decides, the rows of label 0 are rows 0 and 1 or row 0 alone; on row 1 the voters disagree.
    votes = [voter(binary(0.9, 0.9), "a"), voter(binary(0.9, 0.1), "b"), voter(binary(0.5, 0.5), "me")]
    by_consensus = drawn_rows(votes, [1, 0], Rule(0.25, "consensus"), 100)
    assert by_consensus == [[0]] * 100
    assert [1] in drawn_rows(votes, [1, 0], Rule(0.25, "probability"), 100)


@pytest.mark.parametrize(
    ("confidence", "weights"),
    [("probability", [0.9, 0.7, 0.6]), ("margin", [0.8, 0.4, 0.2]), ("consensus", [0.8, 0.4, 0.2])],
)
def test_rows_are_drawn_by_the_confidence_that_is_asked_for(confidence: Confidence, weights: list[float]) -> None:
    votes = [voter(binary(0.9, 0.7, 0.6), name) for name in "ab"]
    counts = frequencies(drawn_rows(votes, [1, 0], Rule(1.0, confidence), 1500), 3)
    assert not far_from(counts, np.array(weights))


def test_a_row_without_confidence_is_drawn_only_when_the_others_are_used_up() -> None:
    votes = [voter(binary(0.5, 0.6, 0.7))]  # row 0 is a tie: label 0 with no margin
    assert drawn_rows(votes, [2, 0], Rule(1.0, "margin"), 100) == [[1, 2]] * 100
    assert drawn_rows(votes, [3, 0], Rule(1.0, "margin"), 20) == [[0, 1, 2]] * 20


def test_neighbourhood_is_the_share_of_like_neighbours_times_the_margin_and_that_of_the_least_sure_family() -> None:
    graph = Graph(
        np.array([[1, 2], [0, 2], [0, 1]], np.int32), np.ones((3, 2), np.float32), np.arange(3), np.ones((3, 1))
    )
    prompts = [replace(voter(binary(*first)), family="prompts") for first in [(0.9, 0.8, 0.2), (0.9, 0.8, 0.2)]]
    vectors = replace(voter(binary(0.6, 0.4, 0.3)), family="embeddings")
    mean = binary(0.7, 0.8, 0.2)
    found = CONFIDENCES["neighbourhood"](mean, [*prompts, vectors], graph)
    # Labels are 0, 0, 1: half of the neighbours of the first two are alike, none of the third's. In the second row one
    # family would give the other label.
    assert found == pytest.approx([0.5 * 0.4 * 0.2, 0.0, 0.0], abs=1e-6)


def test_neighbourhood_needs_a_graph() -> None:
    with pytest.raises(RunError, match="needs the embeddings"):
        CONFIDENCES["neighbourhood"](binary(0.9), [voter(binary(0.9))], None)
