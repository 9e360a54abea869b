"""Texts from Python: whatever library a table is of, its rows are read; anything else is one sentence."""

from collections.abc import Iterator
from typing import Any

import datasets
import numpy as np
import pandas
import pyarrow
import pytest

import pet
from pet.errors import DataError
from pet.using.inputs import rows_of

TEXTS = ["one", "two words", "three"]
ONE = {"text": "body"}
TWO = {"text_a": "text_a", "text_b": "Second"}
PAIRS = [("a", "b"), ("c", "")]
TABLE = {"text_a": ["a", "c"], "Second": ["b", ""]}


def generated() -> Iterator[str]:
    yield from TEXTS


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        tuple(TEXTS),
        generated(),
        [(text,) for text in TEXTS],
        [{"text": text} for text in TEXTS],
        [{"body": text, "label": "x"} for text in TEXTS],
        {"body": TEXTS, "id": [1, 2, 3]},
        {"anything": TEXTS},
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        np.array(TEXTS)[:, None],
        pandas.Series(TEXTS, index=[7, 8, 9]),
        pandas.DataFrame({"body": TEXTS, "n": [1, 2, 3]}, index=[7, 7, 7]),
        pandas.DataFrame({"text": pandas.Categorical(TEXTS)}),
        pandas.DataFrame({"anything": TEXTS}),
        pandas.Index(TEXTS),
        pyarrow.table({"body": TEXTS, "n": [1, 2, 3]}),
        pyarrow.array(TEXTS),
        pyarrow.chunked_array([TEXTS[:1], TEXTS[1:]]),
        datasets.Dataset.from_dict({"body": TEXTS, "n": [1, 2, 3]}),
        datasets.Dataset.from_dict({"anything": TEXTS}),
        datasets.Dataset.from_dict({"body": TEXTS})["body"],
    ],
)
def test_one_text_a_row(texts: Any) -> None:
    assert [dict(row.fields) for row in rows_of(texts, ONE)] == [{"text": text} for text in TEXTS]


@pytest.mark.parametrize(
    "texts",
    [
        PAIRS,
        [list(pair) for pair in PAIRS],
        np.array(PAIRS),
        zip(*TABLE.values(), strict=True),
        [{"text_b": second, "text_a": first} for first, second in PAIRS],
        TABLE,
        {"text_b": TABLE["Second"], "text_a": TABLE["text_a"]},
        pandas.DataFrame(TABLE),
        pyarrow.table(TABLE),
        datasets.Dataset.from_dict(TABLE),
    ],
)
def test_two_texts_a_row(texts: Any) -> None:
    expected = [dict(zip(TWO, pair, strict=True)) for pair in PAIRS]
    assert [dict(row.fields) for row in rows_of(texts, TWO)] == expected


@pytest.mark.parametrize("nothing", [[], {}, pandas.DataFrame({"text": []}), pyarrow.table({"text": []}), iter(())])
def test_no_rows_are_none(nothing: Any) -> None:
    assert rows_of(nothing, ONE) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", None], "Row 1 holds None, which is no text: leave it out"),
        (["a", float("nan")], "Row 1 holds nan, which is no text"),
        (pandas.Series(["a", None]), "Row 1 holds (None|nan), which is no text"),
        (pandas.Series(["a", pandas.NA]), "Row 1 holds (<NA>|nan), which is no text"),
        (["a", 3], "Row 1 holds 3, which is no text"),
        ([b"a"], "Row 0 holds b'a', which is no text"),
        ([["a", "b"]], r"Row 0 has 2 text\(s\), expected 1: text"),
        ([{"txt": "a"}], "Row 0 has no 'text' or 'body', found 'txt': rename the column of the text"),
        ([{}], "Row 0 has no 'text' or 'body', found nothing"),
        ([{"text": None}], "Row 0 holds None"),
        ([{"a": "x"}, {"b": "y"}], "Row 0 has no"),
        ({"text": "a"}, "found one row, with 'a' as 'text': put it into"),
        ({"text": ["a"], "n": [1, 2]}, "The columns differ in length"),
        (pandas.DataFrame({"title": ["a"], "label": ["x"]}), "Row 0 has no 'text' or 'body', found 'title', 'label'"),
        (pandas.DataFrame({1: ["a"], 2: ["x"]}), "found '1', '2'"),
        ("a text", r"found one text: write \['a text'\]"),
        (b"bytes", "found one text"),
        (3, "Expected a list of texts, or a table with a column per field, found 3"),
        (None, "found None"),
        (np.array("a"), "found array"),
        ({"one", "two"}, "Expected a list of texts"),
        (["half \ud83d pair"], r"Row 0 holds 'half \\ud83d pair', which is no text"),
        (["a", " \n"], "Row 1 is blank"),
        (np.array([["a", "b"]]), r"Row 0 has 2 text\(s\)"),
    ],
)
def test_what_is_no_text_is_said_with_its_row(texts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        rows_of(texts, ONE)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("model", [None, 3, ["runs"], {"model": "runs"}])
def test_what_is_no_model_is_said(model: Any) -> None:
    with pytest.raises(pet.PetError, match="Expected a run directory, its model folder or a classifier, found"):
        pet.predict(model, ["a"])


def test_a_wish_that_is_no_number_is_said(finished: pet.RunResult) -> None:
    with pytest.raises(pet.PetError, match="The confidence to abstain below is 'much', expected a number from 0 to 1"):
        pet.predict(finished.directory, ["a"], abstain="much")  # type: ignore[arg-type]


def test_a_table_gets_a_prediction_for_each_row(finished: pet.RunResult) -> None:
    texts = ["team match won", "bank money shares"]
    expected = pet.predict(finished.directory, texts)
    assert pet.predict(finished.directory, pandas.DataFrame({"text": texts, "n": [1, 2]})) == expected
    assert pet.predict(finished.directory, [{"text": text} for text in texts]) == expected


def test_texts_that_the_classifier_cannot_read_are_warned_of(finished: pet.RunResult) -> None:
    with pytest.warns(UserWarning, match=r"100% of the tokens of the texts are unknown to the classifier"):
        pet.predict(finished.directory, ["\u041a\u043e\u043c\u0430\u043d\u0434\u0430"])
