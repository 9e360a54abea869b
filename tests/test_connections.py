"""No command opens a connection where all that it reads lies on this machine."""

import socket
from pathlib import Path

import pytest
from mistakes import command

import pet

COMMANDS = (
    ("check", "PIPELINE"),
    ("plan", "PIPELINE"),
    ("patterns",),
    ("pipelines", "quickstart"),
    ("explain-prompt", "toy/colon", "--config", "PIPELINE"),
    ("predict", "RUN", "POOL", "--output", "OUT"),
    ("evaluate", "RUN", "TEST"),
    ("report", "RUN"),
    ("explain", "RUN", "unlabeled-0"),
    ("next", "RUN"),
    ("runs", "RUN"),
    ("clean", "RUN"),
    ("label", "PIPELINE", "--output-dir", "NEW"),
)


@pytest.mark.slow
def test_no_command_opens_a_connection(
    finished: pet.RunResult, copied: Path, toy_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[object]()

    def refuse(*asked: object, **_: object) -> None:
        opened.append(asked)
        raise OSError("no connection in this test")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    folder = toy_pipeline.parent
    names = {
        "PIPELINE": toy_pipeline,
        "RUN": copied,
        "POOL": folder / "unlabeled.jsonl",
        "TEST": folder / "test.jsonl",
        "OUT": tmp_path / "out.csv",
        "NEW": tmp_path / "new",
    }
    for words in COMMANDS:
        found = command(*(names.get(word, word) for word in words))
        assert found.exit_code == 0, (words, found.output)
        assert not opened, (words, opened)
