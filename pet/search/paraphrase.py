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

_MOST_WORDS = 5000


@dataclass(frozen=True)
class _Place:
    """A word of a pattern: the literal it stands in, and where in that one's words."""

    segment: int
    word: int


def paraphrases(
    patterns: Sequence[Pattern], words: Verbalizer, rows: Sequence[Example], model: SharedModel
) -> list[Pattern]:
    """Return each pattern with one of its words replaced, for each word by those that the model expects there most.

    `rows` are labeled ones. A pattern without words has none.
    """
    vocabulary = whole_words(model.backbone.pieces, glued=True)
    usual = dict(list(vocabulary.items())[:_MOST_WORDS])
    few = [row for label in words.labels for row in [row for row in rows if row.label == label][:ROWS_PER_LABEL]]
    found: dict[str, Pattern] = {}
    for pattern in patterns:
        taken = {word.lower() for own in words.words.values() for word in own}
        for place in _places(pattern):
            others = _expected(pattern, place, usual, (words, few), model)
            for word in [word for word in others if word.lower() not in taken][:OTHERS]:
                new = _with_word(pattern, place, word)
                found.setdefault(new.template, replace(new, name=f"paraphrase/{len(found) + 1}"))
    return [one for template, one in found.items() if template not in {pattern.template for pattern in patterns}]


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
) -> list[str]:
    """Return the words that the model expects at a place of a pattern, the most probable first, without its own."""
    words, rows = known
    names, total = list(vocabulary), np.zeros(len(vocabulary))
    for label, of_label in words.words.items():
        asked = _asked(pattern, place, of_label[0])
        ids = np.asarray([vocabulary[name][not mask_is_spaced(asked)] for name in names], np.int64)
        own = [row for row in rows if row.label == label]
        total += log_softmax(word_logits(asked, ids, own, model)).sum(axis=0)
    own_word = _word(pattern, place).strip(".,:;?!").lower()
    return [names[i] for i in np.argsort(-total, kind="stable")[: OTHERS * 4] if names[i].lower() != own_word]


def _asked(pattern: Pattern, place: _Place, label_word: str) -> Pattern:
    """Return a pattern that asks for one of its own words, with a label's word where it has the mask."""
    segments: list[Segment] = []
    for i, item in enumerate(pattern.segments):
        if i == place.segment:
            segments += _around(str(item.text), place.word)  # type: ignore[union-attr]
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


def _word(pattern: Pattern, place: _Place) -> str:
    item = pattern.segments[place.segment]
    return item.text.split()[place.word] if isinstance(item, Literal) else ""


def _with_word(pattern: Pattern, place: _Place, word: str) -> Pattern:
    """Return a pattern with another word at a place, in capitals as the old one was."""
    segments = list(pattern.segments)
    item = segments[place.segment]
    before, old, after = _cut(item.text if isinstance(item, Literal) else "", place.word)
    cased = word[:1].upper() + word[1:] if old[:1].isupper() else word
    segments[place.segment] = Literal(before + cased + after)
    return Pattern(pattern.name, written(segments), f"Paraphrase of {pattern.name}.")
