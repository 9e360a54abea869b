"""What a run is said to take before it starts, and at its end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import content
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.forecast import outlook as module
from pet.forecast.forecast import Forecast, Rates, Saving, StageForecast
from pet.forecast.outlook import Outlook
from pet.forecast.probe import Probe
from pet.forecast.workload import STUDENT
from pet.pipeline import label
from pet.reports.outlook import outlook_lines

Config = Callable[..., pet.RunConfig]


def planned(pipeline: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["plan", str(pipeline), *map(str, arguments)])


def long_run(monkeypatch: pytest.MonkeyPatch, step: float = 2.0) -> None:
    """Let every update be thought to take so many seconds."""

    def measured(probe: object, work: object, done: object, *, whole: bool = True, always: bool = False) -> Rates:
        tokens = {"": 10.0, "toy/colon+words": 10.0, "toy/category+words": 10.0}
        return Rates(token=0.0, tokens=tokens, relative={}, steps={STUDENT: step}, memory=10**9)

    monkeypatch.setattr(Probe, "rates", measured)


def test_the_command_shows_stages_and_totals_and_makes_nothing(toy_pipeline: Path, tmp_path: Path) -> None:
    result = planned(toy_pipeline, "--output-dir", tmp_path / "run")
    assert result.exit_code == 0, result.output
    table = [line.split()[:2] for line in result.stdout.splitlines()[1:6]]
    assert table == [["voters", "2"], ["distilling", "1"], ["zero-shot", "2"], ["baselines", "2"], ["all", "7"]]
    assert "at the peak" in result.stdout and f"MB in {tmp_path / 'run'}" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_json_has_the_stages_in_seconds_and_bytes(toy_pipeline: Path, tmp_path: Path) -> None:
    found = json.loads(planned(toy_pipeline, "--output-dir", tmp_path / "run", "--json").stdout)
    assert found["seconds"] == pytest.approx(sum(stage["seconds"] for stage in found["stages"]))
    assert min(stage["seconds"] for stage in found["stages"]) > 0
    assert found["memory_bytes"] > 10**8 and found["disk_bytes"] > 10**4
    assert (found["jobs"], found["finished_jobs"]) == (7, 0)
    assert found["refused"] is None


def test_what_a_folder_holds_that_is_no_run_is_told(toy_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = planned(toy_pipeline, "--output-dir", tmp_path, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 2  # as of `pet run`
    assert "holds no run of pet (it has 'notes.txt')" in found["refused"]
    found = json.loads(planned(toy_pipeline, "--output-dir", tmp_path / "notes.txt", "--json").stdout)
    assert "cannot be read" in found["refused"]


def test_rows_left_out_are_told(toy_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text('{"text": "news"}\n{"text": ""}\n')
    result = planned(toy_pipeline, "--on-bad-row", "skip", "--set", f"data.unlabeled={tmp_path / 'pool.jsonl'}")
    assert result.exit_code == 0 and "1 of 2 unlabeled rows left out" in result.stderr


def test_of_a_finished_run_nothing_is_left(toy_pipeline: Path, finished: pet.RunResult) -> None:
    before = content(finished.directory)
    result = planned(toy_pipeline, "--output-dir", finished.directory)
    assert result.stdout.splitlines() == [f"finished  7 jobs, in {finished.directory}", "left      nothing"]
    assert content(finished.directory) == before
    found = json.loads(planned(toy_pipeline, "--output-dir", finished.directory, "--json").stdout)
    assert (found["seconds"], found["jobs"], found["finished_jobs"]) == (0, 0, 7)
    # With other settings it is another run.
    changed = ("--output-dir", finished.directory, "--set", "train.steps=15")
    other = json.loads(planned(toy_pipeline, *changed, "--json").stdout)
    assert other["jobs"] == 7
    assert "train.steps was 16 and is 15" in other["refused"]  # what `pet run` would say
    assert other["refused"] in " ".join(planned(toy_pipeline, *changed).stdout.split())
    assert content(finished.directory) == before


def test_a_wrong_config_is_told_in_one_line(toy_pipeline: Path) -> None:
    for wrong in ("train.stepz=1", "prompts.patterns=['nowhere/*']", "model.name='nowhere/at-all'"):
        result = planned(toy_pipeline, "--set", wrong)
        assert (result.exit_code, result.stdout) == (2, "")
        assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("error: ")


def test_a_short_run_is_not_told_of(finished: pet.RunResult) -> None:
    assert finished.forecast is None
    assert not (finished.directory / "forecast.json").exists()
    assert "predicted" not in (finished.directory / "run.log").read_text()


def test_a_long_run_tells_at_its_start_and_compares_at_its_end(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long_run(monkeypatch)
    root = tmp_path / "run"
    labeled = label(config(), root)
    # 2 voters of 16 updates.
    assert "predicted: 1 min 4 s for 2 jobs, 1.0 GB of memory, " in capsys.readouterr().err
    assert labeled.forecast is not None and labeled.forecast.startswith("predicted 1 min 4 s, took ")
    whole = pet.run(config(), root)
    # A classifier of 16 updates, and the baseline.
    assert "predicted: 1 min 4 s for 5 jobs (2 are finished), 1.0 GB of " in capsys.readouterr().err
    assert whole.forecast is not None
    assert whole.forecast.startswith("predicted for what was left (5 jobs) 1 min 4 s, took ")
    assert "; 1.0 GB of memory, took " in whole.forecast and " MB on disk, took " in whole.forecast
    found = json.loads((root / "forecast.json").read_text())
    assert found["finished_jobs"] == 2
    assert found["predicted"]["seconds"] == 64
    assert min(found["predicted"]["disk_bytes"], found["actual"]["disk_bytes"]) > 0
    assert [stage["name"] for stage in found["stages"]] == ["distilling", "zero-shot", "baselines"]
    assert 0 < sum(stage["actual"] for stage in found["stages"]) <= found["actual"]["seconds"]


def test_the_figures_and_labels_are_the_same_with_a_forecast(
    config: Config, finished: pet.RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHORT_RUN", 0.0)
    monkeypatch.setattr("pet.forecast.probe.SHORT_RUN", 0.0)  # so that all of the probe is made
    again = pet.run(config(), tmp_path / "run", quiet=True)
    assert again.forecast is not None
    assert (again.directory / "forecast.json").exists()
    assert content(again.directory) == content(finished.directory)


def test_what_there_is_to_say_in_lines() -> None:
    found = Forecast((StageForecast("voters", 2, 90.0),), memory=1_300_000_000, disk=98_000_000, finished=3)
    lines = outlook_lines(
        Outlook(Path("runs/my"), found, (Saving("data.max_unlabeled=350", 62.0), Saving("run.baseline=auto", 5.0)))
    )
    assert lines == [
        ("finished", "3 jobs, in runs/my"),
        ("memory", "1.3 GB at the peak"),
        ("disk", "98 MB in runs/my"),
        ("shorter", "--set data.max_unlabeled=350  saves 1 min 2 s, and may cost accuracy"),
        ("shorter", "--set run.baseline=auto  saves 5 s"),
    ]
