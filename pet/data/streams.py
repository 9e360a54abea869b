"""Opening a file of rows, packed or not, in UTF-8; what is wrong with it becomes one `DataError` sentence."""

import gzip
import io
import os
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from pet.data.source import File, Source
from pet.errors import DataError, close_match

GZ_MAX_BYTES = 4 * 2**30
"""No .gz file may unpack to more bytes than this."""

GZ_MAX_RATIO = 200
"""Nor to more than so many times its own size, once it is past `GZ_FREE_BYTES`."""

GZ_FREE_BYTES = 64 * 2**20
"""What any .gz file may unpack to, however small it is."""

_GZ_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"


@contextmanager
def open_binary(file: File) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked where it is a ``.gz``.

    Raises `DataError` if the file is missing or cannot be read, is no gzip data or ends within it, or unpacks to
    too much.
    """
    path = file.path
    try:
        if not os.path.lexists(path):
            raise DataError(missing_file(path))
        # GzipFile has all that is read of a raw stream, though it is called a buffered one.
        raw = io.BufferedReader(cast(io.RawIOBase, _CappedGzip(path))) if file.packed else path.open("rb")
        with raw as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is no whole gzip file ({error}): copy or pack it again.") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be read ({reason}): give a readable file.") from None


def has_byte_order_mark(source: Source) -> bool:
    """Say whether a source is a file that begins with the mark by which spreadsheets know UTF-8."""
    if not (isinstance(source, File) and source.path.is_file()):
        return False
    with open_binary(source) as stream:
        return stream.read(len(BOM_UTF8)) == BOM_UTF8


def text_lines(file: File) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line with its ``\n``) of a text file; a byte order mark is dropped.

    Where a file has no ``\n`` at all, lines end in ``\r``.

    Raises `DataError` as `open_binary` does, and if a line is not of the file's encoding.
    """
    with open_binary(file) as stream:
        head = cast(io.BufferedReader, stream).peek(4096)[:4096]
        _check_head(file.path, head)
        old = b"\r" in head and b"\n" not in head and not _has_line_feed(file)
        for number, raw in enumerate(_returned_lines(stream) if old else stream, start=1):
            if number == 1:
                raw = raw.removeprefix(BOM_UTF8)
            try:
                yield number, raw.decode(file.encoding)
            except UnicodeDecodeError as error:
                called = "UTF-8" if file.encoding == "utf-8" else file.encoding
                raise DataError(
                    f"{file.path}, line {number}: byte 0x{raw[error.start]:02x} is not {called}; save the file "
                    "as UTF-8, for example with `iconv -f cp1252 -t utf-8`, or name its encoding in [data] encoding."
                ) from None


def _has_line_feed(file: File) -> bool:
    with open_binary(file) as stream:
        return any(b"\n" in chunk for chunk in iter(partial(stream.read, 2**20), b""))


def _returned_lines(stream: BinaryIO) -> Iterator[bytes]:
    r"""Yield the lines of a file as old Macs write it, which end in ``\r`` alone, with ``\n`` in its place."""
    rest = b""
    for chunk in iter(partial(stream.read, 2**20), b""):
        *lines, rest = (rest + chunk).split(b"\r")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


class _CappedGzip(gzip.GzipFile):
    """A gzip file that unpacks to no more bytes than its size earns."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._path = path
        self._allowed = self._left = min(GZ_MAX_BYTES, max(GZ_FREE_BYTES, GZ_MAX_RATIO * path.stat().st_size))

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(self._left + 1 if size is None or size < 0 else size)
        self._left -= len(chunk)
        if self._left < 0:
            raise DataError(
                f"{self._path} unpacks to more than {self._allowed} bytes, which no file of texts of its "
                "packed size does: unpack it yourself if you trust it."
            )
        return chunk


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
        raise DataError(
            f"{path} is an Excel workbook or another zip archive: let its name end in .xlsx, save it as CSV UTF-8, or "
            "unpack it."
        )
    if head.startswith(_GZ_MAGIC):
        raise DataError(f"{path} holds gzip data: let its name end in .gz.")
    # Text in UTF-16 without a mark decodes as UTF-8 with a NUL in every second place.
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or head.count(0) * 4 > len(head):
        raise DataError(
            f"{path}, line 1: not UTF-8, it looks like UTF-16; save the file as UTF-8, for example with "
            "`iconv -f utf-16 -t utf-8`."
        )
