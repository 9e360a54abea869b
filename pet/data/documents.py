"""Files of plain text for pretraining: one document a line, or the text columns of a table; mixed by shares."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pet.data.hub import is_hub_name
from pet.data.readers import ReadOptions, read_examples
from pet.data.streams import file_suffix, text_lines
from pet.errors import ConfigError, DataError, near_matches

__all__ = ["TextSource", "documents", "text_sources"]


@dataclass(frozen=True)
class TextSource:
    """Files that count as one source; `share` is its part of what is read (None: what its size earns)."""

    name: str
    files: tuple[str, ...]
    share: float | None = None


def documents(file: str, columns: Sequence[str] = (), say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Yield the documents of a file: its lines, or each text of its rows (CSV, TSV, JSONL, JSON, Parquet, a hub set).

    Of rows, those are the texts in `columns` (default: ``text``, or ``text_a`` and ``text_b``). Blank ones are left
    out; how many rows could not be used is told to `say`.

    Raises
    ------
    DataError
        If the file is missing or cannot be read, or is not UTF-8.
    """
    if not is_hub_name(file) and file_suffix(Path(file)) in ("", ".txt"):
        texts: Iterator[str] = (line for _, line in text_lines(Path(file)))
    else:
        texts = _of_rows(file, columns, say)
    return (stripped for text in texts if (stripped := text.strip()))


def _of_rows(file: str, columns: Sequence[str], say: Callable[[str], None]) -> Iterator[str]:
    options = ReadOptions(role="unlabeled", fields={name: name for name in columns}, on_bad_row="skip")
    try:
        found = read_examples(file, options)
    except DataError as error:
        if "[task.fields]" not in str(error):  # the settings of a run, which are not these
            raise
        raise DataError(
            f"{file}: which columns hold the text? Expected {', '.join(columns) or 'text, or text_a and text_b'}: set "
            """text.columns, such as --set 'text.columns=["body"]'."""
        ) from None
    if found.rejected:
        first = found.rejected[0]
        count = len(found.rejected) + len(found.examples)
        say(f"{len(found.rejected)} of {count} rows of {file} left out, such as number {first.line}: {first.reason}")
    return (text for row in found.examples for text in row.fields.values())


def text_sources(files: Sequence[str], shares: Mapping[str, float], valid: str | None = None) -> list[TextSource]:
    """Group files, each ``[NAME=]FILE[:SHARE]``, by their name, else by the file's own without a number at its end.

    `shares` give sources by name or pattern theirs; what a file says wins. The held-out file is left out.

    Raises
    ------
    ConfigError
        If there is no file, a share is no share, one is about no source, or a source has two.

    Examples
    --------
    >>> text_sources(["a/news-01.txt.gz", "a/news-02.txt.gz", "talk=b.txt:0.3"], {})
    [TextSource(name='news', files=('a/news-01.txt.gz', 'a/news-02.txt.gz'), share=None), \
TextSource(name='talk', files=('b.txt',), share=0.3)]
    """
    grouped: dict[str, list[str]] = {}
    said: dict[str, float] = {}
    for entry in files:
        name, file, share = _parsed(entry)
        if valid is not None and Path(file).absolute() == Path(valid).absolute():
            continue
        grouped.setdefault(name, []).append(file)
        if share is not None and said.setdefault(name, share) != share:
            raise ConfigError(
                f"--text: the files of {name!r} are one source with two shares, {said[name]:g} and {share:g}: give it "
                "one, or name the files apart, such as old=FILE:0.2."
            )
    if files and not grouped:
        raise ConfigError(f"{valid} is the text that is held out, and there is no other: give more files with --text.")
    if not grouped:
        raise ConfigError("No text is named: give files with --text, one document a line, each also as .gz.")
    for pattern, share in shares.items():
        fitting = [name for name in grouped if fnmatchcase(name, pattern)]
        if not fitting:
            raise ConfigError(f"text.shares: no source is called {pattern!r}.{near_matches(pattern, grouped)}")
        said |= {name: share / len(fitting) for name in fitting if name not in said}
    _check_shares(said, grouped)
    return [TextSource(name, tuple(dict.fromkeys(of_name)), said.get(name)) for name, of_name in grouped.items()]


def _parsed(entry: str) -> tuple[str, str, float | None]:
    """Return the name, the file and the share of ``[NAME=]FILE[:SHARE]``."""
    name, _, place = entry.rpartition("=")
    file, separator, share = place.rpartition(":")
    found = _as_share(share) if separator else None
    file = file if found is not None else place
    stem = Path(file).name.split(".")[0]
    return name or re.sub(r"[-_.]?\d+$", "", stem) or stem, file, found


def _as_share(text: str) -> float | None:
    """Return a share; None where the text is none, such as the split of a hub data set."""
    try:
        share = float(text)
    except ValueError:
        return None
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"A source of text has the share {text}, expected more than 0 and at most 1.")
    return share


def _check_shares(said: Mapping[str, float], grouped: Mapping[str, object]) -> None:
    total = sum(said.values())
    if total > 1.0 + 1e-6:
        raise ConfigError(f"The shares of {', '.join(said)} sum to {total:g}, expected at most 1.")
    if len(said) == len(grouped) and total < 1.0 - 1e-6:
        raise ConfigError(f"The shares of all sources sum to {total:g}, expected 1: leave that of one source out.")
