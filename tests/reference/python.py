"""The page of what `import pet` offers, from its docstrings."""

import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pet

_ABOUT = """\
# From Python

What `import pet` offers, with what the code says of it. How it is used: [From Python](../python.md).
"""


def python_page() -> str:
    """Return the page of the names in `pet.__all__`, functions first."""
    offered = {name: getattr(pet, name) for name in pet.__all__ if not name.startswith("__")}
    found = [_ABOUT]
    for name, thing in sorted(offered.items(), key=lambda pair: (inspect.isclass(pair[1]), pair[0])):
        found += [f"## `pet.{name}`\n", *_described(name, thing)]
    return "\n".join(found).rstrip() + "\n"


def _described(name: str, thing: Any) -> Iterator[str]:
    if not inspect.isclass(thing):
        calls = [_call(name, thing)] if callable(thing) else list(_calls(name, thing))
        yield "```python\n{}\n```\n".format("\n".join(calls))
    yield _plain(inspect.getdoc(thing) or "") + "\n"
    if inspect.isclass(thing):
        yield from (f"- {line}" for line in _members(thing))
        yield ""


def _calls(name: str, module: Any) -> Iterator[str]:
    """Yield the signature of each function that a module defines."""
    for own, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not own.startswith("_"):
            yield f"{name}.{_call(own, value)}"


def _members(kind: type) -> Iterator[str]:
    """Yield a line for each method and property of a class, and for each field of a result, in their order."""
    for name, value in vars(kind).items():
        if name.startswith("_") or not (inspect.isroutine(value) or isinstance(value, property | classmethod)):
            continue
        text = " ".join(_plain(inspect.getdoc(value) or "").partition("\n\n")[0].split())
        function = getattr(value, "__func__", value)
        code = name if isinstance(value, property | cached_property) else _call(name, function).replace("self, ", "").replace("self", "")
        yield f"`{' '.join(code.replace('cls, ', '').split())}`: {text}"


def _call(name: str, function: Any) -> str:
    """Return the signature of a function, an argument a line where it is long."""
    signature = inspect.signature(function)
    code = f"{name}{signature}".replace("'", "")
    code = re.sub(r"(?:\w+\.)+(\w+)", r"\1", code)
    if len(code) <= 100:
        return code
    arguments, _, returned = code.partition("(")[2].rpartition(")")
    parts = re.split(r", (?=\*|\w+[:=,)])", arguments)
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _plain(text: str) -> str:
    """Return a docstring as Markdown: literals in single backticks, examples in a block."""
    return re.sub(r"^>>>.*(?:\n.+)*", r"```python\n\g<0>\n```", text.replace("``", "`"), flags=re.MULTILINE)
