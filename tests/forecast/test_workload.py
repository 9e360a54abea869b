"""What a run is counted to compute is what it then computes."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import save_tiny
from toy import THREE, rows_of, write_rows
from transformers import BertConfig

import pet
from pet.forecast.forecast import Rates
from pet.forecast.workload import (
    LEARNED,
    MOST_FILLED,
    NO_PATTERN,
    STUDENT,
    EncoderLoad,
    VoterLoad,
    Workload,
    adaptation_load,
    token_cost,
)
from pet.method.plan.plan import prepare
from pet.runs.jobs import JobStore

Config = Callable[..., pet.RunConfig]

WORK = Workload(
    voters=(VoterLoad("a", "a", "full", 10), VoterLoad("a#1", "a", "full", 10), VoterLoad("b@p", "b", "prefix", 5, 3)),
    labels=2,
    labeled=8,
    pool=1000,
    test=100,
    compared=500,
    embedded=900,
    generation_rows=(160, 1000),
    baseline=True,
    folds=2,
    baseline_steps=20,
    distill_steps=50,
)


def names(root: Path) -> Counter[str]:
    found = JobStore(root / "jobs").finished()
    del found["trial"]
    return found


@pytest.mark.parametrize("run", ["finished", pytest.param("three", marks=pytest.mark.slow)])
def test_the_jobs_and_updates_counted_are_those_of_a_real_run(
    run: str, config: Config, larger: Config, request: pytest.FixtureRequest
) -> None:
    result: pet.RunResult = request.getfixturevalue(run)
    settings = larger(*THREE, "ipet.accept_all=true") if run == "three" else config()
    work = prepare(settings).workload
    assert Counter(job.name for job in work.jobs()) == names(result.directory)
    assert work.left(names(result.directory)) == []
    done = json.loads((result.directory / "metrics.json").read_text())["work"]
    content_free = 2 * len(work.voters) * len(work.generation_rows)
    forwards = sum(sum(job.rows.values()) for job in work.jobs()) + content_free
    if run == "finished":
        assert (sum(job.steps for job in work.jobs()), forwards) == (done["steps"], done["forwards"])
    else:  # the classifier is measured on rows held out, and its training ends by itself
        assert done["forwards"] - forwards < 30 * 60


def test_each_job_has_its_rows_and_updates() -> None:
    jobs = [(job.stage, job.name, sum(job.rows.values()), job.steps) for job in WORK.jobs()]
    assert jobs == [
        ("generation 0", "voter/a", 268, 10),
        ("generation 0", "voter/a#1", 268, 10),
        ("generation 0", "voter/b@p", 268, 15),
        ("generation 1", "generation-1/voter/a", 1108, 10),
        ("generation 1", "generation-1/voter/a#1", 1108, 10),
        ("generation 1", "generation-1/voter/b@p", 1108, 15),
        ("distilling", "distill", 600, 50),
        ("zero-shot", "zero-shot/a", 608, 0),
        ("zero-shot", "zero-shot/b", 608, 0),
        ("baselines", "supervised", 600, 20),
        ("baselines", "supervised", 8, 20),
        ("baselines", "supervised", 8, 20),
        ("baselines", "embeddings", 1008, 0),
    ]
    assert [job.encoded for job in WORK.jobs() if job.variant == STUDENT] == [50 * 16]
    assert [job.name for job in WORK.jobs(whole=False)] == [name for _, name, _, _ in jobs[:6]]


def test_the_labels_need_the_untrained_patterns_where_voters_are_weighed_by_them() -> None:
    weighed = replace(WORK, weighed=True)
    assert list(weighed.jobs()) == list(WORK.jobs())
    more = [job.name for job in weighed.jobs(whole=False)][6:]
    assert more == ["zero-shot/a", "zero-shot/b"]


def test_the_folds_counted_are_those_that_hold_rows(larger_pipeline: Path, tmp_path: Path) -> None:
    # All rows of a label are copies of one text, and so in one fold: a voter's own may be empty.
    rows = rows_of("train", 8)
    train = write_rows(tmp_path / "train.jsonl", [{**row, "text": rows[i % 3]["text"]} for i, row in enumerate(rows)])
    found = set()
    for seed in range(8):
        settings = ("ipet.generations=2", "ipet.growth=2", f"data.train={train}", f"run.seed={seed}")
        plan = prepare(pet.RunConfig.from_toml(larger_pipeline, settings))
        held_out = {tuple(rows) for rows in plan.held_out.tolist() if any(rows)}
        assert plan.workload.folds == len(held_out)
        found.add(len(held_out))
    assert found == {0, 1, 2}


def test_without_labeled_rows_the_first_voters_make_no_update(larger: Config) -> None:
    settings = larger(*THREE, "data.train=''", "ipet.first_rows=10")
    work = prepare(settings).workload
    assert [job.steps for job in work.jobs(whole=False)] == [0, 0, 16, 16, 16, 16]
    assert not work.baseline


def test_finished_jobs_are_left_out_as_often_as_they_are_finished() -> None:
    done = Counter({"voter/a": 1, "supervised": 2, "of another start": 1})
    left = [job.name for job in WORK.left(done)]
    assert len(left) == 10
    assert left.count("supervised") == 1 and "voter/a" not in left
    assert done["supervised"] == 2  # what was handed in stays as it was


def test_an_encoder_reads_all_rows_once_and_its_voters_take_no_time() -> None:
    encoders = (EncoderLoad("e5", 2.0, ("embedding+e5",)), EncoderLoad("other", 0.5))
    work = replace(WORK, encoders=encoders)
    more, plain = list(work.jobs()), [job.name for job in WORK.jobs()]
    added = [job for job in more if job.name not in plain]
    assert [(job.stage, job.name, sum(job.rows.values()), job.steps) for job in added] == [
        ("embeddings", "embeddings/e5", 2 * 1108, 0),
        ("embeddings", "embeddings/other", 0.5 * 1108, 0),
        ("generation 0", "voter/embedding+e5", 0, 0),
        ("generation 1", "generation-1/voter/embedding+e5", 0, 0),
    ]
    assert {job.pattern for job in added} == {NO_PATTERN}
    # What is compared on vectors has those of the encoder.
    assert [name for name in plain if name not in [job.name for job in more]] == ["embeddings"]
    rates = Rates(token=0.01, tokens={NO_PATTERN: 10.0}, relative={})
    assert [rates.seconds(job) for job in added] == pytest.approx([0.1 * 2216, 0.1 * 554, 0.0, 0.0])


def test_a_token_costs_an_encoder_its_layers_times_the_square_of_its_width(both_pipeline: Path, tmp_path: Path) -> None:
    assert token_cost(BertConfig(num_hidden_layers=3, hidden_size=8, num_attention_heads=2)) == 192
    wide = save_tiny("bert", tmp_path / "wide", num_hidden_layers=3, hidden_size=64)
    plans = [
        prepare(pet.RunConfig.from_toml(both_pipeline, change))
        for change in (
            ("train.contrastive=false",),
            (
                "train.contrastive=false",
                f"encoder.name={wide}",
            ),
        )
    ]
    loads = [plan.workload.encoders for plan in plans]
    name = "embedding+{}".format
    assert [(load.name, load.cost, load.voters) for (load,) in loads] == [
        ("tiny-encoder", 1.0, (name("tiny-encoder"),)),
        ("wide", 3 * 64**2 / (2 * 32**2), (name("wide"),)),
    ]
    assert [load.hidden for (load,) in loads] == [32, 64] and loads[0][0].weights < loads[1][0].weights


def test_a_smaller_pool_is_smaller_everywhere() -> None:
    work = WORK.with_pool(300)
    assert (work.pool, work.compared, work.embedded, work.generation_rows) == (300, 300, 300, (160, 300))


@pytest.mark.parametrize(
    ("limit", "tokens"),
    [
        ((), 4 * 10 * 360),
        (("adapt.batch_size=1", "model.max_length=8"), 200 * 8),
        (("adapt.steps=3", "adapt.batch_size=2", "model.max_length=32"), 3 * 2 * 32),
        (("adapt.steps=3", "adapt.tokens=50"), 50),
        (("adapt.minutes=0.5",), 30 / (0.01 * LEARNED)),
    ],
)
def test_an_adaptation_takes_what_its_limits_allow(config: Config, limit: tuple[str, ...], tokens: float) -> None:
    pipeline = config("adapt.method=mlm", *limit)
    job = adaptation_load(pipeline.adapt, pipeline.model.max_length, pool=360, filled={})
    assert job is not None
    rates = Rates(token=0.01, tokens={NO_PATTERN: 10.0}, relative={})
    assert rates.seconds(job) == pytest.approx(0.01 * LEARNED * tokens)
    assert rates.seconds(job.with_share(0.5)) <= rates.seconds(job)


def test_an_adaptation_is_counted_until_it_is_done(config: Config) -> None:
    work = prepare(config("adapt.method=mlm")).workload
    assert work.adaptation is not None
    first, *others = work.jobs()
    assert first == work.adaptation
    assert work.left(Counter({"adapt": 1})) == others == list(prepare(config()).workload.jobs())
    smaller = work.with_pool(work.pool // 2).adaptation
    assert smaller is not None
    assert smaller.rows["pool"] == pytest.approx(LEARNED * 4 * work.pool / 2)


def test_a_run_that_reads_filled_patterns_votes_once_more(larger: Config) -> None:
    settings = ("adapt.method=pcp", *THREE)
    work, plain = prepare(larger(*settings)).workload, prepare(larger(*THREE)).workload
    first = list(plain.jobs())[: len(work.voters)]
    assert work.adaptation is not None
    assert list(work.jobs()) == [*first, work.adaptation, *plain.jobs()]
    # Each of two patterns is filled with each row that the first generation labels, and read four times.
    assert work.generation_rows[0] < work.pool
    assert work.adaptation.rows["pool"] == LEARNED * 4 * 2 * work.generation_rows[0]
    assert work.adaptation.pattern == work.voters[0].pattern
    assert work.scored_rows == work.generation_rows[0] + plain.scored_rows


def test_no_pattern_is_filled_with_more_rows_than_are_read(config: Config) -> None:
    job = adaptation_load(config("adapt.method=pcp").adapt, 32, 10**6, {"a": 10**6, "b": 10**6})
    assert job is not None and job.rows["pool"] == LEARNED * 4 * 2 * MOST_FILLED
