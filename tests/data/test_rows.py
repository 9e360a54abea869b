"""Rows in a file: the same as a tuple of them, read in chunks, and gone without a trace."""

import datetime
import errno
import io
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pet.data import rows as module
from pet.data import scratch
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.data.scratch import unnamed_file
from pet.errors import StorageError

EXTRAS: list[dict[str, object]] = [
    {},
    {"n": 1},
    {"n": 1.0, "deep": {"a": [1, None, "x"]}},
    {"n": float("inf")},
    {"big": 2**80, "": ""},
    {"day": datetime.date(2026, 1, 31), "raw": b"\0\xff"},  # no JSON
    {"n": "NaN", "flag": True},
]
EXAMPLES = tuple(
    Example(f"r{i}", {"b": f"text {i}", "a": "é\n" * (i % 3)}, None if i % 2 else f"l{i}", EXTRAS[i % len(EXTRAS)])
    for i in range(20)
)


@pytest.fixture(params=[1, 3, 256])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Rows:
    monkeypatch.setattr(module, "CHUNK_ROWS", request.param)
    return Rows.of(EXAMPLES if request.param == 1 else [e for e in EXAMPLES if "day" not in e.extra])


def test_rows_are_those_of_the_tuple(rows: Rows) -> None:
    plain = tuple(e for e in EXAMPLES if len(rows) == len(EXAMPLES) or "day" not in e.extra)
    assert tuple(rows) == plain
    assert rows == plain and plain == rows and rows == Rows.of(list(plain))
    assert rows != plain[1:] and rows != [*plain[1:], plain[0]]
    assert [list(e.fields) for e in rows] == [["b", "a"]] * len(rows)
    for index in (0, 7, -1, int(np.int64(2))):
        assert rows[index] == plain[index]
    for part in (slice(2, 9), slice(None, None, -3), slice(30, 40)):
        assert rows[part] == plain[part]
        assert tuple(rows.take(part)) == plain[part]
    with pytest.raises(IndexError):
        rows[len(plain)]
    assert [type(e.extra.get("n")) for e in rows] == [type(e.extra.get("n")) for e in plain]


def test_some_rows_are_taken_in_any_order_and_again(rows: Rows) -> None:
    places = np.array([5, 0, 5, 11])
    taken = rows.take(places)
    assert [e.id for e in taken] == [rows[i].id for i in places]
    assert tuple(taken.take(np.array([True, False, True, False]))) == (rows[5], rows[5])
    assert taken.take(np.array([3]))[0] == rows[11]


def test_ids_are_compared_without_reading_where_they_are_the_same_rows(rows: Rows) -> None:
    names = [e.id for e in rows]
    assert list(rows.ids) == names and rows.ids == tuple(names) and tuple(names) == rows.ids
    assert rows.ids[3] == names[3] and rows.ids[2:5] == tuple(names[2:5])
    assert rows.take(np.arange(4)).ids == rows.take(np.arange(4)).ids
    assert rows.take(np.arange(4)).ids != rows.take(np.arange(1, 5)).ids


def test_dates_and_bytes_are_kept_where_a_column_has_them() -> None:
    extras: list[dict[str, object]] = [
        {"day": datetime.date(2026, 1, 31), "raw": b"\0\xff", "": "7"},
        {"day": None, "raw": b"", "": "x"},
    ]
    assert [e.extra for e in Rows.of(Example(str(i), {"a": "x"}, None, one) for i, one in enumerate(extras))] == extras


def test_none_are_no_rows() -> None:
    assert len(Rows.of(())) == 0 and tuple(Rows.of(())) == () and Rows.of(()) == ()


def many(count: int) -> Iterator[Example]:
    return (Example(f"r{i}", {"a": f"{i} " + "word " * 50}) for i in range(count))


def test_more_than_a_little_lies_on_the_disk_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch, "IN_MEMORY", 1000)
    files = []
    monkeypatch.setattr(module, "unnamed_file", lambda: files.append(unnamed_file()) or files[-1])
    rows = Rows.of(many(600))
    assert files[0].name is not None  # the number of a file on the disk
    if os.name == "posix":
        assert list(tmp_path.iterdir()) == []
    assert tuple(rows) == tuple(many(600))


def test_writing_and_reading_hold_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "IN_MEMORY", 1000)
    Rows.of(many(1))  # pyarrow is loaded by the first
    tracemalloc.start()
    try:
        rows = Rows.of(many(10_000))
        assert sum(len(e.fields["a"]) for e in rows) > 2_500_000
        assert rows[5000].id == "r5000"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_full_disk_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space")

    monkeypatch.setattr(module, "unnamed_file", FullDisk)
    with pytest.raises(StorageError, match=r"temporary folder .* \(No space\): .* TMPDIR"):
        Rows.of(EXAMPLES[:1])
