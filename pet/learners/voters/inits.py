"""How the trained vectors of a template start: at random, as frequent words, as label words, as words of the template.

Lester et al. (2104.08691, section 3.2) compare the first three; small models gain from a start at real words.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.encoding import VirtualTokens
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.models.words import LabelWords

CHUNK_ENTRIES = 2048
_WORD_STARTS = "Ġ▁"  # how byte-level BPE and SentencePiece write the blank before a word
_UNUSED = re.compile(r"[\[<]?(unused|madeupword)_?\d+[\]>]?")


def initial_table(
    virtual: Sequence[VirtualTokens],
    default_init: str,
    words: LabelWords,
    backbone: Backbone,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Return the vectors that virtual tokens start with, float32 [m, e], e the size of the model's word vectors.

        uniform      each number from [-0.5, 0.5]
        normal       each number from N(0, 1)
        vocab        vectors of frequent words of the vocabulary, all different where it has as many
        label_words  one row per label, in their order: the mean of the pieces of its first word
        words        vectors of the tokens named in the template

    Rows that have no label or word left for them start as vocab; labels and words that have no row are left out. Labels
    are dealt once over all rows of the pattern that start so. Tuned words are always the vectors of their tokens.
    `virtual` holds each key once; the vectors are those the backbone holds at the time. Errors are those of
    `frequent_words`.
    """
    vectors: torch.Tensor = backbone.model.get_input_embeddings().weight.detach().float()
    table = vectors.new_empty(max((group.offset + group.size for group in virtual), default=0), vectors.shape[1])
    started = torch.zeros(len(table), dtype=torch.bool)
    labels = _label_vectors(words, vectors)
    for group in virtual:
        init = "words" if group.kind == "tune" else group.init or default_init
        known = _known_rows(init, group, labels, vectors, rng)
        table[group.offset : group.offset + len(known)] = known
        started[group.offset : group.offset + len(known)] = True
        labels = labels[len(known) :] if init == "label_words" else labels
    if len(rest := (~started).nonzero().flatten()):
        ids = frequent_words(backbone.pieces)
        chosen = rng.choice(ids, len(rest), replace=len(rest) > len(ids))
        table[rest.to(table.device)] = vectors[chosen.tolist()]
    return table


def _known_rows(
    init: str, group: VirtualTokens, labels: torch.Tensor, vectors: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """Return the first rows of a group that need no drawn words, float32 [r, e], r at most its size."""
    shape = (group.size, vectors.shape[1])
    match init:
        case "uniform":
            return torch.from_numpy(rng.uniform(-0.5, 0.5, shape)).to(vectors)
        case "normal":
            return torch.from_numpy(rng.standard_normal(shape)).to(vectors)
        case "label_words":
            return labels[: group.size]
        case "words":
            return vectors[group.ids[: group.size].tolist()]
    return vectors[:0]  # of "vocab"


def _label_vectors(words: LabelWords, vectors: torch.Tensor) -> torch.Tensor:
    """Return the mean of the piece vectors of each label's first word, float32 [k, e]."""
    ids = torch.from_numpy(words.ids[:, 0]).to(vectors.device)
    used = (ids >= 0).unsqueeze(-1)
    return (vectors[ids.clamp_min(0)] * used).sum(1) / used.sum(1)


def frequent_words(pieces: PieceTokenizer, most: int = 5000) -> np.ndarray:
    """Return the ids of the first `most` whole words of a vocabulary, int64 [at most `most`], in their order.

    The default is that of 2104.08691, section 3.2.

    A word has two letters at least and nothing else, and is one token as it stands inside a sentence: neither special,
    nor unused, nor a later piece of words. Vocabularies are built with frequent entries first.

    Raises `ModelError` if the vocabulary has no such word.
    """
    ids, found = ordinary_ids(pieces.tokenizer), list[int]()
    for start in range(0, len(ids), CHUNK_ENTRIES):
        chunk = ids[start : start + CHUNK_ENTRIES]
        texts = token_texts(pieces.tokenizer, chunk)
        words = {token: text for token, text in zip(chunk, texts, strict=True) if len(text) > 1 and text.isalpha()}
        with pieces.temporary_cache():
            pieces.tokenize((text, True) for text in words.values())
            found += [token for token, text in words.items() if pieces.ids(text).tolist() == [token]]
        if len(found) >= most:
            break
    if not found:
        raise ModelError(
            f"The vocabulary of {pieces.tokenizer.name_or_path} has no whole words for virtual tokens to start from: "
            'set init = "uniform".'
        )
    return np.asarray(found[:most], np.int64)


def ordinary_ids(tokenizer: Any) -> list[int]:
    """Return the ids of a vocabulary in ascending order, without special and unused ones."""
    special = set(tokenizer.all_special_ids)
    entries = tokenizer.get_vocab().items()
    return sorted(token for text, token in entries if token not in special and not _UNUSED.fullmatch(text))


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Return each token as text, without the blank before a word."""
    texts = tokenizer.batch_decode([[token] for token in ids], clean_up_tokenization_spaces=False)
    # A tokenizer without a decoder leaves the sign of the blank in the text.
    return [text.strip().lstrip(_WORD_STARTS) for text in texts]
