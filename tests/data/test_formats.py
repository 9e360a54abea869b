"""Parsing files: numbers as an editor shows them, and one sentence for a file that is broken as a whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from data_files import Refused, Write
from reading import read_examples, read_rows

from pet.data.readers import ReadOptions
from pet.data.writers import write_table
from pet.settings.toml import DATA_SUFFIXES

# Rows of two columns; a quote opens in the second one and closes in the fourth.
STRAY = ["first one{}x", '"second one{}y', "third one{}x", 'fourth one"{}y', "fifth one{}x"]


def rows(source: Path | str) -> list[tuple[int, Mapping[str, object]]]:
    return list(read_rows(Path(source)))


def test_numbers_are_the_lines_in_which_rows_begin(write: Write) -> None:
    assert rows(write("a.csv", 'a,b\n1,"x\ny"\n\n2,z\n')) == [
        (2, {"a": "1", "b": "x\ny"}),
        (5, {"a": "2", "b": "z"}),
    ]
    assert rows(write("a.jsonl", '\n{"a": 1}\n\n{"a": 2}')) == [(2, {"a": 1}), (4, {"a": 2})]
    assert rows(write("a.json", '[{"a": 1},\n\n{"a": 2}]')) == [(1, {"a": 1}), (2, {"a": 2})]


def test_numbers_of_parquet_rows_go_on_over_batches(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"a": list(range(3000))}), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet")[-1] == (3000, {"a": 2999})


def test_a_carriage_return_inside_quotes_is_text(write: Write) -> None:
    assert rows(write("a.csv", 'a,b\n"x\ry",1\n')) == [(2, {"a": "x\ry", "b": "1"})]


def test_reading_rows_stops_at_the_first_bad_one(write: Write, refused: Refused) -> None:
    source = write("a.jsonl", '{"a": 1}\nnope\n')
    with refused(source, "line 2"):
        rows(source)


def test_the_known_suffixes_are_those_promised() -> None:
    assert set(DATA_SUFFIXES) == {".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".xlsx"}


# (file name, content, words of the message)
BROKEN: dict[str, tuple[str, str | bytes, list[str]]] = {
    "empty-csv": ("b.csv", "", ["no rows"]),
    "empty-jsonl": ("b.jsonl", "", ["no rows"]),
    "empty-json": ("b.json", "", ["no rows"]),
    "empty-json-list": ("b.json", "[]", ["no rows"]),
    "empty-txt": ("b.txt", "\n\n", ["no rows"]),
    "empty-gz": ("b.csv.gz", "", ["no rows"]),
    "header-only": ("b.csv", "text,label\n", ["no rows"]),
    "bom-only": ("b.csv", "\ufeff", ["no rows"]),
    "latin1": ("b.csv", b"text\nok\ncaf\xe9\n", ["line 3", "0xe9", "UTF-8"]),
    "latin1-jsonl": ("b.jsonl.gz", b'{"text": "ok"}\n{"text": "\xe9"}\n', ["line 2", "0xe9", "UTF-8"]),
    "raw-surrogate": ("b.txt", b"a\n\xed\xa0\x80\n", ["line 2", "UTF-8"]),
    "excel": (
        "b.csv",
        b"PK\x03\x04" + b"\x84" * 40,
        ["an Excel workbook or another zip archive", "save it as CSV UTF-8"],
    ),
    "utf16": ("b.csv", "text\nhello\n".encode("utf-16"), ["line 1", "UTF-16"]),
    "utf16-be": ("b.jsonl", '{"text": "a"}\n'.encode("utf-16-be"), ["line 1", "UTF-16"]),
    "utf16-le-gz": ("b.txt.gz", "hello\n".encode("utf-16-le"), ["line 1", "UTF-16"]),
    "utf16-of-few-nuls": ("b.txt", "你好世界\n".encode("utf-16"), ["line 1", "UTF-16"]),
    "gz-in-disguise": ("b.csv", b"\x1f\x8b\x08\x00abc", ["gzip", ".gz"]),
    "open-quote": ("b.csv", 'text,n\nok,1\n"a,2\nb,3\n', ["line 3", "never closes"]),
    "bad-header": ("b.csv", '"text"x,n\nok,1\n', ["line 1", "header"]),
    "twice-a-column": ("b.csv", "text,n,text\na,1,b\n", ["two columns named 'text'"]),
    "bars-in-csv": ("b.csv", "text|id\na|1\n", ["separated by '|'"]),
    "commas-in-tsv": ("b.tsv", "text,id\na,1\n", ["separated by ','"]),
    "half-json": ("b.json", '[{"text": "a"},\n{"text"]', ["line 2", "JSON"]),
    "lines-in-json": ("b.json", '{"text": "a"}\n{"text": "b"}\n', ["line 2", ".jsonl"]),
    "deep-json": ("b.json", "[" * 100_000, ["JSON"]),
    "json-object": ("b.json", '{"rows": []}', ["list of objects"]),
    "no-parquet": ("b.parquet", b"PAR1 and then nothing of it", ["Parquet"]),
    "empty-parquet": ("b.parquet", b"", ["Parquet"]),
    "no-workbook": ("b.xlsx", b"PK", ["no whole Excel workbook", "save it again"]),
    "old-workbook": ("b.xls", b"\xd0\xcf", ["a spreadsheet of another kind", "save it as .xlsx"]),
    "no-suffix": ("b", "text\n", [".csv"]),
    "only-gz": ("b.gz", "text\n", [".csv"]),
    "near-suffix": ("b.jsonlines", "text\n", ["Did you mean .jsonl"]),
}


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_csv_as_spreadsheets_write_it_where_commas_are_decimal(write: Write, mark: str) -> None:
    source = write("b.csv", f'text{mark}id{mark}price\n"a, b{mark} c"{mark}1{mark}2,5\n')
    (found,) = read_examples(source, ReadOptions("unlabeled")).examples
    assert (found.fields, found.id, found.extra) == ({"text": f"a, b{mark} c"}, "1", {"price": "2,5"})


@pytest.mark.parametrize("policy", ["error", "skip"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_whatever_the_policy(write: Write, refused: Refused, case: str, policy: Any) -> None:
    name, content, words = BROKEN[case]
    source = write(name, content)
    with refused(source, *words):
        read_examples(source, ReadOptions("unlabeled", on_bad_row=policy))


def test_a_truncated_parquet_file_is_refused(tmp_path: Path, write: Write, refused: Refused) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"] * 1000}), tmp_path / "whole.parquet")
    source = write("half.parquet", (tmp_path / "whole.parquet").read_bytes()[:200])
    with refused(source, "Parquet"):
        rows(source)


def test_damage_inside_a_parquet_file_is_refused(tmp_path: Path, write: Write, refused: Refused) -> None:
    whole = tmp_path / "whole.parquet"
    table = pyarrow.table({"text": [f"text {n}" for n in range(5000)]})
    pyarrow.parquet.write_table(table, whole, compression="gzip", use_dictionary=False)
    raw = bytearray(whole.read_bytes())
    raw[200:400] = bytes(200)
    source = write("hurt.parquet", bytes(raw))
    with refused(source, "Parquet"):
        rows(source)


def test_parquet_columns_of_one_name_are_refused(tmp_path: Path, refused: Refused) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    with refused("b.parquet", "two columns"):
        rows(tmp_path / "b.parquet")


def test_a_column_of_the_header_is_shortened_in_a_message(write: Write, refused: Refused) -> None:
    source = write("b.csv", f'{"long " * 400},"{"x" * 500}\n y"\n1,2\n')
    with refused(source, "[task.fields]"):
        read_examples(source, ReadOptions("unlabeled"))


def stray(mark: str, end: str = "\n") -> str:
    return "".join(f"{line.format(mark)}{end}" for line in [f"text{mark}label", *STRAY])


@pytest.mark.parametrize("mark", [",", ";"])
def test_a_quote_that_holds_rows_together_is_refused_with_the_line_in_which_it_opens(
    write: Write, refused: Refused, mark: str
) -> None:
    source = write("a.csv", stray(mark, "\r\n"))
    with refused("line 3: a quote opens here and closes within 3 lines of which each looks like a row", "double"):
        read_examples(source, ReadOptions("train"))
    found = read_examples(source, ReadOptions("train", on_bad_row="skip"))
    assert [row.fields["text"] for row in found.examples] == ["first one", "fifth one"]
    ((line, text),) = [(row.line, row.row["line"]) for row in found.rejected]
    assert (line, str(text).count("one")) == (3, 3)  # nothing of the three rows is lost


@pytest.mark.parametrize(
    "cell",
    ["Dear all,\nthanks", "12 High St,\nLeeds", "a, b\nc, d", "one\ntwo,three", "\n", "a,b\n\nc,d"],
)
def test_a_text_of_several_lines_in_quotes_is_one_cell(write: Write, cell: str) -> None:
    source = write("a.csv", f'text,label\n"{cell}",x\nb,y\n')
    assert rows(source) == [
        (2, {"text": cell, "label": "x"}),
        (3 + cell.count("\n"), {"text": "b", "label": "y"}),
    ]


@pytest.mark.parametrize("name", ["o.csv", "o.tsv"])
@pytest.mark.parametrize("cell", ["a,b\nc,d", "a\tb\nc\td", '"a\tb\n"c\td'])
def test_a_text_that_looks_like_rows_comes_back_from_a_table_that_pet_has_written(
    tmp_path: Path, name: str, cell: str
) -> None:
    write_table(tmp_path / name, {"text": [cell, "plain"], "label": ["x", "y"]})
    assert [row["text"] for _, row in rows(tmp_path / name)] == [cell, "plain"]


@pytest.mark.parametrize(
    "text",
    [stray("\t"), 'text\tlabel\n"Up" is good\tx\nsays "no\ty\n', 'text\tlabel\n"open\tx\nb\ty\n'],
)
def test_a_tsv_that_does_not_quote_is_read_as_it_stands(write: Write, text: str) -> None:
    given = [line.split("\t")[0] for line in text.splitlines()[1:]]
    assert [row["text"] for _, row in rows(write("a.tsv", text))] == given


def test_a_tsv_that_quotes_is_read_by_its_quotes(write: Write) -> None:
    source = write("a.tsv", 'text\tlabel\n"a ""b"""\tx\n"c\nd\te"\ty\n')
    assert [row["text"] for _, row in rows(source)] == ['a "b"', "c\nd\te"]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_the_line_ends_of_old_macs_are_line_ends(write: Write, name: str) -> None:
    assert rows(write(name, "\ufefftext,label\rone,x\rtwo,y")) == [
        (2, {"text": "one", "label": "x"}),
        (3, {"text": "two", "label": "y"}),
    ]


