"""What trains of a template: any pattern of plain words as one of tuned words, of virtual tokens, or of no words.

    hard      {text} It was {mask}.
    tune      {text} {tune:It was} {mask}{tune:.}
    soft      {text} {soft:2} {mask}.
    prepend   {soft:5} {text} It was {mask}.
    null      {text} {mask}

A pattern that has virtual tokens or tuned words says itself what trains, and is left as it is.
"""

import math
import re
from collections.abc import Sequence

from pet.data.words import word_count
from pet.prompts.patterns import Pattern
from pet.prompts.templates import Break, Literal, Mask, Segment, Soft, Tune, written
from pet.settings.variants import Input

_BLANK = Literal(" ")
# What stands before the first letter or digit, what stands up to the last, and the rest.
_AROUND_WORDS = re.compile(r"([\W_]*)(.*?)([\W_]*)", re.DOTALL)


def with_input(pattern: Pattern, how: Input, virtual_tokens: int) -> Pattern:
    """Return the pattern with its words as `how` says, under the same name; fields, mask and `||` stay in their order.

    "hard"     the pattern itself
    "tune"     its words with vectors of their own (2108.13161, the template's side). Blanks stay where they are, so
               token ids are those of the plain template. A literal with a brace stays plain: no tuned word has one.
    "soft"     a virtual token for each word (2103.10385); the punctuation around the words stays as an anchor. A
               template without words gets three virtual tokens before the mask and one behind it.
    "prepend"  `virtual_tokens` in front of the template (2104.08691)
    "null"     no word and no punctuation at all (2106.13353)

    >>> with_input(Pattern("a", "[ Category: {mask} ] {text}"), "soft", 5).template
    '[ {soft:1}: {mask} ] {text}'
    >>> with_input(Pattern("a", "{mask} - {text}"), "soft", 5).template
    '{soft:3} {mask} {soft:1} - {text}'

    Raises `PromptError` if there would be more virtual tokens than a pattern may have.
    """
    if how == "hard" or pattern.virtual_parts:
        return pattern
    if how == "tune":
        template = "".join(map(_tuned, pattern.segments))
    elif how == "soft":
        template = "".join(map(_softened, pattern.segments))
        if template == pattern.template:
            template = written(_around_mask(pattern.segments))
    elif how == "prepend":
        template = written((Soft(virtual_tokens), _BLANK, *pattern.segments))
    else:
        template = written(_without_words(pattern.segments))
    return Pattern(pattern.name, template, pattern.description)


def _tuned(item: Segment) -> str:
    if not isinstance(item, Literal) or not item.text.strip() or set("{}") & set(item.text):
        return item.template
    text = item.text.strip()
    return item.text.replace(text, Tune(text).template)


def _softened(item: Segment) -> str:
    if not isinstance(item, Literal):
        return item.template
    front, words, end = _AROUND_WORDS.fullmatch(item.text).groups()  # type: ignore[union-attr]
    count = math.ceil(sum(word_count(word) for word in words.split() if any(map(str.isalnum, word))))
    return written((Literal(front), Soft(count), Literal(end))) if count else item.template


def _around_mask(segments: Sequence[Segment]) -> list[Segment]:
    """Put virtual tokens at the mask, which stays glued where it was: its label words keep their token ids."""
    place = segments.index(Mask())
    before = segments[place - 1] if place else Break()
    glued = not (isinstance(before, Break) or (isinstance(before, Literal) and before.text[-1].isspace()))
    front = [Soft(3)] if glued else [Soft(3), _BLANK]
    return [*segments[:place], *front, Mask(), _BLANK, Soft(1), *segments[place + 1 :]]


def _without_words(segments: Sequence[Segment]) -> list[Segment]:
    """Return fields, mask and `||` with blanks between them; a `||` with nothing left beside it goes too."""
    kept = [item for item in segments if not isinstance(item, Literal)]
    if isinstance(kept[0], Break) or isinstance(kept[-1], Break):
        kept.remove(Break())
    return [piece for item in kept for piece in (item, _BLANK)][:-1]
