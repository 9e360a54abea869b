"""Words of a text, in scripts with blanks between them and in those without."""

import re
from collections.abc import Iterator

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
)
"""Characters of scripts without blanks between words, for a class of a regular expression.

Thai, Lao, Burmese, Khmer, kana, and Chinese characters.
"""

_ONE = re.compile(f"[{UNSPACED}]")
_PIECE = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def word_count(text: str) -> float:
    """Return the number of words of a text: parts between blanks, and half of the characters of scripts without any.

    >>> word_count("a good film"), word_count("很好 ok")
    (3.0, 2.0)
    """
    rest, characters = _ONE.subn(" ", text)
    return len(rest.split()) + characters / 2


def first_words(text: str, count: int) -> str:
    """Return the first words of a text, joined by single blanks where there was white space.

    Two characters of a script without blanks count as a word. No more of the text is looked at than is returned.

    >>> first_words("one  two three", 2), first_words("这部电影 很好看", 3)
    ('one two', '这部电影 很好')
    """
    return "".join(_first(text, count))


def last_words(text: str, count: int) -> str:
    """Return the last words of a text, as `first_words` does the first.

    >>> last_words("one  two three", 2), last_words("这部电影很好看", 1)
    ('two three', '好看')
    """
    return "".join(_first(text[::-1], count))[::-1]


def _first(text: str, count: int) -> Iterator[str]:
    found, end = 0.0, -1
    for piece in _PIECE.finditer(text):
        found += 0.5 if _ONE.fullmatch(piece[0]) else 1.0
        if found > count:
            return
        yield " " * (0 <= end < piece.start()) + piece[0]
        end = piece.end()
