"""Filters: what a template may do to the text of a field before it is placed.

    no_final_punct   drop sentence punctuation and white space from the end ("Really?! " -> "Really")
    lower_first      lower-case the first character ("The cat" -> "the cat")
    quoted           put quotation marks around the text
    strip            drop white space from both ends
    head=n, tail=n   the first or last n words, joined by single spaces; of a script without blanks between words
                     2n characters

A filter works on the characters of one text: braces, bars and special tokens are plain characters to it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pet.data.words import first_words, last_words
from pet.errors import PromptError, near_matches

# Only what ends a sentence or a clause, in several scripts. Brackets, quotes and "%" belong to the text ("it
# rose 5%" must not become "it rose 5"), though the paper's own code strips every ASCII punctuation character.
_FINAL_PUNCTUATION = ".,;:!?…。，、；：！？؟،؛।"
_COUNT = re.compile(r"[0-9]{1,9}")


def _no_final_punct(text: str) -> str:
    # Punctuation and white space may alternate ("wait . . ."), so both go until neither is left.
    end = len(text)
    while end and (text[end - 1].isspace() or text[end - 1] in _FINAL_PUNCTUATION):
        end -= 1
    return text[:end]


_PLAIN: Mapping[str, Callable[[str], str]] = {
    "lower_first": lambda text: text[:1].lower() + text[1:],
    "no_final_punct": _no_final_punct,
    "quoted": lambda text: f'"{text}"',
    "strip": str.strip,
}
_COUNTED: Mapping[str, Callable[[str, int], str]] = {"head": first_words, "tail": last_words}

FILTERS = tuple(sorted((*_PLAIN, *_COUNTED)))
"""The names of all filters."""


@dataclass(frozen=True)
class Filter:
    """One filter of a field; `count` is the n of ``head=n`` and ``tail=n``, and None for the others."""

    name: str
    count: int | None = None

    def __post_init__(self) -> None:
        """Raise `PromptError` where the filter is unknown, or lacks its number, or has one that it does not take."""
        if self.name not in FILTERS:
            raise PromptError(f"has the unknown filter {self.name!r}.{near_matches(self.name, (*FILTERS, 'keep'))}")
        if self.name in _PLAIN and self.count is not None:
            raise PromptError(
                f"gives the filter {self.name!r} a number, which it does not take: remove '={self.count}'."
            )
        if self.name in _COUNTED and (self.count is None or self.count < 1):
            raise PromptError(
                f"has the filter {self.name!r} without a number of words (1 or more): write {self.name}=20."
            )

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """Read one filter as it stands in a template.

        >>> Filter.parse("head=20")
        Filter(name='head', count=20)

        Raises `PromptError` if it is not a filter; the message lacks its subject, which `Pattern` puts in
        front.
        """
        name, equals, count = (piece.strip() for piece in text.partition("="))
        if equals and name in FILTERS and not _COUNT.fullmatch(count):
            raise PromptError(f"has the filter {text!r}, whose number is not a whole one: write {name}=20.")
        return cls(name, int(count) if equals and name in FILTERS else None)

    @property
    def template(self) -> str:
        """The filter as it stands in a template."""
        return self.name if self.count is None else f"{self.name}={self.count}"

    def apply(self, text: str) -> str:
        """Return the filtered text.

        >>> Filter("no_final_punct").apply("Is it so ?! ")
        'Is it so'
        >>> Filter("tail", 2).apply("one  two three")
        'two three'
        """
        if self.count is not None:
            return _COUNTED[self.name](text, self.count)
        return _PLAIN[self.name](text)
