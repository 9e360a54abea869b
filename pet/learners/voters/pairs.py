"""Several labels per row as yes-or-no questions: each row with each label is an input of its own.

A pattern such as ``{text} Is this about {label}? {mask}`` reads a row and the words of a label; the words at the mask
say yes or no. One model answers for all labels: entailment as few-shot learning (2104.14690) makes such questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from pet.data.examples import Example, Task
from pet.errors import PromptError
from pet.prompts.pvp import PVP

YES, NO = "yes", "no"
"""The labels of a pair."""

LABEL = "label"
"""The field of a pattern in which the words of the label stand."""

MOST_NEGATIVES = 3
"""Of the labels that a row does not have, so many are learned for each that it has, one at least."""


def pair_task(task: Task) -> Task:
    """Return the task of pairs of a row of a task and a label of it."""
    return Task(task.name, (YES, NO), (*task.fields, LABEL))


def check_pair_pattern(pvp: PVP) -> None:
    """Refuse a pattern that has no place for the label: a PromptError says so."""
    if LABEL not in pvp.pattern.fields:
        raise PromptError(
            f"Pattern {pvp.pattern.name!r} has no {{{LABEL}}}, where a row may have several labels: it has to ask of "
            f"one, such as '{{text}} Is this about {{{LABEL}}}? {{mask}}'; `pet patterns labels/*` lists some."
        )


def asked(example: Example, words: str, label: str | None = None) -> Example:
    """Return a row with the words of a label beside its texts."""
    return replace(example, fields={**example.fields, LABEL: words}, label=label)


@dataclass(frozen=True)
class Pairs(Sequence[Example]):
    """Every row with every label, row by row; made as they are asked for. `words` are those of the labels, in order."""

    rows: Sequence[Example]
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.words)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        k = len(self.words)
        if isinstance(index, int):
            return asked(self.rows[index // k], self.words[index % k])
        start, stop, _ = index.indices(len(self))
        first = start // k
        rows = self.rows[first : -(-stop // k)]
        return [asked(rows[place // k - first], self.words[place % k]) for place in range(start, stop)]


def training_pairs(
    rows: Sequence[Example], given: np.ndarray, words: Sequence[str], rng: np.random.Generator
) -> tuple[list[Example], float]:
    """Return pairs to learn from, and what their share of yes adds to the log-odds of an answer.

    Every label that a row has, bool [n, k], and at most `MOST_NEGATIVES` times as many that it does not have, drawn at
    random; each label is asked about where it is missing about as often as where it is there.
    """
    pairs, counts = [], given.sum(axis=0) + 1.0
    for row, example in enumerate(rows):
        own, others = np.flatnonzero(given[row]), np.flatnonzero(~given[row])
        pairs += [asked(example, words[column], YES) for column in own.tolist()]
        count = min(len(others), MOST_NEGATIVES * max(1, len(own)))
        chances = counts[others] / counts[others].sum() if len(others) else None
        drawn = np.sort(rng.choice(others, size=count, replace=False, p=chances)) if count else others
        pairs += [asked(example, words[column], NO) for column in drawn.tolist()]
    yes = float(given.sum())
    learned, real = (yes + 0.5) / (len(pairs) - yes + 0.5), (yes + 0.5) / (given.size - yes + 0.5)
    return pairs, float(np.log(learned) - np.log(real))


def label_words_of(words: Mapping[str, Sequence[str]], labels: Sequence[str]) -> tuple[str, ...]:
    """Return what each label is asked about by: the first of its words."""
    return tuple(words[label][0] for label in labels)
