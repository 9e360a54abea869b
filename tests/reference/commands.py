"""The page of all commands, from what each says of itself with ``--help``."""

import re
from collections.abc import Iterator

from typer.cli import get_docs_for_click
from typer.core import TyperGroup
from typer.main import get_command

from pet.cli import app

_ABOUT = """\
# Every command

What `pet COMMAND --help` says. Data goes to stdout, messages to stderr; the exit code is 0 where all was done, 1 where
something failed, 2 where the command or its files are wrong, and 130 after Ctrl-C. `--debug`, anywhere on the line,
shows the traceback of an error.
"""


def commands_page() -> str:
    """Return the page of all commands, in the order of ``pet --help``."""
    return "\n".join([_ABOUT, *_sections()]).rstrip() + "\n"


def _sections() -> Iterator[str]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    context = group.make_context("pet", [], resilient_parsing=True)
    names = group.list_commands(context)
    yield from (f"- [`pet {name}`](#pet-{name}): {_summary(group, name)}" for name in names)
    yield ""
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        inner = command.make_context(f"pet {name}", [], resilient_parsing=True, parent=context)
        text = get_docs_for_click(obj=command, ctx=inner, indent=1, call_prefix="pet")
        yield _without_types(text.rstrip()) + "\n"


def _summary(group: TyperGroup, name: str) -> str:
    command = group.commands[name]
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _without_types(text: str) -> str:
    """Return the page of a command without the metavar of a flag, and with the usual braces of usage lines gone."""
    text = re.sub(r"^(\* `[^`]*) <bool>`", r"\1`", text, flags=re.MULTILINE)
    return re.sub(r"^(\* `(?!-)[^`]*`|\$ .*)", lambda line: line[0].replace("{", "").replace("}", ""), text, flags=re.M)
