"""A recipe: its paths are relative to the file, and what the command line says takes the place of it."""

from pathlib import Path
from typing import Any

import pytest

from pet.errors import ConfigError
from pet.settings.recipe import PretrainConfig

RECIPE = """
[start]
model = "start"
trim_vocab = 500
[text]
files = ["a.txt", "talk=b.txt:0.4"]
valid = "valid.txt"
[train]
minutes = 5
"""


def test_paths_and_flags(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "start").mkdir()
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    config = PretrainConfig.from_recipe(str(path), ["masking.rate=0.3"])
    assert config.start.model == str(tmp_path / "start")
    assert config.text.files == (f"{tmp_path}/a.txt", f"talk={tmp_path}/b.txt:0.4")
    assert (config.text.valid, config.train.minutes, config.masking.rate) == (f"{tmp_path}/valid.txt", 5.0, 0.3)
    flags: dict[str, dict[str, Any]] = {
        "start": {"model": "pet-mini"},
        "text": {"files": ["c.txt"]},
        "train": {"tokens": 1000},
    }
    changed = PretrainConfig.from_recipe(str(path), (), flags)
    assert (changed.start.model, changed.start.trim_vocab, changed.text.files) == ("pet-mini", 500, ("c.txt",))
    assert (changed.train.tokens, changed.train.minutes) == (1000, None)
    path.write_text(config.to_toml())
    assert PretrainConfig.from_recipe(str(path)) == config


def test_names_of_hub_data_sets_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        RECIPE.replace('["a.txt", "talk=b.txt:0.4"]', '["ag_news:train", "talk=owner/name:test", "~/x.txt"]')
    )
    files = PretrainConfig.from_recipe(str(path)).text.files
    assert files == ("ag_news:train", "talk=owner/name:test", str(Path("~/x.txt").expanduser()))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("start.from_scratch=6x384", "model and from_scratch exclude each other"),
        ("masking.masked=0.95", "masked \\+ random is 1.05, expected at most 1"),
        ("train.accumulation=3", "accumulation = 3 does not divide batch_size = 32"),
        ("masking.rate=0.9", "masking.rate"),
        ("textt.length=9", r"unknown section \[textt\]. Did you mean text"),
    ],
)
def test_what_does_not_fit_is_refused(change: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        PretrainConfig.from_recipe(None, ["start.model=pet-mini", change])


def test_a_value_in_the_place_of_a_section_is_told(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("text = 3")
    with pytest.raises(ConfigError, match=r"text: .*found 3"):
        PretrainConfig.from_recipe(str(path), (), {"text": {}})
