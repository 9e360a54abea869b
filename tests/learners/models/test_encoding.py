from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import FAMILIES

from pet.data.examples import Example
from pet.errors import ModelError, PromptError
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.shortening import shorten, shortened_lengths
from pet.learners.models.splicing import Encoded
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.inputs import with_input
from pet.prompts.patterns import Pattern
from pet.prompts.registry import load_patterns
from pet.settings.task import Truncation
from pet.settings.variants import Input

LONG = "good bad " * 5_000


def one_at_a_time(lengths: list[int], budget: int) -> list[int]:
    kept = list(lengths)
    while sum(kept) > budget:
        kept[kept.index(max(kept))] -= 1
    return kept


def encode(
    pieces: PieceTokenizer,
    template: str,
    max_length: int = 20,
    truncation: Truncation = "tail",
    slots: int = 1,
    **fields: str,
) -> Encoded:
    encoder = PatternEncoder(Pattern("p", template), pieces, max_length, truncation)
    return encoder.encode([Example("row-7", fields)], slots)[0]


def rows_of(encoder: PatternEncoder) -> int:
    return sum(item.size for item in encoder.virtual)


def names(pieces: PieceTokenizer, ids: np.ndarray) -> str:
    return " ".join(pieces.tokenizer.convert_ids_to_tokens([int(token) for token in ids]))


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(0, 80))
def test_shortened_lengths_equal_taking_one_token_at_a_time(lengths: list[int], budget: int) -> None:
    assert shortened_lengths(lengths, budget) == one_at_a_time(lengths, budget)


def test_shorten() -> None:
    ids = np.arange(7, dtype=np.int32)
    assert shorten(ids, 4, "tail").tolist() == [0, 1, 2, 3]
    assert shorten(ids, 4, "head+tail").tolist() == [0, 1, 5, 6]
    assert shorten(ids, 1, "head+tail").tolist() == [0]
    assert shorten(ids, 0, "head+tail").tolist() == []
    assert shorten(ids, 9, "head+tail").tolist() == ids.tolist()


def test_a_row_by_hand(pieces: dict[str, PieceTokenizer]) -> None:
    row = encode(pieces["bert"], "It was {mask}. {text}", text="good film")
    assert names(pieces["bert"], row.input_ids) == "[CLS] it was [MASK] . good film [SEP]"
    assert row.mask_positions.tolist() == [3]
    assert row.text_positions.tolist() == [False] * 5 + [True, True, False]
    assert row.segment_ids.tolist() == [0] * 8
    assert row.cut == 0
    assert row.input_ids.dtype == np.int32 and row.mask_positions.dtype == np.int64


def test_a_pair_by_hand(pieces: dict[str, PieceTokenizer]) -> None:
    row = encode(pieces["bert"], '"{a}" ? || {mask}, {b}', slots=2, a="man plays", b="woman")
    assert names(pieces["bert"], row.input_ids) == '[CLS] " man plays " ? [SEP] [MASK] [MASK] , woman [SEP]'
    assert row.mask_positions.tolist() == [7, 8]
    assert row.segment_ids.tolist() == [0] * 7 + [1] * 5
    assert np.flatnonzero(row.text_positions).tolist() == [2, 3, 10]


def test_a_pair_of_roberta(pieces: dict[str, PieceTokenizer]) -> None:
    row = encode(pieces["roberta"], "{a} || {mask}, {b}", a="man", b="woman")
    assert names(pieces["roberta"], row.input_ids) == "<s> Ġman </s> </s> <mask> , Ġwoman </s>"
    assert row.segment_ids.tolist() == [0] * 8


