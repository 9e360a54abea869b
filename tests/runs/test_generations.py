"""The generations of self-training with voters that say what a test wants: sets, guard rails, and what is told."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from stand_ins import Asked, FakeBench, Scores, truth
from toy import THREE

import pet
from pet.errors import PromptError
from pet.labeling import combine
from pet.runs.generations import Generation, Generations
from pet.runs.plan import Plan, prepare
from pet.seeding import rng_for

Config = Callable[..., pet.RunConfig]
COLON, CATEGORY = "toy/colon+words", "toy/category+words"


class Run:
    """All generations of a plan, and what was said."""

    def __init__(self, plan: Plan, scores: Scores) -> None:
        self.plan, self.bench = plan, FakeBench(plan.inputs, scores)
        self.said: list[str] = []
        self.warned: list[str] = []
        self.generations: list[Generation] = []

    def train(self) -> "Run":
        loop = Generations(self.plan, self.bench, self.said.append, self.warned.append)
        self.generations.extend(loop.train())
        return self


def run(config: pet.RunConfig, scores: Scores = lambda asked: noisy(asked)) -> Run:
    return Run(prepare(config), scores).train()


def noisy(asked: Asked, sure: float = 3.0) -> np.ndarray:
    """Mostly right, and unlike the other voters."""
    rng = rng_for(5, asked.spec.name, asked.part, asked.generation, len(asked.rows))
    return asked.truth(sure) + rng.normal(size=(len(asked.rows), 3))


def set_bytes(found: Run) -> list[list[bytes]]:
    return [
        [part.tobytes() for part in (training.gold, training.drawn.rows, training.drawn.columns)]
        for generation in found.generations[1:]
        for training in generation.sets
        if training.drawn
    ]


def test_sets_hold_the_gold_rows_but_the_voters_fold_and_the_growing_counts(larger: Config) -> None:
    found = run(larger(*THREE, "train.seeds=3", "ipet.cap=1"))
    assert [len(one.sets) for one in found.generations] == [6, 6, 6]
    for generation, drawn in zip(found.generations, (0, 8, 24), strict=True):  # 8 (2^g - 1) per label
        for training, held_out in zip(generation.sets, found.plan.held_out, strict=True):
            assert held_out.sum() in (4, 5)  # a fifth of 24
            assert sorted({*training.gold.tolist(), *np.flatnonzero(held_out).tolist()}) == list(range(24))
            assert not held_out[training.gold].any()
            counts = np.bincount(training.drawn.columns) if training.drawn else np.zeros(3)
            assert counts.tolist() == [drawn] * 3
            rows = training.drawn.rows.tolist() if training.drawn else []
            assert len(set(rows)) == len(rows) == 3 * drawn


def test_unbalanced_gold_rows_grow_as_they_are_and_none_is_held_out_of_few(larger: Config) -> None:
    found = run(larger(*THREE, "data.examples_per_label=4"))
    assert not found.plan.held_out.any()
    assert [len(one.sets[0].gold) for one in found.generations] == [12, 12, 12]
    assert [len(one.sets[1]) for one in found.generations] == [12, 24, 48]
    assert all(one.figures.held_out is None for one in found.generations)


def test_held_out_rows_can_be_switched_off_and_on(larger: Config) -> None:
    assert not prepare(larger(*THREE, "ipet.held_out=false")).held_out.any()
    assert not prepare(larger()).held_out.any()  # plain PET has nothing to guard
    assert prepare(larger("ipet.held_out=true")).held_out.sum(axis=1).tolist() == [5, 5]


def test_a_voters_own_votes_never_label_its_rows(larger: Config) -> None:
    odd = f"{COLON}#1"  # it alone sees every row as Tech

    def scores(asked: Asked) -> np.ndarray:
        return asked.only(2, 50.0) if asked.spec.name == odd else noisy(asked)

    config = larger(*THREE, "train.seeds=2", "ipet.accept_all=true")
    found = run(config, scores)
    names = [spec.name for spec in found.plan.voters]
    for generation in found.generations[1:]:
        for spec, training in zip(found.plan.voters, generation.sets, strict=True):
            assert training.drawn is not None
            assert len(training.drawn.deciders) == 1  # a quarter of three others, at least one
            assert spec.name not in training.drawn.deciders
            assert set(training.drawn.deciders) < set(names)
            if training.drawn.deciders == (odd,):
                assert training.drawn.filled  # its rows have no other label than Tech
            else:
                right = training.drawn.rows % 3 == training.drawn.columns
                assert right.mean() > 0.8
    everyone = run(larger(*THREE, "train.seeds=2", "ipet.share=1.0"))
    for spec, training in zip(everyone.plan.voters, everyone.generations[1].sets, strict=True):
        assert training.drawn is not None
        assert training.drawn.deciders == tuple(sorted(name for name in names if name != spec.name))


def test_the_labels_of_a_set_are_those_of_its_deciders(larger: Config) -> None:
    found = run(larger(*THREE))
    first = found.generations[0]
    other = {COLON: first.votes[1], CATEGORY: first.votes[0]}
    for spec, training in zip(found.plan.voters, found.generations[1].sets, strict=True):
        drawn, votes = training.drawn, other[spec.name]
        assert drawn is not None and not drawn.filled
        places = np.searchsorted(first.rows, drawn.rows)
        assert first.rows[places].tolist() == drawn.rows.tolist()
        assert votes.hard()[places].tolist() == drawn.columns.tolist()
        assert votes.probs()[places].max(axis=1) == pytest.approx(drawn.confidence, abs=1e-6)
        examples = training.examples(found.plan.data)[len(training.gold) :]
        assert [row.id for row in examples] == [f"unlabeled-{row}" for row in drawn.rows]
        assert [row.label for row in examples] == [found.plan.data.task.labels[k] for k in drawn.columns]


def test_the_same_seed_draws_the_same_rows_and_another_seed_others(larger: Config) -> None:
    found = set_bytes(run(larger(*THREE)))
    assert found == set_bytes(run(larger(*THREE)))
    other = set_bytes(run(larger(*THREE, "run.seed=43")))
    assert len(found) == len(other) == 4
    assert all(ours[1] != theirs[1] for ours, theirs in zip(found, other, strict=True))


def test_an_intermediate_generation_labels_a_random_part_of_the_pool_and_the_last_one_all(larger: Config) -> None:
    found = run(larger("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4"))
    # Drawn from generation 0: 2 per label, from 1: 5 per label (4 (1.5^2 - 1)); four times as many are labeled.
    assert [len(one.rows) for one in found.generations] == [24, 60, 120]
    first, second, last = (one.rows for one in found.generations)
    assert np.isin(first, second).all()
    assert last.tolist() == list(range(120))
    assert first.tolist() == sorted(first.tolist()) != list(range(24))
    assert all(rows is one.rows for one, (*_, rows) in zip(found.generations, found.bench.asked[::2], strict=True))
    whole = run(larger("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4", "ipet.subset=false"))
    assert [len(one.rows) for one in whole.generations] == [120, 120, 120]


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
    assert two.sets[0].drawn.rows.tolist() != one.sets[0].drawn.rows.tolist()  # type: ignore[union-attr]
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
        ids = np.asarray([int(f"0{row.id.rpartition('-')[2]}") if row.id[-1].isdigit() else 0 for row in asked.rows])
        return np.where(((ids // 3) % 10 != 0)[:, None], asked.only(0), scores)

    scores = collapse(lambda asked: lopsided(asked) if asked.part == "pool" else noisy(asked), 1)
    found = run(larger(*THREE, "ipet.subset=false"), scores)
    # 112 of 120 rows are Sports, 4 each the others (40 rows per label, of which the tenth keeps its label):
    # KL = 14/15 ln(14/5) + 2 * 1/30 ln(1/10) = 0.81, more than half of ln 3 = 0.55.
    shares = found.generations[1].figures.shares
    assert [round(120 * share) for share in shares.values()] == [112, 4, 4]
    assert found.generations[1].rejected == "the label ratio left the prior (KL 0.81, bound 0.55, 0.00 before)"


def test_a_rejected_last_generation_lets_the_one_before_label_the_pool(larger: Config) -> None:
    wrong = collapse(lambda asked: asked.only(0), at=2)
    found = run(larger(*THREE), wrong)
    # Generation 1 has seen all 120 rows already (4 * 72 are more): nothing is trained again.
    assert [len(one.rows) for one in found.generations] == [96, 120, 120]
    assert [number for number, *_ in found.bench.asked] == [0, 0, 1, 1, 2, 2]
    small = ("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4")
    found = run(larger(*small), wrong)
    assert [(one.number, len(one.rows)) for one in found.generations] == [(0, 24), (1, 60), (2, 120), (1, 120)]
    part, whole = found.generations[1], found.generations[3]
    assert [number for number, *_ in found.bench.asked] == [0, 0, 1, 1, 2, 2, 1, 1]
    assert (whole.sets, whole.continues, whole.step, whole.rejected) == (part.sets, 0, 1, None)
    assert part.figures.changed == whole.figures.changed is not None
    assert found.said[-1] == "generation 1 labels the whole pool"


def test_a_label_that_was_lost_on_the_way_does_not_stop_a_run_at_its_end(larger: Config) -> None:
    def scores(asked: Asked) -> np.ndarray:
        if asked.generation == 2:
            return asked.only(0)
        # Tech is barely seen by one voter in generation 0, and by none afterwards.
        seen = 0.1 * np.eye(3)[2] if (asked.generation, asked.spec.name) == (0, COLON) else 4.0 * np.eye(3)[0]
        return np.where((truth(asked.rows) == 2)[:, None], seen, asked.truth())

    found = run(larger("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4"), scores)
    assert [(one.number, one.rejected is None) for one in found.generations[2:]] == [(2, False), (1, True)]
    assert set(combine(found.generations[-1].votes).hard().tolist()) == {0, 1}


def test_a_label_that_no_voter_gives_is_refused_after_the_first_generation_only(larger: Config) -> None:
    def no_tech(asked: Asked) -> np.ndarray:
        return noisy(asked) - 50.0 * np.eye(3)[2]

    with pytest.raises(PromptError) as caught:
        run(larger(*THREE), no_tech)
    assert str(caught.value) == (
        "No voter gives the label 'Tech' to any of 96 rows, so nothing can be learned of it: change its words, add "
        "labeled rows of it, or use --accept-all to take the rows that score highest for it."
    )
    assert run(larger("ipet.generations=1"), no_tech).generations[0].rejected is None  # nothing is drawn from it
    found = run(larger(*THREE, "ipet.accept_all=true"), no_tech)
    assert found.warned[::2] == [
        "generation 0 may be no start for others: the label 'Tech' has almost no rows (0.0%; 33% were expected)",
        "generation 1: too few rows are labeled 'Tech': up to 8 that score highest for it are taken",
    ]


def test_what_is_said_of_a_generation_is_what_was_measured(larger: Config) -> None:
    found = run(larger(*THREE, "ipet.subset=false", "ipet.cap=1"), lambda asked: asked.truth())
    assert found.said == [
        "generation 0: trained on 19 rows, voters agree 100.0%, KL from the prior 0.00, gold rows held out 100.0%",
        "generation 1: trained on 43 rows, voters agree 100.0%, KL from the prior 0.00, 0.0% of the labels changed, "
        "gold rows held out 100.0%",
        "generation 2: trained on 91 rows, voters agree 100.0%, KL from the prior 0.00, 0.0% of the labels changed, "
        "gold rows held out 100.0%",
    ]
    assert run(larger(), lambda asked: asked.truth()).said == []  # plain PET says nothing new
    capped = run(larger(*THREE, "ipet.cap=0.5"), lambda asked: asked.truth())
    # 24 of 40 are wanted, and 20 are half of them.
    told = "generation 2: up to 4 rows of 'Sports' fewer than wanted are drawn: no more than 50% of the rows that have"
    assert any(line.startswith(told) for line in capped.said)
    assert [len(one.sets[0]) for one in capped.generations] == [19, 43, 79]


def test_the_ensembles_scores_on_test_rows_are_the_weighted_mean(larger: Config) -> None:
    found = run(larger(*THREE, "ensemble.weighting=agreement", "train.seeds=2")).generations[-1]
    assert found.weights.sum() == pytest.approx(1.0) and len(set(found.weights.tolist())) > 1
    by_hand = sum(weight * scores for weight, scores in zip(found.weights, found.test, strict=True))
    assert found.on_test() == pytest.approx(np.asarray(by_hand))
    assert combine(found.votes).probs.shape == (120, 3)


def test_without_gold_rows_ten_rows_are_the_first_set_and_then_five_times_as_many(larger: Config) -> None:
    settings = larger("ipet.generations=3", "ipet.growth=2")
    data = settings.data.model_copy(update={"train": None})
    found = run(settings.model_copy(update={"data": data}))
    sets = [[len(training) for training in one.sets] for one in found.generations]
    assert sets == [[0, 0], [10, 10], [20, 20]]
    counts = [Counter(one.sets[0].drawn.columns.tolist()) for one in found.generations[1:] if one.sets[0].drawn]
    assert counts == [{0: 4, 1: 3, 2: 3}, {0: 8, 1: 6, 2: 6}]
    assert all(len(training.gold) == 0 for one in found.generations for training in one.sets)
    # Drawn from the 100 most confident per label: the first generation labels 4 * 300 rows at most, here all.
    assert len(found.generations[0].rows) == 120
    assert not found.plan.held_out.any()


def test_of_a_part_of_the_pool_as_large_a_part_of_its_most_likely_rows_is_drawn_from(
    larger: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pet.runs.generations.MOST_LIKELY", 8)
    settings = larger("ipet.generations=2", "ipet.growth=2")
    found = run(settings.model_copy(update={"data": settings.data.model_copy(update={"train": None})}))
    zero, one = found.generations
    assert len(zero.rows) == 96  # 4 * 8 per label, of 120
    for training in one.sets:
        assert training.drawn is not None
        decider = next(vote for vote in zero.votes if (vote.voter,) == training.drawn.deciders)
        # The 8 most likely of the pool are, of 96 of its 120 rows, the 7 most likely.
        ranks = np.argsort(np.argsort(-decider.probs().astype(np.float64), axis=0), axis=0)
        places = np.searchsorted(zero.rows, training.drawn.rows)
        assert ranks[places, training.drawn.columns].max() in (4, 5, 6)
