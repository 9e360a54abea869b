"""The files of text that a model is trained on, and the one that is held out: read anew as often as it takes.

A file has one document a line, or is a table with texts in its columns; files of one name are one source.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain
from pathlib import Path

from pet.data.readers import ReadOptions, read_examples
from pet.data.source import File, Source, parse_source
from pet.data.streams import text_lines
from pet.errors import ColumnError, ConfigError, DataError, near_matches
from pet.runs.atomic import file_sha256
from pet.runs.jobs import job_hash
from pet.settings.pretraining import TextSettings
from pet.settings.toml import text_parts


@dataclass(frozen=True)
class TextSource:
    """Files that count as one source; `share` is its part of what is read (None: what its size earns)."""

    name: str
    files: tuple[str, ...]
    share: float | None = None


@dataclass(frozen=True)
class TextFiles:
    """The sources of text and the held-out file; of tables, the texts in `columns`."""

    sources: tuple[TextSource, ...]
    valid: str | None
    columns: tuple[str, ...]

    @classmethod
    def from_settings(cls, text: TextSettings) -> "TextFiles":
        """Return the files that `[text]` names, without reading them; errors are those of `text_sources`."""
        return cls(tuple(text_sources(text.files, text.shares, text.valid)), text.valid, text.columns)

    def all_documents(self) -> Iterator[str]:
        """Yield the documents of all sources."""
        return chain.from_iterable(self.by_source().values())

    def by_source(self, say: Callable[[str], None] = lambda _: None) -> Mapping[str, Iterable[str]]:
        """Return the documents of each source; `say` as for `documents`."""
        return {one.name: chain.from_iterable(self._read(file, say) for file in one.files) for one in self.sources}

    def held_out(self, say: Callable[[str], None] = lambda _: None) -> Mapping[str, Iterable[str]]:
        """Return the documents of the held-out file by its name, or nothing."""
        return {self.valid: self._read(self.valid, say)} if self.valid else {}

    def _read(self, file: str, say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
        return documents(file, self.columns, say)

    @cached_property
    def digest(self) -> str:
        """Stands for what is in the files, and which of them are one source."""
        files = [(source.name, [self._digest(file) for file in source.files]) for source in self.sources]
        return job_hash(files=files, columns=self.columns, valid=self._digest(self.valid) if self.valid else None)

    def _digest(self, file: str) -> str:
        path = Path(file)
        if not path.is_file():  # a hub data set counts by its name; a file that is missing is told by its reader
            next(self._read(file), None)
            return file
        return file_sha256(path)


def documents(file: str, columns: Sequence[str] = (), say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Yield the documents of a file: its lines, or each text of its rows (CSV, TSV, JSONL, JSON, Parquet, a hub set).

    Of rows, those are the texts in `columns` (default: ``text``, or ``text_a`` and ``text_b``). Blank ones are left
    out; how many rows could not be used is told to `say`.

    Raises `DataError` if the file is missing or cannot be read, or is not UTF-8.
    """
    source = parse_source(file)
    if isinstance(source, File) and source.suffix in ("", ".txt"):
        texts: Iterator[str] = (line for _, line in text_lines(source))
    else:
        texts = _of_rows(source, columns, say)
    return (stripped for text in texts if (stripped := text.strip()))


def _of_rows(source: Source, columns: Sequence[str], say: Callable[[str], None]) -> Iterator[str]:
    options = ReadOptions(role="unlabeled", fields={name: name for name in columns}, on_bad_row="skip")
    try:
        found = read_examples(source, options)
    except ColumnError:  # it names the settings of a run, which are not these
        raise DataError(
            f"{source.text}: which columns hold the text? Expected "
            f"{', '.join(columns) or 'text, or text_a and text_b'}: set "
            """text.columns, such as --set 'text.columns=["body"]'."""
        ) from None
    if found.rejected:
        first, left_out = found.rejected[0], len(found.rejected)
        told = f"{left_out} of {left_out + len(found.examples)} rows of {source.text} left out"
        say(f"{told}, such as number {first.line}: {first.reason}")
    for note in found.notes:
        say(note)
    return (text for row in found.examples for text in row.fields.values())


def text_sources(files: Sequence[str], shares: Mapping[str, float], valid: str | None = None) -> list[TextSource]:
    """Group files, each ``[NAME=]FILE[:SHARE]``, by their name, else by the file's own without a number at its end.

    `shares` give sources by name or pattern theirs; what a file says wins. The held-out file is left out.

    Raises `ConfigError` if there is no file, a share is no share, one is about no source, or a source has two.

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
    name, file, share = text_parts(entry)
    if share and not 0.0 < float(share) <= 1.0:
        raise ConfigError(f"A source of text has the share {share}, expected more than 0 and at most 1.")
    stem = Path(file).name.split(".")[0]
    return name or re.sub(r"[-_.]?\d+$", "", stem) or stem, file, float(share) if share else None


def _check_shares(said: Mapping[str, float], grouped: Mapping[str, object]) -> None:
    total = sum(said.values())
    if total > 1.0 + 1e-6:
        raise ConfigError(f"The shares of {', '.join(said)} sum to {total:g}, expected at most 1.")
    if len(said) == len(grouped) and total < 1.0 - 1e-6:
        raise ConfigError(f"The shares of all sources sum to {total:g}, expected 1: leave that of one source out.")
