"""Rows under a pattern with a label's word where the mask was."""

from collections.abc import Sequence

import numpy as np
import pytest

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.filling import filled_rows
from pet.learners.models.splicing import Encoded
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.models.words import label_words
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer

WORDS = {"a": ["good", "great"], "b": ["bad"]}


def filled(
    pieces: PieceTokenizer, template: str, texts: Sequence[dict[str, str]], columns: Sequence[int], **words: list[str]
) -> list[Encoded]:
    verbalizer = Verbalizer("v", {label: tuple(of_label) for label, of_label in (words or WORDS).items()})
    pvp = PVP(Pattern("p", template), verbalizer)
    rows = [Example(str(i), fields) for i, fields in enumerate(texts)]
    encoder, own = PatternEncoder(pvp.pattern, pieces, 20), label_words(pvp, pieces, multi_token=True)
    return filled_rows(encoder, own, rows, np.asarray(columns), np.random.default_rng(0))


def shown(pieces: PieceTokenizer, row: Encoded) -> str:
    return " ".join(pieces.tokenizer.convert_ids_to_tokens(row.input_ids.tolist()))


def test_a_word_of_the_label_stands_where_the_mask_was(pieces: dict[str, PieceTokenizer]) -> None:
    (row,) = filled(pieces["bert"], "It was {mask}. {text}", [{"text": "the movie"}], [1])
    assert shown(pieces["bert"], row) == "[CLS] it was bad . the movie [SEP]"
    assert not len(row.mask_positions) and row.text_positions.tolist() == [False] * 5 + [True, True, False]
    (row,) = filled(pieces["roberta"], "It was {mask}. {text}", [{"text": "the movie"}], [1])
    assert shown(pieces["roberta"], row) == "<s> ĠIt Ġwas Ġbad . Ġthe Ġmovie </s>"


def test_each_word_of_a_label_is_drawn_as_often(pieces: dict[str, PieceTokenizer]) -> None:
    rows = filled(pieces["bert"], "{mask} {text}", [{"text": "news"}] * 400, [0] * 400)
    texts = [shown(pieces["bert"], row) for row in rows]
    assert set(texts) == {"[CLS] good news [SEP]", "[CLS] great news [SEP]"}
    assert 160 < texts.count("[CLS] good news [SEP]") < 240


def test_a_word_has_as_many_places_as_tokens_and_rows_keep_their_order(pieces: dict[str, PieceTokenizer]) -> None:
    texts = [{"text": text} for text in ("man", "woman", "dog", "team")]
    rows = filled(pieces["bert"], "{mask}: {text}", texts, [0, 1, 1, 0], a=["fine service food"], b=["bad"])
    assert [shown(pieces["bert"], row) for row in rows] == [
        "[CLS] fine service food : man [SEP]",
        "[CLS] bad : woman [SEP]",
        "[CLS] bad : d ##o ##g [SEP]",
        "[CLS] fine service food : team [SEP]",
    ]


@pytest.mark.parametrize(
    ("family", "text", "segments"),
    [
        ("bert", "[CLS] the man [SEP] bad , the movie [SEP]", [0, 0, 0, 0, 1, 1, 1, 1, 1]),
        ("roberta", "<s> Ġthe Ġman </s> </s> Ġbad , Ġthe Ġmovie </s>", [0] * 10),
    ],
)
def test_pairs(pieces: dict[str, PieceTokenizer], family: str, text: str, segments: list[int]) -> None:
    (row,) = filled(pieces[family], "{one} || {mask}, {two}", [{"one": "the man", "two": "the movie"}], [1])
    assert shown(pieces[family], row) == text
    assert row.segment_ids.tolist() == segments


def test_virtual_tokens_are_left_out_and_tuned_words_are_not(pieces: dict[str, PieceTokenizer]) -> None:
    (row,) = filled(pieces["bert"], "{soft:3} {text} {tune:It was} {soft:1}{mask}", [{"text": "the movie"}], [1])
    assert shown(pieces["bert"], row) == "[CLS] the movie it was bad [SEP]"
    assert len(row.segment_ids) == len(row.text_positions) == len(row) and row.soft_slots is None


def test_a_long_text_is_shortened_and_the_word_is_not(pieces: dict[str, PieceTokenizer]) -> None:
    (row,) = filled(pieces["bert"], "{text} It was {mask}.", [{"text": "news " * 50}], [1])
    assert shown(pieces["bert"], row) == "[CLS] " + "news " * 14 + "it was bad . [SEP]"
