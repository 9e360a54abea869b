"""`Source`: where rows come from, a file, a folder or a hub data set; its text is parsed here and nowhere else."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pet.settings.toml import DATA_SUFFIXES

_WORD = r"[A-Za-z0-9][\w.-]*"
_HUB_NAME = re.compile(rf"{_WORD}/{_WORD}(:\S+)?|{_WORD}:\S+", re.ASCII)


@dataclass(frozen=True)
class File:
    """One file, of rows or of text: `suffix` names its format, in lower case and without ``.gz`` (`packed`).

    Where it is text, its letters are those of `encoding`, one that has ASCII as it is.

    >>> File.at("rows/Train.JSONL.gz").suffix
    '.jsonl'
    """

    text: str
    path: Path
    suffix: str
    packed: bool
    encoding: str = "utf-8"

    @classmethod
    def at(cls, place: str | Path, encoding: str = "utf-8") -> "File":
        """Return the file at a place, whether it is there or not."""
        path = Path(place)
        name = path.name.lower()
        return cls(str(place), path, Path(name.removesuffix(".gz")).suffix, name.endswith(".gz"), encoding)

    @property
    def unit(self) -> Literal["line", "row"]:
        """What the numbers of its rows count: lines as an editor shows them; JSON, Parquet and workbooks have none."""
        return "row" if self.suffix in (".json", ".parquet", ".xlsx") else "line"


@dataclass(frozen=True)
class Folder:
    """A folder written by `save_to_disk`, or one of data files; `split` is "" where none is named."""

    text: str
    path: Path
    split: str = ""
    unit: ClassVar[Literal["row"]] = "row"


@dataclass(frozen=True)
class Hub:
    """A data set of the hub, ``"owner/name"`` or ``"name:split"``; `split` is "" where none is named."""

    text: str
    name: str
    split: str = ""
    unit: ClassVar[Literal["row"]] = "row"


Source = File | Folder | Hub
"""Each has the `text` that a person wrote, for messages, and the `unit` that the numbers of its rows count."""


def parse_source(text: str, encoding: str = "utf-8") -> Source:
    """Read the name of a source as a person writes it; what lies on the disk wins over a name of the hub.

    A name that ends like a data file is a file, even where it is missing; its text has an `encoding`.

    >>> parse_source("owner/name:test[:100]")
    Hub(text='owner/name:test[:100]', name='owner/name', split='test[:100]')
    >>> parse_source("rows/train.jsonl").unit
    'line'
    """
    file = File.at(text, encoding)
    # os.path: Path.is_file raises where a name is too long for the system.
    if os.path.isfile(text):  # noqa: PTH113
        return file
    if os.path.isdir(text):
        return Folder(text, file.path)
    base, _, split = text.rpartition(":")
    if base and os.path.isdir(base):
        return Folder(text, Path(base), split)
    if file.suffix not in DATA_SUFFIXES and _HUB_NAME.fullmatch(text):
        name, _, split = text.partition(":")
        return Hub(text, name, split)
    return file
