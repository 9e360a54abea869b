"""The ready-made pipelines name prompts that exist and fit their labels."""

from pathlib import Path

import pytest

from pet.data.examples import Task
from pet.library import pipeline_files
from pet.prompts.pvp import PVP
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.prompts.verbalizers import Verbalizer
from pet.settings.config import RunConfig
from pet.settings.recipe import PretrainConfig

RECIPES = [path for name, path in pipeline_files().items() if name.startswith("pretrain-")]
RUNS = [path for name, path in pipeline_files().items() if path not in RECIPES and "/" not in name]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_pipeline_loads_and_its_prompts_fit(path: Path) -> None:
    config = RunConfig.from_toml(path)
    named = load_verbalizers().get(config.prompts.verbalizer) if config.prompts.verbalizer else None
    labels = config.task.labels or (named.labels if named else ("one", "two"))
    words = named or Verbalizer.from_labels(labels)
    patterns = load_patterns().select(config.prompts.patterns)
    assert len(patterns) >= 4
    for pattern in patterns:
        PVP(pattern, words).check(Task(config.task.name, labels, tuple(config.task.fields) or ("text",)))


@pytest.mark.parametrize(("name", "path"), pipeline_files().items(), ids=pipeline_files())
def test_the_first_line_says_what_it_is_for_and_how_to_run_it(name: str, path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    command = f"pet pretrain OUT --recipe {name}" if path in RECIPES else f"pet run {name}"
    assert first.startswith("# ") and command in first


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_pretraining_loads(path: Path) -> None:
    config = PretrainConfig.from_recipe(path.stem, flags={"text": {"files": ["a.txt"]}, "train": {"steps": 5}})
    assert config.start.model is not None and config.text.files == ("a.txt",)
    assert (config.train.steps, config.train.minutes) == (5, None)  # the limit that is given is the only one
