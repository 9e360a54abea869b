"""What a scanner of a file yields: rows with their numbers, and what is no row."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pet.errors import DataError, shown


@dataclass(frozen=True)
class Malformed:
    """A piece of a file that is no row: why, and its text as it stands in the file."""

    reason: str
    text: str


Scanned = tuple[int, Mapping[str, object] | Malformed]
"""The number of a row, and the row, or what stands in its place."""


def check_columns(path: Path, columns: list[str]) -> None:
    """Refuse a file with two columns of one name: a DataError says so."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} has two columns named {shown(twice)}: rename one.")
