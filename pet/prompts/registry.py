"""Registries: the patterns and verbalizers by name, from the package's files and from folders of one's own.

    registry = load_patterns(["my_prompts"])          # patterns/*.toml of the package, then of my_prompts
    registry.add("mine/short", Pattern("mine/short", "{mask}: {text}"))
    registry.select(["agnews/*", "mine/short"])

Nothing registers itself by being imported.
"""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Generic, TypeVar

from pet.errors import PromptError, near_matches
from pet.prompts.patterns import Pattern
from pet.prompts.tables import read_tables, table_files
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import PromptSettings

_PLACES = "(your own need their folder: --registry, or [prompts] registry)"


T = TypeVar("T")


class Registry(Generic[T]):
    """Values by name, in the order in which they were added; `kind` says in errors what they are."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._values: dict[str, T] = {}
        self._origins: dict[str, str] = {}

    def add(self, name: str, value: T, origin: str = "code") -> None:
        """Add a value; `origin` says where it comes from, a file for instance.

        Raises `PromptError` if the name is taken.
        """
        if name in self._values:
            raise PromptError(
                f"The {self.kind} {name!r} is defined in {self._origins[name]} and again in {origin}: rename one."
            )
        self._values[name] = value
        self._origins[name] = origin

    def __iter__(self) -> Iterator[T]:
        """Yield the values in their order."""
        return iter(self._values.values())

    def get(self, name: str) -> T:
        """Return one value.

        Raises `PromptError` if there is none of this name; the message has the near ones.
        """
        if name not in self._values:
            raise PromptError(f"There is no {self.kind} {name!r} {_PLACES}.{near_matches(name, self._values)}")
        return self._values[name]

    def origin(self, name: str) -> str:
        """Return where a value comes from: the path of its file, or "code"."""
        return self._origins[name]

    def select(self, globs: Sequence[str]) -> tuple[T, ...]:
        """Return the values whose name fits any of the globs, in the registry's order, each once.

        Globs are those of a shell: `*`, `?` and `[...]`, upper and lower case apart.

        Raises `PromptError` if one of the globs fits nothing; the message has the near names.
        """
        chosen: set[str] = set()
        for glob in (globs,) if isinstance(globs, str) else globs:
            fitting = [name for name in self._values if name == glob or fnmatchcase(name, glob)]
            if not fitting:
                # A glob over a file is near to no full name.
                files = [f"{name.partition('/')[0]}/*" for name in self._values]
                near = near_matches(glob, files if glob.endswith("/*") else self._values)
                raise PromptError(f"No {self.kind} fits {glob!r} {_PLACES}.{near}")
            chosen.update(fitting)
        return tuple(value for name, value in self._values.items() if name in chosen)


def load_patterns(folders: Sequence[str | Path] = ()) -> Registry[Pattern]:
    """Read every pattern of the package and of the `patterns` folder in each of `folders`.

    A table has the key `template` and may have `description` and `language`; its name is ``"file/table"``.

    Raises `PromptError` if a folder or file is missing or unreadable, a key unknown, a template wrong, or a name
    used twice.
    """
    return _load("pattern", folders, _read_pattern)


def load_verbalizers(folders: Sequence[str | Path] = ()) -> Registry[Verbalizer]:
    """Read every verbalizer of the package and of the `verbalizers` folder in each of `folders`.

    A table maps each label to a list of words, or to one word; its name is ``"file/table"``.

    Raises `PromptError` if a folder or file is missing or unreadable, a label lacks words, or a word or name is
    used twice.
    """
    return _load("verbalizer", folders, _read_verbalizer)


def find_verbalizer(settings: PromptSettings) -> Verbalizer | None:
    """Return the words that the settings name or write down, None where the label names are the words.

    Raises `PromptError` as `load_verbalizers` does, and if there is no such verbalizer.
    """
    if settings.words:
        return Verbalizer("prompts/words", settings.words)
    return load_verbalizers(settings.registry).get(settings.verbalizer) if settings.verbalizer else None


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
    known = ("template", "description", "language")
    for key, value in table.items():
        if key not in known:
            raise PromptError(f"unknown key {key!r}.{near_matches(key, known)}")
        if not isinstance(value, str):
            raise PromptError(f"expected text for {key!r}, found {value!r}: put it in quotes.")
    if "template" not in table:
        raise PromptError("the key 'template' is missing: add it.")
    about = (str(table.get(key, "")) for key in ("description", "language"))
    return Pattern(name, str(table["template"]), *about)


def _read_verbalizer(name: str, table: dict[str, object]) -> Verbalizer:
    words: dict[str, tuple[str, ...]] = {}
    for label, value in table.items():
        if isinstance(value, dict):
            raise PromptError(f'the label {label!r} is a table: put a label with a dot in quotes, "{label}.…" = [...].')
        # Verbalizer itself refuses what is neither one word nor a list of words.
        words[label] = (value,) if isinstance(value, str) else value  # type: ignore[assignment]
    return Verbalizer(name, words)
