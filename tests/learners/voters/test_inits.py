"""How trained vectors start: checked number by number against the word vectors of tiny models."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES, WORDS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.encoding import VirtualTokens
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.models.words import LabelWords
from pet.learners.voters.inits import frequent_words, initial_table, ordinary_ids, token_texts

NO_IDS = np.empty(0, np.int32)


def soft(
    size: int, init: str = "", offset: int = 0, ids: np.ndarray | list[int] = NO_IDS, kind: Any = "soft"
) -> VirtualTokens:
    return VirtualTokens(kind, offset, size, init, np.asarray(ids, np.int32))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def word_vectors(backbone: Backbone) -> torch.Tensor:
    return backbone.model.get_input_embeddings().weight.detach()


def ids_of(backbone: Backbone, *words: str) -> list[int]:
    return [int(backbone.pieces.ids(word)[0]) for word in words]


def labels_of(backbone: Backbone) -> LabelWords:
    """Two labels: one word of one piece (and a second word), one word of two pieces."""
    sports, team, good, bad = ids_of(backbone, "sports", "team", "good", "bad")
    return LabelWords(("Sports", "Tech"), np.asarray([[[sports, -1], [team, -1]], [[good, bad], [-1, -1]]]))


def table_of(backbone: Backbone, *groups: VirtualTokens, default: str = "vocab", seed: int = 0) -> torch.Tensor:
    return initial_table(groups, default, labels_of(backbone), backbone, rng(seed))


def rows_as_ids(backbone: Backbone, table: torch.Tensor) -> list[int]:
    """The id whose vector each row is, exactly; a row that is none fails."""
    vectors = word_vectors(backbone)
    return [int((vectors == row).all(1).nonzero().item()) for row in table]


def test_uniform_and_normal(backbones: dict[str, Backbone]) -> None:
    table = table_of(backbones["bert"], soft(200, "uniform"), soft(200, "normal", 200))
    assert (table.shape, table.dtype) == ((400, 32), torch.float32)
    uniform, normal = table[:200].numpy(), table[200:].numpy()
    assert -0.5 <= uniform.min() < -0.499
    assert 0.499 < uniform.max() <= 0.5
    # Of 6400 numbers: standard errors are 0.004, 0.001, 0.0125 and 0.009.
    assert uniform.mean() == pytest.approx(0, abs=0.015)
    assert uniform.std() == pytest.approx(12**-0.5, abs=0.007)
    assert normal.mean() == pytest.approx(0, abs=0.05)
    assert normal.std() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("family", FAMILIES)
def test_frequent_words_are_the_words(backbones: dict[str, Backbone], family: str) -> None:
    """Not the special tokens, signs, letters and pieces that come before them in the vocabulary."""
    backbone = backbones[family]
    found = frequent_words(backbone.pieces).tolist()
    texts = token_texts(backbone.tokenizer, found)
    lower = backbone.tokenizer.tokenize("World")[0].islower() or family == "albert"
    wanted = {word.lower() if lower else word for word in WORDS if len(word) > 1}
    # What byte-level BPE merged on the way to a word begins with a blank and two letters, as a word does.
    assert set(texts) >= wanted if family in ("roberta", "modernbert") else set(texts) == wanted
    assert all(text.isalpha() and len(text) > 1 for text in texts)
    assert [backbone.pieces.ids(text).tolist() for text in texts] == [[token] for token in found]


@pytest.mark.parametrize("family", FAMILIES)
def test_vocab_rows_are_vectors_of_words(backbones: dict[str, Backbone], family: str) -> None:
    backbone = backbones[family]
    table = table_of(backbone, soft(40))
    assert table.shape == (40, word_vectors(backbone).shape[1])
    chosen = rows_as_ids(backbone, table)
    assert len(set(chosen)) == 40
    assert set(chosen) <= set(frequent_words(backbone.pieces).tolist())


def test_the_most_frequent_come_first(backbones: dict[str, Backbone]) -> None:
    everything = frequent_words(backbones["bert"].pieces)
    assert frequent_words(backbones["bert"].pieces, 7).tolist() == everything[:7].tolist()
    assert everything.tolist() == sorted(everything.tolist())


@pytest.mark.parametrize("chunk", [1, 50])
def test_chunks_of_the_vocabulary_change_nothing(
    backbones: dict[str, Backbone], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    everything = frequent_words(backbones["xlm-roberta"].pieces)
    monkeypatch.setattr("pet.learners.voters.inits.CHUNK_ENTRIES", chunk)
    assert frequent_words(backbones["xlm-roberta"].pieces).tolist() == everything.tolist()


def test_only_the_frequent_are_drawn(backbones: dict[str, Backbone], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.learners.voters.inits.frequent_words", lambda pieces: frequent_words(pieces, 5))
    first = frequent_words(backbones["bert"].pieces, 5).tolist()
    five = rows_as_ids(backbones["bert"], table_of(backbones["bert"], soft(5)))
    assert sorted(five) == sorted(first)
    eight = rows_as_ids(backbones["bert"], table_of(backbones["bert"], soft(8)))
    assert set(eight) <= set(first)  # more rows than words: some stand twice


def test_learned_texts_are_forgotten(backbones: dict[str, Backbone]) -> None:
    pieces = PieceTokenizer(backbones["bert"].tokenizer)
    frequent_words(pieces)
    assert not pieces._known


def test_unused_and_special_entries_are_left_out() -> None:
    class Tokenizer:
        all_special_ids = (0, 9)

        def get_vocab(self) -> dict[str, int]:
            names = [
                "[PAD]",
                "[unused0]",
                "the",
                "[unused12]",
                "<unused_3>",
                "madeupword0001",
                "unused",
                "##ing",
                "unused1",
            ]
            return {name: i for i, name in enumerate(names)} | {"extra": 9, "far": 20}

    assert ordinary_ids(Tokenizer()) == [2, 6, 7, 20]


def test_a_decoder_numbers_and_pieces() -> None:
    """A tokenizer that reads "2008" and "##ing" as one token each, and says how to write them."""
    names = ["[UNK]", "2", "00", "2008", "x", "the", "##ing", "ing", "##the", "of"]
    raw = Tokenizer(models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]")
    assert frequent_words(PieceTokenizer(tokenizer)).tolist() == [5, 7, 9]
    assert token_texts(tokenizer, [5, 3]) == ["the", "2008"]


def test_label_words(backbones: dict[str, Backbone]) -> None:
    """The mean of the pieces of each first word; rows beyond the labels are drawn words."""
    backbone, vectors = backbones["bert"], word_vectors(backbones["bert"])
    (sports, good, bad) = ids_of(backbone, "sports", "good", "bad")
    table = table_of(backbone, soft(4, "label_words"))
    assert torch.equal(table[0], vectors[sports])
    assert torch.equal(table[1], (vectors[good] + vectors[bad]) / 2)
    drawn = rows_as_ids(backbone, table[2:])
    assert len(set(drawn)) == 2
    assert set(drawn) <= set(frequent_words(backbone.pieces).tolist())


def test_more_labels_than_rows(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    table = table_of(backbone, soft(1), default="label_words")
    assert rows_as_ids(backbone, table) == ids_of(backbone, "sports")


def test_labels_are_dealt_over_the_pattern(backbones: dict[str, Backbone]) -> None:
    """`{soft:1} {mask} {soft:2}`: the second label stands after the mask."""
    backbone = backbones["bert"]
    whole = table_of(backbone, soft(3, "label_words"))
    parts = table_of(backbone, soft(1, "label_words"), soft(2, "label_words", 1))
    assert torch.equal(whole, parts)


def test_words_of_the_template(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    ids = ids_of(backbone, "it", "was")
    table = table_of(backbone, soft(3, "words", ids=ids), soft(1, "words", 3, ids))
    assert rows_as_ids(backbone, table[:2]) == ids
    assert set(rows_as_ids(backbone, table[2:3])) <= set(frequent_words(backbone.pieces).tolist())
    assert rows_as_ids(backbone, table[3:]) == ids[:1]


@pytest.mark.parametrize("init", ["", "uniform", "normal", "vocab", "label_words", "words"])
@pytest.mark.parametrize("default", ["uniform", "vocab"])
def test_tuned_words_are_the_words(backbones: dict[str, Backbone], init: str, default: str) -> None:
    ids = [*ids_of(backbones["bert"], "it"), 7, *ids_of(backbones["bert"], "it")]  # signs and repeats as well
    table = table_of(backbones["bert"], soft(3, init, ids=ids, kind="tune"), default=default)
    assert rows_as_ids(backbones["bert"], table) == ids


def test_the_template_goes_before_the_settings(backbones: dict[str, Backbone]) -> None:
    table = table_of(backbones["bert"], soft(2, "vocab"), soft(2, "", 2), default="uniform")
    assert len(rows_as_ids(backbones["bert"], table[:2])) == 2
    assert table[2:].abs().max() > 0.1  # word vectors of tiny models are of 0.02
    assert table[:2].abs().max() < 0.1


@pytest.mark.parametrize("default", ["uniform", "normal", "vocab", "label_words"])
def test_the_generator_decides(backbones: dict[str, Backbone], default: str) -> None:
    def made(seed: int) -> torch.Tensor:
        torch.manual_seed(int(np.random.default_rng().integers(1000)))
        return table_of(backbones["bert"], soft(6), default=default, seed=seed)

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


def test_the_vectors_are_those_of_the_moment_and_stay(backbones: dict[str, Backbone]) -> None:
    backbone = replace(backbones["bert"], model=copy.deepcopy(backbones["bert"].model))
    vectors = backbone.model.get_input_embeddings().weight
    ids = ids_of(backbone, "it", "was")
    with torch.no_grad():
        vectors[ids[0]] = 3.0
    table = table_of(backbone, soft(2, ids=ids, kind="tune"))
    assert (table[0] == 3).all()
    table.fill_(9)
    assert not (vectors == 9).any()
    assert not table.requires_grad


def test_no_rows(backbones: dict[str, Backbone]) -> None:
    assert table_of(backbones["albert"]).shape == (0, 16)


def test_bad_input(backbones: dict[str, Backbone], refuses: Callable[..., None]) -> None:
    tokenizer = copy.deepcopy(backbones["bert"].tokenizer)
    tokenizer.get_vocab = lambda: {"0": 5, "1": 6}
    bare = replace(backbones["bert"], pieces=PieceTokenizer(tokenizer))
    refuses(ModelError, lambda: table_of(bare, soft(1)), "no whole words", 'init = "uniform"')
    assert table_of(bare, soft(2, "uniform")).shape == (2, 32)
