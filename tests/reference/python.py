"""The page of what `import pet` offers, from its docstrings."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from typing import Any, get_args

import pet

_ABOUT = """\
# From Python

What `import pet` offers, with what the code says of it. How it is used: [From Python](../python.md).
"""

_BY_NAME = ("sklearn",)
"""Modules that are imported by their names."""

_MODULES = re.compile(r"(?:\w+\.)+(?=\w)")
"""What stands before a name in a type."""


def python_page() -> str:
    """Return the page of the names in `pet.__all__`, functions first, and of the modules that are imported by name."""
    offered = {name: getattr(pet, name) for name in pet.__all__ if not name.startswith("__")}
    offered |= {name: importlib.import_module(f"pet.{name}") for name in _BY_NAME if find_spec(f"pet.{name}")}
    found = [_ABOUT]
    for name, thing in sorted(offered.items(), key=lambda pair: (_kind(pair[1]), pair[0])):
        found += [f"## `pet.{name}`\n", *_described(name, thing)]
    return "\n".join(found).rstrip() + "\n"


def _kind(thing: Any) -> int:
    return 2 if inspect.ismodule(thing) else int(inspect.isclass(thing))


def _described(name: str, thing: Any) -> Iterator[str]:
    if inspect.isroutine(thing):
        yield f"```python\n{_call(name, thing)}\n```\n"
    yield _plain(inspect.getdoc(thing) or "") + "\n"
    if inspect.ismodule(thing):
        for inner, value in vars(thing).items():
            if inner[0] != "_" and getattr(value, "__module__", "") == thing.__name__:
                yield f"### `pet.{name}.{inner}`\n"
                yield from _described(inner, value)
    if inspect.isclass(thing):
        fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
        yield from (f"- `{field.name}`: {_named(field.type)}" for field in fields)
        yield from (f"- {line}" for line in _members(thing))
        yield ""


def _named(kind: Any) -> str:
    """Return the type of a field as the code writes it, without modules."""
    text = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
    return f"`{_MODULES.sub('', text)}`"


def _members(kind: type) -> Iterator[str]:
    """Yield a line for each method and property of a class and of its bases in pet."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("pet.")]
    members = {name: value for base in reversed(bases) for name, value in vars(base).items() if name[0] != "_"}
    for name, value in members.items():
        if isinstance(value, property | cached_property | classmethod) or inspect.isfunction(value):
            text = " ".join(_plain(inspect.getdoc(value) or "").partition("\n\n")[0].split())
            yield f"`{name}{'' if isinstance(value, property | cached_property) else '()'}`: {text}"


def _call(name: str, function: Any) -> str:
    """Return the signature of a function, an argument a line where it is long."""
    signature = re.sub(r"(?<=: |> )'([^']*)'", r"\1", str(inspect.signature(function)))
    code = _MODULES.sub("", f"{name}{signature}")
    if len(code) <= 100:
        return code
    arguments, _, returned = code.partition("(")[2].rpartition(")")
    parts = re.split(r", (?=\*|\w+[:=,)])", arguments)
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _plain(text: str) -> str:
    """Return a docstring as Markdown: literals in single backticks, examples in a block, parameters as a list."""
    text = re.sub(r"(?<!`)``(?!`)", "`", text).replace("  # doctest: +SKIP", "")
    text = re.sub(r"^(\w+)\n-{3,}\n", r"\1:\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^(\w+)\n    (?=\S)", r"- `\1`: ", text, flags=re.MULTILINE)
    return re.sub(r"^>>>.*(?:\n.+)*", r"```python\n\g<0>\n```", text, flags=re.MULTILINE)
