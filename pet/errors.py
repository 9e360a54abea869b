"""The one exception tree of the project.

    PetError                 anything pet raises on purpose; `exit_code` is what the command returns
    ├── UsageError           the person can mend it by changing what was handed in (exit code 2)
    │   ├── ConfigError      a pipeline file, a flag or a setting
    │   ├── DataError        a file of rows, or one row of it
    │   │   └── ColumnError  which columns hold the texts cannot be told
    │   ├── PromptError      a pattern or a verbalizer
    │   └── ModelError       a model folder or hub id
    └── RunError             the work itself could not be finished (exit code 1)
        ├── RunLocked        another process works in the same run directory (exit code 2)
        └── StorageError     the place of the results is full or may not be written (exit code 2)

Every message is one sentence that says what was found, what was expected and what to try.
"""

import difflib
import re
from collections.abc import Iterable


class PetError(Exception):
    """Base of everything pet raises on purpose."""

    exit_code = 1


class UsageError(PetError):
    """Something handed in is wrong; the message says how to mend it."""

    exit_code = 2


class ConfigError(UsageError):
    """A pipeline file, a flag or a setting is wrong."""


class DataError(UsageError):
    """A data file, or a row of it, cannot be used."""


class ColumnError(DataError):
    """The columns of a file that hold the texts cannot be told, or are not there."""


class PromptError(UsageError):
    """A pattern or a verbalizer cannot be used."""


class ModelError(UsageError):
    """A model cannot be loaded, or cannot do what is asked of it."""


class RunError(PetError):
    """The work could not be finished; what was finished is kept."""


class RunLocked(RunError):
    """Another process works in this run directory."""

    exit_code = 2


class StorageError(RunError):
    """The place of the results is full or may not be written; the person makes room, and the run goes on."""

    exit_code = 2


def near_matches(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return a hint such as ``" Did you mean a, b?"``, or the known names when none is near.

    >>> near_matches("wieghting", ["weighting", "steps"])
    ' Did you mean weighting?'
    >>> near_matches("zzz", ["b", "a"])
    ' Known: a, b.'
    """
    names = sorted(set(known))
    some = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return _did_you_mean(name, names, limit) or (f" Known: {some}." if names else "")


def close_match(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean ...?"`` where a known name is near, else nothing.

    >>> close_match("txt", ("text", "label"))
    ' Did you mean text?'
    """
    # A column name may be a whole text (a table without a header): keep the hint to one short line.
    return _did_you_mean(name, {item if item.isprintable() and len(item) <= 60 else shown(item) for item in known})


def _did_you_mean(name: str, known: Iterable[str], limit: int = 3) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=limit, cutoff=0.6)
    return f" Did you mean {', '.join(close)}?" if close else ""


def shown(value: object, limit: int = 60) -> str:
    r"""Return a value as one short line for a message.

    >>> shown("two\nlines")
    "'two\\nlines'"
    """
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"


# Control characters but the tab, half surrogates, ends of lines, marks of direction, and tags, which nobody sees.
_STEERING = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u061c\u200e\u200f\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Return a text as one line that steers no terminal: signs that would are written as escapes.

    >>> visible("\x1b[31mred\x07\nand \u202eback")
    '\\x1b[31mred\\x07\\nand \\u202eback'
    """
    return _STEERING.sub(lambda found: repr(found[0])[1:-1], text)
