"""Texts that stand for a label: its name, its words, and what a person says it is about."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from pet.data.examples import Example, Task

_JOINTS = re.compile(r"[\s_-]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a name of several words is joined: underscores, hyphens, and capitals within it."""

_PARTS = re.compile(r"[,;、，；]")
"""What divides a description into things of one kind, in the scripts that have a comma of their own too."""


def name_as_words(label: str) -> str:
    """Return the name of a label as it would be written in a text.

    >>> name_as_words("card_arrival"), name_as_words("orderStatus"), name_as_words("Sci/Tech"), name_as_words("FAQ-old")
    ('card arrival', 'order Status', 'Sci/Tech', 'FAQ old')
    """
    return " ".join(filter(None, _JOINTS.split(label)))


def label_texts(
    labels: Sequence[str], words: Mapping[str, Sequence[str]], descriptions: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return for each label the texts that stand for it: its description and the parts of it, its name, its words.

    Each is there once, whatever its case. A name without a letter, such as "3", says nothing where there are words.

    >>> label_texts(["billing", "card_lost"], {"card_lost": ["lost"]}, {"billing": "charges, refunds"})
    {'billing': ['charges, refunds', 'charges', 'refunds', 'billing'], 'card_lost': ['card lost', 'lost']}
    """
    return {label: _texts(label, words.get(label, ()), descriptions.get(label, "")) for label in labels}


def description_rows(
    task: Task, words: Mapping[str, Sequence[str]], descriptions: Mapping[str, str]
) -> tuple[Example, ...]:
    """Return rows that explain the labels, a row for each of their texts (2305.02239); the bare texts, in any language.

    A text that would explain two labels explains none. Without any description there are no rows: names and words alone
    teach nothing that a pattern does not ask for already. Nor are there for a task with several fields: what is between
    two texts is not said by one.
    """
    if len(task.fields) != 1 or not descriptions:
        return ()
    texts = label_texts(task.labels, words, descriptions)
    uses = Counter(text.casefold() for of_label in texts.values() for text in of_label)
    return tuple(
        Example(f"{label}: {text}", {task.fields[0]: text}, label)
        for label, of_label in texts.items()
        for text in of_label
        if uses[text.casefold()] == 1
    )


def _texts(label: str, words: Sequence[str], description: str) -> list[str]:
    name, found = name_as_words(label), dict[str, str]()
    says_something = not words or any(map(str.isalpha, name))
    for text in (description, *_PARTS.split(description), *([name] if says_something else []), *words):
        if text.strip():
            found.setdefault(text.strip().casefold(), text.strip())
    return list(found.values())
