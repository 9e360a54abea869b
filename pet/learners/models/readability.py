"""Whether a model's tokenizer can read texts: unknown tokens, and how many pieces a word takes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pet.data.examples import Example

SAMPLED_ROWS = 500
"""So many rows are looked at."""

# Measured: pet-mini takes 1.0 to 1.2 pieces per word on fifteen English sets (1.5 where it is slang and codes) and 2.4
# to 2.7 on German, Turkish and Finnish; all of Russian, Arabic, Korean, Hindi and 98 % of Chinese are unknown to it.
# e5-small takes 1.1 to 1.9 on all of these. French and Spanish, with 1.7 to 1.8 pieces of pet-mini, pass as readable.
_UNKNOWN, _PIECES = 0.1, 2.0

# Scripts without blanks between words: Thai, Lao, Burmese, Khmer, kana, and Chinese characters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
OTHER_MODEL, OTHER_ENCODER = 'model.name = "xlm-roberta-base"', 'encoder.name = "e5-small"'
"""Settings of models that read a hundred languages."""

_NO_WORDS = re.compile("[!-@\\[-`{-~\u2010-\u2027\u2030-\u205e\u3000-\u303f\uff01-\uff20]+")
"""Punctuation and digits, which take as many pieces in any language."""


@dataclass(frozen=True)
class Readability:
    """How a tokenizer splits texts: the share of its tokens that are unknown ones, and its pieces per word.

    So many `words` were looked at.
    """

    unknown: float
    pieces_per_word: float
    words: float = field(default=0.0, compare=False)

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
    tokens, unknown = _tokens(tokenizer, texts)
    return Readability(float(np.mean(tokens == unknown)), len(tokens) / words, words)


def _tokens(tokenizer: Any, texts: list[str]) -> tuple[np.ndarray, int | None]:
    """Return the ids of all tokens of texts, int64 [sum of t], and that of an unknown one."""
    if isinstance(tokenizer, Tokenizer):
        ids, model = [one.ids for one in tokenizer.encode_batch(texts, add_special_tokens=False)], tokenizer.model
        unknown = getattr(model, "unk_id", None) or tokenizer.token_to_id(getattr(model, "unk_token", None) or "")
    else:
        found = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        ids, unknown = found["input_ids"], tokenizer.unk_token_id
    return np.concatenate([np.asarray(some, np.int64) for some in ids]), unknown


def word_count(text: str) -> float:
    """Return the number of words of a text: parts between blanks, and half of the characters of scripts without any.

    >>> word_count("a good film"), word_count("很好 ok")
    (3.0, 2.0)
    """
    rest, characters = _UNSPACED.subn(" ", text)
    return len(rest.split()) + characters / 2
