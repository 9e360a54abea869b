"""Opening a file of rows, packed or not, in UTF-8; what is wrong with it becomes one `DataError` sentence."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from pet.errors import DataError, near_matches

__all__ = [
    "GZ_FREE_BYTES",
    "GZ_MAX_BYTES",
    "GZ_MAX_RATIO",
    "close_match",
    "file_suffix",
    "has_byte_order_mark",
    "is_packed",
    "missing_file",
    "open_binary",
    "shown",
    "text_lines",
]

GZ_MAX_BYTES = 4 * 2**30
"""No .gz file may unpack to more bytes than this."""

GZ_MAX_RATIO = 200
"""Nor to more than so many times its own size, once it is past `GZ_FREE_BYTES`."""

GZ_FREE_BYTES = 64 * 2**20
"""What any .gz file may unpack to, however small it is."""

_GZ_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def shown(value: object, limit: int = 60) -> str:
    r"""Return a value as one short line for a message.

    >>> shown("two\nlines")
    "'two\\nlines'"
    """
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"


def close_match(name: str, known: tuple[str, ...]) -> str:
    """Return ``" Did you mean ...?"`` where a known name is near, else nothing.

    >>> close_match("txt", ("text", "label"))
    ' Did you mean text?'
    """
    # A column name may be a whole text (a table without a header): keep the hint to one short line.
    short = [item if item.isprintable() and len(item) <= 60 else shown(item) for item in known]
    hint = near_matches(name, short)
    return hint if "Did you mean" in hint else ""


def is_packed(path: Path) -> bool:
    """Say whether the name ends in ``.gz``."""
    return path.name.lower().endswith(".gz")


def file_suffix(path: Path) -> str:
    """Return the suffix that names the format, in lower case and without ``.gz``.

    >>> file_suffix(Path("Train.JSONL.gz"))
    '.jsonl'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked where it is a ``.gz``.

    Raises
    ------
    DataError
        If the file is missing or cannot be read, is no gzip data or ends within it, or unpacks to too much.
    """
    try:
        if not os.path.lexists(path):
            raise DataError(missing_file(path))
        with io.BufferedReader(_CappedGzip(path)) if is_packed(path) else path.open("rb") as stream:
            yield cast(BinaryIO, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is no whole gzip file ({error}): copy or pack it again.") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be read ({reason}): give a readable file.") from None


def has_byte_order_mark(path: Path) -> bool:
    """Say whether a file begins with the mark by which spreadsheets know UTF-8."""
    if not path.is_file():
        return False
    with open_binary(path) as stream:
        return stream.read(len(_UTF8_BOM)) == _UTF8_BOM


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line with its ``\n``) of a UTF-8 file; a byte order mark is dropped.

    Raises
    ------
    DataError
        As `open_binary`; and if a line is not UTF-8.
    """
    with open_binary(path) as stream:
        _check_head(path, cast(io.BufferedReader, stream).peek(4096)[:4096])
        for number, raw in enumerate(stream, start=1):
            if number == 1:
                raw = raw.removeprefix(_UTF8_BOM)
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file "
                    "as UTF-8, for example with `iconv -f cp1252 -t utf-8`."
                ) from None


class _CappedGzip(io.RawIOBase):
    """The unpacked bytes of a gzip file, up to a budget that its size earns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._budget = min(GZ_MAX_BYTES, max(GZ_FREE_BYTES, GZ_MAX_RATIO * path.stat().st_size))
        self._read = 0
        self._file = gzip.GzipFile(path, "rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._file.read(len(buffer))
        self._read += len(chunk)
        if self._read > self._budget:
            raise DataError(
                f"{self._path} unpacks to more than {self._budget} bytes, which no file of texts of its "
                "packed size does: unpack it yourself if you trust it."
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._file.close()
        super().close()


def missing_file(path: Path) -> str:
    """Say that a file is missing, and which names beside it are near."""
    folder = path.parent
    if not folder.is_dir():
        return f"No file at {path}: the folder {folder} does not exist either; check the path."
    hint = close_match(path.name, tuple(item.name for item in folder.iterdir()))
    return f"No file at {path}: check the path; a hub data set is written owner/name:split or name:split.{hint}"


def _check_head(path: Path, head: bytes) -> None:
    """Refuse what is no UTF-8 text from its first bytes on."""
    if head.startswith(_ZIP_MAGIC):
        raise DataError(f"{path} is an Excel workbook or another zip archive: save it as CSV UTF-8, or unpack it.")
    if head.startswith(_GZ_MAGIC):
        raise DataError(f"{path} holds gzip data: let its name end in .gz.")
    # Text in UTF-16 without a mark decodes as UTF-8 with a NUL in every second place.
    if head.startswith(_UTF16_BOMS) or head.count(0) * 4 > len(head):
        raise DataError(
            f"{path}, line 1: not UTF-8, it looks like UTF-16; save the file as UTF-8, for example with "
            "`iconv -f utf-16 -t utf-8`."
        )
