"""How the tests of the readers read a file."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pet.data.formats import scan_file
from pet.data.hub import scan_data_set
from pet.data.readers import ReadOptions, ReadResult
from pet.data.readers import read_examples as read_source
from pet.data.scanned import Malformed
from pet.data.source import File, parse_source
from pet.errors import DataError

TRAIN = ReadOptions("train")
POOL = ReadOptions("unlabeled")
SKIP = ReadOptions("train", on_bad_row="skip")


def read_examples(text: str, options: ReadOptions) -> ReadResult:
    """Read the examples of a source as it is written."""
    return read_source(parse_source(text), options)


def read_rows(path: str | Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (number, row) of a file, and refuse what is no row."""
    file = File.at(path)
    for number, row in scan_file(file):
        if isinstance(row, Malformed):
            raise DataError(f"{path}, {file.unit} {number}: {row.reason}.")
        yield number, row


def read_hub_rows(text: str, split: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (number, row) of a folder or a data set of the hub."""
    source = parse_source(text)
    assert not isinstance(source, File)
    for number, row in scan_data_set(source, split):
        assert not isinstance(row, Malformed)
        yield number, row
