"""What trains of a template: any pattern of plain words as one of tuned words, of virtual tokens, or of no words.

    hard      {text} It was {mask}.
    tune      {text} {tune:It was} {mask}{tune:.}
    soft      {text} {soft:2} {mask}.
    prepend   {soft:5} {text} It was {mask}.
    null      {text} {mask}

A pattern that has virtual tokens or tuned words says itself what trains, and is left as it is.
"""

from collections.abc import Iterable, Sequence

from pet.prompts.patterns import Pattern
from pet.prompts.templates import Break, Literal, Mask, Segment, Soft, Tune
from pet.settings.variants import Input

__all__ = ["with_input"]

_BLANK = Literal(" ")


def with_input(pattern: Pattern, how: Input, virtual_tokens: int) -> Pattern:
    """Return the pattern with its words as `how` says, under the same name; fields, mask and `||` stay in their order.

    "hard"     the pattern itself
    "tune"     its words with vectors of their own (2108.13161, the template's side). Blanks stay where they are, so
               token ids are those of the plain template. A literal with a brace stays plain: no tuned word has one.
    "soft"     a virtual token for each word (2103.10385); the punctuation around the words stays as an anchor. A
               template without words gets three virtual tokens before the mask and one behind it.
    "prepend"  `virtual_tokens` in front of the template (2104.08691)
    "null"     no word and no punctuation at all (2106.13353)

    >>> with_input(Pattern.parse("a", "[ Category: {mask} ] {text}"), "soft", 5).template
    '[ {soft:1}: {mask} ] {text}'
    >>> with_input(Pattern.parse("a", "{mask} - {text}"), "soft", 5).template
    '{soft:3} {mask} {soft:1} - {text}'

    Raises
    ------
    PromptError
        If there would be more virtual tokens than a pattern may have.
    """
    if how == "hard" or pattern.virtual_parts:
        return pattern
    segments: Iterable[Segment]
    if how == "tune":
        segments = (piece for item in pattern.segments for piece in _tuned(item))
    elif how == "soft":
        segments = [piece for item in pattern.segments for piece in _softened(item)]
        if not any(isinstance(item, Soft) for item in segments):
            segments = _around_mask(pattern.segments)
    elif how == "prepend":
        segments = (Soft(virtual_tokens), _BLANK, *pattern.segments)
    else:
        segments = _without_words(pattern.segments)
    return Pattern(pattern.name, _joined(segments), pattern.description)


def _tuned(item: Segment) -> tuple[Segment, ...]:
    if not isinstance(item, Literal) or not item.text.strip() or set("{}") & set(item.text):
        return (item,)
    text = item.text.strip()
    front, _, end = item.text.partition(text)
    return (Literal(front), Tune(text), Literal(end))


def _softened(item: Segment) -> tuple[Segment, ...]:
    if not isinstance(item, Literal):
        return (item,)
    front, words, end = _cut(item.text)
    count = sum(any(map(str.isalnum, word)) for word in words.split())
    return (Literal(front), Soft(count), Literal(end)) if count else (item,)


def _cut(text: str) -> tuple[str, str, str]:
    """Return what stands before the first letter or digit, what stands up to the last, and the rest.

    >>> _cut(" (It was: ")
    (' (', 'It was', ': ')
    """
    places = [place for place, sign in enumerate(text) if sign.isalnum()]
    if not places:
        return text, "", ""
    return text[: places[0]], text[places[0] : places[-1] + 1], text[places[-1] + 1 :]


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


def _joined(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Join neighboring literals and drop empty ones."""
    joined: list[Segment] = []
    for item in segments:
        if isinstance(item, Literal) and joined and isinstance(joined[-1], Literal):
            item = Literal(joined.pop().text + item.text)  # type: ignore[union-attr]
        if item != Literal(""):
            joined.append(item)
    return tuple(joined)
