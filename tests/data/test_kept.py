from pathlib import Path

from pet.data.examples import Example
from pet.data.kept import KEPT_ROWS, MOST_KEPT, read_kept_rows, write_kept_rows


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [Example("1", {"text": "a\u2028b\n"}, "x"), Example("2", {"text": '"é"'}, "y")]
    write_kept_rows(tmp_path, rows)
    assert read_kept_rows(tmp_path) == rows


def test_they_are_few_and_short(tmp_path: Path) -> None:
    write_kept_rows(tmp_path, (Example(str(i), {"text": "a" * 3000}, "x") for i in range(MOST_KEPT + 1)))
    found = read_kept_rows(tmp_path)
    assert len(found) == MOST_KEPT and len(found[0].fields["text"]) == 2000


def test_where_none_are_none_come(tmp_path: Path) -> None:
    write_kept_rows(tmp_path, [])
    assert not (tmp_path / KEPT_ROWS).exists() and read_kept_rows(tmp_path) == []
    for text in ("no JSON", "5", '{"id": 1}', "[]"):
        (tmp_path / KEPT_ROWS).write_text(text)
        assert read_kept_rows(tmp_path) == []
