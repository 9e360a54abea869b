"""What stands in the columns of a file: how much, how long, how often the same."""

import codecs
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pet.data.formats import scan_file
from pet.data.hub import scan_data_set
from pet.data.labels import is_placeholder
from pet.data.readers import is_given
from pet.data.scanned import Malformed, Scanned
from pet.data.source import File, parse_source
from pet.data.streams import open_binary
from pet.data.words import word_count
from pet.errors import DataError

MOST_VALUES = 2000
"""So many different values of a column are told apart; one with more holds no labels."""

MOST_ROWS = 200_000
"""So many rows of a file are looked at."""

TEXT_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt")
"""Files whose letters have an encoding."""


@dataclass
class Column:
    """A column of a file: how many of its cells are filled, and with what.

    `values` counts the cells of each value, up to `MOST_VALUES` of them; sums of `words`, `characters` and so on are
    over the filled cells.
    """

    name: str
    filled: int = 0
    words: float = 0.0
    characters: int = 0
    numbers: int = 0
    values: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set, repr=False)

    def add(self, value: object) -> None:
        """Count a cell."""
        if not is_given(value) or is_placeholder(value):
            return
        text = str(value).strip()
        self.filled += 1
        self.words += word_count(text.replace("_", " "))
        self.characters += len(text)
        self.numbers += _is_number(value)
        self.seen.add(hash(text))
        if len(self.values) < MOST_VALUES or text in self.values:
            self.values[text] += 1

    @property
    def distinct(self) -> int:
        """The number of different values."""
        return len(self.seen)

    @property
    def is_unique(self) -> bool:
        """Whether no value stands in two cells."""
        return self.filled > 0 and self.distinct == self.filled

    @property
    def is_numeric(self) -> bool:
        """Whether all cells are numbers."""
        return 0 < self.filled == self.numbers

    def mean(self, total: float) -> float:
        """Return a sum per filled cell."""
        return total / self.filled if self.filled else 0.0


@dataclass(frozen=True)
class Survey:
    """A file and its columns in order; `encoding` is that of its text, and `sample` a word that shows it."""

    source: str
    rows: int
    columns: Mapping[str, Column]
    encoding: str = "ascii"
    sample: str = ""


def survey(source: str, split: str = "train") -> Survey:
    """Look at the columns of a source, a file or a data set.

    Raises `DataError` if it cannot be read, or has no rows.
    """
    parsed = parse_source(source)
    encoding, sample = "ascii", ""
    if isinstance(parsed, File):
        encoding, sample = encoding_of(parsed)
        parsed = File.at(source, "cp1252" if encoding == "cp1252" else "utf-8")
    rows, columns = survey_rows(scan_file(parsed) if isinstance(parsed, File) else scan_data_set(parsed, split))
    if not rows:
        raise DataError(f"{source} has no rows that can be read: give a file with at least one.")
    return Survey(source, rows, columns, encoding, sample)


def survey_rows(scanned: Iterable[Scanned]) -> tuple[int, dict[str, Column]]:
    """Return the number of rows and their columns; what is no row is passed over."""
    rows, columns = 0, dict[str, Column]()
    for _, row in scanned:
        if isinstance(row, Malformed):
            continue
        rows += 1
        for name, value in row.items():
            columns.setdefault(name, Column(name)).add(value)
        if rows == MOST_ROWS:
            break
    return rows, columns


def encoding_of(file: File) -> tuple[str, str]:
    """Return the encoding of a file, and a word that shows it: ASCII, UTF-8 where it can be, else cp1252."""
    if file.suffix not in TEXT_SUFFIXES:
        return "ascii", ""
    with open_binary(file) as stream:
        raw = stream.read()
    if raw.isascii():
        return "ascii", ""
    try:
        codecs.decode(raw, "utf-8")
    except UnicodeDecodeError as error:
        text = raw[max(0, error.start - 30) : error.start + 30].decode("cp1252", "replace")
        odd = next((place for place, sign in enumerate(text) if not sign.isascii()), 0)
        before, after = text[:odd].split(), text[odd:].split()
        first = before[-1] if before and not text[odd - 1].isspace() else ""
        if b"\0" not in raw[:4096]:  # UTF-16 is told of as such where it is read
            return "cp1252", (first + (after[0] if after else "")).strip('",;')
    return "utf-8", ""


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(str(value))
    except ValueError:
        return False
    return True
