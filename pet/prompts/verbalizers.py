"""Verbalizers: which words at the mask stand for which label."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pet.errors import PromptError, near_matches
from pet.settings.task import CHOICES, label_word


@dataclass(frozen=True)
class Verbalizer:
    """The words of each label, in the order of the labels; k labels with w >= 1 words each.

    Words are compared as they are written: whether a tokenizer has each as one token, and tells "Yes" from
    "yes", is the encoder's question.

    >>> Verbalizer("nli/yes-no", {"entailment": ("Yes",), "contradiction": ("No",)}).labels
    ('entailment', 'contradiction')
    """

    name: str
    words: Mapping[str, tuple[str, ...]] = field(hash=False)

    def __post_init__(self) -> None:
        """Raise `PromptError` where there is no label, one has no words, or a word is empty, padded or used twice."""
        named: dict[str, str] = {}
        for label, words in self.words.items():
            self._check_words(label, words)
            if (other := named.setdefault(label_word(label), label)) is not label:
                raise PromptError(
                    f"Verbalizer {self.name!r} has two entries for one label, {other!a} and {label!a}: join them."
                )
        object.__setattr__(self, "words", {label_word(label): tuple(words) for label, words in self.words.items()})
        if not self.words:
            raise PromptError(f"Verbalizer {self.name!r} has no labels: give each label of the task its words.")
        self._check_unique()

    @classmethod
    def from_labels(cls, labels: Iterable[str], name: str = "labels") -> "Verbalizer":
        """Use the label names as the words: underscores become spaces, and white space around is dropped.

        Hyphens, slashes and capitals stay: of these signs only an underscore is never part of a written word.

        >>> Verbalizer.from_labels(["sci_fi ", "Sci/Tech"]).words
        {'sci_fi': ('sci fi',), 'Sci/Tech': ('Sci/Tech',)}

        Raises `PromptError` if two labels come to the same word, or one to none.
        """
        return cls(name, {label: (" ".join(label.replace("_", " ").split()),) for label in labels})

    @classmethod
    def of_choices(cls, labels: Iterable[str]) -> "Verbalizer":
        """Return what stands for the candidates of each row, of which `labels` are the indices: they are the words."""
        return cls(CHOICES, {label: (label,) for label in labels})

    @property
    def is_of_choices(self) -> bool:
        """Whether each row has words of its own."""
        return self.name == CHOICES

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in order."""
        return tuple(self.words)

    def for_labels(self, labels: Iterable[str], others: Iterable["Verbalizer"] = ()) -> "Verbalizer":
        """Return this verbalizer with the labels in the order of a task; if it has others, one of `others` may fit.

        Raises `PromptError` if a label of the task has no words, or there are words for a label that the task
        does not have.
        """
        wanted = tuple(labels)
        for label in wanted:
            if label not in self.words:
                raise PromptError(
                    f"Verbalizer {self.name!r} has no words for the label {label!r} of the task: "
                    + (_fitting(wanted, others) or self._way_out(label))
                )
        for label in self.words:
            if label not in wanted:
                raise PromptError(
                    f"Verbalizer {self.name!r} has words for {label!r}, which is no label of the task: "
                    f"remove them, or name the label in [task] labels.{near_matches(label, wanted)}"
                )
        return Verbalizer(self.name, {label: self.words[label] for label in wanted})

    def _way_out(self, label: str) -> str:
        line = f'{json.dumps(label, ensure_ascii=False)} = ["WORD"]'
        return (
            f"use its labels, or write one of your own, with a line like {line} for each label (see Add a "
            f"pattern in the documentation), or in [prompts.words].{near_matches(label, self.words)}"
        )

    def _check_words(self, label: str, words: object) -> None:
        where = f"Verbalizer {self.name!r}, label {label!r}:"
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise PromptError(f'{where} expected a list of words, found {words!r}; write such as ["Yes"].')
        if not words:
            raise PromptError(f"{where} expected at least one word, found none; name the word that stands for it.")
        for word in words:
            if not word or word != word.strip():
                raise PromptError(
                    f"{where} expected a word without white space around it, found {word!r}; the space "
                    "before a word is the pattern's business."
                )

    def _check_unique(self) -> None:
        uses = Counter(word for words in self.words.values() for word in words)
        for word, count in uses.items():
            if count > 1:
                users = [label for label, words in self.words.items() if word in words]
                raise PromptError(
                    f"Verbalizer {self.name!r} uses the word {word!r} {count} times, for {users}: a word "
                    "stands for one label, once."
                )


def _fitting(labels: Sequence[str], others: Iterable[Verbalizer]) -> str:
    """Say which verbalizers have just these labels."""
    names = [json.dumps(other.name) for other in others if set(other.words) == set(labels)]
    return f"set prompts.verbalizer = {' or '.join(names[:3])}, which has these labels." if names else ""


NAME_WORDS = 'name what they mean in [prompts.words], with a line such as 1 = ["good"] for each, or in a verbalizer'
"""What to do with labels that are numbers."""


def wordless(verbalizer: Verbalizer) -> tuple[str, ...]:
    """Return the labels none of whose words has a letter, such as numbers.

    >>> wordless(Verbalizer("v", {"0": ("0",), "1": ("good",)}))
    ('0',)
    """
    return tuple(label for label, words in verbalizer.words.items() if not any(map(str.isalpha, "".join(words))))
