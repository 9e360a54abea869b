"""Generations that go wrong: noticed, told of and left behind; and generations that only look as if they did."""

import numpy as np
import pytest
from generation_runs import Config, noisy, run
from stand_ins import Asked, Scores
from toy import THREE

from pet.errors import PromptError
from pet.labeling.ensemble import combine
from pet.method.plan.plan import prepare


def collapse(label: Scores, at: int) -> Scores:
    """Let a generation say something else; the others are mostly right."""
    return lambda asked: label(asked) if asked.generation == at else noisy(asked)


def test_after_a_rejected_generation_the_best_earlier_one_goes_on(larger: Config) -> None:
    found = run(larger(*THREE), collapse(lambda asked: asked.only(0), at=1))
    zero, one, two = found.generations
    reason = "the label 'Business' has almost no rows (0.0%; 33% were expected)"
    assert [zero.rejected, one.rejected, two.rejected] == [None, reason, None]
    assert [zero.continues, one.continues, two.continues] == [None, 0, 0]
    # The sets after it are drawn from generation 0 and are no larger than its own: the growth is not skipped.
    assert [len(training) for training in two.sets] == [len(training) for training in one.sets]
    assert two.sets[0].drawn is not None
    assert (two.sets[0].drawn.rows % 3 == two.sets[0].drawn.columns).mean() > 0.8
    assert two.sets[0].drawn.rows.tolist() != one.sets[0].drawn.rows.tolist()
    told = f"generation 1 is rejected: {reason}; the run goes on from generation 0 (--accept-all keeps it)"
    assert found.warned == [told, "if the rows to label are like that, name their ratio in [ensemble] prior"]
    assert [line.split(":")[0] for line in found.said] == ["generation 0", "generation 1", "generation 2"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda asked: asked.only(1), "the label 'Sports' has almost no rows"),
        # Permuted columns: the ratio stays, and gold rows that were right are wrong.
        (lambda asked: np.roll(noisy(asked), 1, axis=1), "the accuracy on 10 gold rows held out fell from"),
        # Right on the gold rows, but most of the pool changed its label.
        (lambda asked: asked.wrong() if asked.part == "pool" else noisy(asked), "of the rows changed their label"),
    ],
)
def test_each_collapse_is_noticed(larger: Config, wrong: Scores, reason: str) -> None:
    found = run(larger(*THREE), collapse(wrong, at=2))
    assert [one.number for one in found.generations] == [0, 1, 2]
    assert [one.rejected is None for one in found.generations] == [True, True, False]
    assert reason in str(found.generations[2].rejected)
    kept = run(larger(*THREE, "ipet.accept_all=true"), collapse(wrong, at=2))
    assert [one.rejected for one in kept.generations] == [None] * 3
    assert kept.warned == []


