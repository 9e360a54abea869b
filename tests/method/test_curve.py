"""What more labels and more unlabeled rows would bring: on vectors alone, with a reason where it cannot be told."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mistakes import command

import pet
from pet.labeling.curve import Interval, LearningCurve
from pet.method import curve as curves
from pet.method.curve import MORE_LABELS, MORE_ROWS, QUICK, Curve, run_curve
from pet.method.jobs import Jobs
from pet.method.plan.plan import Plan, prepare
from pet.runs.jobs import JobStore
from pet.runs.runner import JobRunner

Measure = Callable[..., Curve]


@pytest.fixture
def measure(both_pipeline: Path, tmp_path: Path) -> Measure:
    """Measure the toy task of 8 rows per label with overrides."""

    def _measure(*overrides: str, cells: float = 1e9) -> Curve:
        plan: Plan = prepare(pet.RunConfig.from_toml(both_pipeline, overrides))
        (tmp_path / "jobs").mkdir(exist_ok=True)
        jobs = Jobs(plan.rows, plan.model, plan.machine, JobRunner(JobStore(tmp_path / "jobs"), {}), plan.seed)
        assert plan.encoder is not None
        return run_curve(plan.encoder, jobs, replace(QUICK, cells=cells))

    return _measure


def test_both_curves_are_measured_on_rows_held_out(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "LEAST_POOL", 20)
    found = measure()
    assert (found.labels, found.rows, found.pool, found.why) == (3, 24, 72, "")
    assert found.labeled is not None and found.unlabeled is not None
    # Two of three folds are learned from: 16 rows, and shares of them, of each label the same.
    assert [point.rows for point in found.labeled.points] == [pytest.approx(n, abs=2) for n in (4, 6, 10, 16)]
    assert [point.rows for point in found.unlabeled.points] == [18, 36, 72]
    assert (found.labeled.now, found.labeled.more) == (24, 3 * MORE_LABELS)
    assert (found.unlabeled.now, found.unlabeled.more) == (72, MORE_ROWS)
    assert all(0 <= point.accuracy.low <= point.accuracy.high <= 1 for point in found.labeled.points)
    assert found == measure()  # the same draws each time


def test_a_small_pool_has_no_curve_of_its_own(measure: Measure) -> None:
    found = measure()
    assert found.labeled is not None and found.unlabeled is None
    assert found.why == "what more unlabeled rows would bring cannot be told from 72 of them"


@pytest.mark.parametrize(
    ("overrides", "cells", "why"),
    [
        (["data.examples_per_label=1"], 1e9, r"so few labeled rows \(1.0 of each label in the mean\): 4 of each"),
        (["data.train="], 1e9, r"so few labeled rows \(none\)"),
        ([], 10, "takes a while with so many labels: `pet curve` tells it"),
    ],
)
def test_where_it_cannot_be_told_a_sentence_says_why(
    measure: Measure, overrides: list[str], cells: float, why: str
) -> None:
    found = measure(*overrides, cells=cells)
    assert found.labeled is None and found.unlabeled is None
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(found.sentence)


def test_the_sentence_by_hand() -> None:
    gains = Interval(0.021, 0.004, 0.0399), Interval(-0.001, -0.02, 0.01)
    labeled, unlabeled = (LearningCurve((), 24, 30, gain) for gain in gains)
    assert Curve(3, 24, 900, labeled, unlabeled).sentence == (
        "10 more labeled rows per label are expected to bring +2.1 (+0.4 to +4.0) points, 5,000 more unlabeled rows "
        "-0.1 (-2.0 to +1.0) (of the voter on vectors alone, extrapolated; 95 % intervals)"
    )


def test_where_every_interval_holds_0_the_sentence_says_that_nobody_knows() -> None:
    gain = replace(LearningCurve((), 8.0, 10.0), gain=Interval(-0.01, -0.03, 0.02))
    assert Curve(3, 24, 500, gain).sentence.endswith(": 24 labeled rows do not tell whether more would help")
    sure = replace(gain, gain=Interval(0.02, 0.01, 0.03))
    assert "do not tell" not in Curve(3, 24, 500, gain, sure).sentence


def test_the_command_prints_a_table_or_json_and_leaves_the_vectors_to_the_run(
    both_pipeline: Path, tmp_path: Path
) -> None:
    table = command("curve", both_pipeline, "--output-dir", tmp_path / "run")
    assert table.exit_code == 0, table.output
    lines = table.stdout.splitlines()
    assert lines[0].split() == ["labeled", "rows", "per", "label", "accuracy", "95", "%", "interval"]
    assert "18 expected" in lines[5] and "more labeled rows per label are expected to bring" in lines[7]
    (vectors,) = (tmp_path / "run" / "jobs").iterdir()
    before = vectors.stat().st_mtime_ns
    found = json.loads(command("curve", both_pipeline, "--output-dir", tmp_path / "run", "--json").stdout)
    assert found["labeled"]["now"] == 24 and found["unlabeled"] is None and found["sentence"] in table.stdout
    assert vectors.stat().st_mtime_ns == before
    labeled = pet.label(pet.RunConfig.from_toml(both_pipeline), tmp_path / "run", quiet=True)
    assert vectors.stat().st_mtime_ns == before and np.isfinite(labeled.soft_labels.probs).all()
    refused = command("curve", both_pipeline, "--set", "encoder.name=none", "--output-dir", tmp_path / "other")
    assert refused.exit_code == 2 and "needs the vectors of an encoder" in refused.stderr
