"""Rows of hub data sets and of local data set folders, through the `datasets` library."""

import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from pet.data.formats import scan_file
from pet.data.parquet import with_class_names
from pet.data.scanned import Scanned
from pet.data.scratch import temporary_folder
from pet.data.source import File, Folder, Hub
from pet.errors import DataError, close_match


def scan_data_set(source: Folder | Hub, split: str) -> Iterator[Scanned]:
    """Yield (row number from 1, row); `split` is read where the source names none.

    Numbers of a `ClassLabel` column become its names, as in Parquet files.

    Raises `DataError` if the data set cannot be had, or has no such split.
    """
    load, split = _datasets().load_dataset, source.split or split
    if isinstance(source, Folder) and (parts := _parts(source)):
        yield from enumerate((row for file in parts for _, row in scan_file(file)), start=1)
    elif isinstance(source, Hub):
        yield from _rows_of(source, _attempt(source, lambda: load(source.name, split=split)))
    elif any((source.path / mark).is_file() for mark in ("dataset_info.json", "dataset_dict.json")):
        yield from _rows_of(source, _saved(source, split))
    else:
        # The library's copy of the files goes again: they may be nobody else's business.
        with tempfile.TemporaryDirectory(dir=temporary_folder(), ignore_cleanup_errors=True) as copies:
            if tables := _tables(source, split, copies):
                yield from enumerate((row for file in tables for _, row in scan_file(file)), start=1)
                return
            yield from _rows_of(source, _attempt(source, lambda: load(str(source.path), split=split, cache_dir=copies)))


_SPLIT = re.compile(r"(^|[^a-z])(train(ing)?|test(ing)?|val(id(ation)?)?|dev|eval(uation)?)([^a-z]|$)")
"""How `datasets` knows files of a split by their names."""


def _parts(folder: Folder) -> list[File]:
    """Return the files of a folder in the order of their names, if they are parts of one set; none where they are not.

    All have one suffix, and none is named as a split. What begins with a dot or a line below is no part.
    """
    if folder.split:
        return []
    files = [File.at(path) for path in sorted(folder.path.iterdir()) if path.name[0] not in "._"]
    whole = len({file.suffix for file in files}) == 1 and files[0].suffix in _PARTED
    return files if whole and not any(_SPLIT.search(file.path.stem.lower()) for file in files) else []


_PARTED = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv")


def _tables(folder: Folder, split: str, copies: str) -> list[File]:
    """Return the files of a split if they are tables of separated values, which are read as a single one is.

    The library would take stray quotes, truths and words such as "None" in its own way.
    """
    builder = _attempt(folder, lambda: _datasets().load_dataset_builder(str(folder.path), cache_dir=copies))
    places = {str(name): files for name, files in (builder.config.data_files or {}).items()}
    files = [File.at(str(place)) for place in places.get(split, ())]
    return files if all(file.suffix in (".csv", ".tsv") for file in files) else []


def _rows_of(source: Folder | Hub, table: Any) -> Iterator[Scanned]:
    """Yield (row number from 1, row) with the names of labels."""
    rows = iter(table)
    try:
        yield from with_class_names(table.features.to_dict(), rows)
    except Exception as error:
        # What cannot be decoded (a picture without its library) is found out row by row.
        raise _unreadable(source, error) from error


def _saved(folder: Folder, split: str) -> Any:
    """Load one split of what `save_to_disk` has written."""
    library = _datasets()
    table = _attempt(folder, lambda: library.load_from_disk(str(folder.path)))
    if isinstance(table, library.DatasetDict):
        if split not in table:
            raise DataError(
                f"{folder.text} has no split {split!r}; found {', '.join(table)}: end the name in :SPLIT."
                f"{close_match(split, table)}"
            )
        return table[split]
    if folder.split not in ("", str(table.split)):
        raise DataError(
            f"{folder.text}: the folder holds one data set (split {table.split}), not {folder.split!r}: "
            f"drop ':{folder.split}'."
        )
    return table


def _datasets() -> Any:
    """Return the library, silent; it takes half a second to load and is needed for few sources."""
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what goes wrong is said once, as one sentence
    return datasets


def _attempt(source: Folder | Hub, load: Callable[[], Any]) -> Any:
    """Call a loader; whatever it raises (its kinds change between releases) becomes one sentence."""
    try:
        return load()
    except Exception as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Folder | Hub, error: Exception) -> DataError:
    causes = (one for one in (error, error.__cause__) if one is not None)
    reason = ": ".join(" ".join(str(one).split())[:200].rstrip(".") or type(one).__name__ for one in causes)
    if isinstance(source, Folder):
        return DataError(
            f"The data set folder {source.text!r} could not be read ({reason}): check its files and the split "
            "(FOLDER:SPLIT), or name one file of rows."
        )
    return DataError(
        f"The data set {source.text!r} could not be loaded ({reason}), and no file or folder has that "
        "name: check the spelling and the split (owner/name:split), the network, and that HF_HUB_OFFLINE "
        "is not set."
    )
