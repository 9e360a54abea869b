"""The Dockerfile of the documents: a syntax check, for nothing here runs containers."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from pet.cli import app

FILE = Path(__file__).parent.parent.parent / "docs" / "Dockerfile"
INSTRUCTIONS = {
    "FROM",
    "RUN",
    "COPY",
    "USER",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "CMD",
    "WORKDIR",
    "ARG",
    "LABEL",
    "ENTRYPOINT",
}
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the sources are out of reach")


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", FILE.read_text("utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_each_line_is_an_instruction_and_lists_are_json() -> None:
    found = instructions()
    assert found[0][0] == "FROM" and {word for word, _ in found} <= INSTRUCTIONS
    assert all(rest.strip() for _, rest in found)
    lists = [rest[rest.index("[") :] for word, rest in found if word in ("CMD", "HEALTHCHECK", "ENTRYPOINT")]
    assert all(isinstance(json.loads(one), list) for one in lists)


def test_the_command_is_one_of_pet() -> None:
    ((_, command),) = [one for one in instructions() if one[0] == "CMD"]
    program, name, *arguments = json.loads(command)
    known = {flag for one in get_command(app).commands[name].params for flag in one.opts}  # type: ignore[attr-defined]
    assert program == "pet" and {one for one in arguments if one.startswith("--")} <= known
    copied = next(rest.split()[-1] for word, rest in instructions() if word == "COPY")
    assert arguments[0] == copied
