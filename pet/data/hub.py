"""Rows of hub data sets and of local data set folders, through the `datasets` library."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pet.data.scratch import temporary_folder
from pet.data.source import Folder, Hub
from pet.errors import DataError, close_match


def scan_data_set(source: Folder | Hub, split: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (row number from 1, row); `split` is read where the source names none.

    Numbers of a `ClassLabel` column become its names, and -1, its mark of no label, None.

    Raises `DataError` if the data set cannot be had, or has no such split.
    """
    load, split = _datasets().load_dataset, source.split or split
    if isinstance(source, Hub):
        yield from _named(_attempt(source, lambda: load(source.name, split=split)))
    elif any((source.path / mark).is_file() for mark in ("dataset_info.json", "dataset_dict.json")):
        yield from _named(_saved(source, split))
    else:
        # The library's copy of the files goes again: they may be nobody else's business.
        with tempfile.TemporaryDirectory(dir=temporary_folder(), ignore_cleanup_errors=True) as copies:
            yield from _named(_attempt(source, lambda: load(str(source.path), split=split, cache_dir=copies)))


def _named(table: Any) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (row number from 1, row) with the names of labels."""
    kind = _datasets().ClassLabel
    names = {column: feature.int2str for column, feature in table.features.items() if isinstance(feature, kind)}
    for number, row in enumerate(table, start=1):
        for column, name_of in names.items():
            row[column] = None if row[column] in (None, -1) else name_of(row[column])
        yield number, row


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
    """Return the library without its progress bars; it takes half a second to load and is needed for few sources."""
    import datasets

    datasets.disable_progress_bars()
    return datasets


def _attempt(source: Folder | Hub, load: Callable[[], Any]) -> Any:
    """Call a loader; whatever it raises (its kinds change between releases) becomes one sentence."""
    try:
        return load()
    except Exception as error:
        causes = (one for one in (error, error.__cause__) if one is not None)
        reason = ": ".join(" ".join(str(one).split())[:200].rstrip(".") or type(one).__name__ for one in causes)
        if isinstance(source, Folder):
            raise DataError(
                f"The data set folder {source.text!r} could not be read ({reason}): check its files and the split "
                "(FOLDER:SPLIT), or name one file of rows."
            ) from error
        raise DataError(
            f"The data set {source.text!r} could not be loaded ({reason}), and no file or folder has that "
            "name: check the spelling and the split (owner/name:split), the network, and that HF_HUB_OFFLINE "
            "is not set."
        ) from error
