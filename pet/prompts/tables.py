"""Find and read the TOML files of a registry: one table per entry, and nothing is ever skipped."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pet.errors import PromptError
from pet.library import BUILTIN

_KINDS = ("patterns", "verbalizers")
"""The folders that a registry folder may hold."""

_EXPECTED = " or ".join(f"{name}/" for name in _KINDS)

# No "/", "+", white space or glob characters: names are joined, shown and selected by glob.
_NAME = re.compile(r"[\w.-]+")


def table_files(kind: str, folders: Sequence[str | Path] = ()) -> Iterator[Path]:
    """Yield the files of one kind: the package's first, then each folder's, sorted by name within a folder.

    Hidden files and notes (`*.md`) are not tables; anything else that is not a `.toml` file is an error.

    Raises `PromptError` if a folder does not exist, or has neither a `patterns` nor a `verbalizers` folder, or a
    stray file.
    """
    for folder in (BUILTIN, *map(Path, folders)):
        if not folder.is_dir():
            raise PromptError(f"There is no registry folder {folder}: give a folder with {_EXPECTED} in it.")
        if not any((folder / name).is_dir() for name in _KINDS):
            raise PromptError(f"The registry folder {folder} has no {_EXPECTED} folder in it: add one of them.")
        if (folder / kind).is_dir():
            yield from _toml_files(folder / kind)


def read_tables(path: Path) -> dict[str, dict[str, object]]:
    """Return the tables of a file by their full names, ``"file/table"``, in the order of the file.

    Raises `PromptError` if the file cannot be read, is no TOML, has a key outside a table or no table, or a bad
    name.
    """
    tables: dict[str, dict[str, object]] = {}
    for table, content in _read_toml(path).items():
        if not isinstance(content, dict):
            raise PromptError(f"{path}: {table!r} stands outside a table: put it under a heading such as [name].")
        if not (_NAME.fullmatch(table) and _NAME.fullmatch(path.stem)):
            raise PromptError(
                f"{path} [{table}]: the names of a file and of a table may hold letters, digits, '_', '-' "
                "and '.' only: rename it."
            )
        tables[f"{path.stem}/{table}"] = content
    if not tables:
        raise PromptError(f"{path} has no table in it: add one such as [name], or remove the file.")
    return tables


def _toml_files(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise PromptError(f"{folder} cannot be read ({error.strerror}): give a readable folder.") from None
    paths = [path for path in paths if not path.name.startswith(".") and path.suffix != ".md"]
    for path in paths:
        if path.suffix != ".toml" or path.is_dir():
            raise PromptError(f"{path} is not a .toml file, so it would be left out: rename, move or remove it.")
    return paths


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} is not a readable TOML file ({error}): mend that line.") from None
    except OSError as error:
        raise PromptError(f"{path} cannot be read ({error.strerror}): mend or remove it.") from None
