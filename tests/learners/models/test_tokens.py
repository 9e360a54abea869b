import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FAMILIES, WORDS, tiny_tokenizer
from tokenizers import pre_tokenizers

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.tokens import Layout, PieceTokenizer, keep_specials_apart
from pet.learners.students.classifier import TextClassifier
from pet.prompts.patterns import Pattern

SPELLED = ["[MASK]", "<mask>", "</s>", "<s>", "<pad>", "<unk>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "＜ｓ＞"]
SPELLED += ["{text}", "{mask}", "||"]
KINDS = ("bert", "roberta", "xlm-roberta", "albert", "deberta-v2", "modernbert")
TEMPLATES = (
    "It was {mask}. {text}",
    "({mask}) {text}",
    "{text} Question: {mask}?",
    '"{text}" is {mask}',
    "[ Category: {mask} ] {text}",
    "{text}: {mask}",
    "{text} ? || {mask}, it was {text}",
)
plain = st.lists(st.sampled_from([*WORDS, ",", "it,", "is(", ")!", "2"]), min_size=1, max_size=6).map(" ".join)
pieces_of = st.lists(st.one_of(st.sampled_from(SPELLED), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)))
hostile = st.tuples(pieces_of, st.sampled_from(["", " "])).map(lambda drawn: drawn[1].join(drawn[0]))


def names(pieces: PieceTokenizer, ids: Any) -> list[str]:
    return pieces.tokenizer.convert_ids_to_tokens([int(token) for token in ids])


def test_word_piece_is_the_same_spaced_and_glued(pieces: dict[str, PieceTokenizer]) -> None:
    for spaced in (True, False):
        assert names(pieces["bert"], pieces["bert"].ids("good, 2", spaced)) == ["good", ",", "2"]
    assert pieces["bert"].ids("good", True) is pieces["bert"].ids("good", False)


def test_byte_level_writes_the_blank_into_the_token(pieces: dict[str, PieceTokenizer]) -> None:
    for family in ("roberta", "modernbert"):
        assert names(pieces[family], pieces[family].ids("good game", True)) == ["Ġgood", "Ġgame"]
        assert names(pieces[family], pieces[family].ids("good game", False)) == ["good", "Ġgame"]


def test_sentence_piece_has_no_blank_when_glued(pieces: dict[str, PieceTokenizer]) -> None:
    for family in ("xlm-roberta", "albert", "deberta-v2"):
        assert names(pieces[family], pieces[family].ids("good game", True)) == ["▁good", "▁game"]
        assert names(pieces[family], pieces[family].ids("at game", False)) == ["a", "t", "▁game"]
        assert names(pieces[family], pieces[family].ids(")", False)) == [")"]


@pytest.mark.parametrize("family", FAMILIES)
def test_empty_and_blank_pieces_have_no_tokens(pieces: dict[str, PieceTokenizer], family: str) -> None:
    for spaced in (True, False):
        for text in ("", "  \t"):
            assert names(pieces[family], pieces[family].ids(text, spaced)) == []


@pytest.mark.parametrize("family", FAMILIES)
@given(text=plain, template=st.sampled_from(TEMPLATES), word=st.sampled_from(["good", "sports", "Yes"]))
@settings(max_examples=25, deadline=None)
def test_splicing_equals_tokenizing_the_sentence(
    pieces: dict[str, PieceTokenizer], family: str, text: str, template: str, word: str
) -> None:
    """With the word in place of the mask, the ids are those that the tokenizer gives for the whole sentence."""
    pattern, example = Pattern("p", template), Example("1", {"text": text})
    parts = pattern.render(example)
    spaced = next(part.spaced for part in parts if part.kind == "mask")
    expected = pieces[family].ids(word, spaced)
    row = PatternEncoder(pattern, pieces[family], 512).encode([example], slots=len(expected))[0]
    ids = row.input_ids.copy()
    ids[row.mask_positions] = expected
    sentences = template.replace("{mask}", word).replace("{text}", text)
    # A segment begins as after a blank; only byte-level tokenizers tell the difference.
    blank = " " if family in ("roberta", "modernbert") else ""
    whole = pieces[family].tokenizer(*(blank + part.strip() for part in sentences.split("||")), verbose=False)
    assert names(pieces[family], ids) == names(pieces[family], whole["input_ids"])
    if "token_type_ids" in whole:
        assert row.segment_ids.tolist() == whole["token_type_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_layout(pieces: dict[str, PieceTokenizer], family: str) -> None:
    double = family in ("roberta", "xlm-roberta", "mpnet")
    cls, sep = ("<s>", "</s>") if double else ("[CLS]", "[SEP]")
    single, pair = pieces[family].layout(False), pieces[family].layout(True)
    assert [names(pieces[family], part) for part in (single.prefix, single.middle, single.suffix)] == [[cls], [], [sep]]
    assert single.segments == (0, 0, 0, 0, 0)
    assert names(pieces[family], pair.prefix + pair.middle + pair.suffix) == [cls, *[sep] * (2 if double else 1), sep]
    assert pair.segments == ((0, 0, 0, 0, 0) if double else (0, 0, 0, 1, 1))
    assert (single.size, pair.size) == (2, 4 if double else 3)


def test_layout_that_does_not_surround_the_text(refuses: Callable[..., None]) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer("bert"))
    tokenizer.backend_tokenizer.post_processor = None
    refuses(ModelError, lambda: Layout.of(tokenizer, pair=True), "special tokens", "choose another")


