"""Reading rows as examples: what comes out of good files, and the one sentence that bad ones give."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pet.data import readers
from pet.data.readers import ReadOptions, read_examples
from pet.data.writers import write_table

TRAIN = ReadOptions("train")
POOL = ReadOptions("unlabeled")
SKIP = ReadOptions("train", on_bad_row="skip")


def texts(result):
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
def test_every_format_gives_the_same_examples(write, name):
    result = read_examples(write(name, GOOD[name]), TRAIN)
    assert [example.id for example in result.examples] == ["a", "b"]
    assert texts(result) == [{"text": "one"}, {"text": "two"}]
    assert [example.label for example in result.examples] == ["x", "y"]
    assert [example.extra for example in result.examples] == [{"stars": "1"}, {"stars": "2"}]
    assert result.fields == {"text": "text"}
    assert result.rejected == ()
    assert result.labels_seen


@pytest.mark.parametrize("name", ["rows.parquet", "rows.parquet.gz"])
def test_parquet_gives_words_for_numbers_and_labels(write, tmp_path, name):
    table = pyarrow.table({"text": ["one", "two"], "label": [0, 1], "id": [7, 8], "more": [[1], None]})
    pyarrow.parquet.write_table(table, tmp_path / "plain.parquet")
    result = read_examples(write(name, (tmp_path / "plain.parquet").read_bytes()), TRAIN)
    assert [(e.id, e.label, e.extra) for e in result.examples] == [
        ("7", "0", {"more": [1]}),
        ("8", "1", {"more": None}),
    ]


def test_a_text_file_is_one_text_a_line_with_the_line_in_the_id(write):
    result = read_examples(write("pool.txt.gz", "one\n\n two \r\nthr\u2028ee"), POOL)
    assert texts(result) == [{"text": "one"}, {"text": " two "}, {"text": "thr\u2028ee"}]
    assert [example.id for example in result.examples] == ["unlabeled-1", "unlabeled-3", "unlabeled-4"]


def test_a_text_file_serves_the_single_field_of_a_task_whatever_its_column(write):
    options = ReadOptions("unlabeled", fields={"review": "Review text"})
    assert texts(read_examples(write("pool.txt", "one\n"), options)) == [{"review": "one"}]


def test_a_text_file_cannot_fill_two_fields(write, refused):
    source = write("pool.txt", "one\n")
    with refused(source, "'b'"):
        read_examples(source, ReadOptions("unlabeled", fields={"a": "text", "b": "b"}))


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
        (0, "0"),
    ],
)
def test_labels_become_words(write_rows, value, label):
    result = read_examples(write_rows("rows.jsonl", [{"text": "a", "label": value}]), TRAIN)
    assert result.examples[0].label == label


def test_numbers_in_a_text_column_become_text(write_rows):
    result = read_examples(write_rows("rows.jsonl", [{"text": 12}, {"text": 1.5}]), POOL)
    assert texts(result) == [{"text": "12"}, {"text": "1.5"}]


def test_labels_of_unlabeled_rows_are_dropped_and_reported(write):
    result = read_examples(write("rows.csv", GOOD["rows.csv"]), POOL)
    assert [example.label for example in result.examples] == [None, None]
    assert all("label" not in example.extra for example in result.examples)
    assert result.labels_seen


@pytest.mark.parametrize("rows", [[{"text": "a"}], [{"text": "a", "label": None}], [{"text": "a", "label": " "}]])
def test_an_empty_label_column_is_not_seen_as_labels(write_rows, rows):
    assert not read_examples(write_rows("rows.jsonl", rows), POOL).labels_seen


def test_labels_of_a_few_unlabeled_rows_are_seen_too(write_rows):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": None}]
    assert read_examples(write_rows("rows.jsonl", rows), POOL).labels_seen


def test_input_rows_keep_labels_where_present_and_need_none(write_rows):
    source = write_rows("rows.jsonl", [{"text": "a", "label": 1}, {"text": "b"}])
    assert [e.label for e in read_examples(source, ReadOptions("input")).examples] == ["1", None]


def test_made_ids_name_role_and_line(write):
    source = write("rows.csv", 'text,label\n"two\nlines",x\nnext,y\n')
    assert [e.id for e in read_examples(source, TRAIN).examples] == ["train-2", "train-4"]


def test_extra_columns_keep_their_order_and_kinds(write_rows):
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
def test_columns_are_found_where_they_are_plain(write_rows, row, fields):
    assert read_examples(write_rows("rows.jsonl", [row]), POOL).fields == fields


def test_columns_that_could_be_either_are_asked_for(write_rows, refused):
    source = write_rows("rows.jsonl", [{"title": "a", "body": "b", "label": 1}])
    with refused(source, "'title'", "'body'", "[task.fields]"):
        read_examples(source, TRAIN)


def test_fields_map_to_columns(write):
    source = write("rows.csv", "Headline,Lead,label\na,b,x\n")
    options = ReadOptions("train", fields={"text_a": "Headline", "text_b": "Lead"})
    assert texts(read_examples(source, options)) == [{"text_a": "a", "text_b": "b"}]


def test_a_column_that_only_later_rows_have_is_found(write_rows):
    source = write_rows("rows.jsonl", [{"text_a": "a", "text_b": ""}, {"text_a": "c", "text_b": "d", "id": 9}])
    assert [e.id for e in read_examples(source, POOL).examples] == ["unlabeled-1", "9"]


def test_a_very_long_cell_is_read(write):
    long = "x" * 300_000
    assert texts(read_examples(write("rows.csv", f"text,label\n{long},a\n"), TRAIN)) == [{"text": long}]


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
        '{"text":"ok","label":1}\n{"text":"a","label":[1]}\n',
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
def test_a_bad_row_is_refused_with_its_place(write, refused, case):
    name, content, place, reason = BAD_ROWS[case]
    source = write(name, content)
    with refused(source, f"{place}: ", reason, "--on-bad-row skip."):
        read_examples(source, TRAIN)


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_left_out_and_recorded_when_asked(write, case):
    name, content, place, reason = BAD_ROWS[case]
    result = read_examples(write(name, content), SKIP)
    assert len(result.examples) == 1
    (row,) = result.rejected
    assert Path(row.file).name == name
    assert row.line == int(place.split()[1])
    assert reason in row.reason
    assert row.row
    assert row.reason.splitlines() == [row.reason]


def test_the_good_rows_after_a_bad_one_are_kept(write):
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
def test_of_several_texts_one_may_be_blank_and_none_missing(write_rows, row, bad):
    source = write_rows("b.jsonl", [{"text_a": "x", "text_b": "y"}, row])
    result = read_examples(source, ReadOptions("unlabeled", on_bad_row="skip"))
    assert len(result.rejected) == bad


@pytest.mark.parametrize("role", ["train", "test", "input"])
def test_a_label_outside_the_task_is_refused_with_the_near_one(write, refused, role):
    source = write("b.csv", "text,label\na,World\nb,Sport\n")
    options = ReadOptions(role, labels=("World", "Sports"))
    with refused(source, "line 3", "'Sport'", "'World'", "Did you mean Sports?", "--on-bad-row skip"):
        read_examples(source, options)
    skipping = ReadOptions(role, labels=("World", "Sports"), on_bad_row="skip")
    assert len(read_examples(source, skipping).rejected) == 1


def test_labels_of_unlabeled_rows_are_never_judged(write):
    source = write("b.csv", "text,label\na,whatever\n")
    assert read_examples(source, ReadOptions("unlabeled", labels=("x", "y"))).examples[0].label is None


def test_no_usable_row_at_all_is_refused_even_when_skipping(write, refused):
    source = write("b.csv", "text,label\n,x\n,y\n")
    with refused(source, "none of its 2 rows", "line 2", "blank text"):
        read_examples(source, SKIP)


def test_no_parsable_row_at_all_is_refused_even_when_skipping(write, refused):
    source = write("b.jsonl", "text\nlabel\n")
    with refused(source, "line 1", "no JSON object"):
        read_examples(source, SKIP)


@pytest.mark.parametrize("options", [TRAIN, SKIP])
def test_two_rows_with_one_id_are_refused_with_both_lines(write, refused, options):
    source = write("b.csv", "id,text,label\na,one,x\nb,two,x\na,three,x\n")
    with refused(source, "'a'", "line 2", "line 4"):
        read_examples(source, options)


def test_of_two_mistakes_the_first_is_told(write, refused):
    rows = "id,text,label\na,one,x\na,two,x\nb,,x\n"
    with refused("line 2", "line 3"):
        read_examples(write("b.csv", rows), TRAIN)
    with refused("line 3", "blank text"):
        read_examples(write("b.csv", "id,text,label\na,one,x\nb,,x\na,two,x\n"), TRAIN)


def test_a_missing_text_column_is_named_with_those_found(write, refused):
    source = write("b.csv", "txt,label\na,x\n")
    with refused(source, "'text'", "'txt'", "'label'", "Did you mean txt?"):
        read_examples(source, ReadOptions("train", fields={"text": "text"}))


@pytest.mark.parametrize("role", ["train", "test"])
def test_a_missing_label_column_is_named_with_those_found(write, refused, role):
    source = write("b.csv", "text,labels\na,x\n")
    with refused(source, "'label'", "'text'", "Did you mean labels?", "label_column"):
        read_examples(source, ReadOptions(role, fields={"text": "text"}))


def test_the_label_column_is_never_taken_for_a_text(write, refused):
    source = write("b.csv", "text,label\na,x\n")
    with refused(source, "'label'", "[task.fields]"):
        read_examples(source, ReadOptions("unlabeled", fields={"text": "label"}))


def test_the_columns_are_learned_from_the_first_rows_only(write_rows, monkeypatch, refused):
    monkeypatch.setattr(readers, "_HEAD", 2)
    source = write_rows("b.jsonl", [{"a": 1}, {"a": 2}, {"text": "x"}])
    with refused(source, "'text'", "found 'a'"):
        read_examples(source, ReadOptions("unlabeled", fields={"text": "text"}))


anything = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.tsv", "r.csv.gz", "r.parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(anything, min_size=1, max_size=5))
def test_any_text_comes_back_as_it_was_written(tmp_path, name, rows):
    write_table(tmp_path / name, {"text": rows, "label": ["x"] * len(rows)})
    assert texts(read_examples(str(tmp_path / name), TRAIN)) == [{"text": text} for text in rows]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["r.csv", "r.tsv", "r.jsonl", "r.json", "r.txt", "r.parquet", "r.csv.gz"]),
    raw=st.binary(),
)
def test_no_bytes_whatever_crash_the_reader(write, name, raw):
    from pet.errors import DataError

    try:
        read_examples(write(name, raw), SKIP)
    except DataError as error:
        assert str(error).splitlines() == [str(error)]


def test_rejected_rows_can_be_written_for_mending(write, tmp_path):
    result = read_examples(write("b.jsonl", '{"text":"ok","label":1}\n{"text":"\\ud800","label":1}\n'), SKIP)
    write_table(tmp_path / "rejected.jsonl", {"row": [row.row for row in result.rejected]})
    line = (tmp_path / "rejected.jsonl").read_text()
    assert json.loads(line) == {"row": {"text": "\ud800", "label": 1}}
