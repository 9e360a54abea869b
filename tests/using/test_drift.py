"""What a classifier keeps of its pool, and whether new rows are like it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from toy import rows_of, write_rows
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.errors import ModelError
from pet.labeling.drift import RowFacts
from pet.learners.students.sketch import SKETCH, read_sketch, sketched, write_sketch
from pet.seeding import rng_for
from pet.using.drift import compare, watch
from pet.using.predict import load_classifier


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other rows of the same kind."""
    return write_rows(tmp_path_factory.mktemp("alike") / "in.jsonl", rows_of("unlabeled", 60, seed=1))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Longer rows, of words of one label."""
    rows = [{"text": " ".join(["coach", row["text"]] * 4)} for row in rows_of("test", 40)]
    return write_rows(tmp_path_factory.mktemp("other") / "in.jsonl", rows)


def test_rows_of_the_same_kind_are_alike(sketched_model: Path, alike: Path) -> None:
    result = command("watch", sketched_model, alike)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("No drift: 180 new rows and 120 of the pool look alike")


def test_other_rows_have_drifted(sketched_model: Path, other: Path) -> None:
    result = command("watch", sketched_model, other, "--json")
    assert result.exit_code == 1, result.output
    found = json.loads(result.stdout)
    assert found["drift"] and found["verdict"].startswith("Drift: 120 new rows and 120 of the pool differ: ")
    signals = {one["name"]: one for one in found["signals"]}
    assert set(signals) == {"labels", "confidence", "length", "unknown tokens", "distance"}
    assert signals["length"]["drifted"] and signals["length"]["effect"] > 0.9
    assert "tokens instead of" in found["verdict"] and "are unfamiliar (expected 1%)" in found["verdict"]
    assert 0.0 <= found["unfamiliar"] <= 1.0


def test_few_rows_are_said_to_show_little(sketched_model: Path, alike: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(alike.read_text().splitlines(keepends=True)[:10]))
    drift, _ = watch(sketched_model, str(few))
    assert not drift.drifted and "so few rows show differences above" in drift.verdict


def test_a_sketch_is_written_and_read(sketched_model: Path, tmp_path: Path) -> None:
    sketch = read_sketch(sketched_model, 3)
    assert sketch is not None and sketch.vectors is not None and sketch.limit is not None
    assert sketch.vectors.shape == (90, 32)
    write_sketch(tmp_path, sketch)
    assert (tmp_path / SKETCH).read_bytes() == (sketched_model / SKETCH).read_bytes()
    drift = compare(sketch, sketch.facts, ("a", "b", "c"))
    assert not drift.drifted and all(one.effect == 0.0 for one in drift.signals)


def test_few_rows_leave_no_sketch(sketched_model: Path) -> None:
    assert sketched(load_classifier(sketched_model), (), (), rng_for(0, "sketch")) is None


def test_what_cannot_be_compared_is_said(
    finished: pet.RunResult, sketched_model: Path, alike: Path, tmp_path: Path
) -> None:
    result = command("watch", finished.directory, alike)
    assert result.exit_code == 2 and "keeps nothing of its pool" in result.stderr
    torn = shutil.copytree(sketched_model, tmp_path / "torn")
    (torn / SKETCH).write_bytes(b"torn")
    result = command("watch", torn, alike)
    assert result.exit_code == 2 and "cannot be read" in result.stderr
    result = command("predict", torn, alike, "--output", tmp_path / "out.csv")
    assert result.exit_code == 2 and "cannot be read" in result.stderr
    with pytest.raises(ModelError, match="is of 3 labels, expected 4"):
        read_sketch(sketched_model, 4)
    assert command("watch", sketched_model, tmp_path / "none.csv").exit_code == 2
    assert command("watch", tmp_path / "none", alike).exit_code == 2


def test_facts_are_of_the_same_rows() -> None:
    with pytest.raises(ValueError, match="expected facts of the same rows"):
        RowFacts(np.zeros((2, 3)), np.zeros(2), np.zeros(1))
