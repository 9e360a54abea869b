"""What is measured after a generation, by hand on a few rows."""

from collections.abc import Sequence

import numpy as np
import pytest

from pet.labeling.guards import FOLDS, GenerationFigures, HeldOut, gold_folds, held_out_mean, measure, uneven_labels
from pet.labeling.votes import Votes

ABC = ("a", "b", "c")


def voter(name: str, scores: Sequence[Sequence[float]] | np.ndarray, weight: float = 1.0) -> Votes:
    array = np.asarray(scores, np.float32)
    ids = tuple(f"r{i}" for i in range(len(array)))
    return Votes(name, 0, ids, ABC[: array.shape[1]], array, weight)


def held_out(*correct: int) -> HeldOut:
    return HeldOut(np.asarray(correct, np.bool_))


@pytest.mark.parametrize("counts", [(8, 13, 9), (8, 8, 8, 8), (40, 8), (11, 0, 9)])
def test_every_label_is_spread_over_folds_of_equal_sizes(counts: tuple[int, ...]) -> None:
    gold = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    folds = gold_folds(gold, np.random.default_rng(2))
    assert folds is not None
    assert set(folds.tolist()) == set(range(FOLDS))
    assert np.ptp(np.bincount(folds)) <= 1
    for column in np.unique(gold):
        assert np.ptp(np.bincount(folds[gold == column], minlength=FOLDS)) <= 1


