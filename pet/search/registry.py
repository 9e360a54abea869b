"""What a search has found, as a file of a registry: a TOML table each, with comments, that `check` and `run` read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from pet.errors import ConfigError, visible
from pet.runs.atomic import write_text
from pet.runs.storage import storage_errors

_NAME, _NO_NAME = re.compile(r"[\w.-]+"), re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Entry:
    """A table of a registry: its name, what stands above it as comments, and its keys."""

    name: str
    comments: tuple[str, ...]
    values: Mapping[str, str | Sequence[str]]


def registry_file(output: Path | None, kind: str, task: str) -> Path:
    """Return the file that a search writes, `output` or ``prompts/<kind>/<task>.toml``, if it can be written.

    Raises `ConfigError` if it exists, is no TOML file, or does not lie in a folder that a registry reads.
    """
    path = output or Path("prompts") / kind / f"{_NO_NAME.sub('-', task).strip('.-') or 'task'}.toml"
    if path.suffix != ".toml" or path.parent.name != kind or not _NAME.fullmatch(path.stem):
        raise ConfigError(
            f"--output {path}: expected a file such as prompts/{kind}/mine.toml, in a folder {kind}/ of a registry."
        )
    if path.exists():
        raise ConfigError(f"{path} exists already: choose another --output, or remove the file.")
    return path


def write_entries(path: Path, head: Iterable[str], entries: Sequence[Entry]) -> None:
    """Write tables with their comments, whole or not at all.

    Raises `RunError` if the disk is full or may not be written.
    """
    parts = ["\n".join(map(_comment, head)), *("\n".join(_lines(entry)) for entry in entries)]
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "\n\n".join(parts) + "\n")


def _lines(entry: Entry) -> list[str]:
    head = [*map(_comment, entry.comments), f"[{_key(entry.name)}]"]
    return head + [f"{_key(name)} = {_value(value)}" for name, value in entry.values.items()]


def _comment(text: str) -> str:
    return f"# {visible(' '.join(text.split()))}"


def _key(name: str) -> str:
    return tomli_w.dumps({name: 0}).rpartition(" = ")[0]


def _value(value: Any) -> str:
    if isinstance(value, str):
        return tomli_w.dumps({"value": value}).partition(" = ")[2].rstrip("\n")
    return f"[{', '.join(map(_value, value))}]"
