"""Workbooks, in and out: numbers stay numbers, texts stay texts, and what is no table is said."""

import datetime
import sys
from pathlib import Path
from typing import Any

import pytest
from data_files import Refused
from reading import read_examples, read_rows

from pet.data.readers import ReadOptions
from pet.data.writers import check_output, write_table

openpyxl = pytest.importorskip("openpyxl")


def workbook(path: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("another").append(["not", "read"])
    book.save(path)
    return path


def test_the_first_sheet_is_read_with_the_numbers_of_its_rows(tmp_path: Path) -> None:
    day = datetime.datetime(2025, 1, 31)
    path = workbook(
        tmp_path / "a.xlsx",
        [],
        ["Nr", "Text", "Kategorie", "am", None],
        [7, "ein Text", "x", day],
        [],
        [8, "zwei", 1.0],
    )
    options = ReadOptions("train", {"text": "Text"}, "Kategorie", "Nr")
    first, second = read_examples(str(path), options).examples
    assert (first.id, first.label, first.fields) == ("7", "x", {"text": "ein Text"})
    assert first.extra == {"Nr": 7, "Kategorie": "x", "am": day}
    assert (second.id, second.label, second.extra["am"]) == ("8", "1", None)
    assert [number for number, _ in read_rows(path)] == [3, 5]


def test_a_sheet_comes_back_as_it_was_written_and_computes_nothing(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "=id": ["=HYPERLINK(1)", "+1", "a\x01b"],
        "n": [1, 2**60, None],
        "p": [0.5, float("nan"), 1.0],
        "yes": [True, None, False],
        "l": [[1, "é"], {}, None],
        "day": [datetime.date(2025, 1, 31), None, None],
    }
    write_table(tmp_path / "o.xlsx", columns)
    first, second, third = (row for _, row in read_rows(tmp_path / "o.xlsx"))
    assert first == {
        **{"=id": "=HYPERLINK(1)", "n": 1, "p": 0.5, "yes": True, "l": '[1, "é"]'},
        "day": datetime.datetime(2025, 1, 31),
    }
    assert (second["=id"], second["n"], second["p"], third["=id"]) == ("+1", str(2**60), None, "a\ufffdb")
    cells = openpyxl.load_workbook(tmp_path / "o.xlsx").active
    assert {cell.data_type for row in cells.iter_rows() for cell in row} <= {"s", "n", "b", "d"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["text", None, "n"], ["a", "b", "c"]], "row 1: the column 2 has no name"),
        ([["text", "text"], ["a", "b"]], "two columns named 'text'"),
        ([["text", "label"], ["a", "x"], ["b", "y", "z"]], "row 3: a value in column 3 or behind it"),
        ([], "has no rows"),
    ],
)
def test_a_sheet_that_is_no_table_is_refused(
    tmp_path: Path, refused: Refused, rows: list[list[Any]], message: str
) -> None:
    path = workbook(tmp_path / "a.xlsx", *rows)
    with refused(str(path), message):
        read_examples(str(path), ReadOptions("train"))


def test_what_a_cell_cannot_hold_is_said(tmp_path: Path, refused: Refused) -> None:
    with refused("o.xlsx", "row 2: a text of 40,000 characters", "write .csv instead"):
        write_table(tmp_path / "o.xlsx", {"text": ["x" * 40_000]})


def test_without_the_library_the_command_that_installs_it_is_said(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "a.xlsx", ["text"], ["a"])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with refused(str(path), 'pip install "pet-labeling[xlsx]"'):
        list(read_rows(path))
    with refused("o.xlsx", "openpyxl"):
        check_output(tmp_path / "o.xlsx")
