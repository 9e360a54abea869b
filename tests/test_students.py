"""The final classifier in each size, from a run's labels to predictions."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toy import LABELS, content, rows_of, write_rows

import pet
from pet.errors import ConfigError
from pet.pipeline import distill
from pet.using.files import evaluate_file

pytestmark = pytest.mark.slow

TEXTS = [str(row["text"]) for row in rows_of("test", 4)]
STEPS = ("distill.steps=200", "distill.learning_rate=1e-2")


@pytest.mark.parametrize("size", ["small", "static"])
def test_each_size_is_distilled_once_and_predicts(copied: Path, tmp_path: Path, size: str) -> None:
    # Labels as a person would set them: what a tiny model says of the rows teaches little.
    path = copied / "pseudo_labels.parquet"
    labeled = pq.read_table(path)
    truth = [LABELS[int(name.rpartition("-")[2]) % 3] for name in labeled["id"].to_pylist()]
    pq.write_table(labeled.set_column(labeled.schema.get_field_index("label"), "label", [truth]), path)
    target = distill(copied, [f"distill.size={size}", *STEPS], tmp_path / size, quiet=True)
    found = pet.predict(target, TEXTS)
    assert tuple(found[0].probs) == LABELS
    right = [one.label == row["label"] for one, row in zip(found, rows_of("test", 4), strict=True)]
    assert sum(right) >= 9  # of 12; by chance 4
    evaluation, _ = evaluate_file(target, str(write_rows(tmp_path / "test.jsonl", rows_of("test", 4))))
    assert evaluation.accuracy == sum(right) / len(right)
    jobs = sorted(path.name for path in (copied / "jobs").iterdir())
    distill(copied, [f"distill.size={size}", *STEPS], tmp_path / "again", quiet=True)
    assert sorted(path.name for path in (copied / "jobs").iterdir()) == jobs
    assert content(tmp_path / "again") == content(target)


def test_a_run_with_a_static_classifier(config: Callable[..., pet.RunConfig], tmp_path: Path) -> None:
    settings = config("distill.size=static", "run.baseline=false", *STEPS)
    result = pet.run(settings, tmp_path / "run", quiet=True)
    before = content(tmp_path / "run")
    assert result.model is not None
    assert json.loads((result.model / "config.json").read_text())["model_type"] == "pet-static"
    assert 'pet.predict("path/to/this/folder", [("...")])' in (result.model / "README.md").read_text()
    assert "transformers" not in (result.model / "README.md").read_text().split("```")[1]
    pet.run(settings, tmp_path / "run", quiet=True)
    assert content(tmp_path / "run") == before


def test_steps_and_rates_follow_the_size(copied: Path, tmp_path: Path, config: Callable[..., pet.RunConfig]) -> None:
    target = distill(copied, ["distill.size=static"], tmp_path / "static", quiet=True)
    assert "steps = 1000" in (target / "README.md").read_text()
    with pytest.raises(ConfigError, match=r"distill.size: .*'small', 'static' or 'logistic', found 'tiny'"):
        config("distill.size=tiny")
