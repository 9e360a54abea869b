"""Whether a model's tokenizer can read texts: unknown tokens, pieces per word, and words that it knows as a whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pet.data.examples import Example
from pet.data.words import word_count

SAMPLED_ROWS = 500
"""So many rows are looked at."""

# Measured: pet-mini takes 1.0 to 1.2 pieces per word on fifteen English sets (1.5 where it is slang and codes) and 2.4
# to 2.7 on German, Turkish and Finnish; all of Russian, Arabic, Korean, Hindi and 98 % of Chinese are unknown to it.
# e5-small takes 1.1 to 1.9 on all of these. Of words of four letters or more pet-mini knows 83 to 97 % as a whole in
# English, and 0 to 12 % in German, French, Spanish, Italian, Dutch, Portuguese, Finnish, Turkish and Hungarian, of
# which French and Spanish take but 1.8 and 1.9 pieces; e5-small knows 33 to 90 % in all of them.
_UNKNOWN, _PIECES, _WHOLE = 0.1, 2.0, 0.2
_LONG_WORD, _ENOUGH_WORDS = 4, 20
"""Short words of one language are words of another; and a few words, such as names, say nothing."""

OTHER_MODEL, OTHER_ENCODER = 'model.name = "xlm-roberta-base"', 'encoder.name = "e5-small"'
"""Settings of models that read a hundred languages."""

_NO_WORDS = re.compile("[!-@\\[-`{-~\u2010-\u2027\u2030-\u205e\u3000-\u303f\uff01-\uff20]+")
"""Punctuation and digits, which take as many pieces in any language."""


@dataclass(frozen=True)
class Readability:
    """How a tokenizer splits texts: the share of its tokens that are unknown ones, and its pieces per word.

    So many `words` were looked at; `whole` is the share of those of four letters or more that are one known token
    (None: too few, or they cannot be told apart).
    """

    unknown: float
    pieces_per_word: float
    words: float = field(default=0.0, compare=False)
    whole: float | None = field(default=None, compare=False)

    @property
    def unreadable(self) -> bool:
        """Whether words of the texts are not known at all."""
        return self.unknown > _UNKNOWN

    @property
    def readable(self) -> bool:
        """Whether the model that the tokenizer belongs to can be expected to have learned such texts."""
        return not self.problem("it")

    def problem(self, model: str) -> str:
        """Say what keeps a model, by its name, from reading the texts, without a full stop (empty: nothing)."""
        if self.unreadable:
            return f"{self.unknown:.0%} of the tokens of the texts are unknown to {model}"
        if self.pieces_per_word > _PIECES:
            return f"{self.pieces_per_word:.1f} tokens of {model} make up a word of the texts, expected up to {_PIECES}"
        if self.whole is not None and self.whole < _WHOLE:
            return f"{model} knows {self.whole:.0%} of the longer words of the texts as a whole, expected {_WHOLE:.0%}"
        return ""

    def advice(self, model: str, instead: str) -> tuple[str, ...]:
        """Say what keeps a model from reading the texts, and what to set; nothing where it reads them."""
        problem = self.problem(model)
        return (f"{problem}: take a model that reads their language, such as {instead}",) if problem else ()


def readability(tokenizer: Any, rows: Sequence[Example]) -> Readability:
    """Say how a tokenizer splits the texts of rows; of many, `SAMPLED_ROWS` at even distances are looked at.

    Words are what stands between blanks, punctuation and digits; where a script has none, two characters count as one.
    """
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED_ROWS)).astype(int)
    texts = [_NO_WORDS.sub(" ", text) for place in chosen for text in rows[int(place)].fields.values()]
    words = sum(map(word_count, texts))
    if not words:
        return Readability(0.0, 0.0)
    encoded, unknown = _encoded(tokenizer, texts)
    tokens = np.concatenate([np.asarray(one.ids, np.int64) for one in encoded])
    return Readability(float(np.mean(tokens == unknown)), len(tokens) / words, words, _whole(encoded, unknown, words))


_CHUNK = 4096


def token_facts(tokenizer: Any, rows: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """Return how many tokens rows have, and what share of these is unknown: float32 [n] each."""
    lengths, unknown = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK):
        texts = [" ".join(row.fields.values()) for row in rows[start : start + _CHUNK]]
        encoded, nothing = _encoded(tokenizer, texts)
        for place, one in enumerate(encoded, start):
            ids = np.asarray(one.ids)
            lengths[place] = len(ids)
            unknown[place] = np.mean(ids == nothing) if len(ids) and nothing is not None else 0.0
    return lengths, unknown


def _encoded(tokenizer: Any, texts: list[str]) -> tuple[Sequence[Any], int | None]:
    """Return what a tokenizer makes of texts, and the id of an unknown token."""
    if isinstance(tokenizer, Tokenizer):
        model = tokenizer.model
        unknown = getattr(model, "unk_id", None) or tokenizer.token_to_id(getattr(model, "unk_token", None) or "")
        return tokenizer.encode_batch(texts, add_special_tokens=False), unknown
    found = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
    # One without a fast version, of a family's own code, tells its ids alone.
    return found.encodings or [_Ids(ids) for ids in found["input_ids"]], tokenizer.unk_token_id


@dataclass(frozen=True)
class _Ids:
    """Tokens of which nobody knows where words begin."""

    ids: Sequence[int]
    word_ids: Sequence[int] = ()
    offsets: Sequence[tuple[int, int]] = ()


def _whole(encoded: Sequence[Any], unknown: int | None, words: float) -> float | None:
    """Return the share of the longer ones of so many words that are one known token; None where it cannot be told."""
    spans = [
        [(token, offsets) for token, _, offsets in word]
        for one in encoded
        for _, word in groupby(zip(one.ids, one.word_ids, one.offsets, strict=False), lambda piece: piece[1])
    ]
    if len(spans) < words / 2:  # a tokenizer that has no words
        return None
    long = [word for word in spans if word[-1][1][1] - word[0][1][0] >= _LONG_WORD]
    known = sum(len(word) == 1 and word[0][0] != unknown for word in long)
    return known / len(long) if len(long) >= _ENOUGH_WORDS else None
