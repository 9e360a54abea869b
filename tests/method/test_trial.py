"""What a trial decides, on a toy run with made-up times and labels."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from generation_runs import ToyLog

import pet
from pet.learners.voters.pvp import PvpVoter
from pet.method import trial
from pet.method.plan.opening import open_place
from pet.method.plan.plan import prepare
from pet.method.trial import Trial, earlier_machine
from pet.runs.jobs import JobStore
from pet.settings.run import RunSettings

Config = Callable[..., pet.RunConfig]
Tried = Callable[..., tuple[Trial, list[str], list[str]]]


@pytest.fixture
def tried(toy_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tried:
    """Settle a run on a machine with bfloat16 and two threads; `differing` rows get another label in it."""

    def call(
        *settings: str,
        differing: int = 0,
        seconds: tuple[float, float] = (1.0, 1.0),
        threads: int = 2,
        anyway: bool = True,
    ) -> tuple[Trial, list[str], list[str]]:
        scored: list[str] = []

        def scores(voter: PvpVoter, rows: list[object]) -> np.ndarray:
            scored.append(voter.machine.inference)
            found = np.tile(np.asarray([1.0, 0.0, 0.0], np.float32), (len(rows), 1))
            if voter.machine.inference == "bf16":
                found[:differing] = found[:differing, ::-1]
            return found

        config = pet.RunConfig.from_toml(toy_pipeline, ["run.precision=auto", *settings])
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        monkeypatch.setattr(trial, "scoring_seconds", lambda *given: seconds[given[2] - 1])
        if anyway:
            monkeypatch.setattr(trial, "PROBED_SHARE", 1)
            monkeypatch.setattr(trial, "FEWEST_PROBED", 0)
        monkeypatch.setattr(trial, "free_memory", lambda _: 64e9)
        monkeypatch.setattr(PvpVoter, "scores", scores)
        plan, log = prepare(config), ToyLog()
        found = plan.tried.trial(JobStore(tmp_path / "jobs"), log)
        assert plan.machine.precision == ("fp32" if config.run.precision == "fp32" else "bf16")  # it trains in it
        return found, log.said, scored

    return call


def test_bfloat16_is_taken_where_it_gives_the_same_labels(tried: Tried) -> None:
    found, said, scored = tried()
    assert (found.scoring, said, scored) == ("bf16", [], ["fp32", "fp32", "bf16", "bf16"])
    _, _, scored = tried()
    assert scored == []  # a run that is started again does not try again


def test_what_was_found_of_other_voters_does_not_count(tried: Tried) -> None:
    assert tried()[2]
    for settings in ("train.steps=3", "prompts.patterns=toy/colon"):
        assert tried(settings)[2]
        assert tried(settings)[2] == []


def test_where_it_does_not_the_run_says_so(tried: Tried) -> None:
    found, said, _ = tried(differing=1)  # of 36 rows
    assert found.scoring == "fp32"
    assert "97.2%" in said[0]
    assert "scored in float32" in said[0]


def test_few_rows_are_scored_in_float32_without_a_trial(tried: Tried) -> None:
    found, said, scored = tried(anyway=False, threads=1)
    assert (found.scoring, said, scored) == ("fp32", [], [])


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_precision_that_is_asked_for_is_not_tried(tried: Tried, precision: str) -> None:
    found, _, scored = tried(f"run.precision={precision}", differing=36, threads=1)
    assert (found.scoring, scored) == (precision, [])


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
def test_processes_where_more_threads_gain_little(
    tried: Tried, settings: tuple[str, ...], seconds: tuple[float, float], threads: int, workers: int
) -> None:
    times = (seconds[0], *[seconds[1]] * (threads - 1))
    assert tried(*settings, seconds=times, threads=threads)[0].workers == workers


def test_too_little_memory_makes_no_processes(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PROCESS_BYTES", 40e9)
    assert tried(seconds=(12.0, 10.0))[0].workers == 1


@pytest.mark.parametrize(("threads", "workers", "each"), [(8, 2, 4), (3, 2, 1), (8, 1, None)])
def test_processes_have_the_threads_in_equal_parts(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, workers: int, each: int | None
) -> None:
    monkeypatch.setattr("pet.method.plan.opening.torch.get_num_threads", lambda: threads)
    plan = prepare(config(f"run.workers={workers}"))
    with open_place(plan, tmp_path / "run", quiet=True) as place, place.handing(place.jobs) as handing:
        assert (handing.workers, handing.needs.cpus) == (2, each) if handing else each is None


@pytest.mark.slow
def test_a_run_side_by_side_has_the_labels_of_one_alone(toy_pipeline: Path, tmp_path: Path) -> None:
    def table(workers: int) -> tuple[np.ndarray, bytes, str]:
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
    machine = replace(prepare(config()).machine, precision="bf16")
    assert earlier_machine(RunSettings(), machine, tmp_path).inference == "fp32"  # untried
    assert earlier_machine(RunSettings(precision="bf16"), machine, tmp_path).inference == "bf16"
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "trial.json").write_text(json.dumps(asdict(Trial("bf16"))))
    assert earlier_machine(RunSettings(), machine, tmp_path).inference == "bf16"
