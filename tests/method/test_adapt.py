"""The model reads the pool once, before any voter; everything after it starts from these weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from toy import content, write_rows
from transformers import AutoTokenizer

import pet
from pet.errors import RunError
from pet.forecast import outlook as forecast
from pet.method import adapt as adaptation
from pet.method.plan.plan import prepare
from pet.pipeline import distill, label
from pet.reports.prompt import explain_prompt
from pet.runs.manifest import Manifest

ADAPT = ("adapt.method=mlm", "adapt.steps=5", "adapt.learning_rate=1e-2", "run.baseline=false")


@pytest.fixture(scope="module")
def run(toy_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> pet.RunResult:
    root = tmp_path_factory.mktemp("adapted") / "run"
    return pet.run(pet.RunConfig.from_toml(toy_pipeline, ADAPT), root, quiet=True)


def test_all_jobs_start_from_the_adapted_weights(run: pet.RunResult, finished: pet.RunResult, tiny_model: Path) -> None:
    adapted, plain = (Manifest.from_file(one.directory / "manifest.json").jobs for one in (run, finished))
    assert set(adapted) == {*plain, "adapt"} and not set(adapted.values()) & set(plain.values())
    folder = run.directory / "jobs" / adapted["adapt"] / "model"
    name = "bert.embeddings.word_embeddings.weight"
    old, new = (load_file(place / "model.safetensors")[name] for place in (tiny_model, folder))
    assert abs(old - new).max() > 1e-3
    facts = json.loads((run.directory / "metrics.json").read_text())
    assert facts["adapt"]["steps"] == 5 and 0 <= facts["adapt"]["accuracy_after"] <= 1
    before = json.loads((finished.directory / "metrics.json").read_text())
    assert "adapt" not in before and facts["work"]["steps"] == 5 + sum(16 for _ in range(3))
    assert "adapted to the pool in 5 steps: masked accuracy " in (run.directory / "run.log").read_text()


def test_what_it_takes_is_told_before_it_begins(
    config: Callable[..., pet.RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "SHORT_RUN", 0.0)
    root = label(config(*ADAPT, "train.steps=1"), tmp_path / "run", quiet=True).directory
    log = (root / "run.log").read_text()
    assert 0 < log.index("predicted: ") < log.index("adapted to the pool")
    stages = {stage["name"]: stage for stage in json.loads((root / "forecast.json").read_text())["stages"]}
    assert list(stages) == ["adapting", "voters"]
    assert all(stage["predicted"] > 0 and stage["actual"] > 0 for stage in stages.values())


def test_it_counts_among_the_jobs_of_the_run(config: Callable[..., pet.RunConfig]) -> None:
    with_it, without = prepare(config(*ADAPT)), prepare(config("run.baseline=false"))
    assert len(list(with_it.workload.jobs())) == len(list(without.workload.jobs())) + 1


def test_it_is_done_once_and_the_same_way(
    run: pet.RunResult, config: Callable[..., pet.RunConfig], tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.directory.glob("jobs/*/_SUCCESS")}
    pet.run(config(*ADAPT), run.directory, quiet=True)
    assert before == {path: path.stat().st_mtime_ns for path in run.directory.glob("jobs/*/_SUCCESS")}
    again = pet.run(config(*ADAPT), tmp_path / "run", quiet=True)
    assert content(again.directory) == content(run.directory)


def test_the_student_is_trained_from_it_too_also_later(run: pet.RunResult, tmp_path: Path) -> None:
    model = (run.directory / "model" / "model.safetensors").read_bytes()
    distill(run.directory, output_dir=tmp_path / "model", quiet=True)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == model


def test_a_student_is_not_trained_from_another_model_because_that_one_is_gone(
    run: pet.RunResult, tmp_path: Path
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run.directory, copied)
    shutil.rmtree(copied / "jobs" / Manifest.from_file(copied / "manifest.json").jobs["adapt"])
    with pytest.raises(RunError, match=r"has adapted to its pool is gone from .*jobs: make it again with `pet run`"):
        distill(copied, quiet=True)


def test_it_reads_no_more_at_once_than_the_model_can(config: Callable[..., pet.RunConfig], tmp_path: Path) -> None:
    settings = config(
        "adapt.method=mlm", "adapt.steps=1", "adapt.batch_size=1", "train.steps=1", "model.max_length=500"
    )
    long = [{"text": "good news " * 100, "id": f"long-{i}"} for i in range(30)]
    write_rows(tmp_path / "long.jsonl", long)
    data = settings.data.model_copy(update={"unlabeled": str(tmp_path / "long.jsonl")})
    assert label(settings.model_copy(update={"data": data}), tmp_path / "run", quiet=True).pseudo_labels.is_file()


@pytest.mark.parametrize("most_steps", [200, 3])
def test_without_a_limit_it_reads_the_pool_four_times_or_makes_so_many_steps(
    config: Callable[..., pet.RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_steps: int
) -> None:
    monkeypatch.setattr(adaptation, "MOST_STEPS", most_steps)
    settings = config("adapt.method=mlm", "adapt.batch_size=1", "train.steps=1")
    label(settings, tmp_path / "run", quiet=True)
    jobs = Manifest.from_file(tmp_path / "run" / "manifest.json").jobs
    done = json.loads((tmp_path / "run" / "jobs" / jobs["adapt"] / "training.json").read_text())["curve"][-1]
    pool = prepare(settings).data.unlabeled
    read = [row.fields["text"] for i, row in enumerate(pool) if i % 20]
    tokenizer = AutoTokenizer.from_pretrained(settings.model.name)
    tokens = sum(len(tokenizer(text)["input_ids"]) for text in read)
    if most_steps == 3:
        assert done["step"] == 3 and done["tokens"] < 4 * tokens
    else:
        assert 4 * tokens <= done["tokens"] < 4 * tokens + settings.model.max_length


def test_a_kept_voter_is_explained_on_the_adapted_model(config: Callable[..., pet.RunConfig], tmp_path: Path) -> None:
    settings = config(*ADAPT, "train.preset=word-tuning", "train.steps=1", "run.keep_models=true")
    root = label(settings, tmp_path / "run", quiet=True).directory
    voter = (
        root / "jobs" / Manifest.from_file(root / "manifest.json").jobs["voter/toy/colon+words@word-tuning"] / "model"
    )
    plan = prepare(settings)
    tokens = explain_prompt(str(voter), 1, plan.data, plan.patterns, plan.model)
    assert [token.text for token in tokens if token.kind == "tune"] == [":"]
    assert all(token.nearest for token in tokens if token.kind == "tune")
