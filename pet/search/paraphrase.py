"""Patterns that say the same in other words: a masked LM replaces each word of a pattern, one at a time.

The place of the word is masked, the label's word stands where the mask was, and the row in its place: what the model
then expects, over some labeled rows of each label, are the words that could stand there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.data.examples import Example
from pet.labeling.votes import log_softmax
from pet.learners.voters.shared import SharedModel
from pet.prompts.patterns import Pattern
from pet.prompts.templates import Literal, Mask, Segment, written
from pet.prompts.verbalizers import Verbalizer
from pet.search.candidates import mask_is_spaced, whole_words
from pet.search.passes import word_logits

ROWS_PER_LABEL = 2
"""So many rows of each label are read for each word of a pattern."""

OTHERS = 2
"""So many words are tried in the place of each."""

MOST = 12
"""So many paraphrases are kept, those whose new word the model expects most, compared with the old one."""

_MOST_WORDS = 5000


@dataclass(frozen=True)
class _Place:
    """A word of a pattern: the literal it stands in, and where in that one's words."""

    segment: int
    word: int


def paraphrases(
    patterns: Sequence[Pattern], words: Verbalizer, rows: Sequence[Example], model: SharedModel
) -> list[Pattern]:
    """Return patterns with one word replaced, by one that the model expects there, `MOST` at most.

    `rows` are labeled ones. A pattern without words has none.
    """
    vocabulary = whole_words(model.backbone.pieces, glued=True)
    usual = dict(list(vocabulary.items())[:_MOST_WORDS])
    few = [row for label in words.labels for row in [row for row in rows if row.label == label][:ROWS_PER_LABEL]]
    taken = {word.lower() for own in words.words.values() for word in own}
    found = dict[str, tuple[float, Pattern]]()
    for pattern, place in [(one, place) for one in patterns for place in _places(one)]:
        expected = _expected(pattern, place, usual, (words, few), model)
        for value, word in [one for one in expected if one[1].lower() not in taken][:OTHERS]:
            new = _with_word(pattern, place, word)
            found[new.template] = max((value, new), found.get(new.template, (-np.inf, new)), key=lambda one: one[0])
    known = {pattern.template for pattern in patterns}
    best = sorted((one for template, one in found.items() if template not in known), key=lambda one: -one[0])[:MOST]
    return [replace(new, name=f"paraphrase/{i}") for i, (_, new) in enumerate(best, 1)]


def _places(pattern: Pattern) -> Iterator[_Place]:
    for segment, item in enumerate(pattern.segments):
        if isinstance(item, Literal):
            yield from (
                _Place(segment, i) for i, word in enumerate(item.text.split()) if word.strip(".,:;?!").isalpha()
            )


def _expected(
    pattern: Pattern,
    place: _Place,
    vocabulary: dict[str, tuple[int, int]],
    known: tuple[Verbalizer, Sequence[Example]],
    model: SharedModel,
) -> list[tuple[float, str]]:
    """Return the words that the model expects at a place, without its own; the most probable first.

    With each stands by how much its log-probability in a row is above that of the pattern's own word.
    """
    words, rows = known
    names, total = list(vocabulary), np.zeros(len(vocabulary))
    for label, of_label in words.words.items():
        asked = _asked(pattern, place, of_label[0])
        ids = np.asarray([vocabulary[name][not mask_is_spaced(asked)] for name in names], np.int64)
        own = [row for row in rows if row.label == label]
        total += log_softmax(word_logits(asked, ids, own, model)).sum(axis=0)
    old = _cut(_text(pattern, place), place.word)[1].lower()
    before = max((total[i] for i, name in enumerate(names) if name.lower() == old), default=0.0)
    best = [i for i in np.argsort(-total, kind="stable")[: OTHERS * 4] if names[i].lower() != old]
    return [((total[i] - before) / max(1, len(rows)), names[i]) for i in best]


def _asked(pattern: Pattern, place: _Place, label_word: str) -> Pattern:
    """Return a pattern that asks for one of its own words, with a label's word where it has the mask."""
    segments: list[Segment] = []
    for i, item in enumerate(pattern.segments):
        if i == place.segment:
            segments += _around(_text(pattern, place), place.word)
        else:
            segments.append(Literal(label_word) if isinstance(item, Mask) else item)
    return Pattern(pattern.name, written(segments))


def _around(text: str, place: int) -> list[Segment]:
    before, _, after = _cut(text, place)
    parts: list[Segment] = [Literal(before), Mask(), Literal(after)]
    return [part for part in parts if not isinstance(part, Literal) or part.text]


def _cut(text: str, place: int) -> tuple[str, str, str]:
    """Return what stands before a word of a text, the word without its punctuation, and what stands behind it.

    >>> _cut(" It was ", 1)
    (' It ', 'was', ' ')
    """
    start = 0
    for _ in range(place + 1):
        word = text[start:].split()[0]
        begin = text.index(word, start)
        start = begin + len(word)
    own = word.strip(".,:;?!")
    begin += word.index(own)
    return text[:begin], own, text[begin + len(own) :]


def _text(pattern: Pattern, place: _Place) -> str:
    """Return the text of the literal of a place."""
    item = pattern.segments[place.segment]
    return item.text if isinstance(item, Literal) else ""


def _with_word(pattern: Pattern, place: _Place, word: str) -> Pattern:
    """Return a pattern with another word at a place, in capitals as the old one was."""
    segments = list(pattern.segments)
    before, old, after = _cut(_text(pattern, place), place.word)
    cased = word[:1].upper() + word[1:] if old[:1].isupper() else word
    segments[place.segment] = Literal(before + cased + after)
    return Pattern(pattern.name, written(segments), f"Paraphrase of {pattern.name}.")
