"""Texts that stand for a label, and rows that explain it."""

import pytest

from pet.data.examples import Task
from pet.prompts.descriptions import description_rows, label_texts, name_as_words

TASK = Task("shop", ("billing", "card_lost", "Sci/Tech"), ("text",))
WORDS = {"billing": ("bill", "payment"), "card_lost": ("lost",), "Sci/Tech": ("Tech",)}


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("card_payment_fee", "card payment fee"),
        ("order-status", "order status"),
        ("orderStatus", "order Status"),
        ("HTTPError", "HTTP Error"),
        ("USA", "USA"),
        ("Sci/Tech", "Sci/Tech"),
        ("comp.graphics", "comp.graphics"),
        ("__x__", "x"),
        ("Größe", "Größe"),
        ("物流", "物流"),
        ("3", "3"),
    ],
)
def test_a_name_is_written_as_words(label: str, words: str) -> None:
    assert name_as_words(label) == words


def test_a_description_its_parts_the_name_and_the_words_stand_for_a_label() -> None:
    found = label_texts(TASK.labels, WORDS, {"billing": " charges, late refunds; tax, "})
    assert found == {
        "billing": ["charges, late refunds; tax,", "charges", "late refunds", "tax", "billing", "bill", "payment"],
        "card_lost": ["card lost", "lost"],
        "Sci/Tech": ["Sci/Tech", "Tech"],
    }
    assert label_texts(["a_b"], {}, {}) == {"a_b": ["a b"]}


def test_a_number_as_a_name_says_nothing_where_there_are_words() -> None:
    assert label_texts(["1", "2"], {"1": ("bad",)}, {}) == {"1": ["bad"], "2": ["2"]}


def test_a_name_that_is_a_word_is_told_once() -> None:
    assert label_texts(["Sports"], {"Sports": ("sports", "games")}, {}) == {"Sports": ["Sports", "games"]}


def test_rows_explain_labels_with_names_words_descriptions_and_their_parts() -> None:
    rows = description_rows(TASK, WORDS, {"billing": "charges, refunds"})
    texts = [row.fields["text"] for row in rows if row.label == "billing"]
    assert texts == ["charges, refunds", "charges", "refunds", "billing", "bill", "payment"]
    assert {row.label for row in rows} == set(TASK.labels)  # else a label without a description would be unlearned
    assert len({row.id for row in rows}) == len(rows)


@pytest.mark.parametrize(("description", "parts"), [("发票，退款", ["发票", "退款"]), ("one thing", [])])
def test_a_description_is_divided_at_commas_of_any_script(description: str, parts: list[str]) -> None:
    rows = description_rows(TASK, {}, {"billing": description})
    assert [row.fields["text"] for row in rows if row.label == "billing"] == [description, *parts, "billing"]


def test_a_text_that_would_explain_two_labels_explains_none() -> None:
    rows = description_rows(TASK, {}, {"billing": "cards, money", "card_lost": "Cards, thieves"})
    assert "cards" not in [row.fields["text"].casefold() for row in rows]


def test_without_a_description_or_with_two_texts_a_row_there_are_none() -> None:
    assert description_rows(TASK, WORDS, {}) == ()
    pairs = Task("nli", ("yes", "no"), ("premise", "hypothesis"))
    assert description_rows(pairs, {}, {"yes": "the second follows"}) == ()