@pytest.mark.parametrize("truncation", ["tail", "head", "head+tail"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "template", ["{text} It was {mask}.", "[ Category: {mask} ] {text}", "{mask}: {text} || {text} Question?"]
)
def test_the_template_is_never_cut(
    pieces: dict[str, PieceTokenizer], family: str, template: str, truncation: Truncation
) -> None:
    known, fields = pieces[family], template.count("{text}")
    bare = encode(known, template, 24, truncation, slots=2, text="")
    for max_length in (24, len(bare) + fields):
        row = encode(known, template, max_length, truncation, slots=2, text=LONG)
        assert len(row) == max_length
        assert row.input_ids[~row.text_positions].tolist() == bare.input_ids.tolist()
        assert (row.input_ids[row.mask_positions] == known.tokenizer.mask_token_id).all()
        assert len(row.mask_positions) == 2
        assert row.cut == 10_000 * fields - row.text_positions.sum()


def test_tail_and_head_of_a_text(pieces: dict[str, PieceTokenizer]) -> None:
    words = "good bad great terrible okay"
    expected: dict[Truncation, str] = {
        "tail": "good bad great",
        "head": "great terrible okay",
        "head+tail": "good bad okay",
    }
    for truncation, kept in expected.items():
        row = encode(pieces["bert"], "{text} {mask}", 6, truncation, text=words)
        assert names(pieces["bert"], row.input_ids) == f"[CLS] {kept} [MASK] [SEP]"
        assert row.cut == 2


def test_a_kept_field_is_never_cut(pieces: dict[str, PieceTokenizer]) -> None:
    row = encode(pieces["bert"], "{a:keep} {mask} {b}", 10, a="good bad great okay", b=LONG)
    assert names(pieces["bert"], row.input_ids) == "[CLS] good bad great okay [MASK] good bad good [SEP]"
    assert row.cut == 9_997


def test_the_longest_of_several_fields_gives_first(pieces: dict[str, PieceTokenizer]) -> None:
    row = encode(pieces["bert"], "{a} {mask} {b} || {c}", 14, a="good bad", b="it " * 9, c="was " * 9)
    assert [sum(row.input_ids == pieces["bert"].ids(word)[0]) for word in ("good", "bad", "it", "was")] == [1, 1, 4, 4]
    row = encode(pieces["bert"], "{a} {mask} {b} || {c}", 13, a="good bad", b="it " * 9, c="was " * 9)
    assert [sum(row.input_ids == pieces["bert"].ids(word)[0]) for word in ("good", "bad", "it", "was")] == [1, 1, 3, 4]


def test_rows_keep_their_order(pieces: dict[str, PieceTokenizer]) -> None:
    encoder = PatternEncoder(Pattern("p", "{text} {mask}"), pieces["bert"], 20)
    texts = ["good bad", "good", "", "good bad"]
    rows = encoder.encode([Example(str(i), {"text": text}) for i, text in enumerate(texts)])
    assert [len(row) for row in rows] == [5, 4, 3, 5]
    assert encoder.encode([]) == []


def test_a_template_that_does_not_fit(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    template = "It was {mask}. {text}"  # 6 tokens with the special ones, and one of text at least
    assert len(encode(pieces["bert"], template, 7, text=LONG)) == 7
    refuses(
        PromptError, lambda: encode(pieces["bert"], template, 6, text="good"), "'p'", "6 tokens", "row-7", "max_length"
    )
    refuses(PromptError, lambda: encode(pieces["bert"], "{text:keep} {mask}", 60, text=LONG), "10003", "60")


def test_a_tokenizer_without_a_mask(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    tokenizer = SimpleNamespace(name_or_path="some/gpt")
    unmasked: Any = SimpleNamespace(tokenizer=tokenizer, kind="masked", slot_id=None)
    refuses(ModelError, lambda: PatternEncoder(Pattern("p", "{text} {mask}"), unmasked, 20), "some/gpt", "mask")


def slots_of(encoder: PatternEncoder, **fields: str) -> Any:
    """Encode a row, which has slots."""
    row = encoder.encode([Example("row-7", fields)])[0]
    assert row.soft_slots is not None and row.soft_slots.dtype == np.int32
    return row


def test_virtual_tokens_by_hand(pieces: dict[str, PieceTokenizer]) -> None:
    known = pieces["bert"]
    template = '{soft:2 id=a} {text} {tune:It was} {mask}. {soft:id=a init=normal}{soft:3 init="good bad"}'
    encoder = PatternEncoder(Pattern("p", template), known, 20)
    row = slots_of(encoder, text="fine film")
    assert names(known, row.input_ids) == "[CLS] a a fine film it was [MASK] . a a a a a [SEP]"
    assert row.soft_slots.tolist() == [-1, 0, 1, -1, -1, 2, 3, -1, -1, 0, 1, 4, 5, 6, -1]
    assert np.flatnonzero(row.text_positions).tolist() == [3, 4]
    assert row.mask_positions.tolist() == [7]
    assert (row.cut, rows_of(encoder)) == (0, 7)
    first, tuned, last = encoder.virtual
    assert (first.kind, first.offset, first.size, first.init) == ("soft", 0, 2, "normal")
    assert first.ids.tolist() == []
    assert (tuned.kind, tuned.offset, tuned.size, tuned.init) == ("tune", 2, 2, "words")
    assert names(known, tuned.ids) == "it was"
    assert (last.kind, last.offset, last.size, last.init) == ("soft", 4, 3, "words")
    assert names(known, last.ids) == "good bad"
    assert len(encoder.virtual) == 3
    assert {item.ids.dtype for item in encoder.virtual} == {np.dtype(np.int32)}


def test_words_to_start_from_are_cut_to_the_number_of_virtual_tokens(pieces: dict[str, PieceTokenizer]) -> None:
    pattern = Pattern("p", '({soft:2 init="It was good"}) {mask} {text} {soft:1}')
    words, left_open = PatternEncoder(pattern, pieces["roberta"], 20).virtual
    assert names(pieces["roberta"], words.ids) == "ĠIt Ġwas"  # as inside a sentence, though the slot is glued
    assert (left_open.init, left_open.offset) == ("", 2)


def test_a_plain_pattern_has_no_slots(pieces: dict[str, PieceTokenizer]) -> None:
    encoder = PatternEncoder(Pattern("p", "{text} {mask}"), pieces["bert"], 20)
    assert encoder.virtual == ()
    assert encoder.encode([Example("1", {"text": "good"})])[0].soft_slots is None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_placeholder_is_an_ordinary_token(pieces: dict[str, PieceTokenizer], family: str) -> None:
    tokenizer = pieces[family].tokenizer
    encoder = PatternEncoder(Pattern("p", "{soft:1} {text} {mask}"), pieces[family], 20)
    assert encoder.placeholder_id not in tokenizer.all_special_ids
    assert tokenizer.convert_ids_to_tokens(encoder.placeholder_id).strip("Ġ▁") == "a"
    assert slots_of(encoder, text="good").input_ids[1] == encoder.placeholder_id


def test_the_placeholder_where_no_letter_is_a_token(pieces: dict[str, PieceTokenizer]) -> None:
    class Foreign:
        tokenizer = type("T", (), {"all_special_ids": [0, 1, 3], "__len__": lambda self: 9})()
        kind, slot_id = "masked", 3

        def ids(self, text: str) -> np.ndarray:
            return np.array([3])  # unknown

    foreign: Any = Foreign()
    assert PatternEncoder(Pattern("p", "{soft:1} {text} {mask}"), foreign, 20).placeholder_id == 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("tuned", "plain"),
    [
        ("{text} {tune:It was} {mask}.", "{text} It was {mask}."),
        ("{tune:[ Category:} {mask} {tune:]} {text}", "[ Category: {mask} ] {text}"),
        ("{text}{tune:. It was }{mask}{tune:, I say} || {text}", "{text}. It was {mask}, I say || {text}"),
        ('{tune:"}{text}{tune:" ?} || {tune:(}{mask}{tune:),} {text}', '"{text}" ? || ({mask}), {text}'),
    ],
)
def test_tuned_words_have_the_ids_of_plain_words(
    pieces: dict[str, PieceTokenizer], family: str, tuned: str, plain: str
) -> None:
    known = pieces[family]
    encoder = PatternEncoder(Pattern("p", tuned), known, 64)
    row, bare = slots_of(encoder, text="good film"), encode(known, plain, 64, text="good film")
    for name in ("input_ids", "segment_ids", "mask_positions", "text_positions"):
        assert np.array_equal(getattr(row, name), getattr(bare, name))
    # The table starts as the words that stand there.
    start = np.concatenate([item.ids for item in encoder.virtual])
    assert start[row.soft_slots[row.soft_slots >= 0]].tolist() == row.input_ids[row.soft_slots >= 0].tolist()
    own = known.layout(pair="||" in plain).size + row.text_positions.sum() + 1 + tuned.endswith("{mask}.")
    assert rows_of(encoder) == (row.soft_slots >= 0).sum() == len(row) - own


@pytest.mark.parametrize("how", get_args(Input))
@pytest.mark.parametrize("family", FAMILIES)
def test_each_pattern_that_ships_encodes_with_each_input(
    pieces: dict[str, PieceTokenizer], family: str, how: Input
) -> None:
    known = pieces[family]
    for hard in load_patterns().select(["*"]):
        fields = {name: f"{name} good film" for name in hard.fields}
        pattern = with_input(hard, how, 5)
        encoder = PatternEncoder(pattern, known, 256)
        row = encoder.encode([Example("1", fields)])[0]
        assert (row.input_ids == known.tokenizer.mask_token_id).sum() == 1
        if not encoder.virtual:
            assert row.soft_slots is None
            continue
        assert row.soft_slots is not None
        used = sorted({int(slot) for slot in row.soft_slots if slot >= 0})
        assert used == list(range(rows_of(encoder)))
        if how in ("tune", "prepend") and pattern is not hard:
            plain = PatternEncoder(hard, known, 256).encode([Example("1", fields)])[0].input_ids.tolist()
            kept = row.input_ids.tolist()
            front = len(known.layout(pair="||" in hard.template).prefix)
            assert (kept if how == "tune" else kept[:front] + kept[front + 5 :]) == plain


TEXTS = st.lists(
    st.sampled_from(["{soft:2}", "{mask}", "[MASK]", "<mask>", "</s>", "||", "a", "it was ", " ", ".", "good"])
    | st.text(st.characters(codec="utf-8"), max_size=4),
    max_size=60,
).map("".join)
TEMPLATES = (
    "{soft:3} {text} {mask}",
    "{text} {soft:2 id=a}{mask} {soft:id=a}.",
    '{text:head=9} {tune:It was} || {soft:1 init="good"} {mask} {text}',
)


@given(
    text=TEXTS,
    family=st.sampled_from(FAMILIES),
    template=st.sampled_from(TEMPLATES),
    max_length=st.integers(18, 40),
)
def test_any_text_keeps_one_mask_and_every_slot(
    pieces: dict[str, PieceTokenizer], text: str, family: str, template: str, max_length: int
) -> None:
    known = pieces[family]
    encoder = PatternEncoder(Pattern("p", template), known, max_length)
    row, bare = slots_of(encoder, text=text), slots_of(encoder, text="")
    assert len(row) <= max_length
    assert (row.input_ids == known.tokenizer.mask_token_id).sum() == len(row.mask_positions) == 1
    assert row.soft_slots[row.soft_slots >= 0].tolist() == bare.soft_slots[bare.soft_slots >= 0].tolist()
    assert not row.text_positions[row.soft_slots >= 0].any()
    assert row.soft_slots[~row.text_positions].tolist() == bare.soft_slots.tolist()


def test_virtual_tokens_leave_no_room(pieces: dict[str, PieceTokenizer], refuses: Callable[..., None]) -> None:
    encoder = PatternEncoder(Pattern("p", "{soft:18} {text} {mask}"), pieces["bert"], 21)
    refuses(PromptError, lambda: encoder.encode([Example("1", {"text": "good"})]), "'p'", "21 tokens", "max_length")


@pytest.mark.parametrize("template", ["{text} {tune:\u200b} {mask}", '{text} {soft:2 init="\u200b"} {mask}'])
def test_words_that_are_no_tokens(
    pieces: dict[str, PieceTokenizer], refuses: Callable[..., None], template: str
) -> None:
    pattern = Pattern("mine/odd", template)
    refuses(PromptError, lambda: PatternEncoder(pattern, pieces["bert"], 20), "mine/odd", "no tokens", "other words")
