"""What is said about two runs that differ."""

from pathlib import Path

import pytest

from pet.runs.manifest import FORMAT_VERSION, Manifest, setting_changes

IDENTITY = {"config": "c", "data": "d", "model": "m", "code": "v"}


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest(IDENTITY, {"a": "01", "b": "02"})
    manifest.write(tmp_path / "manifest.json")
    assert Manifest.from_file(tmp_path / "manifest.json") == manifest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"name": "a web page"}',
        '{"format": "other", "format_version": 1, "identity": {}, "jobs": {}}',
        '{"format": "pet-run"}',
    ],
)
def test_a_file_of_others_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert Manifest.from_file(tmp_path / "manifest.json") is None
    assert Manifest.from_file(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"config": "x"}, ["train.steps was 1 and is 2"]),
        ({"data": "x"}, ["the data files have changed"]),
        ({"model": "x"}, ["the model has changed"]),
        ({"code": "x"}, ["it was made by another version of pet"]),
        ({"prompts": "x"}, ["the prompts has changed"]),
        (
            {"code": "x", "config": "y"},
            ["train.steps was 1 and is 2", "it was made by another version of pet"],
        ),
    ],
)
def test_each_change_is_said(changed: dict[str, str], said: list[str]) -> None:
    settings = {"train.steps": "train.steps was 1 and is 2"} if "config" in changed else {}
    assert Manifest(IDENTITY).changes({**IDENTITY, **changed}, settings) == said


@pytest.mark.parametrize(
    ("changed", "settings", "said"),
    [
        # Other rows are drawn by another seed, and read by other code: whether the files are the same nobody knows.
        (("config", "data"), {"run.seed": "run.seed was 1 and is 2"}, ["run.seed was 1 and is 2"]),
        (("config", "data"), {"data.max_unlabeled": "A"}, ["A"]),
        (("config", "data"), {"train.steps": "A"}, ["A", "the data files have changed"]),
        (("data", "code"), {}, ["it was made by another version of pet"]),
        (("data",), {"data.test": "only its path"}, ["the data files have changed"]),
        (("config",), {}, ["a pattern, its words or an encoder has changed"]),
    ],
)
def test_what_is_named_was_checked(changed: tuple[str, ...], settings: dict[str, str], said: list[str]) -> None:
    assert Manifest(IDENTITY).changes({**IDENTITY, **dict.fromkeys(changed, "x")}, settings) == said


def test_a_change_of_unknown_settings_and_of_the_format_is_said() -> None:
    assert Manifest(IDENTITY).changes({**IDENTITY, "config": "x"}, None) == ["the settings have changed"]
    older = Manifest(IDENTITY, {}, FORMAT_VERSION - 1)
    assert older.changes(IDENTITY, None) == ["it was made by another version of pet"]
    assert older.changes({**IDENTITY, "code": "x"}, None) == ["it was made by another version of pet"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("a = 1", "a = 1 # same", None),
        ("[train]\nsteps = 100", "[train]\nsteps = 50", "train.steps was 100 and is 50"),
        ("[train]\nsteps = 100", "[train]", "train.steps was 100 and is not set"),
        ("[train]", "[train]\nsteps = 50", "train.steps was not set and is 50"),
        ('[model]\nname = "a"', '[model]\nname = "b"', 'model.name was "a" and is "b"'),
        (
            "[a]\nb = [1]\n[c]\nd = 1",
            "[a]\nb = [2]\n[c]\nd = 2",
            "a.b was [1] and is [2], c.d was 1 and is 2",
        ),
        (
            "",
            "a=1\nb=2\nc=3\nd=4\ne=5",
            "a was X and is 1, b was X and is 2, c was X and is 3, 2 more differ".replace("X", "not set"),
        ),
        ("[run]\nkeep_models = true\nseed = 1", "[run]\nworkers = 2\nseed = 2", "run.seed was 1 and is 2"),
        ("not toml", "a = 1", None),
    ],
)
def test_the_first_changed_settings_are_named(before: str, after: str, said: str | None) -> None:
    assert setting_changes(before, after) == said


def test_a_long_value_is_shortened() -> None:
    said = setting_changes(f'a = "{"x" * 500}"', 'a = "y"')
    assert said is not None and len(said) < 120
