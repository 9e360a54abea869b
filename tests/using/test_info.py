"""What a classifier says it is."""

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.method.about import ABOUT, licence
from pet.using.info import NOT_RECORDED


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_run_and_its_model_folder_say_the_same(finished: pet.RunResult) -> None:
    found, other = (command("info", place) for place in (finished.directory, finished.model))
    assert found.exit_code == other.exit_code == 0, found.output
    assert found.stdout == other.stdout
    lines = found.stdout.splitlines()
    assert lines[0] == "task           toy" and "base model" in found.stdout
    assert [line.split()[:2] for line in lines[-3:]] == [[label, "4"] for label in ("Sports", "Business", "Tech")]


def test_json_has_all_of_it(finished: pet.RunResult) -> None:
    found = json.loads(command("info", finished.directory, "--json").stdout)
    assert found["task"] == "toy" and found["columns"] == {"text": "text"}
    assert {label: one["gold"] for label, one in found["labels"].items()} == {"Sports": 4, "Business": 4, "Tech": 4}
    assert sum(one["pool"] for one in found["labels"].values()) == 36
    assert set(found["data"]["sets"]) == {"labeled", "unlabeled", "test"}
    assert found["settings"]["steps"] == 16 and {"python", "torch"} <= set(found["versions"])
    assert found["students"]["candidates"][0]["chosen"] and found["base_model"]["licence"] is None
    assert found["thresholds"] is None and found["sketch_rows"] is None


def test_a_model_of_before_has_less(finished: pet.RunResult, sketched_model: Path, tmp_path: Path) -> None:
    result = command("info", sketched_model)
    assert result.exit_code == 0 and result.stdout.count(NOT_RECORDED) >= 8
    assert "120 rows of the pool" in result.stdout
    assert finished.model is not None
    torn = shutil.copytree(finished.model, tmp_path / "torn")
    for text, words in (("{", "cannot be read"), ('{"labels": {}, "format_version": 9}', "newer version")):
        (torn / ABOUT).write_text(text)
        result = command("info", torn)
        assert result.exit_code == 2 and words in result.stderr


def test_what_is_no_classifier_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    for place, words in ((tmp_path / "none", "There is no folder"), (tiny_model, "no classifier written by pet")):
        result = command("info", place)
        assert result.exit_code == 2 and words in result.stderr


def test_a_licence_stands_at_the_head_of_a_card(tmp_path: Path) -> None:
    assert licence(tmp_path) is None and licence(None) is None
    for text, expected in (
        ('---\nlanguage: en\nlicense: "mit"\n---\n# x\n', "mit"),
        ("# x\nlicense: mit\n", None),
    ):
        (tmp_path / "README.md").write_text(text)
        assert licence(tmp_path) == expected
