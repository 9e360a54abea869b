"""Registries: the patterns and verbalizers by name, from the package's files and from folders of one's own.

    registry = load_patterns(["my_prompts"])          # patterns/*.toml of the package, then of my_prompts
    registry.add("mine/short", Pattern.parse("mine/short", "{mask}: {text}"))
    registry.select(["agnews/*", "mine/short"])

Nothing registers itself by being imported.
"""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pet.errors import PromptError, near_matches
from pet.prompts.patterns import Pattern
from pet.prompts.tables import check_keys, read_tables, table_files
from pet.prompts.verbalizers import Verbalizer

__all__ = ["Registry", "load_patterns", "load_verbalizers"]

_PLACES = "(your own need their folder: --registry, or [prompts] registry)"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


class Registry(Generic[T]):
    """Values by name, in the order in which they were added; `kind` says in errors what they are.

    Iterating gives the values, `in` asks for a name, `len` counts.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._values: dict[str, T] = {}
        self._origins: dict[str, str] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[T]:
        return iter(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def add(self, name: str, value: T, origin: str = "code") -> None:
        """Add a value; `origin` says where it comes from, a file for instance.

        Raises
        ------
        PromptError
            If the name is taken, or is not the value's own.
        """
        if name in self._values:
            raise PromptError(
                f"The {self.kind} {name!r} is defined in {self._origins[name]} and again in {origin}: rename one."
            )
        if value.name != name:
            raise PromptError(f"The {self.kind} {value.name!r} cannot be added as {name!r}: give both the same name.")
        self._values[name] = value
        self._origins[name] = origin

    def get(self, name: str) -> T:
        """Return one value.

        Raises
        ------
        PromptError
            If there is none of this name; the message has the near ones.
        """
        self._require(name)
        return self._values[name]

    def origin(self, name: str) -> str:
        """Return where a value comes from: the path of its file, or "code".

        Raises
        ------
        PromptError
            If there is none of this name.
        """
        self._require(name)
        return self._origins[name]

    def select(self, globs: Sequence[str]) -> tuple[T, ...]:
        """Return the values whose name fits any of the globs, in the registry's order, each once.

        Globs are those of a shell: `*`, `?` and `[...]`, upper and lower case apart.

        Raises
        ------
        PromptError
            If one of the globs fits nothing; the message has the near names.
        """
        chosen: set[str] = set()
        for glob in (globs,) if isinstance(globs, str) else globs:
            fitting = [name for name in self._values if name == glob or fnmatchcase(name, glob)]
            if not fitting:
                raise PromptError(f"No {self.kind} fits {glob!r} {_PLACES}.{near_matches(glob, self._near_by(glob))}")
            chosen.update(fitting)
        return tuple(value for name, value in self._values.items() if name in chosen)

    def _require(self, name: str) -> None:
        if name not in self._values:
            raise PromptError(f"There is no {self.kind} {name!r} {_PLACES}.{near_matches(name, self._values)}")

    def _near_by(self, glob: str) -> list[str]:
        """Return the names to propose for a glob: files for a glob over a file, which no full name is near to."""
        if glob.endswith("/*"):
            return [f"{name.partition('/')[0]}/*" for name in self._values]
        return list(self._values)


def load_patterns(folders: Sequence[str | Path] = ()) -> Registry[Pattern]:
    """Read every pattern of the package and of the `patterns` folder in each of `folders`.

    A table has the key `template` and may have `description`; its name is ``"file/table"``.

    Raises
    ------
    PromptError
        If a folder or file is missing or unreadable, a key unknown, a template wrong, or a name used twice.
    """
    return _load("pattern", folders, _read_pattern)


def load_verbalizers(folders: Sequence[str | Path] = ()) -> Registry[Verbalizer]:
    """Read every verbalizer of the package and of the `verbalizers` folder in each of `folders`.

    A table maps each label to a list of words, or to one word; its name is ``"file/table"``.

    Raises
    ------
    PromptError
        If a folder or file is missing or unreadable, a label lacks words, or a word or name is used twice.
    """
    return _load("verbalizer", folders, _read_verbalizer)


def _load(kind: str, folders: Sequence[str | Path], read: Callable[[str, dict[str, object]], T]) -> Registry[T]:
    registry: Registry[T] = Registry(kind)
    for path in table_files(f"{kind}s", folders):
        for name, table in read_tables(path).items():
            try:
                value = read(name, table)
            except PromptError as error:
                raise PromptError(f"{path} [{name.partition('/')[2]}]: {error}") from None
            registry.add(name, value, origin=str(path))
    return registry


def _read_pattern(name: str, table: dict[str, object]) -> Pattern:
    check_keys(table, required=("template",), optional=("description",))
    return Pattern.parse(name, str(table["template"]), str(table.get("description", "")))


def _read_verbalizer(name: str, table: dict[str, object]) -> Verbalizer:
    words: dict[str, tuple[str, ...]] = {}
    for label, value in table.items():
        if isinstance(value, dict):
            raise PromptError(f'the label {label!r} is a table: put a label with a dot in quotes, "{label}.…" = [...].')
        # Verbalizer itself refuses what is neither one word nor a list of words.
        words[label] = (value,) if isinstance(value, str) else value  # type: ignore[assignment]
    return Verbalizer(name, words)
