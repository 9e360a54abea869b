"""Sixteen bytes for a text: which of many repeat an earlier one."""

import pytest

from pet.data.keys import Keys, key_of


@pytest.mark.parametrize(
    ("texts", "repeats"),
    [("", []), ("a", []), ("abc", []), ("abcb", [3]), ("aab", [1]), ("abaxbaa", [2, 4, 5, 6])],
)
def test_repeats_are_found_in_order(texts, repeats):
    keys = Keys()
    for text in texts:
        keys.add(key_of(text))
    assert keys.repeats().tolist() == repeats
    assert [texts.index(texts[place]) for place in repeats] == [keys.first_of(place) for place in repeats]


def test_any_text_has_a_key():
    assert len({key_of(text) for text in ("", "\0", "\ud800", "a" * 10**6)}) == 4
