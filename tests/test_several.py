"""Whole runs of rows with several labels each: labels, a stock classifier, and what is said where it is not known."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import save_tiny
from toy import LABELS, rows_of, write_rows
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.method.several.place import SetResult

PIPELINE = """
[task]
name = "toy"
multi_label = true
[data]
train = "train.jsonl"
unlabeled = "unlabeled.jsonl"
test = "test.jsonl"
[prompts]
patterns = ["labels/about"]
[model]
name = "MODEL"
max_length = 40
[encoder]
name = "ENCODER"
[train]
steps = 4
learning_rate = 1e-2
[run]
device = "cpu"
precision = "fp32"
"""


def joined(part: str, count: int) -> list[dict[str, Any]]:
    """Return rows that join none to two toy rows of different labels."""
    draw, single = random.Random(part), rows_of(part, 30)
    rows = []
    for number in range(count):
        labels = draw.sample(LABELS, (number + 2) % 3)
        texts = [draw.choice([row["text"] for row in single if row["label"] == label]) for label in labels]
        rows.append({"id": f"{part}-{number}", "text": " ".join([part, str(number), *texts]), "label": labels})
    return rows


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("several")
    encoder = save_tiny("bert", folder / "encoder", seed=1)
    write_rows(folder / "train.jsonl", joined("train", 18))
    write_rows(folder / "unlabeled.jsonl", [{**row, "label": None} for row in joined("unlabeled", 70)])
    write_rows(folder / "test.jsonl", joined("test", 12))
    path = folder / "toy.toml"
    text = PIPELINE.replace("MODEL", tiny_model.as_posix()).replace("ENCODER", encoder.as_posix())
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> SetResult:
    config = pet.RunConfig.from_toml(pipeline)
    return pet.run_several(config, tmp_path_factory.mktemp("runs") / "several", quiet=True)


Called = Callable[..., tuple[int, str]]


@pytest.fixture
def called() -> Called:
    def call(*words: object) -> tuple[int, str]:
        found = CliRunner().invoke(app, [str(word) for word in words])
        return found.exit_code, found.output

    return call


def test_the_labeled_data_set_has_lists_and_probabilities(done: SetResult) -> None:
    rows = pq.read_table(done.pseudo_labels).to_pylist()
    assert [row["source"] for row in rows] == ["gold"] * 18 + ["pseudo"] * 70
    given = {row["id"]: sorted(row["label"]) for row in joined("train", 18)}
    assert all(row["label"] == given[row["id"]] for row in rows[:18])
    labels, cuts = done.soft_labels.labels, done.soft_labels.thresholds
    for row in rows[18:]:
        assert row["label"] == [name for name, cut in zip(labels, cuts, strict=True) if row[f"prob_{name}"] >= cut]


def test_figures_of_every_way_to_label_are_kept(done: SetResult) -> None:
    metrics = json.loads((done.directory / "metrics.json").read_bytes())
    lines = {line["name"]: line for line in metrics["label_sets"]}
    assert list(lines) == ["patterns", "embeddings", "ensemble", "distilled classifier"]
    assert set(lines["ensemble"]["held_out"]["labels"]) == set(LABELS)
    assert lines["embeddings"]["test"]["micro_f1"] > 0.5
    assert set(metrics["thresholds"]) == set(LABELS)


def test_a_stock_pipeline_gives_the_same_probabilities(done: SetResult) -> None:
    import transformers

    config = json.loads((done.model / "config.json").read_bytes())
    assert config["problem_type"] == "multi_label_classification"
    texts = [row["text"] for row in joined("test", 12)]
    stock: Any = transformers.pipeline("text-classification", model=str(done.model), device="cpu")
    ours = pet.predict_several(done.model, texts)
    for said, one in zip(stock(texts, truncation=True, top_k=None), ours, strict=True):
        assert {str(part["label"]): float(part["score"]) for part in said} == pytest.approx(one.probs, abs=1e-5)
        cuts = zip(one.probs.items(), done.soft_labels.thresholds, strict=True)
        assert one.labels == tuple(label for (label, prob), cut in cuts if prob >= cut)
    assert "has each label whose probability reaches its threshold" in (done.model / "README.md").read_text("utf-8")


def test_files_are_labeled_and_measured(done: SetResult, pipeline: Path, tmp_path: Path, called: Called) -> None:
    test = pipeline.parent / "test.jsonl"
    code, output = called("predict", done.directory, test, "--output", tmp_path / "out.jsonl")
    assert code == 0, output
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert all(isinstance(row["pet_label"], list) for row in found)
    code, output = called("evaluate", done.directory, test, "--json")
    assert code == 0 and json.loads(output)["n"] == 12
    code, output = called("predict", done.directory, test, "--output", tmp_path / "out.csv", "--abstain", "0.5")
    assert code == 2 and "--abstain is for classifiers that give a row one label" in output


def test_a_row_is_explained(done: SetResult, called: Called) -> None:
    code, output = called("explain", done.directory, "unlabeled-4", "--json")
    found = json.loads(output)
    assert code == 0 and set(found["votes"]) == {"labels/about+yes-no", "embedding+encoder"}
    assert found["labels"] == [name for name in found["probs"] if found["probs"][name] >= found["thresholds"][name]]
    assert "gold: the labels were given" in called("explain", done.directory, "train-1")[1]
    assert called("explain", done.directory, "nobody")[0] == 2


def test_a_check_says_how_labels_are_asked_about(pipeline: Path, called: Called) -> None:
    code, output = called("check", pipeline)
    assert code == 0 and "asked about as" in output and "{text} Is this about {label:keep}? {mask}." in output


@pytest.mark.parametrize("command", ["report", "next", "distill"])
def test_what_does_not_know_several_labels_says_so(command: str, done: SetResult, called: Called) -> None:
    code, output = called(command, done.directory)
    assert code == 2 and "is for rows of one label each" in output


@pytest.mark.parametrize("words", [("plan",), ("label",), ("run", "--set", "task.multi_label=false")])
def test_commands_for_one_label_refuse_the_pipeline(
    words: tuple[str, ...], pipeline: Path, tmp_path: Path, called: Called
) -> None:
    code, output = called(words[0], pipeline, *words[1:], "--output-dir", tmp_path / "run")
    assert code == 2 and "multi_label = true" in output


@pytest.mark.parametrize("to", ["onnx", "cleanlab"])
def test_exports_that_have_no_place_for_several_labels_say_so(to: str, done: SetResult, called: Called) -> None:
    code, output = called("export", done.directory, "--to", to)
    assert code == 2 and "label" in output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ipet.generations=3", "ipet.generations = 1"),
        ('adapt.method="mlm"', 'adapt.method = "none"'),
        ('prompts.patterns=["{text} {mask}"]', "has no {label}"),
        ('task.label_separator="o"', "stands in the label"),
        ('distill.size="static"', "distill.size"),
    ],
)
def test_settings_that_change_nothing_are_refused(
    change: str, said: str, pipeline: Path, tmp_path: Path, called: Called
) -> None:
    labels = f"task.labels={json.dumps(LABELS)}"
    code, output = called("run", pipeline, "--set", change, "--set", labels, "--output-dir", tmp_path / "run")
    assert code == 2 and said in output


def test_without_a_labeled_row_names_and_words_decide(pipeline: Path, tmp_path: Path) -> None:
    settings = {"task": {"labels": LABELS}, "data": {"train": None}, "train": {"preset": "fast"}}
    config = pet.RunConfig.from_toml(pipeline).with_settings(settings)
    result = pet.run_several(config, tmp_path / "run", quiet=True)
    assert np.allclose(result.soft_labels.thresholds, 0.5)
    assert [line.name for line in result.lines] == ["ensemble", "distilled classifier"]
