"""Progress is for people who watch."""

import io
import re
import sys
from collections.abc import Callable

import pytest

from pet.learners.models.progress import tell_loss
from pet.runs.progress import Stages, rate_progress, stage_progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Watch = Callable[[], Terminal]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Let a terminal take the place of stderr; called in the test, since pytest sets its own before it."""

    def install() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        for name, value in {"TERM": "xterm", "COLUMNS": "100"}.items():
            monkeypatch.setenv(name, value)
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        return stream

    return install


def test_nothing_is_shown_where_nobody_watches(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Stages(2).stage("training", total=3) as advance:
        advance(2)
        advance()
    monkeypatch.setattr(sys, "stderr", None)
    with stage_progress("training", total=3) as advance:
        advance()
    assert capfd.readouterr() == ("", "")


def test_a_terminal_sees_the_stage_the_count_and_the_times(watch: Watch) -> None:
    terminal = watch()
    with stage_progress("training agnews/[x]", total=4) as advance:
        advance(2)
        advance()
    text = terminal.getvalue()
    assert "training agnews/[x]" in text and "3/4" in text
    assert len(re.findall(r"\d:\d\d:\d\d|-:--:--", text)) >= 2


def test_a_rate_and_a_share_are_shown(watch: Watch) -> None:
    terminal = watch()
    with rate_progress("pretraining", "tokens") as show:
        show(0.5, 20_000.0)
    assert "pretraining" in terminal.getvalue() and " 50%" in terminal.getvalue()
    assert "20,000 tokens/s" in terminal.getvalue()
    terminal.truncate(0)
    with rate_progress("pretraining", "tokens", enabled=False) as show:
        show(1.0, 1.0)
    assert terminal.getvalue() == ""


def test_messages_stay_and_bars_go(watch: Watch) -> None:
    terminal = watch()
    with stage_progress("training", total=None) as advance:
        advance()
        print("a message", file=sys.stderr)
    text = terminal.getvalue()
    assert "a message" in text
    assert text.endswith("\x1b[2K")


def test_no_color_is_honoured(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch()

    def colors() -> list[str]:
        terminal.truncate(0)
        with stage_progress("training", total=4) as advance:
            advance(2)
        return re.findall(r"\x1b\[[\d;]*3\d[\d;]*m", terminal.getvalue())

    assert colors()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colors()


def test_it_can_be_switched_off_and_on(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch()
    with stage_progress("training", total=4, enabled=False) as advance:
        advance()
    assert terminal.getvalue() == ""
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    with stage_progress("training", total=4, enabled=True) as advance:
        advance(4)
    assert "4/4" in plain.getvalue()


def test_stages_are_numbered(watch: Watch) -> None:
    terminal = watch()
    stages = Stages(total=9)
    stages.skip(2)
    with stages.stage("training agnews/colon", total=10) as advance:
        advance()
    with stages.stage("distilling", total=10):
        pass
    assert "job 3 of 9: training agnews/colon" in terminal.getvalue()
    assert "job 4 of 9: distilling" in terminal.getvalue()


def test_the_line_above_the_bar_has_the_time_left_the_stage_and_the_loss(watch: Watch) -> None:
    terminal = watch()
    stages = Stages(total=4, seconds=600.0)
    with stages.stage("training " + "x" * 200, total=10) as advance:
        tell_loss(0.25)
        advance(10)
    with stages.together(2, "2 voters side by side", total=10):
        pass
    text = terminal.getvalue()
    assert "job 1 of 4, 10 min left: training xxx" in text and "jobs 2 to 3 of 4" in text and "2 voters side" in text
    with stages.stage("distilling", total=2) as advance:
        tell_loss(0.25)
        advance()
    assert "distilling, loss 0.250" in terminal.getvalue()


def test_the_bar_fits_into_80_columns_whatever_the_stage_is_called(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = watch()
    monkeypatch.setenv("COLUMNS", "80")
    with Stages(4).stage("training and voting agnews/" + "x" * 100, total=123_456) as advance:
        advance(12_345)
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n").splitlines()
    (bar, *_) = [line for line in shown if "12345/123456" in line]
    assert bar.count("━") + bar.count("╸") + bar.count("╺") == 24 and len(bar) <= 80
    assert all(len(line) <= 80 for line in shown)


def test_without_a_terminal_there_is_a_line_per_job_and_per_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, now = list[str](), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stages = Stages(2, lines=lines.append)
    with stages.stage("training", total=10) as advance:
        for second in range(0, 150, 15):
            now[0] = second
            advance()
    with stages.stage("distilling", total=None) as advance:
        advance()
    assert lines == [
        "job 1 of 2: training",
        "job 1 of 2, 3 min left: training, 50% of it",
        "job 1 of 2, 2 min left: training, 90% of it",
        "job 2 of 2, 2 min left: distilling",
    ]


def test_an_error_passes_through(watch: Watch) -> None:
    watch()
    with pytest.raises(ZeroDivisionError), stage_progress("training", total=4):
        raise ZeroDivisionError
