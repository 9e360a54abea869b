import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import FAMILIES

from pet.data import Example
from pet.errors import ModelError, PromptError
from pet.learners.encoding import PatternEncoder, shorten, shortened_lengths
from pet.prompts import Pattern

LONG = "good bad " * 5_000


def one_at_a_time(lengths, budget):
    kept = list(lengths)
    while sum(kept) > budget:
        kept[kept.index(max(kept))] -= 1
    return kept


def encode(pieces, template, max_length=20, truncation="tail", slots=1, **fields):
    encoder = PatternEncoder(Pattern.parse("p", template), pieces, max_length, truncation)
    return encoder.encode([Example("row-7", fields)], slots)[0]


def names(pieces, ids):
    return " ".join(pieces.tokenizer.convert_ids_to_tokens([int(token) for token in ids]))


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(0, 80))
def test_shortened_lengths_equal_taking_one_token_at_a_time(lengths, budget):
    assert shortened_lengths(lengths, budget) == one_at_a_time(lengths, budget)


def test_shorten():
    ids = np.arange(7, dtype=np.int32)
    assert shorten(ids, 4, "tail").tolist() == [0, 1, 2, 3]
    assert shorten(ids, 4, "head+tail").tolist() == [0, 1, 5, 6]
    assert shorten(ids, 1, "head+tail").tolist() == [0]
    assert shorten(ids, 0, "head+tail").tolist() == []
    assert shorten(ids, 9, "head+tail").tolist() == ids.tolist()


def test_a_row_by_hand(pieces):
    row = encode(pieces["bert"], "It was {mask}. {text}", text="good film")
    assert names(pieces["bert"], row.input_ids) == "[CLS] it was [MASK] . good film [SEP]"
    assert row.mask_positions.tolist() == [3]
    assert row.text_positions.tolist() == [False] * 5 + [True, True, False]
    assert row.segment_ids.tolist() == [0] * 8
    assert row.cut == 0
    assert (row.input_ids.dtype, row.mask_positions.dtype) == (np.int32, np.int64)


def test_a_pair_by_hand(pieces):
    row = encode(pieces["bert"], '"{a}" ? || {mask}, {b}', slots=2, a="man plays", b="woman")
    assert names(pieces["bert"], row.input_ids) == '[CLS] " man plays " ? [SEP] [MASK] [MASK] , woman [SEP]'
    assert row.mask_positions.tolist() == [7, 8]
    assert row.segment_ids.tolist() == [0] * 7 + [1] * 5
    assert np.flatnonzero(row.text_positions).tolist() == [2, 3, 10]


def test_a_pair_of_roberta(pieces):
    row = encode(pieces["roberta"], "{a} || {mask}, {b}", a="man", b="woman")
    assert names(pieces["roberta"], row.input_ids) == "<s> Ġman </s> </s> <mask> , Ġwoman </s>"
    assert row.segment_ids.tolist() == [0] * 8


@pytest.mark.parametrize("truncation", ["tail", "head+tail"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "template", ["{text} It was {mask}.", "[ Category: {mask} ] {text}", "{mask}: {text} || {text} Question?"]
)
def test_the_template_is_never_cut(pieces, family, template, truncation):
    known, fields = pieces[family], template.count("{text}")
    bare = encode(known, template, 24, truncation, slots=2, text="")
    for max_length in (24, len(bare) + fields):
        row = encode(known, template, max_length, truncation, slots=2, text=LONG)
        assert len(row) == max_length
        assert row.input_ids[~row.text_positions].tolist() == bare.input_ids.tolist()
        assert (row.input_ids[row.mask_positions] == known.tokenizer.mask_token_id).all()
        assert len(row.mask_positions) == 2
        assert row.cut == 10_000 * fields - row.text_positions.sum()


def test_tail_and_head_of_a_text(pieces):
    words = "good bad great terrible okay"
    for truncation, kept in (("tail", "good bad great"), ("head+tail", "good bad okay")):
        row = encode(pieces["bert"], "{text} {mask}", 6, truncation, text=words)
        assert names(pieces["bert"], row.input_ids) == f"[CLS] {kept} [MASK] [SEP]"
        assert row.cut == 2


def test_a_kept_field_is_never_cut(pieces):
    row = encode(pieces["bert"], "{a:keep} {mask} {b}", 10, a="good bad great okay", b=LONG)
    assert names(pieces["bert"], row.input_ids) == "[CLS] good bad great okay [MASK] good bad good [SEP]"
    assert row.cut == 9_997


def test_the_longest_of_several_fields_gives_first(pieces):
    row = encode(pieces["bert"], "{a} {mask} {b} || {c}", 14, a="good bad", b="it " * 9, c="was " * 9)
    assert [sum(row.input_ids == pieces["bert"].ids(word)[0]) for word in ("good", "bad", "it", "was")] == [1, 1, 4, 4]
    row = encode(pieces["bert"], "{a} {mask} {b} || {c}", 13, a="good bad", b="it " * 9, c="was " * 9)
    assert [sum(row.input_ids == pieces["bert"].ids(word)[0]) for word in ("good", "bad", "it", "was")] == [1, 1, 3, 4]


def test_rows_keep_their_order(pieces):
    encoder = PatternEncoder(Pattern.parse("p", "{text} {mask}"), pieces["bert"], 20)
    texts = ["good bad", "good", "", "good bad"]
    rows = encoder.encode([Example(str(i), {"text": text}) for i, text in enumerate(texts)])
    assert [len(row) for row in rows] == [5, 4, 3, 5]
    assert encoder.encode([]) == []


def test_a_template_that_does_not_fit(pieces, refuses):
    template = "It was {mask}. {text}"  # 6 tokens with the special ones, and one of text at least
    assert len(encode(pieces["bert"], template, 7, text=LONG)) == 7
    refuses(
        PromptError, lambda: encode(pieces["bert"], template, 6, text="good"), "'p'", "6 tokens", "row-7", "max_length"
    )
    refuses(PromptError, lambda: encode(pieces["bert"], "{text:keep} {mask}", 60, text=LONG), "10003", "60")


def test_a_tokenizer_without_a_mask(pieces, refuses):
    class Unmasked:
        tokenizer = type("T", (), {"mask_token_id": None, "name_or_path": "some/gpt"})

    refuses(ModelError, lambda: PatternEncoder(Pattern.parse("p", "{text} {mask}"), Unmasked, 20), "some/gpt", "mask")
