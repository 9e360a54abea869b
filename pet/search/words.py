"""`pet search verbalizer`: words for each label, by several methods, ranked on labeled rows they were not chosen by."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Literal

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.errors import ConfigError
from pet.labeling.ranking import Measured, ensemble_scores, fold_of_rows, merits
from pet.labeling.votes import log_softmax
from pet.labeling.word_scores import (
    assigned,
    avs_scores,
    cross_entropy,
    likelihood_ratio,
    likely,
    mean_logits,
    standardised,
)
from pet.learners.models.inference import Advance
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.voters.shared import SharedModel
from pet.method.jobs import digest
from pet.prompts.descriptions import label_texts
from pet.prompts.patterns import Pattern
from pet.prompts.verbalizers import Verbalizer
from pet.search.candidates import Candidates, find_candidates
from pet.search.names import name_scores
from pet.search.passes import AtMask, word_logits
from pet.search.place import Reading, SearchPlace
from pet.search.rows import SearchRows
from pet.seeding import rng_for

Method = Literal["mixed", "petal", "petal-ce", "avs", "names"]
METHODS: tuple[Method, ...] = ("mixed", "petal", "petal-ce", "avs", "names")
"""Likelihood ratio with nearness to names and descriptions of labels, each alone, cross-entropy, and AVS."""

NAMES_ROWS = 20.0
"""In "mixed", nearness to the names weighs as much as the likelihood ratio of so many rows.

On train rows of AG News, MR, TREC and MPQA that were not drawn, three samples, five words found from 20 rows were right
on 63.0 % by the ratio alone, 59.5 % by the names alone and 65.2 % by both (hand-made ones: 65.3 %).
"""

PRESENT = "present"
"""How the words are called that the pipeline has already."""

COUNTED_TEXTS = 20_000
"""Words are counted in so many rows of the pool."""

AVS_DRAWS = 100
"""So many verbalizers are drawn for a round of AVS, over all labels; the paper draws 250 for each.

With 25 for each of four labels a round on 10,000 words, 50 rows and four patterns takes a quarter of a second.
"""

Words = Sequence[np.ndarray]
"""The places of each label's words among the candidates."""


@dataclass(frozen=True)
class FoundWords:
    """The words of each label by one method, for all patterns or, with `pattern`, for that one alone.

    `measured` is None where there are no labeled rows to measure on.
    """

    method: str
    words: Mapping[str, tuple[str, ...]]
    measured: Measured | None
    pattern: str = ""


