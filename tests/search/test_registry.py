"""The file of a search: where it may lie, and that a registry reads what was written."""

from pathlib import Path

import pytest

from pet.errors import ConfigError
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.search.registry import Entry, registry_file, write_entries


def test_a_registry_reads_what_was_written(tmp_path: Path) -> None:
    path = registry_file(tmp_path / "verbalizers" / "mine.toml", "verbalizers", "task")
    words = {'a "quoted" label': ("good", "bêtise"), "v1.0": ("bad",)}
    write_entries(path, ["Found."], [Entry("petal", ("On 3 rows.\nAnd more.",), words)])
    assert dict(load_verbalizers([tmp_path]).get("mine/petal").words) == words
    assert "# On 3 rows. And more.\n[petal]\n" in path.read_text(encoding="utf-8")
    path = registry_file(tmp_path / "patterns" / "mine.toml", "patterns", "task")
    write_entries(path, [], [Entry("rule-null-1", (), {"template": '"{text}" {mask}', "description": "By rule."})])
    assert load_patterns([tmp_path]).get("mine/rule-null-1").template == '"{text}" {mask}'


def test_the_file_is_named_after_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert registry_file(None, "patterns", "my task (1)") == Path("prompts/patterns/my-task-1.toml")


@pytest.mark.parametrize("name", ["words.toml", "verbalizers/words.txt", "patterns/words.toml", "verbalizers/a b.toml"])
def test_a_file_that_no_registry_would_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="expected a file such as prompts/verbalizers/mine"):
        registry_file(tmp_path / name, "verbalizers", "task")


def test_a_file_that_exists_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verbalizers" / "words.toml"
    path.parent.mkdir()
    path.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists already"):
        registry_file(path, "verbalizers", "task")
