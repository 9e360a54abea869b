"""A probe measures what is left to do, in its time, and leaves nothing behind."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

import pet
from pet.errors import RunError
from pet.forecast.footprint import peak_memory
from pet.forecast.forecast import Rates
from pet.forecast.probe import Clock, Probe
from pet.forecast.workload import BASELINE, STUDENT, variant_of
from pet.learners.students.classifier import TextClassifier
from pet.learners.voters.pvp import PvpVoter
from pet.method.plan.plan import Plan, prepare

Config = Callable[..., pet.RunConfig]
NONE = Counter[str]()


def probed(plan: Plan, done: Counter[str] = NONE, **how: bool) -> Rates:
    return probe_of(plan).rates(plan.workload, done, **how)


def probe_of(plan: Plan) -> Probe:
    return plan.probe


def clock_of(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let whatever is timed take so many seconds, or some times as many."""
    moments = count(0.0, seconds)
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))


def test_a_first_impression_is_enough_for_a_matter_of_seconds(config: Config, tmp_path: Path) -> None:
    plan = prepare(config())
    rates = probed(plan)
    assert set(rates.steps) == {variant_of(plan.patterns[0])}
    assert rates.memory is None
    assert rates.token > 0 and rates.encode > 0 and min(rates.steps.values()) > 0
    assert list(tmp_path.iterdir()) == []


def test_longer_work_is_measured_closer_each_variant_and_the_classifiers(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_of(monkeypatch, 0.001)
    mixed = pet.RunConfig.from_mapping(
        config().model_dump(exclude_none=True)
        | {"train": {"steps": 6, "batch_size": 4, "voters": [{"patterns": ["toy/colon"]}, {"preset": "bitfit"}]}}
    )
    plan = prepare(mixed)
    rates = probed(plan, always=True)
    variants = [variant_of(spec) for spec in plan.patterns]
    assert set(rates.steps) == {*variants, STUDENT, BASELINE}
    assert rates.numbers[variants[0]] > 10 * rates.numbers[variants[-1]] > 0
    assert rates.memory is not None and rates.memory > 10**8
    assert rates.tokens["toy/category+words"] > rates.tokens["toy/colon+words"] > rates.tokens[""]
    labels_only = probed(plan, whole=False, always=True)
    assert set(labels_only.steps) == set(variants)


def test_the_model_is_as_it_was_and_so_is_every_score(config: Config, tmp_path: Path) -> None:
    plan = prepare(config())
    probe = probe_of(plan)
    voter = probe.model.voter(plan.patterns[0].pvp)
    before = voter.scores(plan.data.test)
    weights = {name: tensor.clone() for name, tensor in voter.backbone.model.state_dict().items()}
    probe.rates(plan.workload, NONE, always=True)
    after = probe.model.voter(plan.patterns[0].pvp)
    assert after.backbone is voter.backbone and not after.backbone.model.training
    assert all(torch.equal(tensor, weights[name]) for name, tensor in after.backbone.model.state_dict().items())
    assert np.array_equal(after.scores(plan.data.test), before)


def test_what_is_finished_is_not_measured(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = prepare(config())
    done = Counter(job.name for job in plan.workload.jobs(whole=False))
    monkeypatch.setattr(PvpVoter, "train", lambda *_, **__: pytest.fail("a finished voter is trained"))
    assert set(probed(plan, done).steps) == {STUDENT, BASELINE}


def test_a_model_of_which_an_update_takes_longer_than_the_probe_makes_few(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_of(monkeypatch, 7.0)
    monkeypatch.setattr(TextClassifier, "from_source", lambda *_, **__: pytest.fail("a second model is loaded"))
    updates: list[Clock] = []
    hear = Clock.__call__

    def heard(clock: Clock, *_: int) -> None:
        updates.append(clock)
        hear(clock)

    monkeypatch.setattr(Clock, "__call__", heard)
    plan = prepare(config())
    rates = probed(plan)
    assert (len(updates), rates.slowest) == (1, 7.0)
    # The classifier's weights are not there: they come on top of what was seen.
    seen = peak_memory()
    assert rates.memory is not None and seen is not None and rates.memory > 0.9 * seen


def test_an_update_costs_the_median_and_the_start_what_the_first_took_more(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 5.0, 6.0, 9.0, 10.0, 11.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))

    def train(clock: Callable[[int], None]) -> None:
        for _ in range(5):
            clock(1)
        raise AssertionError("it was not ended")

    assert Clock(11.0, torch.device("cpu")).measure(train) == (1.0, 4.0)


def test_a_loss_that_is_not_finite_ends_a_measurement_and_not_the_run() -> None:
    def fail(clock: object) -> None:
        raise RunError("The loss became nan")

    assert Clock(1.0, torch.device("cpu")).measure(fail) == (0.0, 0.0)
