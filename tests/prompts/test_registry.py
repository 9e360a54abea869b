"""Registries and their files: order, names, selection, and that nothing is skipped."""

from pathlib import Path

import pytest

from pet.errors import PromptError
from pet.prompts import tables
from pet.prompts.patterns import Pattern
from pet.prompts.registry import Registry, load_patterns, load_verbalizers

GOOD = '[short]\ntemplate = "{mask}: {text}"\n'


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A registry folder with one pattern, `mine/short`."""
    write(tmp_path, "patterns/mine.toml", GOOD)
    return tmp_path


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def names_of(*names: str) -> Registry[Pattern]:
    registry: Registry[Pattern] = Registry("pattern")
    for name in names:
        registry.add(name, Pattern(name, "{mask} {text}"))
    return registry


def test_folders_come_after_the_package(mine: Path) -> None:
    registry = load_patterns([mine])
    names = [pattern.name for pattern in registry.select(["*"])]
    assert names[-1] == "mine/short"
    assert names[:-1] == [pattern.name for pattern in load_patterns().select(["*"])]
    assert registry.origin("mine/short") == str(mine / "patterns" / "mine.toml")
    assert registry.get("mine/short").template == "{mask}: {text}"


def test_a_file_adds_to_a_family_of_the_package(tmp_path: Path) -> None:
    write(tmp_path, "patterns/agnews.toml", GOOD)
    registry = load_patterns([str(tmp_path)])
    assert registry.get("agnews/short") in registry.select(["agnews/*"])


def test_files_are_read_by_name_and_tables_in_their_order(tmp_path: Path) -> None:
    write(tmp_path, "patterns/b.toml", GOOD.replace("short", "z") + GOOD.replace("short", "a"))
    write(tmp_path, "patterns/a.toml", GOOD)
    found = load_patterns([tmp_path]).select(["*"])
    assert [pattern.name for pattern in found[-3:]] == ["a/short", "b/z", "b/a"]


def test_verbalizer_tables(tmp_path: Path) -> None:
    write(tmp_path, "verbalizers/mine.toml", '[x]\n"Sci/Tech" = ["Tech", "Science"]\ndescription = "Story"\n')
    words = load_verbalizers([tmp_path]).get("mine/x").words
    assert words == {"Sci/Tech": ("Tech", "Science"), "description": ("Story",)}
    assert load_patterns([tmp_path]).select(["*"]) == load_patterns().select(["*"])


def test_the_description_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "patterns/mine.toml", GOOD + 'description = "Short."\n')
    assert load_patterns([tmp_path]).get("mine/short").description == "Short."


def test_hidden_files_and_notes_are_no_tables(mine: Path) -> None:
    write(mine, "patterns/.DS_Store", b"\x00")
    write(mine, "patterns/README.md", "Mine.")
    assert load_patterns([mine]).get("mine/short")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"mine\.toml has no table in it"),
        ('template = "{mask} {text}"', r"mine\.toml: 'template' stands outside a table"),
        ("[short]", r"mine\.toml \[short\]: the key 'template' is missing"),
        ("[short]\ntemplate = 3", r"\[short\]: expected text for 'template', found 3"),
        (GOOD + "descripton = 'x'", r"\[short\]: unknown key 'descripton'\. Did you mean description\?"),
        ("[short]\ntemplate = '{text}'", r"mine\.toml \[short\]: Pattern 'mine/short' has no \{mask\}"),
        ("['a/b']\ntemplate = '{mask} {text}'", r"\[a/b\]: the names of a file and of a table"),
        ("[short", r"mine\.toml is not a readable TOML file"),
        (GOOD + GOOD, r"mine\.toml is not a readable TOML file"),
        (b"# \xff", r"mine\.toml is not a readable TOML file"),
    ],
)
def test_a_wrong_pattern_file_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    write(tmp_path, "patterns/mine.toml", content)
    with pytest.raises(PromptError, match=message):
        load_patterns([tmp_path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[x]\na = []", r"mine\.toml \[x\]: Verbalizer 'mine/x', label 'a': expected at least one word"),
        ("[x]", r"mine\.toml \[x\]: Verbalizer 'mine/x' has no labels"),
        ("[x]\na = 1", r"expected a list of words, found 1"),
        ("[x]\na = ['y', 1]", r"expected a list of words"),
        ("[x]\na = ['y']\nb = 'y'", r"the word 'y' 2 times, for \['a', 'b'\]"),
        ("[x]\nSci.Tech = ['y']", r"\[x\]: the label 'Sci' is a table"),
    ],
)
def test_a_wrong_verbalizer_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path, "verbalizers/mine.toml", content)
    with pytest.raises(PromptError, match=message):
        load_verbalizers([tmp_path])


@pytest.mark.parametrize("name", ["patterns/mine.yaml", "patterns/mine.toml~", "patterns/more/mine.toml"])
def test_a_stray_file_is_refused(mine: Path, name: str) -> None:
    write(mine, name, GOOD)
    with pytest.raises(PromptError, match=r"is not a \.toml file"):
        load_patterns([mine])


def test_a_file_that_cannot_be_opened_is_refused(mine: Path) -> None:
    (mine / "patterns" / "gone.toml").symlink_to(mine / "nowhere.toml")
    with pytest.raises(PromptError, match=r"gone\.toml cannot be read"):
        load_patterns([mine])


@pytest.mark.parametrize("load", [load_patterns, load_verbalizers])
def test_a_folder_that_holds_no_registry_is_refused(load: type, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"has no patterns/ or verbalizers/ folder"):
        load([tmp_path])
    with pytest.raises(PromptError, match=r"There is no registry folder .*gone"):
        load([tmp_path / "gone"])


def test_a_package_without_its_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BUILTIN", tmp_path)
    with pytest.raises(PromptError, match=r"has no patterns/ or verbalizers/ folder"):
        load_patterns()


def test_a_name_in_two_folders_names_both_files(mine: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", "patterns/mine.toml", GOOD)
    with pytest.raises(PromptError, match=rf"'mine/short' is defined in {mine}.* and again in .*other.*mine\.toml"):
        load_patterns([mine, tmp_path / "other"])


def test_get_names_near_matches() -> None:
    with pytest.raises(PromptError, match=r"no pattern 'agnews/dahs' .*--registry.*\. Did you mean agnews/dash"):
        load_patterns().get("agnews/dahs")
    with pytest.raises(PromptError, match=r"no verbalizer 'agnews/word' .*--registry.*\. Did you mean agnews/words"):
        load_verbalizers().get("agnews/word")


def test_select_keeps_the_order_of_the_registry_and_each_once() -> None:
    registry = names_of("x/b", "x/a", "y/a", "z/a")
    assert [one.name for one in registry.select(["y/a", "x/*", "*/a"])] == ["x/b", "x/a", "y/a", "z/a"]
    assert [one.name for one in registry.select("?/b")] == ["x/b"]
    assert registry.select([]) == ()


def test_select_tells_upper_from_lower_case() -> None:
    assert [one.name for one in names_of("x/A", "x/a").select(["x/A"])] == ["x/A"]


@pytest.mark.parametrize(
    ("glob", "hint"),
    [("agnew/*", r"agnews/\*"), ("agnews", r"agnews/dash"), ("agnews/colons", r"agnews/colon")],
)
def test_a_glob_that_fits_nothing_is_an_error(glob: str, hint: str) -> None:
    with pytest.raises(PromptError, match=rf"^No pattern fits .*{hint}"):
        load_patterns().select(["yelp/*", glob])


def test_a_name_is_added_once() -> None:
    registry = names_of("x/a")
    assert registry.origin("x/a") == "code"
    with pytest.raises(PromptError, match=r"'x/a' is defined in code and again in code"):
        registry.add("x/a", registry.get("x/a"))
    assert registry.select(["*"]) == (registry.get("x/a"),)
