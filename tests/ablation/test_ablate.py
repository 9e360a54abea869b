"""Whole ablations of the toy task: what cells share, what a start anew does, and what is written down."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from toy import content

import pet
from pet.ablation.paired import paired
from pet.ablation.result import MEASURES
from pet.method.teach import teach
from pet.runs.shared import SharedJobs

Config = Callable[..., pet.RunConfig]

QUICK = ("train.steps=2", "distill.steps=2", "run.baseline=false")
TWO = {"ensemble.calibration": ["none", "batch"]}


@pytest.fixture(scope="module")
def base(both_pipeline: Path) -> pet.RunConfig:
    return pet.RunConfig.from_toml(both_pipeline, (*QUICK, "data.examples_per_label=6", "train.contrastive=true"))


AXES: Mapping[str, Sequence[Any]] = {"refine.method": ["graph", "none"]}


@pytest.fixture(scope="module")
def done(base: pet.RunConfig, tmp_path_factory: pytest.TempPathFactory) -> pet.AblationResult:
    """An ablation of two cells on two samples; do not change it."""
    return pet.ablate(base, AXES, samples=2, output_dir=tmp_path_factory.mktemp("ablations") / "done", quiet=True)


@pytest.fixture(scope="module")
def patterns_alone(base: pet.RunConfig) -> pet.RunConfig:
    return base.with_settings({"encoder": {"name": "none"}})


def jobs_of(run: Path) -> set[str]:
    return {path.name for path in (run / "jobs").iterdir()}


def files_of(result: pet.AblationResult) -> dict[str, bytes]:
    """Return the bytes of an ablation, but of what tells times."""
    files = content(result.directory)
    return {name: found for name, found in files.items() if not name.startswith("ablation.") and "/jobs/" not in name}


def test_a_cell_is_the_run_that_its_settings_make_alone(
    done: pet.AblationResult, base: pet.RunConfig, patterns_alone: pet.RunConfig, tmp_path: Path
) -> None:
    grown = patterns_alone.with_settings({"adapt": {"steps": 1}, "ipet": {"generations": 2, "accept_all": True}})
    adapted = pet.ablate(grown, {"adapt.method": ["none", "mlm"]}, samples=1, output_dir=tmp_path / "a", quiet=True)
    for result, config in ((done, base), (adapted, grown)):
        cell, seed = result.cells[1], result.samples[-1]
        settings = config.with_settings({"run": {"seed": seed}}).with_settings(cell.cell.changes)
        alone = pet.run(settings, tmp_path / str(seed), quiet=True)
        assert content(result.directory / cell.runs[-1].directory) == content(alone.directory)


def test_an_encoder_reads_the_rows_once_whatever_model_has_read_the_pool(base: pet.RunConfig, tmp_path: Path) -> None:
    config = base.with_settings({"adapt": {"steps": 1}})
    result = pet.ablate(config, {"adapt.method": ["none", "mlm"]}, samples=1, output_dir=tmp_path / "a", quiet=True)
    logs = [(result.directory / run.directory / "run.log").read_text("utf-8") for run in result.runs]
    done = [[line.split()[2] for line in log.splitlines() if " done in " in line] for log in logs]
    encoder = [name for name in done[0] if name.startswith(("embeddings/", "voter/embedding", "voter/contrastive"))]
    assert len(encoder) == 3
    assert sorted(done[1]) == sorted({*done[0], "adapt"} - {*encoder})


def test_what_the_axes_do_not_change_is_done_once(done: pet.AblationResult) -> None:
    for seed in done.samples:
        sample = done.directory / f"sample-{seed}"
        runs = [jobs_of(sample / f"cell-{number}") for number in range(2)]
        shared = {path.name for path in (sample / "jobs").iterdir() if path.is_dir()}
        assert set().union(*runs) == shared
        # All but the classifier: the vote is the same, its refinement another.
        assert len(runs[0] & runs[1]) > 3
        assert len(runs[0] - runs[1]) == len(runs[1] - runs[0]) == 1
        logs = [(sample / f"cell-{number}" / "run.log").read_text("utf-8") for number in range(2)]
        assert sum(log.count(" done in ") for log in logs) == len(shared)


def test_the_figures_are_those_of_the_runs(done: pet.AblationResult) -> None:
    assert [len(cell.runs) for cell in done.cells] == [2, 2]
    for run in done.runs:
        metrics = json.loads((done.directory / run.directory / "metrics.json").read_text("utf-8"))
        rows = {row["name"]: row["test"] for row in metrics["summary"]["rows"]}
        assert (run.classifier, run.classifier_f1) == tuple(
            rows["distilled classifier"][name] for name in ("accuracy", "macro_f1")
        )
        assert (run.ensemble, run.ensemble_f1) == tuple(rows["ensemble"][name] for name in ("accuracy", "macro_f1"))
        assert (metrics["seed"], run.test_rows) == (run.seed, 12)
    baseline = done.cells[0]
    assert baseline.differences == {}
    for cell in done.cells[1:]:
        assert set(cell.differences) == set(MEASURES)
        assert cell.differences["ensemble"] == paired(cell.values("ensemble"), baseline.values("ensemble"))


def test_a_run_costs_what_its_jobs_took_wherever_they_were_done(done: pet.AblationResult) -> None:
    for run in done.runs:
        folder = done.directory / run.directory
        costs = SharedJobs(folder.parent / "jobs").costs()
        assert run.cpu_seconds is not None
        assert run.cpu_seconds + 0.1 > sum(costs[key] for key in jobs_of(folder)) > 0


def test_the_samples_differ_in_their_labeled_rows_and_the_cells_of_one_do_not(done: pet.AblationResult) -> None:
    import pyarrow.parquet as pq

    def gold(run: str) -> list[str]:
        table = pq.read_table(done.directory / run / "pseudo_labels.parquet").to_pylist()
        return [row["id"] for row in table if row["source"] == "gold"]

    drawn = [[gold(run.directory) for run in cell.runs] for cell in done.cells]
    assert all(rows == drawn[0] for rows in drawn)
    assert len(drawn[0][0]) == 18 and drawn[0][0] != drawn[0][1]


def test_every_figure_is_in_the_file_and_the_table_is_markdown(done: pet.AblationResult) -> None:
    found = json.loads(done.path.read_text("utf-8"))
    assert found.pop("format") == "pet-ablation"
    assert found == json.loads(json.dumps(done.as_json()))
    lines = done.table_path.read_text("utf-8").splitlines()
    assert lines[0].startswith("| method | classifier | difference [95 %] | better/worse | p | ensemble |")
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| graph", "| none"]
    assert {line.count("|") for line in lines[:4]} == {11}
    assert "12 test rows" in lines[5] and "seeds 42, 43" in lines[5]


def test_a_finished_ablation_does_nothing_more_samples_are_added_and_force_deletes_another(
    patterns_alone: pet.RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, root = patterns_alone, tmp_path / "grown"
    first = pet.ablate(config, TWO, samples=1, output_dir=root, quiet=True)
    assert [cell.differences["classifier"].p for cell in first.cells[1:]] == [1.0]
    with monkeypatch.context() as patch:
        patch.setattr("pet.ablation.ablate.run", lambda *_, **__: pytest.fail("a finished cell is done again"))
        again = pet.ablate(config, TWO, samples=1, output_dir=root, quiet=True)
    assert again == first
    more = pet.ablate(config, TWO, samples=2, output_dir=root, quiet=True)
    assert more.samples == (42, 43)
    assert [cell.runs[0] for cell in more.cells] == [cell.runs[0] for cell in first.cells]
    other = pet.ablate(config, {"train.steps": [1, 2]}, samples=1, output_dir=root, force=True, quiet=True)
    assert sorted(path.name for path in root.glob("sample-*")) == ["sample-42"]
    assert [len(cell.runs) for cell in other.cells] == [1, 1]


def test_one_that_was_interrupted_goes_on_amid_a_cell_and_ends_the_same(
    patterns_alone: pet.RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pet.ablate(patterns_alone, TWO, samples=1, output_dir=tmp_path / "whole", quiet=True)
    calls = 0

    def interrupted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return teach(*given)

    with monkeypatch.context() as patch:
        patch.setattr("pet.pipeline.teach", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pet.ablate(patterns_alone, TWO, samples=1, output_dir=tmp_path / "broken", quiet=True)
    half = json.loads((tmp_path / "broken" / "ablation.json").read_text("utf-8"))
    assert [len(cell["runs"]) for cell in half["cells"]] == [1, 0]
    voted = list((tmp_path / "broken" / "sample-42" / "cell-1" / "jobs").glob("*/_SUCCESS"))
    assert voted
    before = {path: path.stat().st_mtime_ns for path in voted}
    resumed = pet.ablate(patterns_alone, TWO, samples=1, output_dir=tmp_path / "broken", quiet=True)
    assert {path: path.stat().st_mtime_ns for path in voted} == before
    assert files_of(resumed) == files_of(whole)
    for one, other in zip(resumed.runs, whole.runs, strict=True):
        assert (one.classifier, one.ensemble) == (other.classifier, other.ensemble)
        assert one.cpu_seconds is not None


def test_the_number_of_labeled_rows_can_be_an_axis(patterns_alone: pet.RunConfig, tmp_path: Path) -> None:
    result = pet.ablate(
        patterns_alone, {"data.examples_per_label": [2, 4]}, samples=1, output_dir=tmp_path / "a", quiet=True
    )
    rows = [json.loads((result.directory / run.directory / "metrics.json").read_text())["rows"] for run in result.runs]
    assert [one["labeled"] for one in rows] == [6, 12]


@pytest.mark.slow
def test_what_processes_do_side_by_side_is_shared_and_counted_too(
    patterns_alone: pet.RunConfig, tmp_path: Path
) -> None:
    config = patterns_alone.with_settings({"run": {"workers": 2}})
    result = pet.ablate(config, TWO, samples=1, output_dir=tmp_path / "a", quiet=True)
    logs = [(result.directory / run.directory / "run.log").read_text("utf-8") for run in result.runs]
    assert [log.count("job voter/") for log in logs] == [2, 0]
    assert all(run.cpu_seconds for run in result.runs)
