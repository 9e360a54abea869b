"""Words that can stand for a label: whole ones, whatever the tokenizer, frequent ones first, without stop words."""

import pytest
from tiny import tiny_tokenizer

from pet.errors import PromptError
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.patterns import Pattern
from pet.search.candidates import find_candidates, mask_is_spaced, whole_words

SPACED, GLUED = Pattern("a", "{text} {mask}"), Pattern("b", "{text} ({mask})")


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2"])
def test_words_are_whole_for_each_kind_of_tokenizer(family: str) -> None:
    found = whole_words(PieceTokenizer(tiny_tokenizer(family)), glued=False)
    assert {"sports", "market", "goal"} <= set(found)
    assert all(len(word) > 1 and word.isalpha() for word in found)


def test_a_word_behind_a_character_has_a_token_of_its_own() -> None:
    pieces = PieceTokenizer(tiny_tokenizer("roberta"))
    assert mask_is_spaced(SPACED)
    assert not mask_is_spaced(GLUED)
    found = find_candidates(pieces, [SPACED, GLUED], ["sports"])
    place = found.places["sports"]
    assert found.ids(SPACED)[place] == pieces.ids("sports", True).item()
    assert found.ids(GLUED)[place] == pieces.ids("sports", False).item()
    assert found.ids(SPACED)[place] != found.ids(GLUED)[place]


def test_frequent_words_come_first_and_stop_words_not_at_all() -> None:
    texts = ["the market and the bank", "market of it", "a market", *["goal"] * 40, *["xyz"] * 60]
    found = find_candidates(PieceTokenizer(tiny_tokenizer("bert")), [SPACED], texts, also=["bank"])
    assert found.words[:2] == ("bank", "market")  # what was asked for, then the more frequent one
    assert {"the", "and", "of", "it"}.isdisjoint(found.words)
    assert "goal" not in found.words  # in more than a quarter of the texts, it says nothing about any


def test_no_more_candidates_than_wanted() -> None:
    texts = ["market bank", "market", *["xyz"] * 80]
    assert find_candidates(PieceTokenizer(tiny_tokenizer("bert")), [SPACED], texts, most=1).words == ("market",)


def test_a_vocabulary_without_whole_words_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.search.candidates.token_texts", lambda _tokenizer, ids: ["##a"] * len(ids))
    with pytest.raises(PromptError, match="has no whole words"):
        find_candidates(PieceTokenizer(tiny_tokenizer("bert")), [SPACED], ["market"])
