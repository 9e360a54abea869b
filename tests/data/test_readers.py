"""Reading rows as examples: what comes out of good files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from data_files import Write, WriteRows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import POOL, TRAIN, read_examples

from pet.data.readers import ReadOptions, ReadResult
from pet.data.writers import write_table


def texts(result: ReadResult) -> list[Mapping[str, str]]:
    return [example.fields for example in result.examples]


GOOD = {
    "rows.csv": "id,text,label,stars\na,one,x,1\nb,two,y,2\n",
    "rows.tsv": "id\ttext\tlabel\tstars\na\tone\tx\t1\nb\ttwo\ty\t2\n",
    "rows.jsonl": '{"id": "a", "text": "one", "label": "x", "stars": "1"}\n'
    '{"id": "b", "text": "two", "label": "y", "stars": "2"}\n',
    "rows.json": '[{"id": "a", "text": "one", "label": "x", "stars": "1"},\n'
    ' {"id": "b", "text": "two", "label": "y", "stars": "2"}]',
}
GOOD["rows.ndjson"] = GOOD["rows.jsonl"]
GOOD |= {f"{name}.gz": text for name, text in GOOD.items()}
GOOD |= {"bom.csv": "\ufeff" + GOOD["rows.csv"], "crlf.csv": GOOD["rows.csv"].replace("\n", "\r\n")}
GOOD |= {"ROWS.CSV": GOOD["rows.csv"], "blank-lines.csv": "\n" + GOOD["rows.csv"].replace("\n", "\n\n")}


@pytest.mark.parametrize("name", GOOD)
def test_every_format_gives_the_same_examples(write: Write, name: str) -> None:
    result = read_examples(write(name, GOOD[name]), TRAIN)
    assert [example.id for example in result.examples] == ["a", "b"]
    assert texts(result) == [{"text": "one"}, {"text": "two"}]
    assert [example.label for example in result.examples] == ["x", "y"]
    assert [example.extra for example in result.examples] == [{"stars": "1"}, {"stars": "2"}]
    assert result.fields == {"text": "text"}
    assert result.rejected == ()
    assert result.labels_seen


@pytest.mark.parametrize("name", ["rows.parquet", "rows.parquet.gz"])
def test_parquet_gives_words_for_numbers_and_labels(write: Write, tmp_path: Path, name: str) -> None:
    table = pyarrow.table({"text": ["one", "two"], "label": [0, 1], "id": [7, 8], "more": [[1], None]})
    pyarrow.parquet.write_table(table, tmp_path / "plain.parquet")
    result = read_examples(write(name, (tmp_path / "plain.parquet").read_bytes()), TRAIN)
    assert [(e.id, e.label, e.extra) for e in result.examples] == [
        ("7", "0", {"more": [1]}),
        ("8", "1", {"more": None}),
    ]


def test_a_text_file_is_one_text_a_line_with_the_line_in_the_id(write: Write) -> None:
    result = read_examples(write("pool.txt.gz", "one\n\n two \r\nthr\u2028ee"), POOL)
    assert texts(result) == [{"text": "one"}, {"text": " two "}, {"text": "thr\u2028ee"}]
    assert [example.id for example in result.examples] == ["unlabeled-1", "unlabeled-3", "unlabeled-4"]


def test_a_text_file_serves_the_single_field_of_a_task_whatever_its_column(write: Write) -> None:
    options = ReadOptions("unlabeled", fields={"review": "Review text"})
    assert texts(read_examples(write("pool.txt", "one\n"), options)) == [{"review": "one"}]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (3, "3"),
        (3.0, "3"),
        (-1.0, "-1"),
        (0.5, "0.5"),
        (True, "true"),
        (False, "false"),
        (" x ", "x"),
        ("True", "true"),
        ("FALSE", "false"),
        ("1.0", "1"),
        ("-2.00", "-2"),
        ("0.50", "0.50"),
        ("v1.0", "v1.0"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufeffx\u200b", "x"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        (0, "0"),
    ],
)
def test_labels_become_words(write_rows: WriteRows, value: Any, label: str) -> None:
    result = read_examples(write_rows("rows.jsonl", [{"text": "a", "label": value}]), TRAIN)
    assert result.examples[0].label == label


def test_numbers_in_a_text_column_become_text(write_rows: WriteRows) -> None:
    result = read_examples(write_rows("rows.jsonl", [{"text": 12}, {"text": 1.5}]), POOL)
    assert texts(result) == [{"text": "12"}, {"text": "1.5"}]


def test_labels_of_unlabeled_rows_are_dropped_and_reported(write: Write) -> None:
    result = read_examples(write("rows.csv", GOOD["rows.csv"]), POOL)
    assert [example.label for example in result.examples] == [None, None]
    assert all("label" not in example.extra for example in result.examples)
    assert result.labels_seen


@pytest.mark.parametrize(
    "row", [{}, *({"label": label} for label in (None, " ", list[str](), dict[str, str](), float("nan")))]
)
def test_an_empty_label_column_is_not_seen_as_labels(write_rows: WriteRows, row: dict[str, object]) -> None:
    assert not read_examples(write_rows("rows.jsonl", [{"text": "a"} | row]), POOL).labels_seen


def test_labels_of_a_few_unlabeled_rows_are_seen_too(write_rows: WriteRows) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": None}]
    assert read_examples(write_rows("rows.jsonl", rows), POOL).labels_seen


@pytest.mark.parametrize("label", [1, None, list[str](), ["x", "y"], {"x": 1}, "no label of the task", "\t"])
def test_labels_of_input_rows_are_a_column_like_any_other(write_rows: WriteRows, label: Any) -> None:
    source = write_rows("rows.jsonl", [{"text": "a", "label": label}, {"text": "b"}])
    found = read_examples(source, ReadOptions("input", labels=("x", "y"))).examples
    assert [(row.label, row.extra) for row in found] == [(None, {"label": label}), (None, {})]


def test_input_rows_may_share_an_id(write_rows: WriteRows) -> None:
    source = write_rows("rows.jsonl", [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}])
    assert [row.id for row in read_examples(source, ReadOptions("input")).examples] == ["1", "1"]


def test_made_ids_name_role_and_line(write: Write) -> None:
    source = write("rows.csv", 'text,label\n"two\nlines",x\nnext,y\n')
    assert [e.id for e in read_examples(source, TRAIN).examples] == ["train-2", "train-4"]


def test_extra_columns_keep_their_order_and_kinds(write_rows: WriteRows) -> None:
    row = {"z": [1, {"k": None}], "text": "a", "b": 2.5, "label": "x", "a": None}
    extra = read_examples(write_rows("rows.jsonl", [row]), TRAIN).examples[0].extra
    assert list(extra.items()) == [("z", [1, {"k": None}]), ("b", 2.5), ("a", None)]


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"text": "a", "other": "b"}, {"text": "text"}),
        ({"text_b": "a", "text_a": "b", "question": "c"}, {"text_a": "text_a", "text_b": "text_b"}),
        ({"text_a": "a", "text_b": "b", "text_c": "c"}, {f"text_{k}": f"text_{k}" for k in "abc"}),
        ({"sentence": "a", "label": 1, "id": 2}, {"text": "sentence"}),
    ],
)
def test_columns_are_found_where_they_are_plain(
    write_rows: WriteRows, row: dict[str, str | int], fields: dict[str, str]
) -> None:
    assert read_examples(write_rows("rows.jsonl", [row]), POOL).fields == fields


def test_fields_map_to_columns(write: Write) -> None:
    source = write("rows.csv", "Headline,Lead,label\na,b,x\n")
    options = ReadOptions("train", fields={"text_a": "Headline", "text_b": "Lead"})
    assert texts(read_examples(source, options)) == [{"text_a": "a", "text_b": "b"}]


def test_a_column_that_only_later_rows_have_is_found(write_rows: WriteRows) -> None:
    source = write_rows("rows.jsonl", [{"text_a": "a", "text_b": ""}, {"text_a": "c", "text_b": "d", "id": 9}])
    assert [e.id for e in read_examples(source, POOL).examples] == ["unlabeled-1", "9"]


def test_a_very_long_cell_is_read(write: Write) -> None:
    long = "x" * 300_000
    assert texts(read_examples(write("rows.csv", f"text,label\n{long},a\n"), TRAIN)) == [{"text": long}]


anything = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.tsv", "r.csv.gz", "r.parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(anything, min_size=1, max_size=5))
def test_any_text_comes_back_as_it_was_written(tmp_path: Path, name: str, rows: list[str]) -> None:
    write_table(tmp_path / name, {"text": rows, "label": ["x"] * len(rows)})
    assert texts(read_examples(str(tmp_path / name), TRAIN)) == [{"text": text} for text in rows]


TABLE = {"text": ["one", "two", "three"], "label": [True, False, True]}


@pytest.mark.parametrize("kind", ["bool", "float", "int"])
def test_a_table_gives_the_same_labels_in_every_format(tmp_path: Path, kind: str) -> None:
    frame = pandas.DataFrame(TABLE).astype({"label": kind})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "t.json", orient="records")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.astype({"label": "category"}).to_parquet(tmp_path / "category.parquet")
    frame.astype({"label": str}).to_parquet(tmp_path / "text.parquet")
    found = {tuple(row.label for row in read_examples(str(path), TRAIN).examples) for path in tmp_path.iterdir()}
    assert found == {("true", "false", "true") if kind == "bool" else ("1", "0", "1")}


def test_a_column_of_composed_letters_is_found_in_a_file_of_decomposed_ones(write: Write) -> None:
    source = write("r.csv", "cate\u0301gorie,ide\u0301,te\u0301xte\nx,7,one\n")
    options = ReadOptions("train", {"text": "t\u00e9xte"}, label_column="cat\u00e9gorie", id_column="id\u00e9")
    (found,) = read_examples(source, options).examples
    assert (found.id, found.label, found.fields) == ("7", "x", {"text": "one"})
    assert found.extra == {"cate\u0301gorie": "x", "ide\u0301": "7"}


def test_a_cell_of_several_lines_that_is_alone_in_its_row_is_told_of(write: Write) -> None:
    source = write("new.tsv", 'text\n"a\nb\nc"\nd\n"e\nf"\n')
    (note,) = read_examples(source, POOL).notes
    assert "2 cells go over several lines" in note and "begins in line 2, over 3" in note
    assert read_examples(write("r.csv", 'text,n\n"a\nb",1\n'), POOL).notes == ()


def test_nested_values_have_a_bound(write: Write) -> None:
    deep = "[" * 65 + "]" * 65
    source = write("r.jsonl", f'{{"text": "a", "m": {deep[1:-1]}}}\n{{"text": "b", "m": {deep}}}\n')
    found = read_examples(source, ReadOptions("unlabeled", on_bad_row="skip"))
    assert (len(found.examples), found.rejected[0].reason) == (1, "more than 64 lists or objects within each other")


def test_times_are_kept_to_the_nanosecond(tmp_path: Path) -> None:
    times = pandas.to_datetime(["2020-01-02 03:04:05.123456789", "2020-01-02 03:04:05.5", None])
    frame = pandas.DataFrame({"text": ["a", "b", "c"], "when": times})
    frame.to_parquet(tmp_path / "ns.parquet")
    found = [row.extra["when"] for row in read_examples(str(tmp_path / "ns.parquet"), POOL).examples]
    assert found[0] == "2020-01-02 03:04:05.123456789" and str(found[1]).startswith("2020-01-02 03:04:05.5")
    clock = pyarrow.table({"text": ["a"], "at": pyarrow.array([1], pyarrow.time64("ns"))})
    pyarrow.parquet.write_table(clock, tmp_path / "clock.parquet")
    assert read_examples(str(tmp_path / "clock.parquet"), POOL).examples[0].extra == {"at": "00:00:00.000000001"}


def test_times_that_python_cannot_tell_are_text(tmp_path: Path) -> None:
    far = pyarrow.table({"text": ["a"], "when": pyarrow.array([2**60], pyarrow.timestamp("us"))})
    pyarrow.parquet.write_table(far, tmp_path / "far.parquet")
    (found,) = read_examples(str(tmp_path / "far.parquet"), POOL).examples
    assert isinstance(found.extra["when"], str)
