"""What stands in the columns of a file."""

import gzip
from pathlib import Path

import pytest

from pet.data.scanned import Malformed, Scanned
from pet.data.source import File
from pet.errors import DataError
from pet.starting.survey import encoding_of, survey, survey_rows


def test_cells_are_counted_by_column() -> None:
    rows: list[Scanned] = [
        (1, {"text": "a few words", "label": "x", "n": 1}),
        (2, {"text": "and more", "label": None, "n": "2.5"}),
        (3, Malformed("no row", "??")),
        (4, {"text": "and more", "label": "NaN", "n": 3}),
    ]
    count, columns = survey_rows(rows)
    assert count == 3
    text, label, numbers = columns.values()
    assert (text.filled, text.distinct, text.is_unique) == (3, 2, False)
    assert text.mean(text.words) == pytest.approx(7 / 3)
    assert (label.filled, dict(label.values), label.is_numeric) == (1, {"x": 1}, False)
    assert (numbers.is_numeric, numbers.is_unique) == (True, True)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"text\nplain\n", ("ascii", "")),
        ("text\nGerät\n".encode(), ("utf-8", "")),
        ("text,label\nein Gerät,x\n".encode("cp1252"), ("cp1252", "Gerät,x")),
        ("text\nGerät\n".encode("utf-16"), ("utf-8", "")),  # refused where it is read
    ],
)
def test_the_encoding_is_told_from_the_bytes(tmp_path: Path, raw: bytes, expected: tuple[str, str]) -> None:
    for name, content in (("t.csv", raw), ("t.csv.gz", gzip.compress(raw))):
        (tmp_path / name).write_bytes(content)
        assert encoding_of(File.at(tmp_path / name)) == expected


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"t\.csv has no rows"):
        survey(str(tmp_path / "t.csv"))
