"""Training a classifier from the labeled data set of a run, also after a person has corrected it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toy import content, rows_of, write_task

import pet
from pet.errors import ConfigError, DataError
from pet.learners.students.classifier import TextClassifier
from pet.pipeline import distill, label

Config = Callable[..., pet.RunConfig]


def correct(run: Path, new_label: str) -> None:
    """Give every row of the pool one label, by hand."""
    import pyarrow as pa

    table = pq.read_table(run / "pseudo_labels.parquet").to_pydict()
    table["label"] = [new_label] * len(table["label"])
    pq.write_table(pa.table(table), run / "pseudo_labels.parquet")


def test_distill_learns_from_corrected_labels_and_puts_the_model_where_it_is_wanted(
    copied: Path, tmp_path: Path
) -> None:
    correct(copied, "Business")
    before = content(copied)
    target = distill(copied, ["distill.steps=30"], tmp_path / "models" / "mine", quiet=True)
    assert target == tmp_path / "models" / "mine"
    texts = [str(row["text"]) for row in rows_of("test", 4)]
    assert {found.label for found in pet.predict(target, texts)} == {"Business"}
    assert "steps = 30" in (target / "README.md").read_text()
    after = content(copied)
    assert {name: after[name] for name in before} == before  # the run's own model and labels stay
    # The same again does no job.
    jobs = sorted(path.name for path in (copied / "jobs").iterdir())
    distill(copied, ["distill.steps=30"], tmp_path / "models" / "again", quiet=True)
    assert sorted(path.name for path in (copied / "jobs").iterdir()) == jobs


def test_distill_in_place_and_from_another_model(copied: Path, tmp_path: Path) -> None:
    from tiny import save_tiny

    other = save_tiny("distilbert", tmp_path / "other")
    assert distill(copied, [f"distill.model={other}", "distill.steps=30"], quiet=True) == copied / "model"
    assert json.loads((copied / "model" / "config.json").read_text())["model_type"] == "distilbert"
    assert json.loads((copied / "model" / "config.json").read_text())["pet"]["columns"] == [["text", "text"]]
    first = (copied / "model" / "model.safetensors").read_bytes()
    # Another model under the same name is another job.
    save_tiny("distilbert", other, seed=5)
    distill(copied, [f"distill.model={other}", "distill.steps=30"], quiet=True)
    assert (copied / "model" / "model.safetensors").read_bytes() != first


def test_distill_from_packed_weights_gives_a_stock_model(copied: Path, tmp_path: Path) -> None:
    from packed_models import save_packed

    other = save_packed(tmp_path / "packed")
    distill(copied, [f"distill.model={other}", "distill.size=same", "distill.steps=3"], quiet=True)
    assert not (copied / "model" / "packed.safetensors").exists()
    assert json.loads((copied / "model" / "config.json").read_text())["architectures"] == [
        "BertForSequenceClassification"
    ]
    assert len(pet.predict(copied / "model", ["good film", "team game"])) == 2


def test_distill_without_gold_rows_uses_the_pool_alone(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = TextClassifier.fit

    def fit(self: TextClassifier, examples: list[object], *given: object) -> object:
        seen.append(len(examples))
        return original(self, examples, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(TextClassifier, "fit", fit)
    distill(copied, ["distill.gold_rows=false"], quiet=True)
    assert seen == [36]
    distill(copied, ["distill.gold_rows=true", "distill.steps=9"], quiet=True)
    assert seen == [36, 48]
    table = pq.read_table(copied / "pseudo_labels.parquet").slice(0, 12)  # the gold rows only
    pq.write_table(table, copied / "pseudo_labels.parquet")
    with pytest.raises(DataError, match="no rows to train on"):
        distill(copied, ["distill.gold_rows=false"], quiet=True)


def test_distill_refuses_what_would_destroy_or_change_something_else(copied: Path, tmp_path: Path) -> None:
    mine = tmp_path / "papers"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    other = tmp_path / "other"
    shutil.copytree(copied / "model", other)  # another classifier is somebody's too
    for target in (mine, copied, mine / "thesis.txt", other):
        with pytest.raises(ConfigError, match="exists already: choose a new --output-dir"):
            distill(copied, [], target, quiet=True)
    assert (mine / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ConfigError, match=r"train\.steps=3: only distill\.\* can change here"):
        distill(copied, ["distill.steps=3", "train.steps=3"], quiet=True)
    with pytest.raises(ConfigError, match="is no run directory"):
        distill(mine, quiet=True)


def test_the_metrics_tell_of_the_classifier_that_is_there(copied: Path) -> None:
    distill(copied, ["distill.steps=3"], quiet=True)
    found = json.loads((copied / "metrics.json").read_text())
    assert found["distill"]["steps"] == 3
    assert len({frozenset(row) for row in found["summary"]["rows"]}) == 1  # its line has what the others have


def test_a_test_file_that_has_changed_is_measured_anew(copied: Path, config: Config) -> None:
    """The same rows in another order, and one more: the classifier is the same, and so are its answers."""
    source = Path(str(config().data.test))
    before = source.read_text()
    rows = before.splitlines()
    try:
        distill(copied, quiet=True)
        accuracy = measured(copied)
        source.write_text("\n".join([*rows[::-1], rows[0].replace("test-", "again-")]) + "\n")
        distill(copied, quiet=True)
        right = round(accuracy * len(rows))
        assert measured(copied) in {right / (len(rows) + 1), (right + 1) / (len(rows) + 1)}
    finally:
        source.write_text(before)


def measured(run: Path) -> float:
    rows = json.loads((run / "metrics.json").read_text())["summary"]["rows"]
    return next(float(row["test"]["accuracy"]) for row in rows if row["name"] == "distilled classifier")


def test_what_was_corrected_is_said_and_an_older_export_is_pointed_at(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "onnx").mkdir()
    distill(copied)
    said = capsys.readouterr().err
    assert "set by hand" not in said and f"{copied / 'onnx'} is still the classifier before this one" in said
    labels = pq.read_table(copied / "pseudo_labels.parquet").to_pydict()["label"]
    correct(copied, "Tech")
    distill(copied)
    changed = sum(label != "Tech" for label in labels)
    assert f"{changed} rows have a label that was set by hand" in capsys.readouterr().err
    assert f"; {changed} labels set by hand" in (copied / "model" / "README.md").read_text()


def test_corrections_are_not_overwritten_unless_forced(
    copied: Path, config: Config, finished: pet.RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    correct(copied, "Tech")
    for command in (pet.run, label):
        with pytest.raises(ConfigError, match=r"has been changed since it was written.*pet distill"):
            command(config(), copied, quiet=True)
    assert set(pq.read_table(copied / "pseudo_labels.parquet").to_pydict()["label"]) == {"Tech"}
    (copied / "onnx").mkdir()
    label(config(), copied, force=True)
    assert f"{copied / 'onnx'} is still the classifier before this one" in capsys.readouterr().err
    assert (copied / "pseudo_labels.parquet").read_bytes() == finished.pseudo_labels.read_bytes()


def test_a_config_with_relative_paths_can_be_distilled_from_anywhere(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task", tiny_model)
    monkeypatch.chdir(tmp_path / "task")
    files = {"train": "train.jsonl", "unlabeled": "unlabeled.jsonl"}
    small = {"steps": 1, "batch_size": 2}
    settings = pet.RunConfig.from_mapping(
        {
            "data": files,
            "prompts": {"patterns": "toy/*", "registry": "registry"},
            "model": {"name": str(tiny_model), "max_length": 32},
            "encoder": {"name": "none"},
            "train": small,
            "distill": small,
            "run": {"precision": "fp32", "workers": 1},
        }
    )
    label(settings, "run", quiet=True)
    monkeypatch.chdir("/")
    assert distill(tmp_path / "task" / "run", quiet=True).is_dir()


def test_any_cell_changed_by_hand_counts_as_a_correction(copied: Path, config: Config) -> None:
    import pyarrow as pa

    path = copied / "pseudo_labels.parquet"
    original = pq.read_table(path).to_pydict()
    for name, value in (("text", "mended"), ("confidence", 0.5), ("source", "mine")):
        changed = {**original, name: [*original[name][:-1], value]}
        pq.write_table(pa.table(changed), path)
        with pytest.raises(ConfigError, match="has been changed since it was written"):
            label(config(), copied, quiet=True)
    pq.write_table(pa.table(original), path, compression="none")  # the same cells in other bytes are no change
    label(config(), copied, quiet=True)


def test_distill_needs_neither_the_input_files_nor_the_same_version(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task", tiny_model)
    files = {role: str(tmp_path / "task" / f"{role}.jsonl") for role in ("train", "unlabeled", "test")}
    small = {"steps": 1, "batch_size": 2}
    settings = pet.RunConfig.from_mapping(
        {
            "data": files,
            "prompts": {"patterns": "toy/*", "registry": [str(tmp_path / "task" / "registry")]},
            "model": {"name": str(tiny_model), "max_length": 32},
            "encoder": {"name": "none"},
            "train": small,
            "distill": small,
            "run": {"precision": "fp32", "workers": 1},
        }
    )
    run = tmp_path / "run"
    result = pet.run(settings, run, quiet=True)
    assert result.summary is not None
    before = json.loads((run / "metrics.json").read_text())
    assert before["rows"] == {"labeled": 12, "unlabeled": 36, "test": 12}
    assert before["train"]["learning_rate"] == 1e-4  # what was unset is written as it was used
    correct(run, "Tech")
    for path in (files["train"], files["unlabeled"]):
        Path(path).unlink()
    monkeypatch.setattr("pet.method.plan.opening.code_digest", lambda: "another version")
    distill(run, ["distill.steps=40", "distill.learning_rate=1e-2"], quiet=True)
    after = json.loads((run / "metrics.json").read_text())
    lines = {row["name"]: row for row in after["summary"]["rows"]}
    tested = lines["distilled classifier"]["test"]
    assert (tested["n"], tested["confusion"]) == (12, [[0, 0, 4]] * 3)  # it says Tech to everything, as it was taught
    assert [row for row in after["summary"]["rows"] if row["name"] != "distilled classifier"] == [
        row for row in before["summary"]["rows"] if row["name"] != "distilled classifier"
    ]
    assert "| distilled classifier |" in (run / "model" / "README.md").read_text()
    # Without the test file the old figures go too: they were another classifier's.
    Path(files["test"]).unlink()
    distill(run, ["distill.steps=3"], quiet=True)
    lines = {row["name"]: row for row in json.loads((run / "metrics.json").read_text())["summary"]["rows"]}
    assert lines["distilled classifier"]["test"] is None