@dataclass(frozen=True)
class WordSearch:
    """What words are chosen by: candidates, their nearness to the labels [k, c], and what the model says of them.

    `logits` are those at the mask of each of the `patterns`; of none without labeled rows. `present` are the places of
    the words that the pipeline has, or None.
    """

    rows: SearchRows
    patterns: Sequence[Pattern]
    candidates: Candidates
    names: np.ndarray
    logits: Sequence[AtMask] = ()
    present: Words | None = None

    @classmethod
    def of(
        cls, data: TaskData, rows: SearchRows, patterns: Sequence[Pattern], present: Verbalizer, place: SearchPlace
    ) -> "WordSearch":
        """Find the candidates, and read the rows under each pattern where they have labels.

        Raises `PromptError` if the vocabulary has no whole words.
        """
        pieces, labels = place.model.backbone.pieces, data.task.labels
        texts = label_texts(labels, {}, data.task.descriptions)
        some = chain(data.labeled, islice(data.unlabeled, COUNTED_TEXTS))
        counted = (text for row in some for text in row.fields.values())
        also = chain(*present.words.values(), *texts.values())
        words = find_candidates(pieces, patterns, counted, also)
        names = name_scores(place.model.backbone, words, texts)
        readings = [_reading(pattern, words.ids(pattern), place.model) for pattern in patterns]
        logits = place.read(readings, rows) if len(rows.gold) else ()
        return cls(rows, patterns, words, names, logits, _places(present, words, pieces))

    def found(self, methods: Sequence[Method], count: int) -> list[FoundWords]:
        """Return the words that each method finds, `count` of a label at most, and the present ones; the best first.

        They are measured on labeled rows that they were not chosen by: for each fold they are chosen anew by the
        others.

        Raises `DataError` if a label has fewer than two labeled rows and a method needs them. Raises `ConfigError` if
        there are fewer candidates than labels.
        """
        if self.candidates_lack:
            raise ConfigError(
                f"{len(self.candidates.words)} words of one token can be candidates, and there are "
                f"{len(self.rows.labels)} labels: choose another model."
            )
        if not len(self.rows.gold):
            return [self._named("names", self.chosen("names", count, np.empty(0, np.int64)), None)]
        if set(methods) != {"names"}:
            self.rows.check()
        found = list(self._measured_methods(methods, count))
        order = np.argsort(-merits([one.measured for one in found if one.measured]), kind="stable")
        return [found[place] for place in order]

    def per_pattern(self, methods: Sequence[Method], count: int) -> list[FoundWords]:
        """Return what `found` does for each pattern alone, in the order of the patterns."""
        alone = [
            (pattern, replace(self, patterns=[pattern], logits=self.logits[place : place + 1]))
            for place, pattern in enumerate(self.patterns)
        ]
        return [replace(one, pattern=pattern.name) for pattern, own in alone for one in own.found(methods, count)]

    def chosen(self, method: Method, count: int, rows: np.ndarray) -> Words:
        """Return the words of each label by a method that learns from some of the known rows, int64 [r]."""
        if method == "names":
            return assigned(self.names, count)
        logs, targets = [one[rows] for one in self._logs], self.rows.targets[rows]
        allowed = likely(np.mean(logs, axis=0), targets)
        if method == "avs":
            rng, draws = rng_for(self.rows.seed, "search", "avs"), max(10, AVS_DRAWS // targets.shape[1])
            return assigned(avs_scores(logs, targets, draws, rng), count, allowed)
        score = cross_entropy if method == "petal-ce" else likelihood_ratio
        scores = np.mean([score(one, targets) for one in logs], axis=0)
        if method == "mixed":
            scores = standardised(scores) + NAMES_ROWS / len(rows) * standardised(self.names)
        return assigned(scores, count, allowed)

    @property
    def candidates_lack(self) -> bool:
        """Whether there are fewer words than labels."""
        return len(self.candidates.words) < len(self.rows.labels)

    @cached_property
    def _logs(self) -> list[np.ndarray]:
        """The log-probabilities of the candidates in the known rows under each pattern, [n, c] each."""
        return [log_softmax(one.known) for one in self.logits]

    def _measured_methods(self, methods: Sequence[Method], count: int) -> Iterator[FoundWords]:
        every = np.arange(len(self.rows.known))
        for method in methods:

            def choose(rows: np.ndarray, method: Method = method) -> Words:
                return self.chosen(method, count, rows)

            yield self._named(method, choose(every), self._measured(choose))
        if present := self.present:
            yield self._named(PRESENT, present, self._measured(lambda _rows: present))

    def _measured(self, choose: Callable[[np.ndarray], Words]) -> Measured:
        """Measure words that are chosen by the rows outside each fold of the labeled ones."""
        gold = self.rows.gold
        folds, every = fold_of_rows(gold, rng_for(self.rows.seed, "search", "folds")), np.arange(len(self.rows.known))
        scores = np.empty((len(gold), len(self.rows.labels)))
        for fold in range(int(folds.max()) + 1):
            held = np.flatnonzero(folds == fold)
            words = choose(np.setdiff1d(every, held))
            votes = [mean_logits(one.known[held], words) for one in self.logits]
            scores[held] = ensemble_scores(votes, [mean_logits(one.pool, words) for one in self.logits])
        return Measured.of(scores, gold)

    def _named(self, method: str, words: Words, measured: Measured | None) -> FoundWords:
        own = [tuple(self.candidates.words[place] for place in places) for places in words]
        return FoundWords(method, dict(zip(self.rows.labels, own, strict=True)), measured)


def _reading(pattern: Pattern, ids: np.ndarray, model: SharedModel) -> Reading:
    def read(rows: Sequence[Example], advance: Advance) -> np.ndarray:
        return word_logits(pattern, ids, rows, model, advance)

    return Reading(f"words/{pattern.name}", {"template": pattern.template, "ids": digest(ids)}, read)


def _places(present: Verbalizer, words: Candidates, pieces: PieceTokenizer) -> Words | None:
    """Return the places of the present words; None where one of them is no candidate, such as one of several tokens."""
    known = {int(token): place for place, token in enumerate(words.spaced)}
    ids = [[tuple(pieces.ids(word).tolist()) for word in own] for own in present.words.values()]
    if any(len(token) != 1 or token[0] not in known for own in ids for token in own):
        return None
    return [np.asarray([known[token[0]] for token in dict.fromkeys(own)], np.int64) for own in ids]
