"""What stands in the cells of labels."""

import pytest

from pet.data.labels import has_several, is_placeholder, joined_labels, label_parts


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("billing", ["billing"]),
        ("billing;account;", ["billing", "account"]),
        ("a, b|c", ["a", "b", "c"]),
        ("['a', \"b\"]", ["a", "b"]),
        ([1, True], ["1", "true"]),
        ("Sci/Tech & more", ["Sci/Tech & more"]),
        (3, ["3"]),
        (None, ["None"]),
        ("", []),
    ],
)
def test_a_cell_in_its_parts(value: object, parts: list[str]) -> None:
    assert label_parts(value) == parts


@pytest.mark.parametrize(
    ("value", "known", "several"),
    [
        ("a;b", {"a", "b"}, True),
        ("a;b", {"a", "b", "a;b"}, False),
        ("a;b", {"a"}, False),
        ("a;b", None, False),
        (["a", "b"], None, True),
        (["a"], None, False),
    ],
)
def test_several_labels_are_a_list_or_known_ones(value: object, known: set[str] | None, several: bool) -> None:
    assert has_several(value, known) is several


@pytest.mark.parametrize(
    ("labels", "joined"),
    [
        (["a", "b", "a;b"], ["a;b"]),
        (["a|b", "b|c", "a|c"], ["a|b", "b|c", "a|c"]),
        (["Food, hot", "Food, cold"], []),
        (["World", "Sci, Tech"], []),
        ([], []),
    ],
)
def test_labels_of_a_file_that_are_several_in_one(labels: list[str], joined: list[str]) -> None:
    assert joined_labels(labels) == joined


def test_words_for_nothing() -> None:
    assert [word for word in ("NaN", "None", " NULL ", "none", "", "x") if is_placeholder(word)] == [
        "NaN",
        "None",
        " NULL ",
    ]
    assert not is_placeholder(None)
