"""Teaching the classifier: rows kept from it, the choice, and what is told of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy import content, rows_of

import pet
from pet.method.teach import held_out_rows

QUICK = ("train.steps=4", "distill.steps=20", "run.baseline=false", "distill.learning_rate=5e-3")


@pytest.mark.parametrize(("pool", "held"), [(0, 0), (59, 0), (60, 30), (299, 30), (1000, 100), (90_000, 500)])
def test_a_tenth_of_the_pool_is_kept_from_the_classifier(pool: int, held: int) -> None:
    gold = np.r_[np.ones(10, np.bool_), np.zeros(pool, np.bool_)]
    found = held_out_rows(gold, np.random.default_rng(0))
    assert len(found) == held == len(set(found.tolist())) and not gold[found].any()


@pytest.fixture(scope="module")
def run(larger_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> pet.RunResult:
    """A run whose pool of 120 rows has 30 to spare."""
    config = pet.RunConfig.from_toml(larger_pipeline, QUICK)
    return pet.run(config, tmp_path_factory.mktemp("runs") / "taught", quiet=True)


def test_the_choice_is_told_and_kept(run: pet.RunResult) -> None:
    found = json.loads((run.directory / "metrics.json").read_text())["students"]
    assert found["held_out"] == 30
    assert found["candidates"][0]["size"] == "logistic"
    assert sum(line["chosen"] for line in found["candidates"]) == 1
    assert run.choice is not None and run.choice.as_json() == found
    log = (run.directory / "run.log").read_text()
    assert "by agreement with the ensemble on 30 rows of the pool held out of it" in log
    assert run.model is not None
    assert f"size = {run.choice.chosen.size}" in (run.model / "README.md").read_text()


def test_it_says_how_precise_it_is(run: pet.RunResult) -> None:
    assert run.model is not None
    curve = json.loads((run.model / "config.json").read_text())["pet"]["acceptance"]
    assert curve[-1][2] == 1.0
    texts = [str(row["text"]) for row in rows_of("test", 4)]
    found = pet.predict(run.model, texts, min_precision=curve[-1][1])
    assert {one.accept for one in found} <= {True, False}


def test_again_is_the_same_and_does_nothing(run: pet.RunResult, larger: Callable[..., pet.RunConfig]) -> None:
    before = content(run.directory)
    again = pet.run(larger(*QUICK), run.directory, quiet=True)
    assert content(run.directory) == before
    assert again.choice == run.choice
