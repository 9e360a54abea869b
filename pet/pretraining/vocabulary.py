"""Vocabularies: one trained on a text, and one cut down to what a text uses."""

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from pet.errors import ConfigError, ModelError
from pet.settings.pretraining import StartSettings

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NAMES = ("pad", "unk", "cls", "sep", "mask")
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
        **{f"{name}_token": token for name, token in zip(_NAMES, _SPECIAL, strict=True)},
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


def trimmed_tokenizer(tokenizer: Any, kept: np.ndarray) -> tuple[PreTrainedTokenizerFast, np.ndarray]:
    """Return a tokenizer with the kept pieces alone, and the old ids of its pieces, int64 [v], by new id.

    A text that was split into kept pieces is split into the same. For BPE the pieces that others are merged from are
    kept too, so that there may be more than were asked for.

    Raises `ModelError` if the tokenizer is of another kind than WordPiece, BPE and Unigram.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = state["model"]["type"]
    if kind not in ("WordPiece", "BPE", "Unigram"):
        raise ModelError(f"A {kind} vocabulary cannot be trimmed, expected WordPiece, BPE or Unigram: leave it whole.")
    if kind == "BPE":
        kept = _with_parts(state["model"], kept)
    new = {int(old): place for place, old in enumerate(kept)}
    _trim_model(state["model"], new)
    for token in state["added_tokens"]:
        token["id"] = new[token["id"]]
    if state["post_processor"] is not None:
        state["post_processor"] = _renumbered(state["post_processor"], new)
    names = (f"{name}_token" for name in _NAMES)
    found = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        **{name: token for name in names if (token := getattr(tokenizer, name, None)) is not None},
    )
    return found, kept


def _trim_model(model: dict[str, Any], new: dict[int, int]) -> None:
    """Leave the kept pieces of a tokenizer's model, with their new ids."""
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in new if old < len(model["vocab"])]
        model["unk_id"] = new[model["unk_id"]]
        return
    model["vocab"] = {piece: new[old] for piece, old in model["vocab"].items() if old in new}
    if model["type"] == "BPE":
        vocabulary = model["vocab"].keys()
        model["merges"] = [pair for pair in model["merges"] if {*pair, "".join(pair)} <= vocabulary]


def _with_parts(model: dict[str, Any], kept: np.ndarray) -> np.ndarray:
    """Return ids with those of all pieces that they are merged from, ascending."""
    ids = set(kept.tolist())
    found, before = {piece for piece, old in model["vocab"].items() if old in ids}, -1
    while len(found) > before:  # the parts of a piece are made by earlier merges, but for those made in two ways
        before = len(found)
        for pair in reversed(model["merges"]):
            found.update(pair if "".join(pair) in found else ())
    return np.asarray(sorted(ids.union(model["vocab"][piece] for piece in found)), np.int64)


def _renumbered(processor: Any, new: dict[int, int]) -> Any:
    """Return the description of a post-processor with new ids: ``["[SEP]", id]`` pairs and lists of ``ids``."""
    match processor:
        case [str(token), int(old)]:
            return [token, new[old]]
        case [*parts]:
            return [_renumbered(part, new) for part in parts]
        case {"ids": ids}:
            return processor | {"ids": [new[old] for old in ids]}
        case {}:
            return {key: _renumbered(value, new) for key, value in processor.items()}
    return processor
