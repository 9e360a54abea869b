"""Labels for other tools, and back: each format by round trip, in the shape that the tool's documents have."""

import csv
import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.data.formats import scan_file
from pet.data.review import read_reviews
from pet.data.source import File
from pet.errors import ConfigError, DataError
from pet.using.formats.export import export_labels, export_table
from pet.using.formats.importing import import_reviews
from pet.using.formats.label_studio import label_config
from pet.using.formats.rows import LabeledSet


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def run(finished: pet.RunResult, tmp_path: Path) -> Path:
    """A run with the files that exports need, and nothing else."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("manifest.json", "config.toml", "pseudo_labels.parquet"):
        shutil.copy(finished.directory / name, folder)
    return folder


def choice(label: str) -> dict[str, Any]:
    return {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}


def test_label_studio_has_tasks_with_predictions_and_a_labeling_interface(run: Path) -> None:
    folder = export_labels(run, "label-studio")
    assert sorted(path.name for path in folder.iterdir()) == ["label_config.xml", "tasks.json"]
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    gold = [task for task in tasks if task["annotations"]]
    (prediction,) = next(task for task in tasks if not task["annotations"])["predictions"]
    assert (len(tasks), len(gold)) == (48, 12)
    assert prediction["model_version"] == "pet" and 0 < prediction["score"] <= 1
    assert prediction["result"] == [choice(prediction["result"][0]["value"]["choices"][0])]
    view = ET.parse(folder / "label_config.xml").getroot()
    choices = view.find("Choices")
    assert choices is not None and view.find("Text").get("value") == "$text"
    assert (choices.get("name"), choices.get("toName")) == ("label", "text")
    assert [one.get("value") for one in choices] == ["Sports", "Business", "Tech"]


def test_label_studio_annotations_come_back_by_majority_without_those_that_were_cancelled(
    run: Path, tmp_path: Path
) -> None:
    tasks = json.loads((export_labels(run, "label-studio", only="pool") / "tasks.json").read_text("utf-8"))
    ann, bob = {"completed_by": {"id": 1, "email": "ann@x.org"}}, {"completed_by": 2}
    tasks[0]["annotations"] = [{"result": [choice("Tech")], "was_cancelled": False, **ann}]
    tasks[1]["annotations"] = [{"result": [choice("Tech")], "was_cancelled": True, **ann}]
    tasks[2]["annotations"] = [{"result": [choice(name)], **bob} for name in ("Tech", "Sports", "Sports")]
    tasks[3]["annotations"] = [{"result": [choice(name)], **bob} for name in ("Tech", "Sports")]
    tasks[4]["annotations"] = [{"result": [], **bob}]
    (tmp_path / "back.json").write_text(json.dumps(tasks), "utf-8")
    found = import_reviews(tmp_path / "back.json", "label-studio", tmp_path / "review.csv", run)
    read = read_reviews(tmp_path / "review.csv")
    assert [(one.id, one.label, one.reviewer) for one in read] == [
        (tasks[0]["data"]["pet_id"], "Tech", "ann@x.org"),
        (tasks[2]["data"]["pet_id"], "Sports", "2"),
    ]
    assert read[0].run == LabeledSet.of(run).run and read[0].fields == {"text": tasks[0]["data"]["text"]}
    assert found.differ == (tasks[3]["data"]["pet_id"],) and found.without == 33
    assert "Tech 1, Sports 1; 33 rows without one; left out, since no label has a majority:" in str(found)
    short = [{**tasks[0]["data"], "id": 1, "label": "Business", "annotator": 1}, {**tasks[1]["data"], "id": 2}]
    (tmp_path / "min.json").write_text(json.dumps(short), "utf-8")
    (one,) = import_reviews(tmp_path / "min.json", "label-studio", tmp_path / "min.csv").reviews
    assert (one.id, one.label, one.reviewer) == (tasks[0]["data"]["pet_id"], "Business", "1")


def test_doccano_counts_what_people_have_changed_unless_all_was_approved(run: Path, tmp_path: Path) -> None:
    file = export_labels(run, "doccano", tmp_path / "d.jsonl", "pool")
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert lines[0]["label"] == [lines[0]["pet_label"]] and lines[0]["text"]
    other = next(name for name in ("Sports", "Tech") if name != lines[1]["pet_label"])
    lines[1]["label"], lines[2]["label"], lines[3]["label"] = [other], [], ["Sports", "Tech"]
    file.write_text("".join(json.dumps({"id": 900 + i, **line}) + "\n" for i, line in enumerate(lines)), "utf-8")
    found = import_reviews(file, "doccano", tmp_path / "r.csv", run)
    assert [(one.id, one.label) for one in found.reviews] == [(lines[1]["pet_id"], other)]
    assert (found.without, found.unchanged, found.differ) == (1, 33, (lines[3]["pet_id"],))
    assert len(import_reviews(file, "doccano", tmp_path / "r.csv", run, unchanged=True, force=True).reviews) == 34


def test_argilla_has_records_with_suggestions_and_takes_responses(run: Path, tmp_path: Path) -> None:
    file = export_labels(run, "argilla", only="pool")
    records = json.loads(file.read_text("utf-8"))
    assert set(records[0]) == {"id", "fields", "metadata", "suggestions", "responses", "vectors"}
    assert set(records[0]["suggestions"]["label"]) == {"value", "score", "agent"}
    records[0]["responses"] = {"label": [{"value": "Tech", "user_id": "u1"}]}
    records[1]["responses"] = {"label": [{"value": "Tech", "user_id": "u1", "status": "draft"}]}
    file.write_text(json.dumps(records), "utf-8")
    found = import_reviews(file, "argilla", tmp_path / "r.csv", run)
    assert [(one.id, one.label, one.reviewer) for one in found.reviews] == [(records[0]["id"], "Tech", "u1")]


def test_cleanlab_gets_numbers_and_ids_in_the_order_of_the_rows(run: Path) -> None:
    folder = export_labels(run, "cleanlab")
    labels, probs, ids = (np.load(folder / f"{name}.npy") for name in ("labels", "pred_probs", "ids"))
    table = pq.read_table(run / "pseudo_labels.parquet").to_pydict()
    names = json.loads((folder / "labels.json").read_text("utf-8"))
    assert labels.dtype == np.int64 and probs.shape == (48, 3) and np.allclose(probs.sum(axis=1), 1, atol=1e-5)
    assert [names[k] for k in labels] == table["label"] and ids.tolist() == table["id"]


def test_the_hub_gets_a_folder_that_datasets_reads_with_class_names(run: Path, tmp_path: Path) -> None:
    import datasets

    folder = export_labels(run, "hub")
    found = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert found.features["label"].names == ["Sports", "Business", "Tech"]
    table = pq.read_table(run / "pseudo_labels.parquet").to_pydict()
    assert [found.features["label"].int2str(k) for k in found["label"]] == table["label"]
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\ntask_categories:\n- text-classification") and "labels are machine-made" in card


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet", "a.xlsx"])
def test_a_table_by_its_suffix_has_the_rows_and_columns_asked_for(run: Path, tmp_path: Path, name: str) -> None:
    export_table(run, tmp_path / name, "gold", ["label", "id"])
    rows: list[Any] = [row for _, row in scan_file(File.at(tmp_path / name))]
    assert len(rows) == 12 and list(rows[0]) == ["label", "id"] and rows[0]["id"] == "train-0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "hubb"], "There is no format 'hubb': expected onnx, label-studio,.* Did you mean hub"),
        (["--to", "a.doc"], "does not end in .csv"),
        (["--to", "a.csv", "--columns", "id,texx"], "has no column 'texx': leave it out. Did you mean text"),
        (["--to", "a.csv", "--output", "b.csv"], "Found two places"),
        (["--to", "doccano", "--output", "b.json"], "does not end in .jsonl"),
        (["--to", "hub", "--columns", "id"], "--columns are those of a table"),
    ],
)
def test_what_cannot_be_exported_is_said(run: Path, options: list[str], message: str) -> None:
    found = command("export", run, *options)
    assert found.exit_code == 2 and len(found.stderr.splitlines()) == 1
    assert re.search(message, found.stderr)


def test_an_export_that_exists_is_refused_without_force(run: Path, tmp_path: Path) -> None:
    for to in ("hub", "doccano", str(tmp_path / "a.csv")):
        assert command("export", run, "--to", to).exit_code == 0
        found = command("export", run, "--to", to)
        assert found.exit_code == 2 and "exists already: give another --output, or add --force" in found.stderr
        assert command("export", run, "--to", to, "--force").exit_code == 0
    with pytest.raises(ConfigError, match="is no run directory"):
        export_labels(tmp_path, "hub")


@pytest.mark.parametrize(
    ("tool", "content", "message"),
    [
        ("csv", "id,label\nnobody,Tech\n", "the id 'nobody' is of no row"),
        ("csv", "id,label\nunlabeled-1,Weather\n", "the label 'Weather' of the row 'unlabeled-1' is none of 'Sports'"),
        ("csv", "id,label,run\nunlabeled-1,Tech,another\n", "is of another run"),
        ("doccano", '{"text": "a", "label": ["Tech"]}\n', "line 1: no pet_id, by which the row of the run is known"),
        ("doccano", '{"text": "a", "pet_id": 1, "label": []}\n', "no row with a label of a person"),
        ("label-studio", '{"annotations": 1}\n', "line 1: no label-studio row"),
        ("spreadsheet", "", "There is no format 'spreadsheet': expected label-studio, doccano, argilla, csv"),
    ],
)
def test_what_cannot_be_imported_is_said(run: Path, tmp_path: Path, tool: str, content: str, message: str) -> None:
    file = tmp_path / ("in.csv" if tool == "csv" else "in.jsonl")
    file.write_text(content, "utf-8")
    with pytest.raises((ConfigError, DataError), match=message):
        import_reviews(file, tool, tmp_path / "review.csv", run)
    assert not (tmp_path / "review.csv").exists()


def test_import_writes_a_review_and_never_over_one(run: Path, tmp_path: Path) -> None:
    file, output = tmp_path / "in.csv", tmp_path / "review.csv"
    file.write_text("id;label\nunlabeled-1;Tech\n", "utf-8")
    for force, code in (((), 0), ((), 2), (("--force",), 0)):
        found = command("import", file, "--from", "csv", "--run", run, "--output", output, *force)
        assert found.exit_code == code, found.output
    with output.open(encoding="utf-8-sig") as lines:
        assert next(csv.DictReader(lines))["label"] == "Tech"


def test_hostile_names_are_inert(tmp_path: Path) -> None:
    config = label_config(["text"], ['<script>"x"</script>', "a&b"])
    choices = ET.fromstring(config).find("Choices")
    assert choices is not None and [one.get("value") for one in choices] == ['<script>"x"</script>', "a&b"]
