"""Words that can stand for a label: whole words of one token, frequent in the texts, that say something."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from pet.data.examples import Example
from pet.errors import PromptError
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.voters.inits import ordinary_ids, token_texts
from pet.prompts.patterns import Pattern

MOST_CANDIDATES = 10_000
"""So many candidates at most, those that are most frequent in the texts (2010.13641, section 4.1)."""

FEWEST_IN_TEXTS = 2000
"""With fewer words in the texts, other words of the vocabulary are candidates too, the most frequent ones first."""

COMMON, OFTEN = 0.25, 5
"""A word that stands in a larger share of the texts, and in more than a few, is a stop word, in any language."""

_WORD = re.compile(r"[^\W\d_]+")
# Of scikit-learn's list, words that name things and qualities; and what is left of the markup of web pages.
_MEANINGFUL = frozenset(
    (
        *("amount", "bill", "bottom", "call", "cry", "describe", "detail", "down", "empty", "fill", "find", "fire"),
        *("found", "full", "interest", "mill", "move", "name", "nobody", "nothing", "nowhere", "part", "serious"),
        *("side", "sincere", "system", "thick", "thin", "top", "well"),
    )
)
_MARKUP = frozenset(("amp", "apos", "br", "com", "gt", "href", "html", "http", "https", "lt", "nbsp", "quot", "www"))
STOP_WORDS = (ENGLISH_STOP_WORDS - _MEANINGFUL) | _MARKUP
"""Words that are no candidates, whatever the texts are."""


@dataclass(frozen=True)
class Candidates:
    """Words, each one token as it stands at the mask, with these tokens.

    `spaced` and `glued` int64 [c] are their ids behind a blank and behind a character; `glued` is None where no pattern
    asks for it.
    """

    words: tuple[str, ...]
    spaced: np.ndarray
    glued: np.ndarray | None = None

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each word."""
        return {word: place for place, word in enumerate(self.words)}

    def ids(self, pattern: Pattern) -> np.ndarray:
        """Return the tokens of the words at the mask of a pattern, int64 [c]."""
        return self.spaced if mask_is_spaced(pattern) or self.glued is None else self.glued


def mask_is_spaced(pattern: Pattern) -> bool:
    """Say whether a blank stands before the mask of a pattern, or a segment begins with it."""
    blank = Example("", dict.fromkeys(pattern.fields, "x"))
    return next(part.spaced for part in pattern.render(blank) if part.kind == "mask")


def find_candidates(
    pieces: PieceTokenizer,
    patterns: Sequence[Pattern],
    texts: Iterable[str],
    also: Iterable[str] = (),
    most: int = MOST_CANDIDATES,
) -> Candidates:
    """Return the words that can stand at the mask of all patterns, the most frequent of the texts first.

    A word has two letters at least and nothing else. It is one token that is read back as the word, behind a blank and,
    where a mask is glued to a character, behind that: a later piece of words is not. Stop words are left out, and so
    are words that no text has while enough others are there. The words of `also` are candidates in any case, if they
    are one token.

    Raises `PromptError` if the vocabulary has no whole words.
    """
    tokens = whole_words(pieces, not all(map(mask_is_spaced, patterns)))
    counts, rows = word_counts(texts)
    common = {word for word, count in counts.items() if count > max(OFTEN, COMMON * rows)}
    named = {token: word for word, (token, _) in tokens.items()}
    wanted = [
        named[ids[0]] for ids in (pieces.ids(word).tolist() for word in also) if len(ids) == 1 and ids[0] in named
    ]
    usual = [word for word in tokens if word.lower() not in STOP_WORDS and word.lower() not in common]
    seen = sorted((word for word in usual if counts[word.lower()]), key=lambda word: -counts[word.lower()])
    rest = [word for word in usual if len(word) > 2][: max(0, min(most, FEWEST_IN_TEXTS) - len(seen))]
    words = tuple(dict.fromkeys((*wanted, *seen[:most], *rest)))
    if not words:
        raise PromptError(
            f"The vocabulary of {pieces.tokenizer.name_or_path} has no whole words, so none can be found for labels: "
            "choose another model."
        )
    ids = np.asarray([tokens[word] for word in words], np.int64)
    return Candidates(words, ids[:, 0], None if (ids[:, 0] == ids[:, 1]).all() else ids[:, 1])


def whole_words(pieces: PieceTokenizer, glued: bool) -> dict[str, tuple[int, int]]:
    """Return the whole words of a vocabulary with their tokens behind a blank and behind a character, in its order.

    Each piece is put behind a blank as text, tokenized, and has to come back as itself. Unless `glued`, both are that
    one; else the word behind a character has to be a single token too.
    """
    ids = ordinary_ids(pieces.tokenizer)
    texts = token_texts(pieces.tokenizer, ids)
    words = [(text, token) for text, token in zip(texts, ids, strict=True) if len(text) > 1 and text.isalpha()]
    found: dict[str, tuple[int, int]] = {}
    with pieces.temporary_cache():
        pieces.tokenize((text, spaced) for text, _ in words for spaced in {True, not glued})
        for text, token in words:
            behind = pieces.ids(text, not glued).tolist()
            if pieces.ids(text).tolist() == [token] and len(behind) == 1:
                found[text] = token, behind[0]
    return found


def word_counts(texts: Iterable[str]) -> tuple[Counter[str], int]:
    """Return in how many texts each word stands, lower-cased, and the number of texts.

    >>> word_counts(["Rates rise, rates fall", "Rates"])
    (Counter({'rates': 2, 'rise': 1, 'fall': 1}), 2)
    """
    counts, rows = Counter[str](), 0
    for text in texts:
        counts.update(dict.fromkeys(map(str.lower, _WORD.findall(text)), 1))  # in the order of the text, as ties stay
        rows += 1
    return counts, rows
