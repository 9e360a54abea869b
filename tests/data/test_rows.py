"""Rows in a file: the same as a tuple of them, read in chunks, and gone without a trace."""

import datetime
import errno
import os
import tracemalloc

import numpy as np
import pytest

from pet.data import rows as module
from pet.data.examples import Example
from pet.data.rows import Rows, RowWriter
from pet.errors import StorageError

EXTRAS = [
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
def rows(request, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", request.param)
    return Rows.of(EXAMPLES if request.param == 1 else [e for e in EXAMPLES if "day" not in e.extra])


def test_rows_are_those_of_the_tuple(rows):
    plain = tuple(e for e in EXAMPLES if len(rows) == len(EXAMPLES) or "day" not in e.extra)
    assert tuple(rows) == plain
    assert rows == plain and plain == rows and rows == Rows.of(list(plain))
    assert rows != plain[1:] and rows != [*plain[1:], plain[0]]
    assert [list(e.fields) for e in rows] == [["b", "a"]] * len(rows)
    for index in (0, 7, -1, np.int64(2)):
        assert rows[index] == plain[index]
    for index in (slice(2, 9), slice(None, None, -3), slice(30, 40)):
        assert rows[index] == plain[index]
        assert tuple(rows.take(index)) == plain[index]
    with pytest.raises(IndexError):
        rows[len(plain)]
    assert [type(e.extra.get("n")) for e in rows] == [type(e.extra.get("n")) for e in plain]


def test_some_rows_are_taken_in_any_order_and_again(rows):
    places = np.array([5, 0, 5, 11])
    taken = rows.take(places)
    assert [e.id for e in taken] == [rows[i].id for i in places]
    assert tuple(taken.take(np.array([True, False, True, False]))) == (rows[5], rows[5])
    assert taken.take(np.array([3]))[0] == rows[11]


def test_ids_are_compared_without_reading_where_they_are_the_same_rows(rows):
    names = [e.id for e in rows]
    assert list(rows.ids) == names and rows.ids == tuple(names) and tuple(names) == rows.ids
    assert rows.ids[3] == names[3] and rows.ids[2:5] == tuple(names[2:5])
    assert rows.take(np.arange(4)).ids == rows.take(np.arange(4)).ids
    assert rows.take(np.arange(4)).ids != rows.take(np.arange(1, 5)).ids


def test_dates_and_bytes_are_kept_where_a_column_has_them():
    extras = [{"day": datetime.date(2026, 1, 31), "raw": b"\0\xff", "": "7"}, {"day": None, "raw": b"", "": "x"}]
    assert [e.extra for e in Rows.of(Example(str(i), {"a": "x"}, None, one) for i, one in enumerate(extras))] == extras


def test_none_are_no_rows():
    assert len(Rows.of(())) == 0 and tuple(Rows.of(())) == () and Rows.of(()) == ()


def many(count):
    return (Example(f"r{i}", {"a": f"{i} " + "word " * 50}) for i in range(count))


def test_more_than_a_little_lies_on_the_disk_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    rows = Rows.of(many(600))
    assert rows._store._file._rolled
    if os.name == "posix":
        assert list(tmp_path.iterdir()) == []
    assert tuple(rows) == tuple(many(600))


def test_writing_and_reading_hold_a_chunk_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    writer = RowWriter()
    writer.add(next(many(1)))  # pyarrow is loaded by the first
    writer._flush()
    tracemalloc.start()
    try:
        for example in many(10_000):
            writer.add(example)
        rows = writer.close()
        assert sum(len(e.fields["a"]) for e in rows) > 2_500_000
        assert rows[5000].id == "r4999"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_full_disk_is_said_in_a_sentence(monkeypatch):
    writer = RowWriter()
    monkeypatch.setattr(
        writer._store._file, "write", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space"))
    )
    writer.add(EXAMPLES[0])
    with pytest.raises(StorageError, match=r"temporary folder .* \(No space\): .* TMPDIR"):
        writer.close()
