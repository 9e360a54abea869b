"""Vocabularies: one trained on a text, and which pieces of one a text uses."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from pet.errors import ConfigError
from pet.learners.models.trimming import NAMES
from pet.settings.pretraining import StartSettings

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SIGN = re.compile("^(##)?▁?Ġ?(?=.)", re.DOTALL)
"""How pieces say that they go on a word, or begin one."""


def train_tokenizer(documents: Iterable[str], settings: StartSettings, longest: int) -> PreTrainedTokenizerFast:
    """Train a WordPiece tokenizer, or a byte-level BPE, on documents.

    Raises `ConfigError` if the vocabulary is smaller than the characters of the text, or larger than the text has
    pieces.
    """
    options: dict[str, Any] = {"special_tokens": list(_SPECIAL), "show_progress": False}
    if settings.tokenizer == "bpe":
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=settings.vocab_size, initial_alphabet=alphabet, **options)
    else:
        raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        raw.normalizer = normalizers.BertNormalizer(lowercase=settings.lowercase)
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        raw.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=settings.vocab_size, **options)
    raw.train_from_iterator(documents, trainer)
    _check_size(raw, settings.vocab_size)
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, raw.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw,
        model_max_length=longest,
        model_input_names=["input_ids", *(["token_type_ids"] if settings.shape == "bert" else []), "attention_mask"],
        **{f"{name}_token": token for name, token in zip(NAMES, _SPECIAL, strict=True)},
    )


def _check_size(raw: Tokenizer, wanted: int) -> None:
    found = raw.get_vocab_size()
    characters = sum(len(_SIGN.sub("", piece)) == 1 for piece in raw.get_vocab()) + len(_SPECIAL)
    # The trainers keep all characters, however few pieces are wanted.
    if characters > wanted or found > wanted:
        raise ConfigError(
            f"A vocabulary of {wanted} pieces is smaller than the characters of the text ({max(characters, found)} "
            "with the special tokens): raise --vocab-size, or leave rare scripts out of the text."
        )
    if found < wanted:
        raise ConfigError(
            f"The text supports a vocabulary of {found} pieces, found --vocab-size {wanted}: lower it, or give more "
            "text."
        )


def kept_pieces(tokenizer: Any, counts: np.ndarray, size: int) -> np.ndarray:
    """Return the ids that a vocabulary of `size` pieces keeps, int64 [size], ascending.

    These are the special tokens, the characters (those of ASCII, and others that the text has), and of the rest those
    most frequent in it; `counts` int64 [v].

    Raises `ConfigError` if that is smaller than the characters, or larger than what the text uses.
    """
    pieces: list[str] = tokenizer.convert_ids_to_tokens(range(len(counts)))
    byte_level = isinstance(tokenizer.backend_tokenizer.model, models.BPE)
    characters = np.asarray([len(_SIGN.sub("", piece)) == 1 for piece in pieces])
    needed = characters & ((counts > 0) | [byte_level or piece.isascii() for piece in pieces])
    needed[list({*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder})] = True
    if needed.sum() > size:
        raise ConfigError(
            f"A vocabulary of {size} pieces is smaller than the characters and special tokens ({needed.sum()}): raise "
            "--trim-vocab."
        )
    used = int((needed | (counts > 0)).sum())
    if used < size:
        raise ConfigError(
            f"The text uses {used} pieces of {len(counts)}, found --trim-vocab {size}: lower it, or give more text."
        )
    rank = np.where(needed, np.iinfo(np.int64).max, counts)
    return np.sort(np.argsort(-rank, kind="stable")[:size])
