"""The page of all commands, from what each says of itself with ``--help``."""

import re
from collections.abc import Iterator

import typer
from typer.cli import get_docs_for_click
from typer.core import TyperGroup
from typer.main import get_command

from pet.cli import app
from pet.cli.order import GROUPS

_ABOUT = """\
# Every command

What `pet COMMAND --help` says, which `-h` does too. Data goes to stdout, messages to stderr; the exit code is 0 where
all was done, 1 where something failed, 2 where the command or its files are wrong, and 130 after Ctrl-C. `--debug`,
anywhere on the line, shows the traceback of an error; `pet --version` shows the version.
"""


def commands_page() -> str:
    """Return the page of all commands, in the order of ``pet --help``."""
    return "\n".join([_ABOUT, *_sections()]).rstrip() + "\n"


def _sections() -> Iterator[str]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    context = typer.Context(group, info_name="pet")
    names = group.list_commands(context)
    for heading, members in GROUPS.items():
        if inside := [name for name in names if name in members]:
            yield f"{heading}:\n"
            yield from (f"- [`pet {name}`](#pet-{name}): {_summary(group, name)}" for name in inside)
            yield ""
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        inner = typer.Context(command, info_name=name, parent=context)
        text = get_docs_for_click(obj=command, ctx=inner, indent=1, call_prefix="pet")
        yield _shortened(text).rstrip() + "\n"


def _summary(group: TyperGroup, name: str) -> str:
    command = group.commands[name]
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _shortened(text: str) -> str:
    """Return the page of a command without the type of a flag, the braces of a usage line, and what all have."""
    text = re.sub(r"^\* `--help`.*\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(\* `[^`]*) <bool>`", r"\1`", text, flags=re.MULTILINE)
    text = re.sub(r"^\$ .*", lambda line: re.sub("[{}]", "", line[0]), text, flags=re.MULTILINE)
    return text.removesuffix("**Options**:\n\n")