@pytest.mark.parametrize("family", KINDS)
@given(text=hostile, template=st.sampled_from(TEMPLATES[:4]), slots=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_text_of_a_pattern_is_inert(
    pieces: dict[str, PieceTokenizer], family: str, text: str, template: str, slots: int
) -> None:
    """Whatever a row says: one mask per slot, and no special token among its own tokens."""
    tokenizer = pieces[family].tokenizer
    row = PatternEncoder(Pattern("p", template), pieces[family], 2048).encode([Example("1", {"text": text})], slots)[0]
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert row.cut == 0
    assert special.isdisjoint(row.input_ids[row.text_positions].tolist())
    assert np.flatnonzero(row.input_ids == tokenizer.mask_token_id).tolist() == row.mask_positions.tolist()
    assert sum(token in special for token in row.input_ids.tolist()) == pieces[family].layout(False).size + slots


@pytest.mark.parametrize("family", KINDS)
def test_text_of_a_classifier_is_inert(
    new_classifier: Callable[..., TextClassifier], pieces: dict[str, PieceTokenizer], family: str
) -> None:
    classifier, pair = new_classifier(family), new_classifier(family, "a", "b")
    tokenizer = classifier.backbone.tokenizer
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    layouts = pieces[family].layout(False), pieces[family].layout(True)

    @given(text=hostile, other=hostile)
    @settings(max_examples=60, deadline=None)
    def check(text: str, other: str) -> None:
        row, both = (
            classifier.encode([Example("1", {"text": text})]),
            pair.encode([Example("1", {"a": text, "b": f"{other}."})]),
        )
        for encoded, layout in zip((row[0], both[0]), layouts, strict=True):
            found = [token for token in encoded.input_ids.tolist() if token in special]
            assert tuple(found) == layout.prefix + layout.middle + layout.suffix

    check()


@pytest.mark.parametrize("family", FAMILIES)
def test_other_text_is_split_as_before(pieces: dict[str, PieceTokenizer], family: str) -> None:
    text = "It was good, okay? a<b > c [x] /s it was 2 </ s>"
    before = tiny_tokenizer(family)(text, split_special_tokens=True)["input_ids"]
    assert pieces[family].tokenizer(text, split_special_tokens=True)["input_ids"] == before


def test_a_tokenizer_that_cannot_spell_its_special_tokens_is_left_alone(pieces: dict[str, PieceTokenizer]) -> None:
    assert isinstance(pieces["roberta"].tokenizer.backend_tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel)


def test_special_tokens_are_kept_apart_without_a_pre_tokenizer() -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer("xlm-roberta"))
    tokenizer.backend_tokenizer.pre_tokenizer = None
    keep_specials_apart(tokenizer)
    ids = tokenizer("<s>", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<", "s", ">"]


def test_what_is_learned_in_passing_is_forgotten_also_after_an_error(pieces: dict[str, PieceTokenizer]) -> None:
    fresh = PieceTokenizer(pieces["roberta"].tokenizer)
    fresh.tokenize([("good", True)])
    kept = fresh.ids("good")
    with fresh.temporary_cache():
        fresh.tokenize([("bad", True), ("good", True), ("bad", False)])
    with pytest.raises(AttributeError), fresh.temporary_cache():
        fresh.tokenize([("bad", True), (None, True)])  # type: ignore[list-item]
    assert list(fresh._known) == [("good", True)]
    assert fresh.ids("good") is kept


def test_each_text_is_tokenized_once(pieces: dict[str, PieceTokenizer], monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = PieceTokenizer(pieces["roberta"].tokenizer)
    fresh.tokenize([("good", True), ("bad", False), ("good ", True)])
    calls = []
    spy = lambda texts, **_: calls.append(texts) or {"input_ids": [[0] for _ in texts]}  # noqa: E731
    monkeypatch.setattr(fresh, "tokenizer", spy)
    fresh.tokenize([("good", True), ("bad", False), (" bad", False), ("good", False)])
    assert [texts for texts in calls if texts] == [["good"]]
