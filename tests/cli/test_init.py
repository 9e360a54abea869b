"""`pet init`: files looked at, a pipeline written, a person asked where there is one."""

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pet.cli import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with one file of rows, in which most labels are empty."""
    monkeypatch.chdir(tmp_path)
    lines = [f"a message number {n},a note with words {n},{'xy'[n % 2] if n < 8 else ''}" for n in range(20)]
    Path("all.csv").write_text("\n".join(["text,note,label", *lines]), encoding="utf-8")
    return tmp_path


def init(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(app, ["init", *arguments], input=answers)


def settings(path: str = "all.toml") -> dict[str, Any]:
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def test_a_pipeline_is_written_shown_and_never_overwritten() -> None:
    result = init("all.csv", "--yes")
    assert result.exit_code == 0, result.output
    assert settings()["data"] == {"rows": "all.csv"}
    text = Path("all.toml").read_text(encoding="utf-8")
    assert result.stdout.startswith(text) and "pet run all.toml --fast" in result.stdout
    again = init("all.csv", "--yes")
    assert again.exit_code == 2 and "all.toml is there already" in again.stderr
    assert init("all.csv", "--yes", "--force", "--text", "note").exit_code == 0
    assert settings()["task"]["fields"] == {"text": "note"}


def test_without_a_terminal_nobody_is_asked() -> None:
    assert init("all.csv").exit_code == 0
    assert settings()["task"]["label_column"] == "label"


def test_on_a_terminal_columns_and_kind_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True), argv=["pet", "init", "all.csv"])
    monkeypatch.setattr("pet.cli.starting.sys", terminal)
    result = init("all.csv", answers="note\n\nspam\n")
    assert result.exit_code == 0, result.output
    assert settings()["task"]["fields"] == {"text": "note"}
    assert settings()["prompts"]["patterns"] == ["spam/*"]
    assert "columns of the text, with commas [text]" in result.stdout


def test_the_pipeline_may_lie_elsewhere(folder: Path) -> None:
    (folder / "sub").mkdir()
    assert init("all.csv", "--yes", "--output", "sub/x.toml").exit_code == 0
    assert settings("sub/x.toml")["data"] == {"rows": str(Path("..") / "all.csv")}
    refused = init("all.csv", "--yes", "--output", "none/x.toml")
    assert refused.exit_code == 2 and "The folder none for x.toml does not exist" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.csv",), "No file at none.csv"),
        (("all.csv", "--labels", "x"), "expected at least two labels"),
        (("all.csv", "--label-column", "lable"), "Did you mean label?"),
        (("all.csv", "--kind", "nli"), "--kind nli reads premise and hypothesis"),
        (("all.csv", "--model", "pet-mimi"), "Did you mean pet-mini?"),
        (("all.csv", "all.csv"), "no label in the column"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = init(*arguments, "--yes")
    assert result.exit_code == 2
    assert words in result.stderr and len(result.stderr.splitlines()) == 1
    assert not Path("all.toml").exists()
