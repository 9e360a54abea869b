"""Runs whose rows have candidates: from the files to the classifier that chooses, and what is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from choosing import choice_rows, write_choices
from tiny import save_tiny
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.errors import PetError
from pet.using.files import evaluate_file
from pet.using.predict import predict

SHORT = ("train.steps=6", "distill.steps=6", "run.workers=1", "data.max_unlabeled=12", "data.max_test=6")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choices")
    return write_choices(folder, save_tiny("bert", folder / "model"))


@pytest.fixture(scope="module")
def done(pipeline: Path) -> Path:
    pet.run(pet.RunConfig.from_toml(pipeline, SHORT), pipeline.parent / "run", quiet=True)
    return pipeline.parent / "run"


def test_a_run_labels_the_pool_with_indices_of_candidates(done: Path) -> None:
    rows = pq.read_table(done / "pseudo_labels.parquet").to_pylist()
    assert {row["source"] for row in rows} == {"gold", "pseudo"}
    for row in rows:
        count = len(json.loads(row["choices"] if "choices" in row else row["options"]))
        assert int(row["label"]) < count
        absent = [row[f"prob_{i}"] for i in range(count, 4)]
        assert all(prob < 1e-6 for prob in absent)
    lines = {line["name"] for line in json.loads((done / "metrics.json").read_text())["summary"]["rows"]}
    assert {"ensemble", "distilled classifier", "supervised baseline"} <= lines


def test_the_classifier_chooses_among_any_number(done: Path) -> None:
    asked: list[dict[str, Any]] = [
        {"text": "the team won", "options": ["bank", "match won", "chip", "phone", "money", "goal"]},
        {"text": "the money", "options": ["bank"]},
    ]
    first, second = predict(done, asked)
    assert predict(done, [tuple(row.values()) for row in asked]) == [first, second]  # as the card of the model calls it
    assert first.choice == asked[0]["options"][int(first.label)] and len(first.probs) == 6
    assert (second.choice, second.label, second.confidence) == ("bank", "0", 1.0)


def test_files_are_labeled_with_the_candidate_that_was_chosen(done: Path, tmp_path: Path) -> None:
    rows = choice_rows("more", 5)
    table = tmp_path / "more.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "options", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "options": json.dumps(row["options"])} for row in rows)
    found = CliRunner().invoke(app, ["predict", str(done), str(table), "--output", str(tmp_path / "out.jsonl")])
    assert found.exit_code == 0, found.output
    labeled = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    for row, said in zip(rows, labeled, strict=True):
        assert said["choice"] == row["options"][int(said["pet_label"])]
    assert evaluate_file(done, str(table))[0].n == 5


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ([], ("no candidates in the column 'options'",)),
        (None, ("no candidates",)),
        ("a, b", ("expected a list of candidates",)),
        (["a", " "], ("a candidate in the column 'options' is",)),
        (["a", "b"], ("the label is '5'", "from 0 to 1")),
    ],
)
def test_rows_that_cannot_be_used(pipeline: Path, tmp_path: Path, cell: object, parts: tuple[str, ...]) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"text": "a", "options": cell, "label": 5}) + "\n", encoding="utf-8")
    refused(pipeline, [f'data.train="{path}"'], *parts)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ('task.labels=["a", "b"]', ("labels", "index of a candidate")),
        ("ipet.generations=3", ("choices", "ipet.generations = 3")),
        ('train.preset="warp"', ("candidates of a row", "output")),
        ('train.preset="fast"', ("choices", "fast")),
        ('distill.size="static"', ("choices", "distill.size")),
        ('task.choices="nothing"', ("choices", "[task] choices")),
    ],
)
def test_settings_that_do_not_go_with_candidates(pipeline: Path, change: str, parts: tuple[str, ...]) -> None:
    refused(pipeline, [change], *parts)


def refused(pipeline: Path, changes: list[str], *parts: str) -> None:
    with pytest.raises(PetError) as caught:
        pet.run(pet.RunConfig.from_toml(pipeline, changes), pipeline.parent / "refused", quiet=True)
    assert all(part in str(caught.value) for part in parts), caught.value
    assert caught.value.exit_code == 2
