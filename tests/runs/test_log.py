"""What is said is printed and kept."""

import io
import re
from datetime import datetime
from pathlib import Path

import pytest

from pet.runs.log import NULL_LOG, RunLog, Talk, talking, tell


def test_messages_are_printed_plain_and_kept_with_their_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RunLog(tmp_path / "run.log")
    log.say("training [bold]agnews[/bold]")
    log.warn("few rows:\nonly 3")
    assert capsys.readouterr() == ("", "training [bold]agnews[/bold]\n! warning: few rows:\nonly 3\n")
    lines = (tmp_path / "run.log").read_text().splitlines()
    times, kept = zip(*(line.split(" ", 1) for line in lines), strict=True)
    assert kept == ("training [bold]agnews[/bold]", "warning: few rows: only 3")
    assert all(datetime.fromisoformat(time).tzinfo for time in times)
    assert all(re.fullmatch(r"\S+T\d\d:\d\d:\d\d\S*", time) for time in times)


def test_a_second_log_appends(tmp_path: Path) -> None:
    for message in ("one", "two"):
        RunLog(tmp_path / "run.log", io.StringIO()).say(message)
    assert [line.split(" ")[1] for line in (tmp_path / "run.log").read_text().splitlines()] == ["one", "two"]


def test_logging_never_stops_the_work(tmp_path: Path) -> None:
    closed = io.StringIO()
    closed.close()
    RunLog(tmp_path / "run.log", closed).say("kept \ud800")
    assert "kept" in (tmp_path / "run.log").read_text()
    stream = io.StringIO()
    RunLog(tmp_path / "no folder" / "run.log", stream).say("printed")
    assert stream.getvalue() == "printed\n"


def test_the_null_log_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    NULL_LOG.say("x")
    NULL_LOG.warn("x")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("talk", "printed"),
    [
        ("quiet", "! warning: c\n"),
        ("usual", "a\n! warning: c\nd\n"),
        ("verbose", "a\nb\n! warning: c\nd\n"),
    ],
)
def test_how_much_is_printed_is_a_choice_and_all_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], talk: Talk, printed: str
) -> None:
    log = RunLog(tmp_path / "run.log")
    with talking(talk):
        log.say("a")
        log.detail("b")
        log.warn("c")
        tell("d")
    assert capsys.readouterr().err == printed
    kept = [line.split(" ", 1)[1] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert kept == ["a", "b", "warning: c"]
