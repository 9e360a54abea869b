"""Sixteen bytes for a text: which of many repeat an earlier one."""

import pytest

from pet.data.keys import first_of, key_of, repeats


@pytest.mark.parametrize(
    ("texts", "expected"),
    [("", []), ("a", []), ("abc", []), ("abcb", [3]), ("aab", [1]), ("abaxbaa", [2, 4, 5, 6])],
)
def test_repeats_are_found_in_order(texts: str, expected: list[int]) -> None:
    keys = bytearray(b"".join(map(key_of, texts)))
    assert repeats(keys).tolist() == expected
    assert [texts.index(texts[place]) for place in expected] == [first_of(keys, place) for place in expected]


def test_any_text_has_a_key() -> None:
    assert len({key_of(text) for text in ("", "\0", "\ud800", "a" * 10**6)}) == 4
