"""Sentences with two skills, and the task of telling one of them: what the toy model reads, and what it is asked.

    harbor bleak the sheep grim ... it was about east .  # topic: sea or hills
    harbor bleak the sheep grim ... it felt west .       # mood: glad or gloomy

Both cues have the same two answers, so that the cue alone decides which skill answers. In each text `WORDS_EACH` words
are drawn from a topic and as many from a mood, each from the other topic or mood with probability 1 - `PURITY`; the
rest is noise. The best possible accuracy on mood is that of a majority of five, 0.973.
"""

from collections.abc import Sequence

import numpy as np

from pet.data.examples import Example
from pet.prompts.verbalizers import Verbalizer

PURITY = 0.85
WORDS_EACH = 5
LABELS = ("glad", "gloomy")
ANSWERS = ("east", "west")
"""The word that stands for a topic or a mood, after either cue."""

CUES = ("it was about", "it felt")
"""What asks for the topic, and what asks for the mood."""

_TOPICS, _MOODS = (
    [words.split() for words in pair]
    for pair in (
        (
            "harbor sail tide anchor captain wave shore island net deck",
            "ridge valley sheep boulder summit trail pine cabin brook meadow",
        ),
        (
            "merry joyful bright cheerful sunny happy lively playful warm smiling",
            "bleak dreary mournful dull sullen tearful grim weary cold sighing",
        ),
    )
)
_NOISE = ("the", "a", "and", "then", "one", "day", "by", "with", "old", "some", "there", "went", "fold")
VOCABULARY: tuple[str, ...] = tuple(
    dict.fromkeys(word for words in (*map(str.split, CUES), ".", ANSWERS, *_TOPICS, *_MOODS, _NOISE) for word in words)
)

RIGHT_CUE = "{text} it felt {mask} ."
WRONG_CUE = "{text} it was about {mask} ."
NO_CUE = "{text} {mask} ."
TUNED = "{text} {tune:it was about} {mask} ."
SOFT = "{text} {soft:3} {mask} {soft:1}"
PREPENDED = "{soft:5} {text} {mask} ."
PREPENDED_WRONG_CUE = "{soft:5} {text} it was about {mask} ."
VERBALIZER = Verbalizer("two-skills/answers", {label: (word,) for label, word in zip(LABELS, ANSWERS, strict=True)})


def draw_text(
    rng: np.random.Generator, topic: int, mood: int, purity: float = PURITY, most_noise: int = 6
) -> list[str]:
    """Return the words of a text of that topic and mood (0 or 1 each), with up to `most_noise` words of noise."""
    words = [*_draw(rng, _TOPICS, topic, purity), *_draw(rng, _MOODS, mood, purity)]
    words += [_NOISE[i] for i in rng.integers(len(_NOISE), size=rng.integers(most_noise + 1))]
    return [words[i] for i in rng.permutation(len(words))]


def _draw(rng: np.random.Generator, lists: Sequence[Sequence[str]], kind: int, purity: float) -> list[str]:
    other = rng.random(WORDS_EACH) >= purity
    return [lists[kind ^ int(swap)][i] for swap, i in zip(other, rng.integers(10, size=WORDS_EACH), strict=True)]


def labeled_rows(seed: int, per_label: int = 16) -> list[Example]:
    """Return rows labeled with their mood, the labels in turn; either topic is as frequent under each label."""
    return _rows("train", [1, seed], 2 * per_label)


def held_out_rows(count: int = 1000) -> list[Example]:
    """Return the rows to measure on: always the same, and none that `labeled_rows` draws."""
    return _rows("test", [2, 0], count)


def _rows(part: str, seed: Sequence[int], count: int) -> list[Example]:
    rng = np.random.default_rng(seed)
    return [
        Example(f"{part}-{i}", {"text": " ".join(draw_text(rng, topic=i // 2 % 2, mood=i % 2))}, LABELS[i % 2])
        for i in range(count)
    ]
