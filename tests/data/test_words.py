"""Words of texts with and without blanks between them."""

import pytest

from pet.data.words import first_words, last_words, word_count


@pytest.mark.parametrize("text", ["a  good film", "这部电影很好看", "ok 我的包裹 fine", "ส่งของ", "", " \n"])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_no_more_words_are_taken_than_asked_for(text: str, count: int) -> None:
    for found in (first_words(text, count), last_words(text, count)):
        assert word_count(found) == pytest.approx(min(count, word_count(text)), abs=0.5)
        assert "".join(found.split()) in "".join(text.split())


def test_a_long_text_is_not_looked_at_as_a_whole() -> None:
    assert first_words("很" * 10**6, 2) == "很很很很"
