from collections.abc import Callable

import pytest

from pet.errors import PromptError
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.models.words import LabelWords, label_words, word_reports
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer


def pvp_of(template: str = "It was {mask}. {text}", **words: list[str]) -> PVP:
    return PVP(Pattern("toy/p", template), Verbalizer("toy/v", {label: tuple(w) for label, w in words.items()}))


def tokens(pieces: PieceTokenizer, words: LabelWords) -> list[list[str]]:
    return [
        [
            " ".join(pieces.tokenizer.convert_ids_to_tokens([int(token) for token in word if token >= 0]))
            for word in label
        ]
        for label in words.ids
    ]


def test_one_token_each(pieces: dict[str, PieceTokenizer]) -> None:
    words = label_words(pvp_of(a=["good", "great"], b=["bad"]), pieces["bert"])
    assert words.labels == ("a", "b")
    assert words.ids.shape == (2, 2, 1)
    assert words.ids[1, 1, 0] == -1
    assert words.slots == 1
    assert tokens(pieces["bert"], words) == [["good", "great"], ["bad", ""]]


@pytest.mark.parametrize(
    ("family", "spaced", "glued"),
    [
        ("bert", "good", "good"),
        ("roberta", "Ġgood", "good"),
        ("modernbert", "Ġgood", "good"),
        ("deberta-v2", "▁good", "g o o d"),
    ],
)
def test_a_word_has_the_form_it_takes_at_the_mask(
    pieces: dict[str, PieceTokenizer], family: str, spaced: str, glued: str
) -> None:
    words = {"a": ["good"], "b": ["bad"]}
    for template, expected in (
        ("It was {mask}. {text}", spaced),
        ("{mask}: {text}", spaced),
        ("{text} || {mask}", spaced),
        ("({mask}) {text}", glued),
        ("{text}{mask}", glued),
    ):
        reports = word_reports(pvp_of(template, **words), pieces[family])
        assert " ".join(reports[0].pieces) == expected


def test_an_unknown_word(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    refuses(PromptError, lambda: label_words(pvp_of(a=["ßßß"], b=["bad"]), pieces["bert"]), "toy/v", "'ßßß'", "unknown")
    label_words(pvp_of(a=["ß"], b=["bad"]), pieces["roberta"], multi_token=True)


def test_a_word_of_several_tokens(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    pvp = pvp_of(a=["goody"], b=["bad"])
    refuses(PromptError, lambda: label_words(pvp, pieces["bert"]), "2 tokens", "good ##y", "multi_token = true")
    words = label_words(pvp, pieces["bert"], multi_token=True)
    assert words.slots == 2
    assert (words.ids[1] >= 0).sum() == 1


def test_a_misspelt_label_is_asked_for(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    words = Verbalizer.from_labels(["goody game", "gody game"])
    call = lambda: label_words(PVP(Pattern("toy/p", "{mask} {text}"), words), pieces["bert"])  # noqa: E731
    refuses(PromptError, call, "Is 'gody game' meant?")


def test_without_a_verbalizer_the_label_name_is_to_blame(
    pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]
) -> None:
    pvp = PVP(Pattern("toy/p", "It was {mask}. {text}"), Verbalizer.from_labels(["good game", "bad"]))
    call = lambda **given: label_words(pvp, pieces["bert"], **given)  # noqa: E731
    refuses(PromptError, call, "label name 'good game'", "2 tokens", "[prompts] verbalizer", "multi_token = true")
    assert call(multi_token=True).slots == 2
    with pytest.raises(PromptError) as caught:
        call()
    assert "Verbalizer" not in str(caught.value)
    unknown = PVP(pvp.pattern, Verbalizer.from_labels(["ß", "bad"]))
    with pytest.raises(PromptError, match="'ß' cannot stand at the mask itself, it is unknown") as caught:
        label_words(unknown, pieces["bert"])
    assert "multi_token" not in str(caught.value)


def test_a_shared_word_by_lower_casing(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    pvp = pvp_of(a=["World"], b=["world"])
    assert label_words(pvp, pieces["roberta"]).ids.shape == (2, 1, 1)
    with pytest.raises(PromptError, match="the same for this tokenizer as a word of label 'a'") as caught:
        label_words(pvp, pieces["bert"])
    assert "multi_token" not in str(caught.value)


def test_a_shared_word_of_several_tokens(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    pvp = pvp_of(a=["Goody"], b=["goody"])
    refuses(PromptError, lambda: label_words(pvp, pieces["bert"], multi_token=True), "'goody'", "'b'", "label 'a'")


def test_a_word_counts_once_for_its_label(pieces: dict[str, PieceTokenizer]) -> None:
    pvp = pvp_of(a=["World", "world", "city"], b=["Tech"])
    assert tokens(pieces["bert"], label_words(pvp, pieces["bert"]))[0] == ["world", "city", ""]
    assert tokens(pieces["roberta"], label_words(pvp, pieces["roberta"]))[0] == ["ĠWorld", "Ġworld", "Ġcity"]


def test_reports_name_every_problem(pieces: dict[str, PieceTokenizer]) -> None:
    reports = word_reports(pvp_of(a=["good", "goody"], b=["ß", "Good"]), pieces["bert"])
    assert [(report.label, report.word, bool(report.problem)) for report in reports] == [
        ("a", "good", False),
        ("a", "goody", True),
        ("b", "ß", True),
        ("b", "Good", True),
    ]
