"""Labels for new texts, from Python and from files of every kind, and how good they are on labeled ones."""

import csv
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from toy import LABELS, rows_of, write_rows, write_task

import pet
from pet.data.examples import Example
from pet.data.writers import write_table
from pet.errors import DataError, ModelError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.static import StaticClassifier
from pet.method import trial
from pet.pipeline import label
from pet.settings.run import RunSettings
from pet.using import predict as predictions
from pet.using.files import FileOptions, evaluate_file, predict_file
from pet.using.predict import doubts, load_classifier

TEXTS = ["team match won", "bank money shares", "robot code data"]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return rows_of("test", 4)


def test_texts_from_python(finished: pet.RunResult) -> None:
    assert finished.model is not None
    found = pet.predict(finished.model, TEXTS)
    for one in found:
        assert tuple(one.probs) == LABELS
        assert sum(one.probs.values()) == pytest.approx(1.0, abs=1e-5)
        assert one.confidence == max(one.probs.values()) == one.probs[one.label]
    # In any order, and alone, a text gets the same label; the run and its model folder are the same model.
    assert [one.label for one in pet.predict(str(finished.directory), TEXTS[::-1])] == [
        one.label for one in found[::-1]
    ]
    classifier = load_classifier(finished.model)
    assert [pet.predict(classifier, [text])[0].label for text in TEXTS] == [one.label for one in found]
    assert pet.predict(classifier, [("robot code data",)])[0].label == found[2].label
    assert pet.predict(classifier, []) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"Expected a list of texts, found one text: write \['one text'\]"),
        (["a", ("b", "c")], r"Row 1 has 2 text\(s\), expected 1: text"),
        (["a", ("b", None)], "Row 1 has 2"),
        ([("a",), (None,)], "Row 1 holds None, which is no text"),
        ([(float("nan"),)], "Row 0 holds nan"),
        (["good", " \n"], "Row 1 is blank: leave it out"),
        (["half \ud83d pair"], r"Row 0 holds 'half \\ud83d pair', which is no text"),
    ],
)
def test_what_is_no_text_is_said(finished: pet.RunResult, texts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pet.predict(finished.directory, texts)


def test_special_tokens_in_a_text_are_plain_characters(finished: pet.RunResult) -> None:
    found = pet.predict(finished.directory, ["[MASK] [SEP] </s> {text} || <mask>"])
    assert found[0].label in LABELS


def write_input(folder: Path, suffix: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"in{suffix}"
    if suffix == ".txt":
        path.write_text("".join(f"{row['text']}\n" for row in rows), encoding="utf-8")
    elif suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        write_table(path, {name: [row[name] for row in rows] for name in rows[0]})
    return path


def read_output(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt", ".csv.gz"])
def test_files_of_every_kind_keep_their_columns(
    finished: pet.RunResult, tmp_path: Path, rows: list[dict[str, Any]], suffix: str
) -> None:
    given = [{"id": row["id"], "shelf": row["shelf"], "text": row["text"]} for row in rows]
    source = write_input(tmp_path, suffix, given)
    expected = pet.predict(finished.directory, [row["text"] for row in rows])
    for output in (tmp_path / "out.jsonl", tmp_path / "out.csv", tmp_path / "out.tsv", tmp_path / "out.parquet"):
        predict_file(finished.directory, str(source), output)
        found = read_output(output)
        kept = ["id", "text"] if suffix == ".txt" else ["id", "shelf", "text"]
        assert list(found[0]) == [*kept, "label", "confidence", *(f"prob_{name}" for name in LABELS)]
        assert [row["text"] for row in found] == [row["text"] for row in rows]
        assert [row["label"] for row in found] == [one.label for one in expected]
        assert [float(row["prob_Tech"]) for row in found] == pytest.approx(
            [one.probs["Tech"] for one in expected], abs=1e-3
        )
        if suffix != ".txt":
            assert [row["id"] for row in found] == [row["id"] for row in rows]
            kind = str if output.suffix in (".csv", ".tsv") else int
            assert [row["shelf"] for row in found] == [kind(row["shelf"]) for row in rows]


def test_a_table_with_a_byte_order_mark_gives_one_with_it(finished: pet.RunResult, tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain.csv", tmp_path / "marked.csv"
    plain.write_text("text\nEin Säugetier läuft\n", encoding="utf-8")
    marked.write_text("text\nEin Säugetier läuft\n", encoding="utf-8-sig")
    for source, mark in ((plain, b""), (marked, b"\xef\xbb\xbf")):
        for name in ("out.csv", "out.tsv.gz", "out.jsonl"):
            predict_file(finished.directory, str(source), tmp_path / name)
            packed = (tmp_path / name).read_bytes()
            found = gzip.decompress(packed) if name.endswith(".gz") else packed
            assert found.startswith(b"{" if name == "out.jsonl" else mark + b"id")


def test_columns_of_the_input_keep_their_names_and_ours_give_way(
    finished: pet.RunResult, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    given = [{**row, "confidence": "sure", "prob_Tech": "high", "prob_other": "x"} for row in rows]
    source = write_rows(tmp_path / "in.jsonl", given)
    found = predict_file(finished.directory, str(source), tmp_path / "out.jsonl")
    first = read_output(tmp_path / "out.jsonl")[0]
    assert {name: first[name] for name in given[0]} == given[0]
    renamed = {name: f"pet_{name}" for name in ("label", "confidence", "prob_Tech")}
    assert found.renamed == renamed and list(first) == [
        *(*given[0], "pet_label", "pet_confidence"),
        *("prob_Sports", "prob_Business", "pet_prob_Tech"),
    ]
    assert first["pet_label"] in LABELS


def test_a_german_table_comes_back_as_it_was_with_columns_of_ours_behind(
    finished: pet.RunResult, tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("\ufeffNr;text;PLZ;Betrag;=x\n7;team match won;01067;12,5;=1+1\n8;robot code;1;3;-2\n", "utf-8")
    predict_file(finished.directory, str(source), tmp_path / "out.csv")
    first, second, third = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    assert first.startswith("\ufeffid;Nr;text;PLZ;Betrag;'=x;label;confidence;prob_Sports")
    assert (second[:45], third[:32]) == (
        "input-2;7;team match won;01067;12,5;'=1+1;Spo",
        "input-3;8;robot code;1;3;-2;Tech",
    )
    predict_file(finished.directory, str(source), tmp_path / "out.parquet")
    row = read_output(tmp_path / "out.parquet")[0]
    assert {name: row[name] for name in ("Nr", "PLZ", "Betrag", "=x")} == {
        "Nr": 7, "PLZ": "01067", "Betrag": "12,5", "=x": "=1+1",
    }  # fmt: skip


def test_many_rows_are_scored_in_bfloat16_where_a_trial_agrees(
    finished: pet.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "FEWEST_PROBED", 4)
    assert scored_in(finished, monkeypatch, 48, 0.0) == ["fp32", "bf16", "bf16"]
    assert scored_in(finished, monkeypatch, 48, 1.01) == ["fp32", "bf16", "fp32"]
    assert scored_in(finished, monkeypatch, 47, 0.0) == ["fp32"]
    assert scored_in(finished, monkeypatch, 48, 0.0, RunSettings(precision="bf16")) == ["bf16"]
    assert scored_in(finished, monkeypatch, 48, 0.0, RunSettings(precision="fp32")) == ["fp32"]


def scored_in(
    finished: pet.RunResult,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    agreement: float,
    settings: RunSettings | None = None,
) -> list[str]:
    """Return the precisions in which rows are scored on hardware that multiplies bfloat16, one after the other."""
    used: list[str] = []
    real = TextClassifier.probabilities

    def spy(self: TextClassifier, *arguments: Any) -> Any:
        used.append(self.machine.inference)
        return real(self, *arguments)

    def pick(settings: RunSettings) -> Machine:
        return Machine(torch.device("cpu"), "fp32" if settings.precision == "fp32" else "bf16")

    monkeypatch.setattr(TextClassifier, "probabilities", spy)
    monkeypatch.setattr(Machine, "pick", pick)
    monkeypatch.setattr(predictions, "AGREEMENT", agreement)
    pet.predict(finished.directory, ["good phone"] * rows, settings)
    return used


def test_a_bad_row_is_an_error_or_left_out(finished: pet.RunResult, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    source = write_rows(tmp_path / "in.jsonl", [rows[0], {"text": None}, rows[1]])
    with pytest.raises(DataError, match="line 2: no text"):
        predict_file(finished.directory, str(source), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    found = predict_file(finished.directory, str(source), tmp_path / "out.csv", FileOptions("skip"))
    assert [row.line for row in found.read.rejected] == [2]
    assert len(read_output(tmp_path / "out.csv")) == 2


def test_evaluate_counts_the_labels_of_a_file(
    finished: pet.RunResult, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    source = write_rows(tmp_path / "test.jsonl", rows)
    found, read = evaluate_file(finished.directory, str(source))
    assert not read.rejected
    said = [one.label for one in pet.predict(finished.directory, [row["text"] for row in rows])]
    assert found.accuracy == pytest.approx(sum(a == row["label"] for a, row in zip(said, rows, strict=True)) / 12)
    assert finished.summary is not None
    distilled = next(row for row in finished.summary.rows if row.name == "distilled classifier")
    assert distilled.test is not None
    assert found.accuracy == distilled.test.accuracy
    write_rows(tmp_path / "other.jsonl", [{**rows[0], "label": "Weather"}])
    with pytest.raises(DataError, match="the label 'Weather' is none of"):
        evaluate_file(finished.directory, str(tmp_path / "other.jsonl"))


def test_columns_of_other_names_are_found_by_the_run(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    for part, count in (("train", 4), ("unlabeled", 12), ("test", 4)):
        named = [{"uid": row["id"], "body": row["text"], "topic": row["label"]} for row in rows_of(part, count)]
        write_rows(tmp_path / f"{part}.jsonl", named)
    names = '[task]\nlabel_column = "topic"\nid_column = "uid"\nfields = { text = "body" }\n'
    pipeline.write_text(pipeline.read_text().replace("[task]\n", names))
    result = pet.run(pet.RunConfig.from_toml(pipeline), tmp_path / "run", quiet=True)
    for model in (result.directory, result.directory / "model"):
        assert evaluate_file(model, str(tmp_path / "test.jsonl"))[0].n == 12
        predict_file(model, str(tmp_path / "test.jsonl"), tmp_path / "out.jsonl")
        first = read_output(tmp_path / "out.jsonl")[0]
        assert list(first)[:4] == ["uid", "body", "topic", "label"]
        assert (first["uid"], first["topic"]) == ("test-0", "Sports")


def test_what_is_no_classifier_is_said(
    finished: pet.RunResult, tmp_path: Path, toy_pipeline: Path, tiny_model: Path
) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        pet.predict(tmp_path / "none", TEXTS)
    with pytest.raises(ModelError, match="no classifier written by pet"):
        pet.predict(tiny_model, TEXTS)
    label(pet.RunConfig.from_toml(toy_pipeline), tmp_path / "run", quiet=True)
    with pytest.raises(ModelError, match="has no classifier yet: finish it with `pet run` or `pet distill`"):
        pet.predict(tmp_path / "run", TEXTS)
    torn = shutil.copytree(finished.directory / "model", tmp_path / "torn")
    (torn / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="cannot be loaded"):
        pet.predict(torn, TEXTS)


def test_an_output_that_is_the_input_or_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\nhello\n")
    nothing = tmp_path / "no-model"  # what is wrong with the output is told first
    for output, reason in (
        (source, "is the input itself"),
        (tmp_path / "nowhere" / "out.csv", "there is no folder"),
        (tmp_path / "out.xls", "does not end in"),
    ):
        with pytest.raises(DataError, match=reason):
            predict_file(nothing, str(source), output)
    assert source.read_text() == "text\nhello\n"
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    (tmp_path / "before.csv").write_text("")
    for name in ("out", "before"):
        with pytest.raises(DataError, match=rf"{name}\.csv cannot be written \(Permission denied\)"):
            predict_file(nothing, str(source), tmp_path / f"{name}.csv")


@pytest.mark.parametrize("label", [[], ["Sports"], {"a": 1}, "Weather", 1.5])
def test_what_stands_in_the_column_of_the_labels_is_carried_along(
    finished: pet.RunResult, tmp_path: Path, label: object
) -> None:
    given = [{"id": 1, "text": "team match won", "label": label}, {"id": 1, "text": "robot code data", "label": label}]
    found = predict_file(finished.directory, str(write_rows(tmp_path / "in.jsonl", given)), tmp_path / "out.jsonl")
    assert sum(found.given.values()) == 2
    assert [row["label"] for row in read_output(tmp_path / "out.jsonl")] == [label, label]
    for name in ("out.parquet", "out.csv", "out.tsv"):
        predict_file(finished.directory, str(tmp_path / "in.jsonl"), tmp_path / name)
        assert {"label", "pet_label"} <= set(read_output(tmp_path / name)[0])


@pytest.mark.parametrize("empty", [{}, [{}], {"a": {}}])
def test_a_column_that_parquet_cannot_hold_is_text_there(
    finished: pet.RunResult, tmp_path: Path, empty: object
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"text": "team match won", "meta": empty}])
    predict_file(finished.directory, str(source), tmp_path / "out.parquet")
    assert json.loads(read_output(tmp_path / "out.parquet")[0]["meta"]) == empty


def test_what_is_doubtful_about_a_file_is_told_before_the_work(finished: pet.RunResult, tmp_path: Path) -> None:
    source, told = tmp_path / "in.tsv", list[str]()
    source.write_text('text\n"Ком\nда"\n', encoding="utf-8")
    predict_file(finished.directory, str(source), tmp_path / "out.csv", say=told.append)
    assert "a cell goes over several lines" in told[0] and "begins in line 2, over 2" in told[0]
    assert "100% of the tokens of the texts are unknown to the classifier" in told[1]


def test_a_static_classifier_knows_what_it_cannot_read(finished: pet.RunResult, tiny_model: Path) -> None:
    form = load_classifier(finished.directory).form
    static = StaticClassifier.from_source(find_model(str(tiny_model)), form)
    assert doubts(static, [Example("1", {"text": "team match won"})]) == ()
    assert "100% of the tokens" in doubts(static, [Example("1", {"text": "Где"})])[0]
