"""Reading rows that are bad: the one sentence they give, or the rows left out and recorded when asked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data_files import Refused, Write, WriteRows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import SKIP, TRAIN, read_examples

from pet.data import readers
from pet.data.readers import ReadOptions, Role
from pet.data.writers import write_table
from pet.errors import DataError

# One row of each of these is bad: (file name, content, line or row of it, words of the reason).
BAD_ROWS = {
    "blank-text": ("b.csv", "text,label\nok,x\n  ,y\n", "line 3", "blank text"),
    "empty-text": ("b.csv", "text,label\nok,x\n,y\n", "line 3", "blank text"),
    "null-text": ("b.jsonl", '{"text":"ok","label":1}\n{"text":null,"label":1}\n', "line 2", "no text"),
    "no-text-key": ("b.jsonl", '{"text":"ok","label":1}\n{"label":1}\n', "line 2", "no text"),
    "nan-text": ("b.jsonl", '{"text":"ok","label":1}\n{"text":NaN,"label":1}\n', "line 2", "no text"),
    "list-text": ("b.jsonl", '{"text":"ok","label":1}\n{"text":["a"],"label":1}\n', "line 2", "not a text"),
    "surrogate": (
        "b.jsonl",
        '{"text":"ok","label":1}\n{"text":"\\ud800","label":1}\n',
        "line 2",
        "surrogate",
    ),
    "surrogate-extra": (
        "b.jsonl",
        '{"text":"ok","label":1}\n{"text":"a","label":1,"m":[{"\\udfff":1}]}\n',
        "line 2",
        "surrogate",
    ),
    "nul": ("b.csv", "text,label\nok then,x\na\0b,y\n", "line 3", "NUL"),
    "nul-label": ("b.jsonl", '{"text":"ok","label":1}\n{"text":"a","label":"\\u0000"}\n', "line 2", "NUL"),
    "no-label": ("b.csv", "text,label\nok,x\na,\n", "line 3", "no label"),
    "null-label": ("b.jsonl", '{"text":"ok","label":1}\n{"text":"a","label":null}\n', "line 2", "no label"),
    "list-label": (
        "b.jsonl",
        '{"text":"ok","label":1}\n{"text":"a","label":[1,2]}\n',
        "line 2",
        "not one word",
    ),
    "too-few": ("b.csv", "text,label\nok,x\na\n", "line 3", "1 values under 2 columns"),
    "too-many": ("b.csv", "text,label\nok,x\na,b,c\n", "line 3", "3 values under 2 columns"),
    "too-many-tabs": ("b.tsv", "text\tlabel\nok\tx\na\tb\tc\n", "line 3", "3 values"),
    "quote-inside": ("b.csv", 'text,label\nok,x\n"a"b,y\n', "line 3", "not well-formed"),
    "carriage-return": ("b.csv", "text,label\nok,x\na\rb,y\n", "line 3", "not well-formed"),
    "half-json": ("b.jsonl", '{"text":"ok","label":1}\n{"text":\n', "line 2", "no JSON object"),
    "deep-json": ("b.jsonl", '{"text":"ok","label":1}\n' + "[" * 100_000 + "\n", "line 2", "no JSON object"),
    "huge-number": ("b.jsonl", '{"text":"ok","label":1}\n{"text":' + "1" * 5000 + "}\n", "line 2", "no JSON"),
    "json-list": ("b.jsonl", '{"text":"ok","label":1}\n["a",1]\n', "line 2", "expected a JSON object"),
    "json-word": ("b.json", '[{"text":"ok","label":1},\n"a"]', "row 2", "expected a JSON object"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_place(write: Write, refused: Refused, case: str) -> None:
    name, content, place, reason = BAD_ROWS[case]
    source = write(name, content)
    with refused(source, f"{place}: ", reason, "--on-bad-row skip."):
        read_examples(source, TRAIN)


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_left_out_and_recorded_when_asked(write: Write, case: str) -> None:
    name, content, place, reason = BAD_ROWS[case]
    result = read_examples(write(name, content), SKIP)
    assert len(result.examples) == 1
    (row,) = result.rejected
    assert Path(row.file).name == name
    assert row.line == int(place.split()[1])
    assert reason in row.reason
    assert row.row
    assert row.reason.splitlines() == [row.reason]


def test_the_good_rows_after_a_bad_one_are_kept(write: Write) -> None:
    source = write("b.csv", 'text,label\na,x\n"b"b,x\nc\nd,x\n')
    result = read_examples(source, SKIP)
    assert [e.id for e in result.examples] == ["train-2", "train-5"]
    assert [row.row for row in result.rejected] == [{"line": '"b"b,x\n'}, {"line": "c\n"}]


@pytest.mark.parametrize(
    ("row", "bad"),
    [
        ({"text_a": "a", "text_b": ""}, False),
        ({"text_a": "a", "text_b": None}, True),
        ({"text_a": "a"}, True),
        ({"text_a": " ", "text_b": "\t"}, True),
    ],
)
def test_of_several_texts_one_may_be_blank_and_none_missing(
    write_rows: WriteRows, row: dict[str, str | None], bad: bool
) -> None:
    source = write_rows("b.jsonl", [{"text_a": "x", "text_b": "y"}, row])
    result = read_examples(source, ReadOptions("unlabeled", on_bad_row="skip"))
    assert len(result.rejected) == bad


@pytest.mark.parametrize("role", ["train", "test"])
def test_a_label_outside_the_task_is_refused_with_the_near_one(write: Write, refused: Refused, role: Role) -> None:
    source = write("b.csv", "text,label\na,World\nb,Sport\n")
    options = ReadOptions(role, labels=("World", "Sports"))
    with refused(source, "line 3", "'Sport'", "'World'", "Did you mean Sports?", "--on-bad-row skip"):
        read_examples(source, options)
    skipping = ReadOptions(role, labels=("World", "Sports"), on_bad_row="skip")
    assert len(read_examples(source, skipping).rejected) == 1


def test_labels_of_unlabeled_rows_are_never_judged(write: Write) -> None:
    source = write("b.csv", "text,label\na,whatever\n")
    assert read_examples(source, ReadOptions("unlabeled", labels=("x", "y"))).examples[0].label is None


def test_no_usable_row_at_all_is_refused_even_when_skipping(write: Write, refused: Refused) -> None:
    source = write("b.csv", "text,label\n,x\n,y\n")
    with refused(source, "none of its 2 rows", "line 2", "blank text"):
        read_examples(source, SKIP)


def test_no_parsable_row_at_all_is_refused_even_when_skipping(write: Write, refused: Refused) -> None:
    source = write("b.jsonl", "text\nlabel\n")
    with refused(source, "line 1", "no JSON object"):
        read_examples(source, SKIP)


@pytest.mark.parametrize("options", [TRAIN, SKIP])
def test_two_rows_with_one_id_are_refused_with_both_lines(write: Write, refused: Refused, options: ReadOptions) -> None:
    source = write("b.csv", "id,text,label\na,one,x\nb,two,x\na,three,x\n")
    with refused(source, "'a'", "line 2", "line 4"):
        read_examples(source, options)


def test_of_two_mistakes_the_first_is_told(write: Write, refused: Refused) -> None:
    rows = "id,text,label\na,one,x\na,two,x\nb,,x\n"
    with refused("line 2", "line 3"):
        read_examples(write("b.csv", rows), TRAIN)
    with refused("line 3", "blank text"):
        read_examples(write("b.csv", "id,text,label\na,one,x\nb,,x\na,two,x\n"), TRAIN)


def test_a_missing_text_column_is_named_with_those_found(write: Write, refused: Refused) -> None:
    source = write("b.csv", "txt,label\na,x\n")
    with refused(source, "'text'", "'txt'", "'label'", "Did you mean txt?"):
        read_examples(source, ReadOptions("train", fields={"text": "text"}))


@pytest.mark.parametrize("role", ["train", "test"])
def test_a_missing_label_column_is_named_with_those_found(write: Write, refused: Refused, role: Role) -> None:
    source = write("b.csv", "text,labels\na,x\n")
    with refused(source, "'label'", "'text'", "Did you mean labels?", "label_column"):
        read_examples(source, ReadOptions(role, fields={"text": "text"}))


def test_the_label_column_is_never_taken_for_a_text(write: Write, refused: Refused) -> None:
    source = write("b.csv", "text,label\na,x\n")
    with refused(source, "'label'", "[task.fields]"):
        read_examples(source, ReadOptions("unlabeled", fields={"text": "label"}))


def test_the_columns_are_learned_from_the_first_rows_only(
    write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(readers, "HEAD_ROWS", 2)
    source = write_rows("b.jsonl", [{"a": 1}, {"a": 2}, {"text": "x"}])
    with refused(source, "'text'", "found 'a'"):
        read_examples(source, ReadOptions("unlabeled", fields={"text": "text"}))


def test_columns_that_could_be_either_are_asked_for(write_rows: WriteRows, refused: Refused) -> None:
    source = write_rows("rows.jsonl", [{"title": "a", "body": "b", "label": 1}])
    with refused(source, "'title'", "'body'", "[task.fields]"):
        read_examples(source, TRAIN)


def test_a_text_file_cannot_fill_two_fields(write: Write, refused: Refused) -> None:
    source = write("pool.txt", "one\n")
    with refused(source, "'b'"):
        read_examples(source, ReadOptions("unlabeled", fields={"a": "text", "b": "b"}))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["r.csv", "r.tsv", "r.jsonl", "r.json", "r.txt", "r.parquet", "r.csv.gz"]),
    raw=st.binary(),
)
def test_no_bytes_whatever_crash_the_reader(write: Write, name: Any, raw: Any) -> None:
    from pet.errors import DataError

    try:
        read_examples(write(name, raw), SKIP)
    except DataError as error:
        assert str(error).splitlines() == [str(error)]


def test_rejected_rows_can_be_written_for_mending(write: Write, tmp_path: Path) -> None:
    result = read_examples(write("b.jsonl", '{"text":"ok","label":1}\n{"text":"\\ud800","label":1}\n'), SKIP)
    write_table(tmp_path / "rejected.jsonl", {"row": [row.row for row in result.rejected]})
    line = (tmp_path / "rejected.jsonl").read_text()
    assert json.loads(line) == {"row": {"text": "\ud800", "label": 1}}


def test_a_label_of_several_rows_is_a_matter_of_the_task_and_not_of_these_rows(write: Write, refused: Refused) -> None:
    known = ReadOptions("train", labels=("entailment", "neutral", "contradiction"))
    path = write("b.csv", "text,label\na,entailment\nb,not_entailment\nc,not_entailment\nd,\n")
    with pytest.raises(DataError, match=r"'not_entailment' in 2 rows; set task.labels = ") as caught:
        read_examples(path, known)
    assert '["entailment", "not_entailment"]' in str(caught.value)
    assert "skip" not in str(caught.value) and "Did you mean" not in str(caught.value)
    with refused("rename them, or give a file with the labels of the classifier"):
        read_examples(path, replace(known, mapped=False))
    slip = write("c.csv", "text,label\na,entailment\nb,entailmnt\nc,neutral\n")  # of a single row
    with refused("line 3: the label 'entailmnt' is none of", "Did you mean entailment?"):
        read_examples(slip, known)
