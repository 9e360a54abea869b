"""Files labeled in parts: the same bytes however often work is interrupted; folders of Parquet files, some columns."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from toy import rows_of, write_rows
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.data.examples import Example
from pet.data.writers import write_table
from pet.errors import DataError, UsageError
from pet.learners.students.sketch import Scorer, read_sketch, write_sketch
from pet.runs.lock import run_lock
from pet.using.files import FileOptions, predict_file
from pet.using.parts import Pace, Parts
from pet.using.predict import load_classifier

ROWS = [{"id": f"r{i}", "text": row["text"], "n": str(i)} for i, row in enumerate(rows_of("test", 10))]


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 rows, written in pieces of 4."""
    for name in ("pet.using.parts.PART_ROWS", "pet.using.files.PART_ROWS"):
        monkeypatch.setattr(name, 8)
    monkeypatch.setattr("pet.data.output.PIECE_ROWS", 4)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", ROWS)


def interrupted_after(monkeypatch: pytest.MonkeyPatch, parts: int, work: Callable[[], object]) -> None:
    """Do work that is interrupted once so many parts are written."""
    real, written = Parts.write, list[int]()

    def write(self: Parts, part: int, scores: np.ndarray) -> None:
        if len(written) == parts:
            raise KeyboardInterrupt
        written.append(part)
        real(self, part, scores)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "write", write)
        with pytest.raises(KeyboardInterrupt):
            work()


