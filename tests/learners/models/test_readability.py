"""Whether a tokenizer can read texts."""

import pytest
from transformers import PreTrainedTokenizerFast

from pet.data.examples import Example
from pet.data.words import word_count
from pet.learners.models.readability import SAMPLED_ROWS, Readability, readability
from pet.learners.models.sources import find_model, load_tokenizer
from pet.learners.models.tokens import PieceTokenizer

GERMAN = (
    "Meine Rechnung ist doppelt so hoch wie im letzten Monat, können Sie das bitte prüfen?",
    "Das Paket sollte gestern kommen, aber niemand hat geklingelt.",
    "Ich kann mich seit dem Update nicht mehr in mein Konto einloggen.",
    "Warum wurde mir die Versandgebühr trotz Gutschein berechnet?",
)
CHINESE = ("我的包裹还没有到，请帮我查一下。", "这部电影非常好看，演员也很棒！", "账单比上个月高了很多，为什么？")
ENGLISH = (
    "My invoice is twice as high as last month, could you please check it?",
    "The parcel was due yesterday, but nobody rang the bell (order #4711-0815).",
    "Since the update I cannot log in to my account.",
)


FRENCH = (
    "Je n'ai toujours pas reçu le colis que j'avais commandé la semaine dernière.",
    "Bonjour, le montant prélevé sur ma carte ne correspond pas à la facture.",
    "L'article est arrivé cassé et je voudrais être remboursé rapidement.",
)


def rows(texts: tuple[str, ...]) -> list[Example]:
    return [Example(str(place), {"text": text}) for place, text in enumerate(texts)]


def test_words_of_scripts_with_and_without_blanks() -> None:
    assert word_count("") == 0
    assert word_count(" two  words ") == 2
    assert word_count("ส่งของ") == pytest.approx(3)
    assert word_count("ok 我的包裹 fine") == 4


def test_pieces_and_unknown_tokens_by_hand(pieces: dict[str, PieceTokenizer]) -> None:
    tokenizer = pieces["bert"].tokenizer
    assert readability(tokenizer, rows(("good film, 123!",))) == Readability(0.0, 1.0)
    assert readability(tokenizer, rows(("good Ω", "zebra [MASK]"))).unknown == pytest.approx(1 / 11)  # zebra 5, mask 4
    assert readability(tokenizer, rows(("good Ω", "zebra [MASK]"))).pieces_per_word == pytest.approx(11 / 4)
    for nothing in ((), ("",), ("?!", " ")):
        assert readability(tokenizer, rows(nothing)) == Readability(0.0, 0.0)
        assert readability(tokenizer, rows(nothing)).readable


def test_words_known_as_a_whole_by_hand(pieces: dict[str, PieceTokenizer]) -> None:
    tokenizer = pieces["bert"].tokenizer
    # Of the longer words "team", "game", "bank" are one token each, "zebra" is five, and an unknown one is not known.
    found = readability(tokenizer, rows(("team game of bank, zebra ΩΩΩΩ",) * 5))
    assert found.whole == pytest.approx(3 / 5)
    assert readability(tokenizer, rows(("team game bank",))).whole is None  # too few to say
    assert Readability(0.0, 1.8, 100, 0.1).problem("it").startswith("it knows 10% of the longer words")
    assert Readability(0.0, 1.8, 100, 0.3).readable


def test_a_sample_is_spread_over_the_rows(pieces: dict[str, PieceTokenizer]) -> None:
    many = rows(("good",) * 2 * SAMPLED_ROWS + ("Ω",) * 2 * SAMPLED_ROWS)
    found = readability(pieces["bert"].tokenizer, many)
    assert found.unknown == pytest.approx(0.5, abs=0.01) and not found.readable


@pytest.fixture(scope="module")
def bundled() -> dict[str, PreTrainedTokenizerFast]:
    return {name: load_tokenizer(find_model(name).folder) for name in ("pet-mini", "e5-small")}


@pytest.mark.parametrize(("texts", "readers"), [(ENGLISH, 2), (GERMAN, 1), (CHINESE, 1), (FRENCH, 1)])
def test_which_bundled_model_reads_which_language(
    bundled: dict[str, PreTrainedTokenizerFast], texts: tuple[str, ...], readers: int
) -> None:
    assert [readability(bundled[name], rows(texts)).readable for name in ("e5-small", "pet-mini")] == [
        True,
        readers == 2,
    ]
