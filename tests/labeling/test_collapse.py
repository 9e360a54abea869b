"""Every kind of collapse ends a generation; what is healthy, or was already so, does not."""

import re

import numpy as np
import pytest

from pet.labeling.ensemble import combine
from pet.labeling.guards import GenerationFigures, HeldOut, measure, rejection
from pet.labeling.votes import Votes

LABELS = ("a", "b", "c")
UNIFORM = np.full(3, 1 / 3)
TRUTH = np.arange(600) % 3
GOLD = np.arange(60) % 3


def scores_for(truth: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Return scores [n, 3] that are right where the noise is small."""
    scores: np.ndarray = np.random.default_rng(seed).normal(4.0 * np.eye(3)[truth], noise)
    return scores


def voters(scores: list[np.ndarray]) -> list[Votes]:
    ids = tuple(f"r{i}" for i in range(len(scores[0])))
    return [Votes(str(i), 0, ids, LABELS, one.astype(np.float32)) for i, one in enumerate(scores)]


def generation(
    pool: list[np.ndarray], gold: list[np.ndarray] | None = None, before: list[np.ndarray] | None = None
) -> GenerationFigures:
    """Measure voters by their scores on the pool and, kept from all of them, on the gold rows."""
    earlier = combine(voters(before)) if before else None
    known = earlier.hard() if earlier else None
    kept = HeldOut.of(voters(gold), np.ones((len(gold), 60), np.bool_), GOLD) if gold else None
    return measure(voters(pool), UNIFORM, known, kept)


GOOD = [scores_for(TRUTH, 3.0, seed) for seed in range(3)]
BETTER = [scores_for(TRUTH, 1.0, seed) for seed in range(10, 13)]
GOOD_ON_GOLD, BETTER_ON_GOLD = ([scores_for(GOLD, noise, seed) for seed in range(3)] for noise in (2.0, 1.0))
EARLIER = generation(GOOD, GOOD_ON_GOLD)


def test_a_healthy_generation_is_kept() -> None:
    now = generation(BETTER, BETTER_ON_GOLD, GOOD)
    assert now.held_out is not None and len(now.held_out.correct) == 60
    assert now.changed is not None and 0.0 < now.changed < 0.1
    assert rejection(now, EARLIER, UNIFORM) is None


@pytest.mark.parametrize("trained", [True, False])
def test_voters_that_all_say_one_label_are_a_collapse(trained: bool) -> None:
    one_label = [scores_for(np.zeros(600, np.int64), 0.5, seed) for seed in range(3)]
    found = rejection(generation(one_label, GOOD_ON_GOLD, GOOD), EARLIER, UNIFORM, trained)
    assert found == "the label 'b' has almost no rows (0.0%; 33% were expected)"


def test_permuted_label_words_are_seen_on_the_gold_rows_held_out() -> None:
    permuted = generation([one[:, [1, 2, 0]] for one in BETTER], [one[:, [1, 2, 0]] for one in BETTER_ON_GOLD], GOOD)
    assert permuted.kl < 0.01  # the label ratio tells nothing
    for trained in (True, False):
        found = str(rejection(permuted, EARLIER, UNIFORM, trained))
        assert re.fullmatch(r"the accuracy on 60 gold rows held out fell from (9\d|100)\.\d% to \d\.\d%", found)


def test_permuted_label_words_are_seen_without_gold_rows_by_the_labels_that_change() -> None:
    permuted = generation([one[:, [1, 2, 0]] for one in BETTER], None, GOOD)
    found = rejection(permuted, EARLIER, UNIFORM)
    assert re.fullmatch(r"(9\d|100)% of the rows changed their label", str(found))
    # Untrained patterns may have been wrong about everything.
    assert rejection(permuted, EARLIER, UNIFORM, trained=False) is None


def test_a_pool_of_another_domain_on_which_voters_lean_to_one_label_is_a_collapse() -> None:
    # 88 %, 6 %, 6 %: every label has rows, yet KL = ln 3 - 0.45 = 0.65 is more than half of ln 3.
    leaning = [scores_for(np.repeat([0, 1, 2], [528, 36, 36]), 0.1, seed) for seed in range(3)]
    now = generation(leaning, GOOD_ON_GOLD, None)
    assert min(now.shares.values()) == pytest.approx(0.06)
    found = rejection(now, EARLIER, UNIFORM)
    assert found == "the label ratio left the prior (KL 0.65, bound 0.55, 0.00 before)"


def test_a_pool_of_another_domain_on_which_voters_guess_is_a_collapse() -> None:
    guesses = generation([np.random.default_rng(seed).normal(size=(600, 3)) for seed in range(20, 23)], None, GOOD)
    assert guesses.kl < 0.05 and guesses.changed == pytest.approx(2 / 3, abs=0.06)
    assert re.fullmatch(r"6\d% of the rows changed their label", str(rejection(guesses, EARLIER, UNIFORM)))


def test_a_pool_that_always_was_of_one_label_is_no_collapse() -> None:
    skewed = [scores_for(np.zeros(600, np.int64), 0.5, seed) for seed in range(3)]
    before = generation(skewed, GOOD_ON_GOLD)
    assert before.kl == pytest.approx(np.log(3))  # as far from the prior as can be
    assert rejection(generation(skewed, BETTER_ON_GOLD, skewed), before, UNIFORM) is None


def test_a_skewed_prior_expects_skewed_labels() -> None:
    truth = np.repeat([0, 1, 2], [540, 30, 30])
    skewed, prior = voters([scores_for(truth, 0.1, seed) for seed in range(3)]), np.array([0.9, 0.05, 0.05])
    assert rejection(measure(skewed, prior, None, None), EARLIER, prior) is None
    # Of equal parts of all labels, it has left that prior: ln(1/3) - (ln 0.9 + 2 ln 0.05) / 3 = 0.93.
    found = rejection(measure(voters(GOOD), prior, None, None), measure(skewed, prior, None, None), prior)
    assert re.match(r"the label ratio left the prior \(KL 0\.9\d, bound 0\.55, 0\.00 before\)", str(found))


def figures(
    b: float, kl: float = 0.0, changed: float | None = None, right: HeldOut | None = None, rows: int = 1000
) -> GenerationFigures:
    return GenerationFigures({"a": 1 - b, "b": b}, kl, 0.9, 0.3, rows, changed, right)


PRIOR = np.array([0.8, 0.2])


@pytest.mark.parametrize(
    ("share", "before", "lost"),
    [
        (0.0099, 0.5, True),  # a twentieth of 0.2 is 0.01
        (0.0, 0.0101, True),
        (0.0101, 0.5, False),
        (0.0, 0.0099, False),  # it had almost none before
    ],
)
def test_a_label_has_almost_no_rows_below_a_twentieth_of_the_prior(share: float, before: float, lost: bool) -> None:
    found = rejection(figures(share), figures(before), PRIOR)
    assert (found is not None and found.startswith("the label 'b' has almost no rows")) is lost


def test_a_label_of_which_few_rows_are_expected_may_have_none() -> None:
    # A fifth of 25 rows is 5, of 24 less.
    found = [rejection(figures(0.0, rows=rows), figures(0.2, rows=rows), PRIOR) for rows in (25, 24)]
    assert [one is None for one in found] == [False, True]


@pytest.mark.parametrize(
    ("kl", "before", "left"),
    [
        (0.35, 0.0, True),  # half of ln 2 is 0.3466
        (0.34, 0.0, False),
        (0.40, 0.40, False),  # it was already so before
        (0.40, 0.50, False),
        (0.50, 0.40, True),
    ],
)
def test_the_ratio_has_left_the_prior_beyond_the_bound_and_further_than_before(
    kl: float, before: float, left: bool
) -> None:
    found = rejection(figures(0.5, kl=kl), figures(0.5, kl=before), PRIOR)
    assert (found is not None and found.startswith("the label ratio left the prior")) is left


@pytest.mark.parametrize(
    ("changed", "trained", "rejected"),
    [(0.51, True, True), (0.5, True, False), (1.0, False, False), (None, True, False)],
)
def test_more_than_half_of_the_labels_of_a_trained_generation_may_not_change(
    changed: float | None, trained: bool, rejected: bool
) -> None:
    found = rejection(figures(0.5, changed=changed), figures(0.5), PRIOR, trained)
    assert found == ("51% of the rows changed their label" if rejected else None)


def test_gold_rows_decide_only_where_both_generations_were_measured_and_the_fall_is_clear() -> None:
    right, wrong = HeldOut(np.ones(20, np.bool_)), HeldOut(np.zeros(20, np.bool_))
    assert rejection(figures(0.5, right=wrong), figures(0.5, right=right), PRIOR) == (
        "the accuracy on 20 gold rows held out fell from 100.0% to 0.0%"
    )
    assert rejection(figures(0.5, right=right), figures(0.5, right=wrong), PRIOR) is None
    assert rejection(figures(0.5, right=wrong), figures(0.5), PRIOR) is None
    assert rejection(figures(0.5), figures(0.5, right=right), PRIOR) is None
    one_less = HeldOut(np.arange(20) > 0)
    assert rejection(figures(0.5, right=one_less), figures(0.5, right=right), PRIOR) is None
