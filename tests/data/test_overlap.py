"""Texts in two sets: found whatever their case and punctuation, and removed from the unlabeled side only."""

import pytest

from pet.data.examples import Example
from pet.data.overlap import Overlap, find_overlaps, normalise


def rows(prefix: str, *texts: str) -> list[Example]:
    return [Example(f"{prefix}{n}", {"text": text}) for n, text in enumerate(texts)]


def key(*texts: str) -> str:
    return normalise(Example("x", {str(n): text for n, text in enumerate(texts)}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", "hello world"),
        ("Straße", "STRASSE"),
        ("\uff46\uff55ll\uff11", "full1"),
        ("caf\u00e9", "cafe\u0301"),
        ("你好\uff0c世界\uff01", "你好世界"),
        ("a\u200bb\u00a0c", "abc"),
        ("I \u2764\ufe0f it", "I \u2764 it"),
        ("?!  ...", "?! ..."),
    ],
)
def test_texts_that_say_the_same_meet(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1 day", "2 days"),
        ("\u0915\u093f", "\u0915\u0940"),  # two Hindi syllables that differ in the vowel sign alone
        ("你好", "您好"),
        (":-)", ":-("),
        ("!", ""),
        ("caf\u00e9", "cafe"),
    ],
)
def test_texts_that_differ_stay_apart(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_fields_stay_apart() -> None:
    assert key("ab", "c") != key("a", "bc")
    assert key("ab", "") != key("", "ab")


def test_overlaps_are_counted_in_rows_of_the_second_set_with_three_ids() -> None:
    train, test = rows("t", "A", "b"), rows("e", "b!", "c")
    pool = rows("u", "a", "a.", "B", "c", "d", "a a")
    found = find_overlaps(train, [*pool, *rows("v", "A?")], test)
    assert found.train_unlabeled == Overlap(4, (("t0", "u0"), ("t0", "u1"), ("t1", "u2")))
    assert found.train_test == Overlap(1, (("t1", "e0"),))
    assert found.test_unlabeled == Overlap(2, (("e0", "u2"), ("e1", "u3")))
    assert found.unlabeled_duplicates == 2


def test_shared_rows_leave_the_unlabeled_side_and_duplicates_stay() -> None:
    found = find_overlaps(rows("t", "A"), rows("u", "a", "d", "c!", "D", "e"), rows("e", "C"))
    assert found.kept.tolist() == [1, 3, 4]


def test_the_id_shown_is_that_of_the_first_row_with_the_text() -> None:
    assert find_overlaps(rows("t", "a", "A"), rows("u", "a"), []).train_unlabeled.ids == (("t0", "u0"),)


def test_no_sets_share_nothing() -> None:
    assert find_overlaps([], [], []).train_unlabeled == Overlap(0, ())
    assert find_overlaps([], [], []).kept.tolist() == []


def test_a_text_under_two_labels_is_found_in_the_later_row() -> None:
    texts = [("a", "x"), ("b", "x"), ("A!", "y"), ("a", "x"), ("B", "x")]
    train = [Example(f"t{n}", {"text": text}, label) for n, (text, label) in enumerate(texts)]
    assert find_overlaps(train, [], []).contradictions == Overlap(1, (("t0 (x)", "t2 (y)"),))
