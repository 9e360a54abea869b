"""No text, label or name of a file steers the terminal, in any command; and commands to copy can be copied."""

import json
import re
import shlex
from pathlib import Path

import pytest
from mistakes import Toy, command
from toy import rows_of, write_rows, write_task

import pet
from pet.errors import visible

SIGNS = "\x1b[31mred\x1b[0m \x07\u202e\u200f\x9b\u2028 \x7f"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u200e\u200f\u2066-\u2069]")


@pytest.fixture
def toy(tmp_path: Path, tiny_model: Path) -> Toy:
    write_task(tmp_path / "task", tiny_model)
    toy = Toy(tmp_path / "task", tiny_model)
    toy.rows(
        "unlabeled",
        [{**row, "id": f"{SIGNS}{row['id']}", "text": f"{row['text']} {SIGNS}"} for row in rows_of("unlabeled", 12)],
    )
    return toy


def test_signs_that_steer_a_terminal_are_escaped_by_every_command(toy: Toy, tmp_path: Path) -> None:
    run, out = toy.folder / "run", tmp_path / "out.jsonl"
    bad = write_rows(
        tmp_path / "bad.jsonl", [{"text": None, "label": SIGNS}, {"text": f"game {SIGNS}", "label": "Tech"}]
    )
    commands = [
        ("check", toy.folder / "toy.toml"),
        ("explain-prompt", "toy/colon", "--config", toy.folder / "toy.toml", "--set", "data.train="),
        ("run", toy.folder / "toy.toml", "--output-dir", run),
        ("explain", run, f"{SIGNS}unlabeled-1"),
        ("explain", run, f"{SIGNS}unlabeled-1", "--json"),
        ("explain", run, f"{SIGNS}unlabelled-1"),
        ("predict", run, bad, "--output", out, "--on-bad-row", "skip"),
        ("predict", run, tmp_path / f"{SIGNS}.csv", "--output", out),
        ("evaluate", run, bad, "--on-bad-row", "skip"),
    ]
    for arguments in commands:
        result = command(*arguments)
        assert not STEERING.search(result.output), (arguments[0], result.output)
    shown = command("explain", run, f"{SIGNS}unlabeled-1").stdout
    assert r"\x1b[31mred\x1b[0m \x07\u202e\u200f" in shown
    kept = json.loads(command("explain", run, f"{SIGNS}unlabeled-1", "--json").stdout)
    assert kept["id"] == f"{SIGNS}unlabeled-1"  # escaped as JSON, the text is whole
    assert json.loads(out.read_text(encoding="utf-8"))["text"] == f"game {SIGNS}"


def test_signs_that_steer_nothing_are_shown_as_they_are() -> None:
    for text in (
        "\u0645\u06cc\u200c\u062e\u0648",
        "\U0001f469\u200d\U0001f52c",
        "a\u00a0b",
        "\u3042\u3000\u3044",
        "tab\tbed",
    ):
        assert visible(text) == text


def test_commands_to_copy_are_quoted(toy: Toy, tmp_path: Path) -> None:
    place = tmp_path / "it's in $HOME"
    for word in ("label", "run"):
        printed = command(word, toy.folder / "toy.toml", "--output-dir", place).stdout.splitlines()
        shown = [line[line.index("pet ") :] for line in printed if re.search(r"  pet (predict|distill|explain) ", line)]
        assert len(shown) == 2 and all(str(place) in shlex.split(line) for line in shown)
    (call,) = [line for line in printed if line.startswith("or from Python")]
    assert repr(str(place / "model")) in call or json.dumps(str(place / "model")) in call
    assert pet.predict(place, ["team"])
