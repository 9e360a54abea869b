"""Runs listed, compared, cleaned and read as tables; pictures of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.errors import ConfigError, DataError
from pet.method.measured import replace_measured
from pet.reports.comparison import PairedRows, compare_runs, comparison_lines, comparison_table
from pet.reports.runs import list_runs
from pet.runs.cleaning import removable
from pet.runs.directory import RunDirectory
from pet.runs.lock import LOCK, OWNER
from pet.runs.log import failures_logged
from pet.runs.state import RunState


def state(root: Path) -> str:
    return RunState.of(RunDirectory(root)).state


def test_the_state_of_a_run_is_read_from_its_folder(copied: Path) -> None:
    assert state(copied) == "finished"
    (copied / OWNER).write_text("{}")  # of a process that was killed
    assert state(copied) == "finished"
    with FileLock(copied / LOCK):
        assert state(copied) == "running" and removable(RunDirectory(copied)) == []
    with pytest.raises(ValueError, match="no"), failures_logged(copied / "run.log"):
        raise ValueError("no\nroom")
    found = RunState.of(RunDirectory(copied))
    assert (found.state, found.why) == ("failed", "ValueError: no room") and found.written > 1e9
    with (copied / "run.log").open("a") as log:
        log.write("2026-01-01T00:00:00+00:00 started: 2 voters, 36 rows to label\n")
    (copied / "metrics.json").unlink()
    assert state(copied) == "labeled"
    (copied / "pseudo_labels.parquet").unlink()
    assert state(copied) == "interrupted"


def test_runs_are_listed_with_what_says_most_of_each(copied: Path, tmp_path: Path) -> None:
    (copied / "jobs" / "manifest.json").write_text("{}")  # of something else
    (line,) = list_runs(tmp_path)
    assert line.state == "finished" and line.data == "toy: 12 labeled, 36 unlabeled" and line.size > 10_000
    assert line.headline is not None and line.headline.endswith("right on 12 test rows")
    found = CliRunner().invoke(app, ["runs", str(tmp_path)])
    assert "copied" in found.stdout and "toy: 12 labeled" in found.stdout
    assert json.loads(CliRunner().invoke(app, ["runs", str(tmp_path), "--json"]).stdout)[0]["state"] == "finished"
    assert "There is no folder" in CliRunner().invoke(app, ["runs", str(tmp_path / "none")]).stderr
    assert "no run in" in CliRunner().invoke(app, ["runs", str(copied / "model")]).stderr


def test_paired_rows_by_hand() -> None:
    first, second = np.array([True] * 5 + [False] * 5), np.array([False] + [True] * 9)
    found = PairedRows.of(first, second)
    assert (found.n, found.only_first, found.only_second) == (10, 1, 5)
    assert found.difference == pytest.approx(0.4)
    # sqrt((6/10 - 0.4^2) / 10) = 0.2098; of 6 rows that one alone has right, 5 or more: 2 x 7/64.
    assert (found.low, found.high) == pytest.approx((0.4 - 1.96 * 0.20976, 0.4 + 1.96 * 0.20976), abs=1e-4)
    assert found.p == pytest.approx(14 / 64)


def test_two_runs_are_compared_on_the_rows_of_both(finished: pet.RunResult, copied: Path) -> None:
    path, other = copied / "test_labels.parquet", finished.directory
    table = pq.read_table(path)
    wrong = pa.array(["Tech" if one != "Tech" else "Sports" for one in table["label"].to_pylist()])
    place = table.column_names.index("distilled classifier")
    changed = table.set_column(place, "distilled classifier", wrong).set_column(0, "id", wrong)
    pq.write_table(changed.slice(2).take(list(range(9, -1, -1))), path)  # ten of the twelve, in another order
    text = (copied / "config.toml").read_text()
    (copied / "config.toml").write_text(text.replace("seed = 42", "seed = 7"))
    found = compare_runs(other, copied)
    assert found.settings == (("run.seed", 42, 7),) and found.others == () and found.agreement == 1.0
    lines = {line.name: line.paired for line in found.lines}
    ensemble, student = lines["ensemble"], lines["distilled classifier"]
    assert ensemble is not None and student is not None
    assert (ensemble.n, ensemble.only_first, ensemble.only_second, ensemble.p) == (10, 0, 0, 1.0)
    assert student.only_second == 0 and student.difference <= 0
    said = comparison_lines(found)
    assert said[0] == "run.seed: 42 and 7" and "both gave 100.0% of 36 rows" in said[1]
    assert comparison_table(found).row_count == len(found.lines)
    path.unlink()
    assert "nothing is compared row by row" in comparison_lines(compare_runs(other, copied))[-1]
    with pytest.raises(ConfigError, match="is no run directory"):
        compare_runs(other, copied / "model")
    shown = CliRunner().invoke(app, ["compare", str(other), str(copied)])
    assert "run.seed: 42 and 7" in shown.stdout and "ensemble" in shown.stdout
    assert json.loads(CliRunner().invoke(app, ["compare", str(other), str(copied), "--json"]).stdout)["shared"] == 36


def test_the_row_of_another_classifier_takes_the_place_of_the_old_one(copied: Path) -> None:
    path = copied / "test_labels.parquet"
    probs = np.tile(np.array([0.1, 0.2, 0.7], np.float32), (12, 1))
    replace_measured(path, probs, ("Sports", "Business", "Tech"))
    table = pet.read_run(copied).test
    assert set(table["distilled classifier"].to_pylist()) == {"Tech"}
    assert table["confidence"].to_pylist() == pytest.approx([0.7] * 12)
    replace_measured(path, probs[:3], ("Sports", "Business", "Tech"))  # of other rows
    replace_measured(copied / "none.parquet", probs, ("Sports", "Business", "Tech"))
    assert len(pet.read_run(copied).test) == 12 and not (copied / "none.parquet").exists()


def test_what_can_go_goes_only_when_it_is_said(copied: Path) -> None:
    name, key = next(iter(json.loads((copied / "manifest.json").read_text())["jobs"].items()))
    shutil.copytree(copied / "jobs" / key, copied / "jobs" / "0123456789abcdef")
    (copied / ".tmp-model-4711").mkdir()
    found = {one.path.name: one for one in removable(RunDirectory(copied))}
    assert found["0123456789abcdef"].why == f"the job {name}, done anew since"
    assert found[key].needed_again and not found[".tmp-model-4711"].needed_again
    said = CliRunner().invoke(app, ["clean", str(copied)])
    assert "add --yes to remove it" in said.stderr and (copied / ".tmp-model-4711").is_dir()
    CliRunner().invoke(app, ["clean", str(copied), "--yes"])
    assert {one.path.name for one in removable(RunDirectory(copied))} == found.keys() - {
        "0123456789abcdef",
        ".tmp-model-4711",
    }
    CliRunner().invoke(app, ["clean", str(copied), "--jobs", "--yes"])
    assert removable(RunDirectory(copied)) == [] and list((copied / "jobs").iterdir()) == []
    assert state(copied) == "finished" and len(pet.read_run(copied).labels) == 48
    assert pet.predict(copied, ["the team won a match"])[0].label


def test_a_run_is_read_as_tables_whose_integers_stay_so(three: pet.RunResult) -> None:
    run = pet.read_run(three.directory)
    assert run.labels.num_rows == 24 + 120 and run.config.run.seed == 42 and run.facts["task"] == "toy"
    frame = run.labels.to_pandas()
    assert str(frame["generation"].dtype) == "Int64" and frame["generation"].isna().sum() == 24
    assert str(frame["shelf"].dtype).lower() == "int64"
    generations = run.generations.to_pandas()
    assert generations["generation"].tolist() == [0, 1, 2] and str(generations["continues"].dtype) == "Int64"
    assert generations["voters"].tolist() == [2, 2, 2] and "share_Tech" in generations
    votes = run.votes.to_pandas()
    last = votes[votes["generation"] == 2]
    assert len(last) == 2 * 120 and last[["prob_Sports", "prob_Business", "prob_Tech"]].sum(axis=1).to_numpy() == (
        pytest.approx(np.ones(240), abs=1e-5)
    )
    metrics = run.metrics.to_pandas().set_index("name")
    assert metrics.loc["ensemble", "n"] == 12 and 0 <= metrics.loc["ensemble", "accuracy"] <= 1
    assert (run.test["ensemble"].to_numpy() == run.test["label"].to_numpy()).mean() == pytest.approx(
        metrics.loc["ensemble", "accuracy"]
    )


def test_what_is_not_there_to_read_is_said(copied: Path) -> None:
    with pytest.raises(ConfigError, match="is no run directory"):
        pet.read_run(copied / "model")
    for name in ("metrics.json", "pseudo_labels.parquet", "test_labels.parquet"):
        (copied / name).unlink()
    shutil.rmtree(copied / "generations")
    run = pet.read_run(copied)
    for table in ("labels", "votes", "metrics", "test"):
        with pytest.raises(DataError):
            getattr(run, table)


def test_pictures_are_drawn_into_axes(both: pet.RunResult) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    run, (_, axes) = pet.read_run(both.directory), pyplot.subplots(1, 5)
    drawn = (pet.plot.confidence, pet.plot.reliability, pet.plot.confusion, pet.plot.agreement, pet.plot.pool_map)
    for draw, ax in zip(drawn, axes, strict=True):
        assert draw(run, ax) is ax
    assert sum(patch.get_height() for patch in axes[0].patches) == 72
    assert (
        sum(int(text.get_text()) for text in axes[1].texts) == sum(int(text.get_text()) for text in axes[2].texts) == 12
    )
    assert sum(len(points.get_offsets()) for points in axes[4].collections) == 72
    assert pet.plot.confidence(both.directory).get_title() == "How sure the labels are"
    with pytest.raises(DataError, match="No line 'ensembel'"):
        pet.plot.confusion(run, axes[0], "ensembel")
    pyplot.close("all")


def test_a_picture_of_what_is_not_there(finished: pet.RunResult) -> None:
    with pytest.raises(DataError, match="keeps no vectors"):
        pet.plot.pool_map(finished.directory)
