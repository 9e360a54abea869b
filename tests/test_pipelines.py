"""The ready-made pipelines name prompts that exist and fit their labels."""

import pytest

from pet.config import RunConfig
from pet.data.examples import Task
from pet.library import pipeline_files
from pet.prompts import PVP, Verbalizer, load_patterns, load_verbalizers


@pytest.mark.parametrize("path", pipeline_files(), ids=lambda path: path.stem)
def test_every_pipeline_loads_and_its_prompts_fit(path):
    config = RunConfig.from_toml(path)
    named = load_verbalizers().get(config.prompts.verbalizer) if config.prompts.verbalizer else None
    labels = config.task.labels or (named.labels if named else ("one", "two"))
    words = named or Verbalizer.from_labels(labels)
    patterns = load_patterns().select(config.prompts.patterns)
    assert len(patterns) >= 4
    for pattern in patterns:
        PVP(pattern, words).check(Task(config.task.name, labels, tuple(config.task.fields) or ("text",)))


@pytest.mark.parametrize("path", pipeline_files(), ids=lambda path: path.stem)
def test_the_first_line_says_what_it_is_for_and_how_to_run_it(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ") and f"pet run {path.stem}" in first
