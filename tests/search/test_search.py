"""`pet search` on the toy task: both files are read by what reads registries; test rows are not; bad input is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_t5 import save_tiny_t5
from toy import LABELS
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.method.plan.plan import prepare
from pet.prompts.registry import load_patterns, load_verbalizers

Run = Callable[..., Result]


@pytest.fixture
def search(toy_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on a copy of the toy task, in a folder of its own."""
    shutil.copytree(toy_pipeline.parent, tmp_path / "task")
    monkeypatch.chdir(tmp_path)
    return lambda kind, *flags: CliRunner().invoke(app, ["search", kind, "task/toy.toml", *flags])


def change(path: Path, value: Callable[[int, dict[str, object]], dict[str, object]]) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(value(i, row)) + "\n" for i, row in enumerate(rows)), encoding="utf-8")


def test_words_are_found_read_and_not_searched_twice(search: Run) -> None:
    first = search("verbalizer", "--words", "2")
    assert first.exit_code == 0, first.output
    assert "the present words" in first.output
    assert "2 patterns are read, on 48 rows each" in first.output
    found = [one for one in load_verbalizers(["prompts"]) if one.name.startswith("toy/")]
    assert {one.name for one in found} == {f"toy/{name}" for name in ("mixed", "petal", "petal-ce", "avs", "names")}
    assert all(one.labels == tuple(LABELS) for one in found)
    overrides = ('prompts.verbalizer="toy/mixed"', 'prompts.patterns=["toy/*"]')
    prepare(pet.RunConfig.from_toml("task/toy.toml", overrides).with_registries(["prompts"]))
    before = Path("prompts/verbalizers/toy.toml").read_bytes()
    again = search("verbalizer", "--words", "2")
    assert again.exit_code == 2 and "exists already" in again.output
    # What the test rows are changes nothing, and what is done is not done again.
    change(Path("task/test.jsonl"), lambda i, row: {**row, "label": LABELS[(i + 1) % 3]})
    other = search("verbalizer", "--words", "2", "--output", "other/verbalizers/toy.toml")
    assert other.exit_code == 0 and "are read" not in other.output
    assert Path("other/verbalizers/toy.toml").read_bytes() == before


def test_words_for_each_pattern_by_soft_labels_too(search: Run, finished: pet.RunResult) -> None:
    flags = ("--per-pattern", "--method", "petal", "--pool", str(finished.directory))
    assert search("verbalizer", *flags).exit_code == 0
    names = [one.name for one in load_verbalizers(["prompts"]) if one.name.startswith("toy/")]
    assert names == ["toy/petal-colon", "toy/petal-category"]


def test_without_labeled_rows_the_names_tell_words(search: Run) -> None:
    text = Path("task/toy.toml").read_text(encoding="utf-8")
    Path("task/toy.toml").write_text(text.replace('train = "train.jsonl"\n', ""), encoding="utf-8")
    done = search("verbalizer")
    assert done.exit_code == 0, done.output
    words = load_verbalizers(["prompts"]).get("toy/names").words
    assert [words[label][0] for label in LABELS] == ["sports", "business", "tech"]
    assert search("patterns").exit_code == 2


def test_patterns_are_found_by_rules_and_a_t5_and_read(
    search: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pet.search.generation.MOST_TOKENS", 3)
    t5 = save_tiny_t5(tmp_path / "t5")
    done = search("patterns", "--count", "3", "--by", "rules", "--about", "news", "--model", str(t5))
    assert done.exit_code == 0, done.output
    assert "the T5 wrote" in done.output and "more lost the mask" in done.output
    assert "News: {mask} || {text}" in done.output
    found = [one for one in load_patterns(["prompts"]) if one.name.startswith("toy/")]
    assert len(found) == 3
    assert all(one.fields == ("text",) for one in found)


def test_rows_that_are_too_few_are_told(search: Run) -> None:
    change(
        Path("task/train.jsonl"), lambda i, row: row if i == 2 or row["label"] != "Tech" else {**row, "label": "Sports"}
    )
    for kind in ("verbalizer", "patterns"):
        done = search(kind)
        assert done.exit_code == 2
        assert "'Tech' has 1 labeled row, and a search needs 2" in done.output
    assert search("verbalizer", "--method", "names").exit_code == 0


def test_other_bad_input_is_told(search: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("", encoding="utf-8")
    for flags, said in (
        (("--by", "rule"), "Did you mean rules?"),
        (("--words", "3"), "--words says nothing to `pet search patterns`"),
        (("--output-dir", "full"), "holds no search (it has 'thesis.txt')"),
        (("--output", "words.toml"), "expected a file such as prompts/patterns/mine.toml"),
        (("--from-soft", "task"), "no saved voter with virtual tokens"),
        (("--model", "task"), "error:"),
    ):
        done = search("patterns", *flags)
        assert done.exit_code == 2, flags
        assert said in done.output


def test_trained_virtual_tokens_become_words(search: Run) -> None:
    config = pet.RunConfig.from_toml(
        "task/toy.toml",
        ("train.preset=p-tuning", 'prompts.patterns=["toy/category"]', "train.steps=2", "distill.steps=1"),
    )
    pet.label(config.with_settings({"run": {"keep_models": True}}), "runs/soft", quiet=True)
    done = search("patterns", "--by", "", "--from-soft", "runs/soft")
    assert done.exit_code == 0, done.output
    assert "soft/1: [ " in done.output and "; with its virtual tokens " in done.output
    assert np.any(["soft-1" in one.name or "toy/toy" in one.name for one in load_patterns(["prompts"])])