def test_a_carriage_return_far_before_the_first_line_feed_is_text(write: Write) -> None:
    text = "a\rb" + "c" * 5000
    assert rows(write("a.txt", f"{text}\nd\n")) == [(1, {"text": text}), (2, {"text": "d"})]


@pytest.mark.parametrize(
    ("line", "mark"), [("sep=;", ";"), ('"sep=;"', ";"), ("SEP=,", ","), ("sep=|", "|"), ("sep=\t", "\t")]
)
def test_the_line_that_names_the_separator_is_no_header(write: Write, line: str, mark: str) -> None:
    source = write("a.csv", f"{line}\r\ntext{mark}label\r\none{mark}x\r\n")
    assert rows(source) == [(3, {"text": "one", "label": "x"})]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ('{"text": {"0": "a"}, "label": {"0": "x"}}', 'orient="records"'),
        ('{"columns": ["text"], "index": [0], "data": [["a"]]}', 'orient="records"'),
        ('{"version": 1, "data": [{"text": "a"}]}', "the list of 'data' has to stand alone in the file"),
        ('{"text": "a", "label": "x"}', "put it into [ ]"),
        ('"a"', "write an object per row"),
        ("{}", "write an object per row"),
    ],
)
def test_json_that_is_no_list_is_told_what_to_do(write: Write, refused: Refused, content: str, hint: str) -> None:
    source = write("a.json", content)
    with refused("expected a list of objects", hint):
        rows(source)
