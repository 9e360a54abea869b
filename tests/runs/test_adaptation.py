"""The model reads the pool once, before any voter; everything after it starts from these weights."""

import json

import pytest
from safetensors.numpy import load_file
from toy import content

import pet
from pet.pipeline import distill
from pet.runs.manifest import Manifest

ADAPT = ("adapt.method=mlm", "adapt.steps=5", "adapt.learning_rate=1e-2", "run.baseline=false")


@pytest.fixture(scope="module")
def run(toy_pipeline, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapted") / "run"
    return pet.run(pet.RunConfig.from_toml(toy_pipeline, ADAPT), root, quiet=True)


def test_all_jobs_start_from_the_adapted_weights(run, finished, tiny_model):
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


def test_it_is_done_once_and_the_same_way(run, config, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in run.directory.glob("jobs/*/_SUCCESS")}
    pet.run(config(*ADAPT), run.directory, quiet=True)
    assert before == {path: path.stat().st_mtime_ns for path in run.directory.glob("jobs/*/_SUCCESS")}
    again = pet.run(config(*ADAPT), tmp_path / "run", quiet=True)
    assert content(again.directory) == content(run.directory)


def test_the_student_is_trained_from_it_too_also_later(run, tmp_path):
    model = (run.directory / "model" / "model.safetensors").read_bytes()
    distill(run.directory, output_dir=tmp_path / "model", quiet=True)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == model
