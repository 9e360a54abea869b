"""`review.csv`: what people say of rows, written for spreadsheets and read back."""

from pathlib import Path

import pytest

from pet.data.formulas import escaped, unescaped
from pet.data.review import LONGEST_TEXT, NO_LABEL, Review, read_reviews, write_reviews
from pet.errors import DataError

AWKWARD = ["=1+1", "'=1", " =1", "'", "'tis", "@a", "+1", "-1", "\t1", "a\nb", 'q"q', "1,2", "a;b", "ü 中", "", "a=1"]


@pytest.mark.parametrize("text", [*AWKWARD, "''\r", "' ' -1"])
def test_a_cell_comes_back_as_it_was_and_no_spreadsheet_computes_it(text: str) -> None:
    assert unescaped(escaped(text)) == text
    computed = ("=", "+", "-", "@", "\t", " =", " -")
    assert text in ("+1", "-1") or not escaped(text).startswith(computed)


def test_reviews_are_read_as_they_were_written(tmp_path: Path) -> None:
    said = [
        Review(f"{text.strip()}{place}", [text.strip() or None, None][place % 2], "ann", "ab12", {"text": text.strip()})
        for place, text in enumerate(AWKWARD)
    ]
    for name in ("review.csv", "review.tsv", "review.jsonl"):
        write_reviews(tmp_path / name, said)
        assert read_reviews(tmp_path / name) == said, name
    assert (tmp_path / "review.csv").read_bytes().startswith(b"\xef\xbb\xbfid,label,reviewer,run,text\n")


def test_a_field_may_be_called_as_a_column_of_ours_and_long_texts_are_cut(tmp_path: Path) -> None:
    write_reviews(tmp_path / "r.csv", [Review("1", "a", fields={"run": "x" * 5000})])
    (found,) = read_reviews(tmp_path / "r.csv")
    assert len(found.fields["input_run"]) == LONGEST_TEXT
    assert (found.reviewer, found.run) == ("", "")


def test_rows_without_a_label_say_nothing_and_what_is_said_twice_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text(f"label;id\n;1\nyes;2\nyes;2\nTRUE;3\n{NO_LABEL};4\n", encoding="utf-8")
    assert [(one.id, one.label) for one in read_reviews(file)] == [("2", "yes"), ("3", "true"), ("4", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\n1,\n", "no row with a label"),
        ("", "no row with a label"),
        ("id,labels\n1,a\n", "no column 'label'.*Did you mean labels"),
        ("name,label\n1,a\n", "no column 'id'"),
        ("id,label\n,a\n", "line 2: the label 'a' without an id"),
        ("id,label\n1,a\n1,b\n", "line 3: the row '1' has the label 'b' here and the label 'a' before"),
        (f"id,label,reviewer\n1,{NO_LABEL},ann\n1,b,ann\n", "no label that fits before, of one reviewer"),
        ("id,label\n1,a,b\n", "line 2: 3 values under 2 columns"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "review.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_reviews(file)
