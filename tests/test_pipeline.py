"""The method from a few rows to a classifier, on a tiny model and a toy task."""

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from stand_ins import Asked, vote_with
from toy import LABELS, rows_of, write_rows, write_task

import pet
from pet.method.plan.plan import prepare
from pet.method.vote import ZeroShot
from pet.pipeline import distill, label
from pet.seeding import rng_for
from pet.settings.run import RunSettings

Config = Callable[..., pet.RunConfig]

EXPLAINED = {"Sports": "game, match, coach", "Business": "bank, money, profit", "Tech": "phone, chip, robot"}


def table_of(result: pet.RunResult) -> dict[str, list[object]]:
    return dict(pq.read_table(result.pseudo_labels).to_pydict())


def test_a_run_leaves_every_file_of_the_run_directory(finished: pet.RunResult) -> None:
    names = {path.name for path in finished.directory.iterdir() if not path.name.startswith(".lock")}
    files = {"config.toml", "manifest.json", "run.log", "pseudo_labels.parquet", "metrics.json"}
    files |= {"report.html", "test_labels.parquet"}
    assert names == files | {"jobs", "generations", "model"}
    assert [path.name for path in (finished.directory / "generations").iterdir()] == ["0"]
    manifest = json.loads((finished.directory / "manifest.json").read_text())
    assert set(manifest["jobs"]) == {"voter/toy/colon+words", "voter/toy/category+words"}
    for job in (finished.directory / "jobs").iterdir():
        assert (job / "_SUCCESS").is_file()
    assert pet.RunConfig.from_toml(finished.directory / "config.toml").task.labels == LABELS
    model = {path.name for path in (finished.directory / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= model
    suffixes = {path.suffix for path in finished.directory.rglob("*") if path.is_file() and path.name[0] not in "._"}
    assert suffixes == {
        ".html",
        ".toml",
        ".json",
        ".jsonl",
        ".log",
        ".parquet",
        ".safetensors",
        ".md",
    }  # nothing pickled


def test_every_way_to_label_has_a_line_with_figures(finished: pet.RunResult) -> None:
    assert finished.summary is not None
    names = [row.name for row in finished.summary.rows]
    voters = ["toy/colon+words", "toy/category+words"]
    ours = ["ensemble", "distilled classifier"]
    simpler = ["embeddings + logistic regression", "embeddings + self-training"]
    assert names == ["zero-shot (calibrated)", *voters, *ours, "supervised baseline", *simpler]
    assert all(row.test is not None and row.test.n == 12 for row in finished.summary.rows)
    metrics = json.loads((finished.directory / "metrics.json").read_text())
    assert metrics["summary"]["rows"][3]["name"] == "ensemble"
    assert metrics["summary"]["rows"][3]["agreement"] == 1.0
    assert metrics["labels"] == list(LABELS)


def test_the_labeled_data_set_has_the_gold_rows_then_the_pool_with_their_ids(finished: pet.RunResult) -> None:
    table = table_of(finished)
    train, pool = rows_of("train", 4), rows_of("unlabeled", 12)
    assert table["source"] == ["gold"] * 12 + ["pseudo"] * 36
    assert table["id"] == [row["id"] for row in train + pool]
    assert table["text"] == [row["text"] for row in train + pool]
    assert table["shelf"] == [row["shelf"] for row in train + pool]
    assert table["label"][:12] == [row["label"] for row in train]
    # The pool's label is that of the ensemble, its vote that of the voter.
    assert table["label"][12:] == [LABELS[k] for k in finished.soft_labels.hard()]
    assert finished.soft_labels.ids == tuple(row["id"] for row in pool)
    assert len(set(map(str, table["vote_toy/colon+words"][12:]))) > 1, "this tiny model learned nothing to test with"


def test_the_same_seed_gives_the_same_bytes_elsewhere_and_another_seed_others(
    finished: pet.RunResult, config: Config, tmp_path: Path
) -> None:
    again = label(config(), tmp_path / "again", quiet=True)
    assert again.pseudo_labels.read_bytes() == finished.pseudo_labels.read_bytes()
    other = label(config("run.seed=43"), tmp_path / "other", quiet=True)
    assert other.soft_labels.probs.tobytes() != finished.soft_labels.probs.tobytes()


def test_without_a_test_file_the_ways_are_compared_on_the_pool_only(config: Config, tmp_path: Path) -> None:
    settings = config()
    data = settings.data.model_copy(update={"test": None})
    result = pet.run(settings.model_copy(update={"data": data}), tmp_path / "run", quiet=True)
    assert result.summary is not None
    assert all(row.test is None and row.agreement is not None for row in result.summary.rows)


def test_the_test_rows_are_only_ever_measured(finished: pet.RunResult, tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path / "task", tiny_model)
    rows = [{**row, "label": LABELS[0]} for row in rows_of("test", 4)]
    write_rows(tmp_path / "task" / "test.jsonl", rows)
    other = label(pet.RunConfig.from_toml(pipeline), tmp_path / "run", quiet=True)
    assert other.pseudo_labels.read_bytes() == finished.pseudo_labels.read_bytes()


def test_labels_in_the_unlabeled_file_change_nothing(
    finished: pet.RunResult, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = write_task(tmp_path / "task", tiny_model)
    write_rows(tmp_path / "task" / "unlabeled.jsonl", rows_of("unlabeled", 12))
    other = label(pet.RunConfig.from_toml(pipeline), tmp_path / "run")
    assert other.pseudo_labels.read_bytes() == finished.pseudo_labels.read_bytes()
    assert "labels seen in the unlabeled file: ignored" in capsys.readouterr().err


def test_no_labeled_rows_at_all(config: Config, tmp_path: Path) -> None:
    settings = config()
    data = settings.data.model_copy(update={"train": None, "examples_per_label": None})
    result = pet.run(settings.model_copy(update={"data": data}), tmp_path / "run", quiet=True)
    assert result.summary is not None
    assert [row.name for row in result.summary.rows][-1] == "distilled classifier"  # the others learn from gold rows
    assert set(table_of(result)["source"]) == {"pseudo"}
    # Calibrated on the pool: no pattern's own preference decides everything.
    assert len(set(result.soft_labels.hard().tolist())) == 3
    # The untrained voters are the zero-shot line, on the test rows as on the pool.
    zero, first, second, ensemble = result.summary.rows[:4]
    assert zero.test == ensemble.test
    assert zero.agreement == pytest.approx(1.0)
    # The two patterns say two things, and neither of them alone is the ensemble.
    assert first.test != second.test
    assert ensemble.test not in (first.test, second.test)


def test_without_labeled_rows_voters_learn_the_descriptions_of_the_labels(config: Config, tmp_path: Path) -> None:
    described = (f"task.descriptions.{label}={text}" for label, text in EXPLAINED.items())
    settings = config("data.train=", "train.steps=8", "run.keep_models=true", *described)
    result = pet.run(settings, tmp_path / "run", quiet=True)
    done = json.loads((result.directory / "metrics.json").read_text())["work"]["steps"]
    assert done == 2 * 8 + 16 == sum(job.steps for job in prepare(settings).workload.jobs())
    assert result.summary is not None
    zero, _, _, ensemble = result.summary.rows[:4]
    assert zero.test != ensemble.test
    assert list((tmp_path / "run").glob("jobs/*/model/*"))


def test_a_label_without_a_labeled_row_is_allowed_and_said(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = write_task(tmp_path / "task", tiny_model)
    rows = [row for row in rows_of("train", 4) if row["label"] != "Tech"]
    write_rows(tmp_path / "task" / "train.jsonl", rows)
    result = pet.run(pet.RunConfig.from_toml(pipeline), tmp_path / "run")
    assert "labels without a labeled row: 'Tech'" in capsys.readouterr().err
    assert result.soft_labels.labels == LABELS


def test_weightings_and_seeds_change_what_they_name(
    finished: pet.RunResult, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Untrained, one pattern is right on every labeled row, the other on none.
    columns = np.asarray([LABELS.index(row["label"]) for row in rows_of("train", 4)])
    labeled = {"toy/colon+words": np.eye(3)[columns], "toy/category+words": np.eye(3)[(columns + 1) % 3]}
    said = {name: ZeroShot(scores, scores, scores) for name, scores in labeled.items()}
    monkeypatch.setattr("pet.method.ensemble.zero_shot", lambda pvp, _jobs: said[pvp.name])
    result = label(config("ensemble.weighting=accuracy"), tmp_path / "accuracy", quiet=True)
    table = table_of(result)
    # The voter with weight zero has no say: label and agreement are those of the other one.
    assert table["label"][12:] == table["vote_toy/colon+words"][12:]
    assert set(table["agreement"][12:]) == {1.0}
    assert table["label"][12:] != table["vote_toy/category+words"][12:]
    assert result.soft_labels.probs.tobytes() != finished.soft_labels.probs.tobytes()


def test_the_accuracy_weight_is_that_of_the_untrained_pattern_on_the_labeled_rows(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [LABELS.index(row["label"]) for row in rows_of("train", 4)]
    right, half = np.eye(3, dtype=np.float32)[columns], np.eye(3, dtype=np.float32)[[c if c else 1 for c in columns]]
    scores = {"toy/colon+words": right, "toy/category+words": half}
    said = {name: ZeroShot(labeled, labeled, labeled) for name, labeled in scores.items()}
    monkeypatch.setattr("pet.method.ensemble.zero_shot", lambda pvp, _jobs: said[pvp.name])
    seen: list[dict[str, float]] = []
    original = pet.labeling.ensemble.weigh
    monkeypatch.setattr("pet.method.ensemble.with_weights", lambda *given: (seen.append(given[2]), original(*given))[1])
    label(config("ensemble.weighting=accuracy"), tmp_path / "run", quiet=True)
    # The second pattern is wrong on the third of the rows that are Sports.
    assert seen == [pytest.approx({"toy/colon+words": 1.0, "toy/category+words": 2 / 3})]


QUICK = ("train.steps=3", "distill.steps=2")


@pytest.mark.parametrize("weighting", ["accuracy", "agreement"])
def test_the_ensemble_is_weighted_on_the_test_rows_as_on_the_pool(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weighting: str
) -> None:
    odd = "toy/category+words#1"  # wrong and little trusted, but louder on the test rows than the others together

    def scores(asked: Asked) -> np.ndarray:
        loud = 4.0 if asked.part == "test" else 1.0
        return asked.wrong(loud) if asked.spec.name == odd else asked.truth(1.0)

    vote_with(monkeypatch, scores)
    names = ["toy/colon+words", "toy/category+words", "toy/colon+words#1", odd]
    accuracies = {**dict.fromkeys(names, 0.9), odd: 0.1}
    monkeypatch.setattr("pet.method.ensemble.untrained_accuracies", lambda _voters, _jobs: accuracies)
    result = pet.run(config(*QUICK, "train.seeds=2", f"ensemble.weighting={weighting}"), tmp_path / "run", quiet=True)
    assert result.summary is not None
    accuracy = {row.name: row.test.accuracy for row in result.summary.rows if row.test is not None}
    assert [accuracy[name] for name in names] == [1.0, 1.0, 1.0, 0.0]
    assert accuracy["ensemble"] == 1.0


def test_a_sample_of_the_pool_is_compared_row_by_row(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pet.method.plan.plan.COMPARED_ROWS", 10)
    vote_with(monkeypatch, lambda asked: rng_for(1, asked.spec.name, asked.part).normal(size=(len(asked.rows), 3)))
    compared = prepare(config()).rows.compared
    assert len(compared) == 10 and compared.tolist() != list(range(10))
    result = pet.run(config(*QUICK), tmp_path / "run", quiet=True)
    assert result.summary is not None and result.summary.compared == 10
    agreement = {row.name: row.agreement for row in result.summary.rows}
    table = table_of(result)
    for name in ("toy/colon+words", "toy/category+words"):
        same = np.asarray(table[f"vote_{name}"][12:]) == np.asarray(table["label"][12:])
        assert agreement[name] == pytest.approx(same[compared].mean())
    assert agreement["ensemble"] == 1.0


def test_every_training_makes_the_updates_of_its_own_section(config: Config, tmp_path: Path) -> None:
    settings = config(*QUICK)
    result = pet.run(settings, tmp_path / "run", quiet=True)
    logs = [json.loads(path.read_text()) for path in result.directory.glob("jobs/*/training.json")]
    assert sorted(log["updates"] for log in logs) == [2, 3, 3, 3]  # the classifier; two voters and the baseline


def test_two_seeds_are_twice_the_voters(finished: pet.RunResult, config: Config, tmp_path: Path) -> None:
    result = label(config("train.seeds=2", "ensemble.weighting=agreement"), tmp_path / "run", quiet=True)
    names = [name for name in table_of(result) if name.startswith("vote_")]
    first = ["vote_toy/colon+words", "vote_toy/category+words"]
    assert names == [*first, *(f"{name}#1" for name in first)]
    table, one = table_of(result), table_of(finished)
    assert [table[name] for name in first] == [one[name] for name in first]  # more seeds leave the first as they are
    assert table[f"{first[0]}#1"] != table[first[0]] or table[f"{first[1]}#1"] != table[first[1]]


def test_the_model_is_a_stock_one(finished: pet.RunResult) -> None:
    import transformers

    assert finished.model is not None
    logging.getLogger("transformers").setLevel(logging.ERROR)
    classify: Any = transformers.pipeline("text-classification", model=str(finished.model), top_k=None)
    texts = [str(row["text"]) for row in rows_of("test", 4)]
    plain = RunSettings(precision="fp32")
    for found, ours in zip(classify(texts), pet.predict(finished.model, texts, plain), strict=True):
        assert {one["label"]: one["score"] for one in found} == pytest.approx(ours.probs, abs=1e-5)
        assert found[0]["label"] == ours.label


def test_a_task_of_pairs_with_columns_of_other_names(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    for part, count in (("train", 4), ("unlabeled", 12), ("test", 4)):
        rows = [
            {"body": row["text"], "source": f"in my news {row['id'].rpartition('-')[2]}", "label": row["label"]}
            for row in rows_of(part, count)
        ]
        write_rows(tmp_path / f"{part}.jsonl", rows)
    text = pipeline.read_text().replace("[data]", '[task.fields]\ntext = "body"\nplace = "source"\n[data]')
    pipeline.write_text(text)
    patterns = tmp_path / "registry" / "patterns" / "toy.toml"
    patterns.write_text('[pair]\ntemplate = "{text} || {mask}: {place}"\n')
    result = pet.run(pet.RunConfig.from_toml(pipeline), tmp_path / "run", quiet=True)
    table = table_of(result)
    assert list(table)[:3] == ["id", "body", "input_source"]  # `source` is a column of ours
    assert table["id"][0] == "train-1"
    assert table["source"][0] == "gold"
    assert table["input_source"][0] == "in my news 0"
    assert result.model is not None
    found = pet.predict(result.model, [("team match", "in my news"), ["bank", "in my news"]])
    assert len(found) == 2
    assert '"text_pair"' in (result.model / "README.md").read_text()
    distill(result.directory, ["distill.steps=2"], quiet=True)


def test_label_words_and_templates_are_checked_before_anything_is_trained(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("weights are read before the words are checked")

    monkeypatch.setattr("pet.learners.models.backbone.load_weights", fail)
    settings = config()
    prompts = settings.prompts.model_copy(update={"verbalizer": "intent/support"})
    with pytest.raises(pet.PetError):
        label(settings.model_copy(update={"prompts": prompts}), tmp_path / "run", quiet=True)
    short = settings.model.model_copy(update={"max_length": 8})
    with pytest.raises(pet.PetError, match="Pattern 'toy/category' needs"):
        label(settings.model_copy(update={"model": short}), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_the_place_of_a_run_has_a_default(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert label(config(), quiet=True).directory == Path("runs") / "toy"
    assert (tmp_path / "runs" / "toy" / "pseudo_labels.parquet").is_file()


@pytest.mark.parametrize("work", [pet.run, label])
def test_one_label_for_all_is_told_of_a_run_without_generations(
    work: Callable[..., pet.RunResult],
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    vote_with(monkeypatch, lambda asked: asked.only(1))
    changes = ("ensemble.calibration=none", "run.baseline=false", "distill.steps=1")
    work(config(*changes), tmp_path / "run")
    told = capfd.readouterr().err
    assert "labels given: Sports 0, Business 36, Tech 0; the voters differ on 0 of 36 rows" in told
    assert "warning: the label 'Sports' has almost no rows (0.0%; 33% were expected); if the rows to label" in told


@pytest.mark.parametrize("work", [pet.run, label, partial(pet.ablate, axes={})])
@pytest.mark.parametrize(
    ("given", "way"), [("agnews", "from_toml"), ({"task": {}}, "from_mapping"), (None, "from_mapping")]
)
def test_what_is_no_config_is_told_how_to_make_one(work: Callable[..., pet.RunResult], given: Any, way: str) -> None:
    with pytest.raises(pet.PetError, match=rf"Expected a RunConfig, found .*: make one with pet\.RunConfig\.{way}"):
        work(given)


@pytest.mark.parametrize("axes", ["x", 3, {"train.steps": "3,4"}, {"train.steps": 3}])
def test_axes_and_overrides_of_another_kind_are_told(axes: Any) -> None:
    with pytest.raises(pet.PetError, match=r"The axes are .*: expected lists of values by setting"):
        pet.ablate(pet.RunConfig.from_toml("quickstart"), axes)
    with pytest.raises(pet.PetError, match=r"The overrides are .*: expected a list"):
        pet.RunConfig.from_toml("quickstart", [3])  # type: ignore[list-item]


def test_what_is_no_run_directory_is_told() -> None:
    with pytest.raises(pet.PetError, match="Expected the path of a run directory, found 3"):
        distill(3)  # type: ignore[arg-type]