def test_the_folds_are_those_of_the_generator() -> None:
    gold = np.repeat([0, 1], 10)
    first, again, other = (gold_folds(gold, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first is not None and again is not None and other is not None
    assert first.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize("counts", [(8, 7), (100, 1), (7,), ()])
def test_no_row_is_held_out_with_fewer_than_eight_rows_of_a_label(counts: tuple[int, ...]) -> None:
    gold = np.repeat(np.arange(len(counts)), np.asarray(counts, np.int64))
    assert gold_folds(gold, np.random.default_rng(1)) is None


def test_fewer_rows_are_enough_where_they_are_asked_for() -> None:
    gold = np.repeat([0, 1, 2], [2, 3, 2])
    folds = gold_folds(gold, np.random.default_rng(1), least=2)
    assert folds is not None
    for column in range(3):  # no label is without a row when a fold is left out
        assert len(set(folds[gold == column].tolist())) > 1
    assert gold_folds(np.array([0, 0, 1]), np.random.default_rng(1), least=2) is None


KEPT = np.array([[True, True, False, False], [False, True, False, False], [False, False, False, True]])
"""Voter 0 was kept from rows 0 and 1, voter 1 from row 1, voter 2 from row 3; all have seen row 2."""


def on_gold(*weights: float) -> list[Votes]:
    """Return votes whose other voters, had they a say in a row that they have seen, would turn it round."""
    scores = (
        [[0.0, 1.0], [1.0, 0.0], [0.0, 9.0], [9.0, 0.0]],
        [[9.0, 0.0], [0.0, 3.0], [0.0, 9.0], [9.0, 0.0]],
        [[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 1.0]],
    )
    return [voter(str(i), rows, weight) for i, (rows, weight) in enumerate(zip(scores, weights, strict=True))]


def test_a_held_out_row_is_labeled_by_those_alone_that_were_kept_from_it() -> None:
    # Row 0: (0, 1), right. Row 1: mean (0.5, 1.5), wrong. Row 3: (0, 1), right. Row 2 is not measured.
    measured = HeldOut.of(on_gold(1.0, 1.0, 1.0), KEPT, np.array([1, 0, 0, 1]))
    assert measured is not None
    assert measured.correct.tolist() == [True, False, True]
    assert measured.accuracy == pytest.approx(2 / 3)


def test_the_weights_of_the_voters_count_on_held_out_rows() -> None:
    # Row 1: (9 * 1 + 0, 0 + 3) / 10. Voter 2 alone measures row 3, whatever its weight.
    measured = HeldOut.of(on_gold(9.0, 1.0, 0.0), KEPT, np.array([1, 0, 0, 1]))
    assert measured is not None
    assert measured.correct.tolist() == [True, True, True]


def test_nothing_is_measured_where_every_voter_has_seen_every_row() -> None:
    assert HeldOut.of(on_gold(1.0, 1.0, 1.0), np.zeros((3, 4), np.bool_), np.array([1, 0, 0, 1])) is None


@pytest.mark.parametrize(
    ("rows", "lost", "won", "fell"),
    [
        # With one row lost and one won added, of 102: 5 / 102 = 0.0490 and 1.96 * 0.0255 = 0.0499.
        (100, 5, 0, False),
        (100, 6, 0, True),  # 0.0588 and 1.96 * 0.0271 = 0.0531
        (100, 10, 4, False),  # 0.0588 and 1.96 * 0.0388 = 0.0760
        (100, 20, 4, True),  # 0.1569 and 1.96 * 0.0466 = 0.0913
        (100, 10, 10, False),
        (100, 0, 0, False),
        (100, 0, 50, False),
        (1, 1, 0, False),  # 1 / 3 and 1.96 * 0.5443 = 1.0669
        (3, 3, 0, False),  # 3 / 5 and 1.96 * 0.3578 = 0.7012
        (4, 4, 0, True),  # 2 / 3 and 1.96 * 0.3043 = 0.5964
        (6, 4, 0, True),  # 1 / 2 and 1.96 * 0.2500 = 0.4900
        (1, 0, 0, False),
        (1, 0, 1, False),
    ],
)
def test_the_accuracy_fell_when_the_paired_difference_is_outside_its_interval(
    rows: int, lost: int, won: int, fell: bool
) -> None:
    before, now = np.zeros((2, rows), np.bool_)
    before[:lost] = now[lost : lost + won] = True
    before[lost + won :] = now[lost + won :] = np.arange(rows - lost - won) % 2 == 0
    assert HeldOut(before).fell(HeldOut(now)) is fell


def test_the_figures_by_hand() -> None:
    # Means: (2, 0), (1, 0), (.5, 0), (0, 2) -> a a a b. The second voter says a a b b.
    votes = [
        voter("x", [[2.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 2.0]]),
        voter("y", [[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]),
    ]
    right = held_out(1, 0, 1, 1)
    found = measure(votes, np.array([0.5, 0.5]), np.array([0, -1, 1, 0]), right)
    assert found.shares == {"a": 0.75, "b": 0.25}
    assert found.kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert found.agreement == pytest.approx((1 + 0.75) / 2)
    assert found.changed == pytest.approx(2 / 3)  # r0 is as before, r2 and r3 are not, r1 was not labeled
    assert found.held_out is right


def test_the_weights_of_the_voters_count_in_the_figures() -> None:
    votes = [voter("x", [[1.0, 0.0]] * 2, weight=3.0), voter("y", [[0.0, 2.0]] * 2)]
    found = measure(votes, np.array([0.5, 0.5]), None, None)
    assert (found.shares, found.agreement) == ({"a": 1.0, "b": 0.0}, 0.75)
    assert (found.changed, found.held_out) == (None, None)


def test_a_label_without_rows_adds_nothing_to_the_divergence() -> None:
    found = measure([voter("x", [[1.0, 0.0, 0.0]] * 5)], np.array([0.8, 0.1, 0.1]), None, None)
    assert found.shares == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert found.kl == pytest.approx(np.log(1 / 0.8))


@pytest.mark.parametrize(
    ("probs", "entropy"),
    [
        ([[1 / 3] * 3] * 2, 1.0),
        ([[1.0, 1e-30, 1e-30]], 0.0),
        ([[0.5, 0.5, 1e-30]], np.log(2) / np.log(3)),
        ([[0.25, 0.75]], (0.25 * np.log(4) + 0.75 * np.log(4 / 3)) / np.log(2)),
        ([[0.5, 0.5], [1.0, 1e-30]], 0.5),
    ],
)
def test_the_entropy_is_one_for_uniform_soft_labels_and_zero_for_certain_ones(
    probs: list[list[float]], entropy: float
) -> None:
    prior = np.full(len(probs[0]), 1 / len(probs[0]))
    assert measure([voter("x", np.log(probs))], prior, None, None).entropy == pytest.approx(entropy, abs=1e-6)


def test_the_figures_as_plain_values() -> None:
    found = GenerationFigures({"a": 2 / 3, "b": 1 / 3}, 0.123456, 0.98765, 0.54321, 9, 1 / 3, held_out(1, 1, 0))
    assert found.as_json() == {
        "shares": {"a": 0.6667, "b": 0.3333},
        "kl": 0.1235,
        "agreement": 0.9877,
        "entropy": 0.5432,
        "changed": 0.3333,
        "held_out_accuracy": 0.6667,
        "held_out_rows": 3,
    }
    first = GenerationFigures({"a": 1.0}, 0.0, 1.0, 0.0, 9).as_json()
    assert (first["changed"], first["held_out_accuracy"], first["held_out_rows"]) == (None, None, 0)


def test_the_mean_on_gold_rows_is_that_of_the_voters_kept_from_each() -> None:
    scores = np.array([[[4.0, 0.0]] * 3, [[0.0, 2.0]] * 3, [[8.0, 8.0]] * 3])
    weights = np.array([0.6, 0.2, 0.2])
    kept = np.array([[True, True, False], [True, False, False], [False, False, False]])
    found = held_out_mean(scores, weights, kept)
    # 3 : 1 of the first two, the first alone, nobody.
    assert found == pytest.approx(np.array([[3.0, 0.5], [4.0, 0.0], [0.0, 0.0]]))
    assert held_out_mean(scores, np.array([0.0, 0.0, 1.0]), kept).tolist() == [[0.0, 0.0]] * 3


def test_the_mean_on_no_gold_rows_has_none() -> None:
    assert held_out_mean(np.empty((2, 0, 3)), np.array([0.5, 0.5]), np.empty((2, 0), np.bool_)).shape == (0, 3)


@pytest.mark.parametrize(
    ("shares", "rows", "found"),
    [
        ((1.0, 0.0), 30, "the label 'b' has almost no rows (0.0%; 50% were expected)"),
        ((1.0, 0.0), 4, "the label ratio left the prior (KL 0.69, bound 0.35)"),
        ((0.5, 0.5), 30, None),
        ((0.5, 0.5, 0.0), 6, "no row is given the label 'c'"),
        ((0.5, 0.5, 0.0), 2, None),  # none was to be expected
    ],
)
def test_a_ratio_of_labels_that_left_the_prior_is_told(shares: tuple[float, ...], rows: int, found: str | None) -> None:
    prior = np.full(len(shares), 1 / len(shares))
    kl = sum(share * np.log(share * len(shares)) for share in shares if share)
    figures = GenerationFigures(dict(zip(ABC, shares, strict=False)), float(kl), 1.0, 0.0, rows)
    assert uneven_labels(figures, prior) == found


def test_of_many_labels_some_have_no_row_by_chance() -> None:
    labels, prior = [f"l{i}" for i in range(77)], np.full(77, 1 / 77)

    def told(empty: int) -> str | None:
        shares = dict.fromkeys(labels[:empty], 0.0) | dict.fromkeys(labels[empty:], 1 / (77 - empty))
        return uneven_labels(GenerationFigures(shares, 0.1, 1.0, 0.0, 200), prior)

    # Of 200 rows drawn at random, each of 77 labels gets none with a probability of 7 %: five or six do.
    assert told(7) is None
    assert told(20) == "no row is given the label 'l0', 'l1', 'l2' and 17 more labels"
