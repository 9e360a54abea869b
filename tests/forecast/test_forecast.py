"""From counts and rates to seconds and bytes, by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from pet.forecast.forecast import Forecast, Rates, forecast, savings
from pet.forecast.workload import BASELINE, NO_PATTERN, STUDENT, EncoderLoad, JobLoad, VoterLoad, Workload

WORK = Workload(
    voters=(VoterLoad("a", "a", "full", 10), VoterLoad("b", "b", "small", 10)),
    labels=2,
    labeled=10,
    pool=1000,
    test=100,
    compared=500,
    embedded=1000,
    generation_rows=(1000,),
    baseline=True,
    folds=0,
    baseline_steps=20,
    distill_steps=50,
)
RATES = Rates(
    token=0.001,
    tokens={"a": 20.0, "b": 40.0, NO_PATTERN: 10.0},
    relative={"labeled": 2.0, "test": 0.5},
    steps={"full": 1.0, "small": 0.5, STUDENT: 0.8, BASELINE: 0.6},
    starts={"full": 3.0, STUDENT: 2.0},
    encode=0.01,
)


def seconds(found: Forecast) -> dict[str, object]:
    return {stage.name: pytest.approx(stage.seconds) for stage in found.stages}


def test_every_stage_by_hand() -> None:
    found = forecast(WORK, RATES)
    # A pool row counts once, a labeled one twice, a test row half: 1000 + 2 * 10 + 100 / 2 = 1070 rows of the pool.
    assert seconds(found) == {
        "voters": (3.0 + 10 * 1.0 + 1070 * 0.020) + (10 * 0.5 + 1070 * 0.040),
        "distilling": 2.0 + 50 * 0.8 + 550 * 0.010 + 50 * 16 * 0.01,
        "zero-shot": 570 * 0.020 + 570 * 0.040,
        "baselines": (20 * 0.6 + 550 * 0.010 + 10 * 0.01) + 1070 * 0.010,
    }
    assert [stage.jobs for stage in found.stages] == [2, 1, 2, 2]
    assert found.seconds == pytest.approx(82.2 + 55.5 + 34.2 + 28.3)


def test_an_intermediate_generation_labels_its_part_alone() -> None:
    found = forecast(replace(WORK, generation_rows=(100, 1000)), RATES, whole=False)
    assert seconds(found) == {"generation 0": 18 + 170 * 0.060, "generation 1": 18 + 1070 * 0.060}


def test_what_was_not_measured_costs_as_the_slowest_that_was() -> None:
    found = forecast(WORK, replace(RATES, steps={"full": 1.0}, starts={}), whole=False)
    assert found.seconds == pytest.approx(20 * 1.0 + 1070 * 0.060)


def test_finished_jobs_take_no_time() -> None:
    done = Counter({"voter/a": 1, "zero-shot/a": 1, "zero-shot/b": 1})
    found = forecast(WORK, RATES, done)
    assert seconds(found)["voters"] == 5.0 + 1070 * 0.040
    assert "zero-shot" not in seconds(found)
    assert (found.jobs, found.finished) == (4, 3)
    everything = Counter(job.name for job in WORK.jobs())
    assert forecast(WORK, RATES, everything).seconds == 0.0


def test_memory_and_disk_by_hand() -> None:
    rates = replace(RATES, memory=10_000, numbers={"full": 500, "small": 20}, weights=500, tokenizer=70, hidden=4)
    found = forecast(WORK, replace(rates, row=100.0))
    scores = 4 * 2 * 2 * 1000  # bytes, labels, voters, rows
    assert found.memory == 10_000 + 4 * scores
    table = (0.6 * 100 + 4 * (2 + 4) + 2 * 4 * 10) * 1010  # text, scores and more, the tokens in two lists
    embeddings, model = 4 * 4 * (1000 + 10 + 100), 4 * 500 + 2 * 70
    assert found.disk == round(2 * scores + table + embeddings + model)
    # Of the one the whole model is kept, of the other what trained.
    kept = forecast(replace(WORK, keep_models=True, generation_rows=(1000, 1000)), replace(rates, row=100.0))
    assert kept.disk - found.disk == 2 * scores + 2 * ((4 * 500 + 70) + 4 * 20)
    assert forecast(WORK, RATES).memory is None
    adapting = replace(WORK, adaptation=JobLoad("adapting", "adapt", NO_PATTERN, {"pool": 1000}))
    assert forecast(adapting, replace(rates, row=100.0)).disk - found.disk == 4 * 500 + 70  # the adapted model
    static = forecast(replace(WORK, distill_size="static"), replace(rates, row=100.0))
    assert found.disk - static.disk == 4 * 500


def test_an_encoder_that_is_tuned_takes_memory_for_its_update() -> None:
    rates = replace(RATES, memory=10_000)
    plain = EncoderLoad("e5", 1.0, weights=1_000, hidden=4, pieces=5, layers=3)
    size = [
        forecast(replace(WORK, encoders=encoders), rates).memory or 0
        for encoders in ((), (plain,), (plain, replace(plain, tuned=("contrastive+e5",), learned=(48,))))
    ]
    assert size[1] - size[0] == 4 * 1_000 + 1_000 * 5
    update = 1.4 * 60 * 3 * 4 * 32 * 10  # bytes of a token, layers, width, rows, tokens
    assert size[2] - size[1] == 16 * 12 * 3 * 4**2 + update


def test_a_student_of_tokens_alone_reads_the_whole_pool_first() -> None:
    found = {size: forecast(replace(WORK, distill_size=size), RATES) for size in ("same", "small", "static")}
    assert found["same"].seconds == found["small"].seconds
    assert found["static"].seconds - found["same"].seconds == pytest.approx((1010 - 50 * 16) * 0.01)


def test_what_would_shorten_it_most_comes_first() -> None:
    found = {saving.change: saving.seconds for saving in savings(WORK, RATES)}
    assert found == {
        "data.max_unlabeled=500": pytest.approx(500 * 0.060 + 500 * 0.010 + (800 - 510) * 0.01),
        "run.baseline=auto": pytest.approx(28.3 + (500 + 10 * 2.0 + 100 * 0.5) * 0.060),
        "distill.steps=25": pytest.approx(25 * (0.8 + 16 * 0.01)),
    }  # half the steps of the voters save 7.5 s, less than a twentieth
    assert list(found.values()) == sorted(found.values(), reverse=True)
    seeds = replace(WORK, voters=(*WORK.voters, VoterLoad("a#1", "a", "full", 10)))
    assert "train.seeds=1" in {saving.change for saving in savings(seeds, RATES)}
    assert savings(WORK, replace(RATES, token=0.0, encode=0.0, steps={}, starts={})) == []
