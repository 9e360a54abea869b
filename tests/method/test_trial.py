"""What a trial decides, on a toy run with made-up times and labels."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import pet
from pet.learners.voters.pvp import Voter
from pet.method import trial
from pet.method.plan import Plan, prepare
from pet.method.stages import Workbench
from pet.method.trial import Trial, crew_for, settled_before
from pet.runs.jobs import JobStore
from pet.settings.run import RunSettings

Config = Callable[..., pet.RunConfig]
Settle = Callable[..., tuple[Plan, list[str]]]


@pytest.fixture
def settle(toy_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settle:
    """Settle a run on a machine with bfloat16 and two threads; `differing` rows get another label in it."""

    def call(
        *settings: str,
        differing: int = 0,
        seconds: tuple[float, float] = (1.0, 1.0),
        threads: int = 2,
        times: float = 0.0,
    ):
        scored: list[str] = []

        def scores(voter: Voter, rows: list[object]) -> np.ndarray:
            scored.append(voter.machine.inference)
            found = np.tile(np.float32([1.0, 0.0, 0.0]), (len(rows), 1))
            if voter.machine.inference == "bf16":
                found[:differing] = found[:differing, ::-1]
            return found

        config = pet.RunConfig.from_toml(toy_pipeline, ["run.precision=auto", *settings])
        monkeypatch.setattr(
            "pet.learners.models.machine._precision", lambda name, _: "bf16" if name == "auto" else name
        )
        monkeypatch.setattr(trial.torch, "get_num_threads", lambda: threads)
        monkeypatch.setattr(trial, "_seconds", lambda *given: seconds[given[2] - 1])
        monkeypatch.setattr(trial, "SCORED_TIMES", times)
        monkeypatch.setattr(trial, "_free_memory", lambda _: 64e9)
        monkeypatch.setattr(Voter, "scores", scores)
        plan = prepare(config)
        bench = Workbench(plan.inputs, JobStore(tmp_path / "jobs"))
        said: list[str] = []
        trial.settle(plan, bench, said.append)
        return replace(plan, inputs=bench.inputs), said, scored

    return call


def test_bfloat16_is_taken_where_it_gives_the_same_labels(settle: Settle) -> None:
    plan, said, scored = settle()
    assert (plan.inputs.machine.inference, said, scored) == ("bf16", [], ["fp32", "fp32", "bf16", "bf16"])
    _, _, scored = settle()
    assert scored == []  # a run that is started again does not try again


def test_where_it_does_not_the_run_says_so(settle: Settle) -> None:
    plan, said, _ = settle(differing=1)  # of 36 rows
    assert (plan.inputs.machine.precision, plan.inputs.machine.inference) == ("bf16", "fp32")  # it trains in bfloat16
    assert "97.2%" in said[0]
    assert "scored in float32" in said[0]


def test_few_rows_are_scored_in_float32_without_a_trial(settle: Settle) -> None:
    plan, said, scored = settle(times=3.0, threads=1)
    assert (plan.inputs.machine.precision, plan.inputs.machine.inference) == ("bf16", "fp32")
    assert (said, scored) == ([], [])


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_precision_that_is_asked_for_is_not_tried(settle: Settle, precision: str) -> None:
    plan, _, scored = settle(f"run.precision={precision}", differing=36, threads=1)
    assert (plan.inputs.machine.precision, plan.inputs.machine.inference, scored) == (precision, precision, [])


@pytest.mark.parametrize(
    ("settings", "seconds", "threads", "workers"),
    [
        ((), (12.0, 10.0), 2, 2),  # two threads gain little
        ((), (1.9, 1.0), 2, 1),  # they gain nearly all there is
        ((), (1.2e-3, 1e-3), 2, 1),  # it is a matter of seconds
        ((), (12.0, 10.0), 8, 2),  # no more processes than voters
        (("run.workers=1",), (1.2, 1.0), 2, 1),
        (("run.workers=7",), (1.9, 1.0), 2, 2),
    ],
)
def test_processes_where_more_threads_gain_little(settle, settings, seconds, threads, workers) -> None:
    times = (seconds[0], *[seconds[1]] * (threads - 1))
    plan, _, _ = settle(*settings, seconds=times, threads=threads)
    assert plan.inputs.workers == workers


def test_too_little_memory_makes_no_processes(settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PROCESS_BYTES", 40e9)
    plan, _, _ = settle(seconds=(12.0, 10.0))
    assert plan.inputs.workers == 1


def test_a_crew_has_the_threads_in_equal_parts(settle: Settle, toy_pipeline: Path, tmp_path: Path) -> None:
    plan, _, _ = settle(seconds=(12.0, *[10.0] * 7), threads=8)
    bench = Workbench(plan.inputs, JobStore(tmp_path / "jobs"))
    with crew_for(plan.config, bench):
        assert bench.crew is not None
        assert (bench.crew.workers, bench.crew.threads) == (2, 4)
    assert bench.crew is None
    bench.inputs = replace(plan.inputs, workers=1)
    with crew_for(plan.config, bench):
        assert bench.crew is None


@pytest.mark.slow
def test_a_run_side_by_side_has_the_labels_of_one_alone(toy_pipeline: Path, tmp_path: Path) -> None:
    def table(workers: int):
        settings = [f"run.workers={workers}", "ipet.generations=2", "ipet.growth=2", "run.baseline=false"]
        found = pet.run(pet.RunConfig.from_toml(toy_pipeline, settings), tmp_path / str(workers), quiet=True)
        log = (found.directory / "run.log").read_text()
        return found.soft_labels.probs, found.pseudo_labels.read_bytes(), log

    alone, side_by_side = table(1), table(2)
    assert np.abs(alone[0] - side_by_side[0]).max() < 1e-4
    assert side_by_side[2].count("job voter/") == 2  # told by the processes
    jobs = json.loads((tmp_path / "2" / "manifest.json").read_text())["jobs"]
    shutil.rmtree(tmp_path / "2" / "jobs" / jobs["voter/toy/colon+words"])
    again = table(2)  # one voter is left to be done: with as many threads as it was before
    assert again[1] == side_by_side[1]
    assert not (tmp_path / "2" / "tokens").exists()


def test_what_a_run_has_found_counts_later(config: Config, tmp_path: Path) -> None:
    inputs = prepare(config()).inputs
    inputs = replace(inputs, machine=replace(inputs.machine, precision="bf16"))
    found = [settled_before(inputs, settings, tmp_path) for settings in (RunSettings(), RunSettings(precision="bf16"))]
    assert [one.machine.inference for one in found] == ["fp32", "bf16"]  # untried
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "trial.json").write_text(json.dumps(asdict(Trial("bf16"))))
    assert settled_before(inputs, RunSettings(), tmp_path).machine.inference == "bf16"
