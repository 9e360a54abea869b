"""What the commands share: settings from flags, errors as one line and an exit code, tables in columns."""

import operator
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.cli.terminal import aligned, run_place
from pet.errors import ConfigError


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["run", "label"])
@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        ([], []),
        (["--accept-all"], ["ipet.accept_all=true"]),
        (["--keep-models"], ["run.keep_models=true"]),
        (["--fast"], ["train.preset=fast"]),
        (
            ["--keep-models", "--set", "ipet.accept_all=false", "--accept-all", "--on-bad-row", "skip"],
            ["ipet.accept_all=false", "ipet.accept_all=true", "run.keep_models=true", 'data.on_bad_row="skip"'],
        ),
    ],
)
def test_flags_become_settings_that_win(
    name: str, flags: list[str], changes: list[str], toy_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def read(path: Path, overrides: list[str]) -> None:
        given.append(overrides)
        raise ConfigError("read")

    monkeypatch.setattr("pet.settings.config.RunConfig.from_toml", read)
    assert command(name, toy_pipeline, *flags).exit_code == 2
    assert given == [changes]


@pytest.mark.parametrize(("flag", "read"), [("--accept-all", "ipet.accept_all"), ("--keep-models", "run.keep_models")])
def test_a_flag_is_a_setting_that_exists(
    flag: str, read: str, toy_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[pet.RunConfig] = []

    def keep(config: pet.RunConfig, *_: object, **__: object) -> None:
        configs.append(config)
        raise pet.PetError("enough")

    monkeypatch.setattr("pet.pipeline.label", keep)
    for flags in ([], [flag]):
        command("label", toy_pipeline, *flags)
    assert [operator.attrgetter(read)(config) for config in configs] == [False, True]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted: the same command goes on where it stopped"),
        (pet.PetError("two\nlines"), 1, "error: two lines"),
        (MemoryError(), 1, "error: The memory is full: lower data.max_unlabeled or model.max_length."),
        (ValueError("odd\nthing"), 1, "error: ValueError: odd thing (unexpected; --debug shows where)"),
    ],
)
def test_whatever_happens_is_one_line_and_an_exit_code(
    error: BaseException, code: int, message: str, toy_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pet.pipeline.label", fail)
    result = command("label", toy_pipeline)
    assert (result.exit_code, result.stderr) == (code, f"{message}\n")


def test_only_what_goes_on_again_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pet.prompts.registry.load_patterns", stop)
    result = command("patterns")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = "import os, sys; os.read(0, 1); from pet.cli import app; app(['patterns'])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()  # before the command writes its first line
    process.stdin.write(b"x")
    process.stdin.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (141, b"")


def test_a_terminal_without_a_sign_for_a_letter_is_no_error() -> None:
    script = (
        "import typer; from pet.cli.terminal import CommandGroup; app = typer.Typer(cls=CommandGroup)\n"
        "@app.command()\ndef one(): typer.echo('Где')\n"
        "@app.command()\ndef two(): pass\n"
        "app(['one'])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=environment)
    assert found.stdout.split() == [rb"\u0413\u0434\u0435"]


def test_a_misspelt_pipeline_file_is_told_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tickets.toml").write_text("")
    found = command("check", tmp_path / "ticket.toml")
    assert found.exit_code == 2 and f"Did you mean {tmp_path / 'tickets.toml'}?" in found.stderr
    assert "Did you mean quickstart?" in command("check", "quikstart").stderr


def test_the_version_is_told() -> None:
    assert command("--version").stdout.split() == ["pet", pet.__version__]


def test_pairs_are_aligned_also_none() -> None:
    assert aligned([]) == []
    assert aligned([("a", "x"), ("bcd", "y")]) == ["a    x", "bcd  y"]


def test_a_run_lies_where_it_is_told_or_under_the_name_of_its_pipeline() -> None:
    assert run_place("some/toy.toml", None) == Path("runs/toy")
    assert run_place("quickstart", None) == Path("runs/quickstart")
    assert run_place("quickstart", Path("there")) == Path("there")