def content(path: Path) -> Any:
    return path.read_bytes() if path.is_file() else {file.name: file.read_bytes() for file in sorted(path.iterdir())}


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl.gz", "out.parquet", "out"])
def test_work_that_was_interrupted_goes_on_to_the_same_bytes(
    sketched_model: Path, tmp_path: Path, source: Path, name: str, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole" / name
    whole.parent.mkdir()
    predict_file(sketched_model, str(source), whole)
    output, resume = tmp_path / name, FileOptions(resume=True)
    for parts in (1, 2):  # each time one or two of four more
        interrupted_after(monkeypatch, parts, lambda: predict_file(sketched_model, str(source), output, resume))
    assert not output.exists()
    found = predict_file(sketched_model, str(source), output, resume)
    assert content(output) == content(whole)
    assert sum(found.given.values()) == len(ROWS)
    assert not list(tmp_path.glob("*.parts"))


def test_work_that_was_interrupted_is_neither_lost_nor_taken_for_other_work(
    sketched_model: Path, tmp_path: Path, source: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.csv"
    interrupted_after(monkeypatch, 2, lambda: predict_file(sketched_model, str(source), output))
    with pytest.raises(UsageError, match=r"out\.csv\.parts holds the scores of 16 rows.*go on with --resume"):
        predict_file(sketched_model, str(source), output)
    other = write_rows(tmp_path / "other.jsonl", ROWS[1:])
    result = command("predict", sketched_model, other, "--output", output, "--resume")
    assert result.exit_code == 2 and "other work (input, shape differ)" in result.stderr
    with run_lock(tmp_path / "out.csv.parts"):
        result = command("predict", sketched_model, source, "--output", output, "--resume")
        assert result.exit_code == 2 and "Another run works in" in result.stderr
    assert command("predict", sketched_model, source, "--output", output, "--resume").exit_code == 0


def test_an_interrupted_command_says_how_to_go_on(
    sketched_model: Path, tmp_path: Path, source: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: Parts, part: int, scores: np.ndarray) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "write", write)
    result = command("predict", sketched_model, source, "--output", tmp_path / "out.csv")
    assert result.exit_code == 130
    assert "the same command with --resume goes on where it stopped" in result.stderr


def test_folders_of_parquet_files_come_in_and_go_out(
    sketched_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pet.data.output.PIECE_ROWS", 4)
    monkeypatch.setattr("pet.data.writers.FILE_PIECES", 2)
    (tmp_path / "in").mkdir()
    for number, rows in enumerate((ROWS[:20], ROWS[20:])):
        write_table(tmp_path / "in" / f"part-{number}.parquet", {name: [row[name] for row in rows] for name in rows[0]})
    (tmp_path / "in" / "_SUCCESS").write_text("{}")
    predict_file(sketched_model, str(tmp_path / "in"), tmp_path / "out")
    files = sorted((tmp_path / "out").glob("*"))
    assert [file.name for file in files] == ["_SUCCESS", *(f"part-{i:05}.parquet" for i in range(4))]
    tables = [pq.read_table(file) for file in files[1:]]
    assert [len(table) for table in tables] == [8, 8, 8, 6]
    assert len({str(table.schema) for table in tables}) == 1
    assert [name for table in tables for name in table["id"].to_pylist()] == [row["id"] for row in ROWS]
    with pytest.raises(DataError, match="is not empty"):
        predict_file(sketched_model, str(tmp_path / "in"), tmp_path / "out")
    # What was written can be read again.
    predict_file(sketched_model, str(tmp_path / "out"), tmp_path / "again.jsonl")
    first = json.loads((tmp_path / "again.jsonl").read_text().splitlines()[0])
    assert first["id"] == "r0" and {"label", "pet_label"} <= set(first)


def test_some_columns_in_the_order_asked_for(sketched_model: Path, tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out.jsonl"
    result = command("predict", sketched_model, source, "--output", output, "--columns", "label, id,unfamiliar")
    assert result.exit_code == 0, result.output
    assert {tuple(json.loads(line)) for line in output.read_text().splitlines()} == {("label", "id", "unfamiliar")}
    result = command("predict", sketched_model, source, "--output", output, "--columns", "labels")
    assert result.exit_code == 2 and "--columns names 'labels'" in result.stderr
    assert "Did you mean label?" in result.stderr


def test_the_encoding_of_a_file(sketched_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes("text\ncafé\n".encode("cp1252"))
    words = ("predict", sketched_model, source, "--output", tmp_path / "out.jsonl")
    assert command(*words).exit_code == 2
    assert command(*words, "--encoding", "cp1252").exit_code == 0
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["text"] == "café"
    result = command(*words, "--encoding", "utf-16")
    assert result.exit_code == 2 and "'utf-16' cannot be used" in result.stderr


def test_rows_unlike_the_pool_are_marked(sketched_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(sketched_model, tmp_path / "model")
    sketch, texts = read_sketch(model, 3), [row["text"] for row in rows_of("unlabeled", 20)]
    rows = [Example(str(i), {"text": text}) for i, text in enumerate(texts)]
    distances = Scorer.of(load_classifier(model), sketch).facts(rows).distances
    assert sketch is not None and distances is not None
    middle = np.float32(np.median(distances))
    write_sketch(model, replace(sketch, facts=replace(sketch.facts, distances=np.full(120, middle))))
    found = [one.unfamiliar for one in pet.predict(model, texts)]
    assert found == (distances > middle).tolist() and found.count(True) == 30
    source = write_rows(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    result = command("predict", model, source, "--output", tmp_path / "out.jsonl")
    assert "30 rows are unlike the pool" in result.stderr
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["unfamiliar"] for line in lines] == found


def test_a_classifier_without_a_sketch_marks_nothing(finished: pet.RunResult) -> None:
    assert pet.predict(finished.directory, ["team match won"])[0].unfamiliar is None


def test_the_pace_counts_what_was_done_now() -> None:
    pace = Pace(100, before=50, begun=-1e9)
    pace.done = 25
    assert pace.share == 0.75 and pace.rate < 1e-6
    assert str(pace).startswith("75 of 100 rows")


@pytest.mark.slow
def test_processes_side_by_side_give_the_same_labels(
    sketched_model: Path, tmp_path: Path, source: Path, small_parts: None
) -> None:
    found = [
        predict_file(sketched_model, str(source), tmp_path / f"{workers}.csv", FileOptions(workers=workers)).given
        for workers in (1, 2)
    ]
    assert found[0] == found[1]
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
