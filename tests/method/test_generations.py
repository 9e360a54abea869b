"""The generations of self-training with voters that say what a test wants: sets, guard rails, and what is told."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generation_runs import Config, Run, noisy, run
from stand_ins import Asked, truth
from toy import THREE

from pet.errors import PromptError
from pet.labeling.ensemble import combine
from pet.method.draw import rows_to_label
from pet.method.plan.plan import prepare

COLON, CATEGORY = "toy/colon+words", "toy/category+words"


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
    assert all(rows is one.rows for one, (*_, rows) in zip(found.generations, found.asked[::2], strict=True))
    whole = run(larger("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4", "ipet.subset=false"))
    assert [len(one.rows) for one in whole.generations] == [120, 120, 120]


def test_any_row_is_as_likely_as_any_other_to_be_in_the_part_that_is_labeled(larger: Config) -> None:
    times = np.zeros(120)
    plan = prepare(larger("ipet.generations=3", "ipet.growth=1.5", "data.examples_per_label=4"))
    for seed in range(200):
        times[rows_to_label(0, None, replace(plan.drawing, seed=seed))] += 1
    assert times.sum() == 200 * 24
    # Each is binomial(200, 0.2): mean 40, standard deviation 5.7; the highest of 120 is below 4.5 of them.
    assert np.abs(times - 40).max() < 4.5 * 5.66
    assert 0.7 < times.var() / (200 * 0.2 * 0.8) < 1.4


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
    capped = run(larger(*THREE, "ipet.cap=0.1"), lambda asked: asked.truth())
    # 24 of 40 are wanted, 4 are a tenth of them, and the sets began with 8.
    told = "generation 2: up to 16 rows of 'Sports' fewer than wanted are drawn: few rows have that label (ipet.ratio, "
    assert any(line.startswith(told) for line in capped.said)
    assert [len(one.sets[0]) for one in capped.generations] == [19, 43, 43]
    halved = run(larger(*THREE, "ipet.cap=0.5"), lambda asked: asked.truth())
    assert [len(one.sets[0]) for one in halved.generations] == [19, 43, 79]
    assert len(halved.said) == 3  # 20 of 24 are not worth a word


def test_the_ensembles_scores_on_test_rows_are_the_weighted_mean(larger: Config) -> None:
    found = run(larger(*THREE, "ensemble.weighting=agreement", "train.seeds=2")).generations[-1]
    assert found.ensemble.weights.sum() == pytest.approx(1.0) and len(set(found.ensemble.weights.tolist())) > 1
    by_hand = sum(weight * scores for weight, scores in zip(found.ensemble.weights, found.ensemble.test, strict=True))
    assert found.ensemble.on_test() == pytest.approx(np.asarray(by_hand))
    assert combine(found.votes).probs.shape == (120, 3)


def test_without_gold_rows_ten_rows_are_the_first_set_and_then_five_times_as_many(larger: Config) -> None:
    settings = larger("ipet.generations=3", "ipet.growth=2", "ipet.ratio=labels", "ipet.first_rows=10")
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
    monkeypatch.setattr("pet.method.draw.MOST_LIKELY", 8)
    settings = larger("ipet.generations=2", "ipet.growth=2", "ipet.first_rows=10")
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


def test_no_text_is_twice_in_a_set_however_often_the_pool_has_it(larger: Config, tmp_path: Path) -> None:
    settings = larger(*THREE, "ipet.ratio=labels", "ipet.cap=1")
    rows = [json.loads(line) for line in Path(str(settings.data.unlabeled)).read_text("utf-8").splitlines()]
    ways = [{**row, "id": f"{row['id']}-{i}", "text": row["text"] + "!" * i} for i in range(3) for row in rows[:90]]
    pool = tmp_path / "copies.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in ways), "utf-8")
    found = run(settings.model_copy(update={"data": settings.data.model_copy(update={"unlabeled": str(pool)})}))
    drawn = [one.sets[0].drawn for one in found.generations[1:]]
    for chosen in drawn:
        assert chosen is not None
        texts = [found.plan.data.unlabeled[int(row)].fields["text"].strip("!") for row in chosen.rows]
        assert len(texts) == len(set(texts)) > 20
    assert len(found.generations[-1].rows) == len(ways)  # every row is labeled all the same