def test_a_ratio_far_from_the_prior_is_noticed_though_every_label_is_there(larger: Config) -> None:
    def lopsided(asked: Asked) -> np.ndarray:  # nine in ten rows are Sports, the others right
        scores = asked.truth()
        return np.where(((asked.numbers // 3) % 10 != 0)[:, None], asked.only(0), scores)

    scores = collapse(lambda asked: lopsided(asked) if asked.part == "pool" else noisy(asked), 1)
    found = run(larger(*THREE, "ipet.subset=false"), scores)
    # 112 of 120 rows are Sports, 4 each the others (40 rows per label, of which the tenth keeps its label):
    # KL = 14/15 ln(14/5) + 2 * 1/30 ln(1/10) = 0.81, more than half of ln 3 = 0.55.
    shares = found.generations[1].figures.shares
    assert [round(120 * share) for share in shares.values()] == [112, 4, 4]
    assert found.generations[1].rejected == "the label ratio left the prior (KL 0.81, bound 0.55, 0.00 before)"


def test_voters_that_are_right_are_never_rejected_though_each_generation_sees_other_rows(larger: Config) -> None:
    """In a pool that is no mirror of the prior, a part of it may look more or less one-sided than another by chance."""

    def right(asked: Asked) -> np.ndarray:  # 19 of 20 rows of the pool are Sports
        return (
            asked.truth()
            if asked.part != "pool"
            else np.where((asked.numbers % 60 >= 3)[:, None], asked.only(0), asked.truth())
        )

    for seed in range(12):
        settings = ("ipet.generations=4", "ipet.growth=1.3", "data.examples_per_label=8", f"run.seed={seed}")
        found = run(larger(*settings), right)
        assert [one.rejected for one in found.generations] == [None] * 4
        assert "generation 0 may be no start for others: the label" in found.warned[0]
        assert len({len(one.rows) for one in found.generations}) > 2


def test_a_slow_decline_is_noticed_by_the_best_generation_so_far(larger: Config) -> None:
    config = larger("ipet.generations=4", "ipet.growth=1.5")
    held_out = np.flatnonzero(prepare(config).held_out.any(axis=0))

    def declining(asked: Asked) -> np.ndarray:  # of the ten gold rows held out, three more are wrong each time
        scores = asked.truth()
        if asked.part == "gold":
            scores[held_out[: 3 * asked.generation]] = asked.wrong()[held_out[: 3 * asked.generation]]
        return scores

    found = run(config, declining)
    right = [one.figures.held_out.accuracy for one in found.generations if one.figures.held_out]
    assert right == pytest.approx([1.0, 0.7, 0.4, 0.1])
    reasons = [one.rejected for one in found.generations]
    assert reasons[:2] == [None, None]  # from 100 to 70 % of ten rows may be chance
    assert reasons[2] == "the accuracy on 10 gold rows held out fell from 100.0% to 40.0%"


def test_gold_rows_are_measured_with_the_calibration_of_the_pool(larger: Config) -> None:
    """Voters that prefer Sports whatever the text: batch calibration takes that off, on gold rows too."""
    settings = ("ensemble.calibration=batch", *THREE)
    found = run(larger(*settings), lambda asked: asked.truth() + 5.0 * np.eye(3)[0])
    assert [one.figures.held_out.accuracy for one in found.generations if one.figures.held_out] == [1.0] * 3


def test_the_step_away_from_untrained_patterns_may_change_most_labels(larger: Config) -> None:
    settings = larger(*THREE, "ipet.first_rows=10")
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"train": None})})
    found = run(settings, lambda asked: asked.truth() if asked.generation else asked.wrong())
    assert [one.figures.changed for one in found.generations] == [None, 1.0, 0.0]
    assert [one.rejected for one in found.generations] == [None] * 3
    found = run(settings, lambda asked: asked.wrong() if asked.generation == 2 else asked.truth())
    assert [one.rejected is None for one in found.generations[:3]] == [True, True, False]


def test_a_rare_label_that_a_small_part_of_the_pool_lacks_stops_nothing(
    larger: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rare(asked: Asked) -> np.ndarray:  # Tech is in the last rows of the pool alone
        lacks = asked.part == "pool" and asked.numbers < 117
        return asked.truth() - 50.0 * np.outer(np.broadcast_to(lacks, len(asked.rows)), np.eye(3)[2])

    settings = ("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4")
    lacking = 0
    for seed in range(8):
        found = run(larger(*settings, f"run.seed={seed}"), rare)
        zero = found.generations[0]
        assert len(zero.rows) == 24
        lacking += 2 not in combine(zero.votes).hard()
    assert lacking > 2
    monkeypatch.setattr("pet.method.judge.ENOUGH_ROWS", 24)
    with pytest.raises(PromptError, match="No voter gives the label 'Tech' to any of 24 rows"):
        run(larger(*settings), lambda asked: asked.truth() - 50.0 * np.eye(3)[2])


def test_a_rejected_last_generation_lets_the_one_before_label_the_pool(larger: Config) -> None:
    wrong = collapse(lambda asked: asked.only(0), at=2)
    found = run(larger(*THREE), wrong)
    # Generation 1 has seen all 120 rows already (4 * 72 are more): nothing is trained again.
    assert [len(one.rows) for one in found.generations] == [96, 120, 120]
    assert [number for number, *_ in found.asked] == [0, 0, 1, 1, 2, 2]
    small = ("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4")
    found = run(larger(*small), wrong)
    assert [(one.number, len(one.rows)) for one in found.generations] == [(0, 24), (1, 60), (2, 120), (1, 120)]
    part, whole = found.generations[1], found.generations[3]
    assert [number for number, *_ in found.asked] == [0, 0, 1, 1, 2, 2, 1, 1]
    assert (whole.sets, whole.continues, whole.step, whole.rejected) == (part.sets, 0, 1, None)
    assert part.figures.changed == whole.figures.changed is not None
    assert found.said[-1] == "generation 1 labels the whole pool"
