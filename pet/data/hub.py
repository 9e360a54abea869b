"""Rows of hub data sets and of local data set folders, through the `datasets` library."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pet.data.formats import SUFFIXES
from pet.data.rows import temporary_folder
from pet.data.streams import close_match, file_suffix
from pet.errors import DataError

__all__ = ["is_hub_name", "read_hub_rows"]

_WORD = r"[A-Za-z0-9][\w.-]*"
_HUB_NAME = re.compile(rf"{_WORD}/{_WORD}(:\S+)?|{_WORD}:\S+", re.ASCII)


def is_hub_name(source: str) -> bool:
    """Say whether a source is for `datasets`: a folder, ``"owner/name"`` or ``"name:split"``, not a file.

    A name that ends like a data file is a file, even where it is missing.

    >>> is_hub_name("owner/name:train"), is_hub_name("rows/train.jsonl"), is_hub_name("train.txt")
    (True, False, False)
    """
    # os.path: Path.is_file raises where a name is too long for the system.
    if os.path.isfile(source):  # noqa: PTH113
        return False
    if _folder_of(source) is not None:
        return True
    return file_suffix(Path(source)) not in SUFFIXES and _HUB_NAME.fullmatch(source) is not None


def read_hub_rows(name: str, split: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (row number from 1, row); `split` is read where the name does not end in one (``":validation"``).

    `name` is that of a hub data set, or a folder: one written by `save_to_disk`, or one of data files.
    Numbers of a `ClassLabel` column become its names, and -1, its mark of no label, None.

    Raises
    ------
    DataError
        If the data set cannot be had, or has no such split.
    """
    folder = _folder_of(name)
    if folder is not None:
        # The library's copy of the files goes again: they may be nobody else's business.
        with tempfile.TemporaryDirectory(dir=temporary_folder(), ignore_cleanup_errors=True) as copies:
            yield from _named(_load_folder(folder, name, split, copies))
    else:
        base, _, own = name.partition(":")
        yield from _named(_load(name, base, split=own or split))


def _named(table: Any) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (row number from 1, row) with the names of labels."""
    names = _label_names(table)
    for number, row in enumerate(table, start=1):
        for column, name_of in names.items():
            row[column] = None if row[column] in (None, -1) else name_of(row[column])
        yield number, row


def _folder_of(source: str) -> tuple[Path, str] | None:
    """Return (folder, split or "") where the source is a folder, with or without ``:split``."""
    if os.path.isdir(source):
        return Path(source), ""
    base, _, split = source.rpartition(":")
    return (Path(base), split) if base and os.path.isdir(base) else None


def _load_folder(folder: tuple[Path, str], name: str, split: str, copies: str) -> Any:
    path, own = folder
    if not any((path / mark).is_file() for mark in ("dataset_info.json", "dataset_dict.json")):
        return _load(name, str(path), split=own or split, cache_dir=copies)
    library = _datasets()
    table = _attempt(name, lambda: library.load_from_disk(str(path)))
    if isinstance(table, library.DatasetDict):
        wanted = own or split
        if wanted not in table:
            hint = close_match(wanted, tuple(table))
            raise DataError(f"{name} has no split {wanted!r}; found {', '.join(table)}: end the name in :SPLIT.{hint}")
        return table[wanted]
    if own and own != str(table.split):
        raise DataError(f"{name}: the folder holds one data set (split {table.split}), not {own!r}: drop ':{own}'.")
    return table


def _load(name: str, base: str, **options: str) -> Any:
    """Load one split of a hub data set, or of a folder of data files."""
    library = _datasets()
    return _attempt(name, lambda: library.load_dataset(base, **options))


def _datasets() -> Any:
    """Return the library without its progress bars; it takes half a second to load and is needed for few sources."""
    try:
        import datasets
    except ImportError:
        raise DataError("Hub data sets need the package datasets: pip install datasets, or give a file.") from None
    datasets.disable_progress_bars()
    return datasets


def _attempt(name: str, load: Callable[[], Any]) -> Any:
    """Call a loader; whatever it raises (its kinds change between releases) becomes one sentence."""
    try:
        return load()
    except Exception as error:
        reason = ": ".join(_brief(one) for one in (error, error.__cause__) if one is not None)
        if _folder_of(name) is not None:
            raise DataError(
                f"The data set folder {name!r} could not be read ({reason}): check its files and the split "
                "(FOLDER:SPLIT), or name one file of rows."
            ) from error
        raise DataError(
            f"The data set {name!r} could not be loaded ({reason}), and no file or folder has that "
            "name: check the spelling and the split (owner/name:split), the network, and that HF_HUB_OFFLINE "
            "is not set."
        ) from error


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _label_names(table: Any) -> dict[str, Callable[[int], str]]:
    """Return, for each column of class numbers, the function that names them."""
    kind = _datasets().ClassLabel
    return {column: feature.int2str for column, feature in table.features.items() if isinstance(feature, kind)}
