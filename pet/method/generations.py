"""The generations of iPET: train the voters, let them vote, look whether it went well, draw the next training sets.

Plain PET is one generation. Source of the method: 2001.07676, section 3.4.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pet.data.overlap import normalise
from pet.errors import PromptError
from pet.labeling.calibration import calibrated, calibration_offset, prior_offset
from pet.labeling.ensemble import combine, weigh
from pet.labeling.guards import FEW_ROWS, GenerationFigures, HeldOut, measure, rejection
from pet.labeling.selection import MOST_LIKELY, Rule, select
from pet.labeling.votes import Votes
from pet.learners.voters.spec import VoterSpec
from pet.method.inputs import TrainingSet
from pet.method.plan import Plan
from pet.method.stages import Workbench
from pet.method.telling import tell_of_generation, tell_of_lost_weights, tell_of_sets
from pet.runs.results import Arrays
from pet.seeding import rng_for

__all__ = ["Generation", "Generations", "accepted", "labeled_rows"]

ENOUGH_ROWS = 500
"""A label that none of so many rows is given, or of half the pool, is not seen by the voters."""

SUBSET_TIMES = 4
"""An intermediate generation labels so many times the rows that are drawn from it."""


@dataclass(frozen=True)
class Generation:
    """The voters of one generation and what they found.

    `votes` are calibrated and weighted, on the pool rows `rows` (int64 [n]); `gold` and `test` are the same voters'
    scores on those rows, [m, r, k]. `step` counts the growth of the sets; `continues` is the generation whose votes
    they were drawn from. A generation with a reason in `rejected` decides nothing.
    """

    number: int
    step: int
    sets: tuple[TrainingSet, ...]
    rows: np.ndarray
    votes: tuple[Votes, ...]
    gold: np.ndarray
    test: np.ndarray
    figures: GenerationFigures
    continues: int | None = None
    rejected: str | None = None

    @property
    def weights(self) -> np.ndarray:
        """The voters' shares in the ensemble, float64 [m]; they sum to 1."""
        weights = np.asarray([vote.weight for vote in self.votes], np.float64)
        shares: np.ndarray = weights / weights.sum()
        return shares

    def given(self, pool: int) -> np.ndarray:
        """Return the column of the label that each row of the pool was given, int64 [pool]; -1 where it had no vote."""
        columns = np.full(pool, -1, np.int64)
        columns[self.rows] = combine(self.votes).hard()
        return columns

    def on_test(self) -> np.ndarray:
        """Return the ensemble's scores on the test rows, float64 [r, k]."""
        mean: np.ndarray = np.tensordot(self.weights, self.test, axes=1)
        return mean


def accepted(generations: Sequence[Generation]) -> list[Generation]:
    """Return the generations that decide; the last of them has labeled the whole pool."""
    return [generation for generation in generations if generation.rejected is None]


def labeled_rows(plan: Plan, number: int, step: int) -> int:
    """Return how many rows of the pool a generation labels whose sets are those of a growth step.

    All of them in the last one, else a part that is enough to draw the next sets from.
    """
    pool, growth = len(plan.data.unlabeled), plan.growth
    if number == plan.generations - 1 or not plan.config.ipet.subset:
        return pool
    drawn = int(growth.wanted(step + 1).sum())
    if growth.from_zero and step == 0:
        drawn = MOST_LIKELY * len(growth.counts)
    return min(SUBSET_TIMES * drawn, pool)


@dataclass
class Generations:
    """All generations of a run, in order. `say` hears what a person should know, `warn` what went wrong."""

    plan: Plan
    bench: Workbench
    say: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None

    def train(self) -> Iterator[Generation]:
        """Yield the generations as they are done; the last one accepted has labeled the whole pool.

        Raises
        ------
        PromptError
            If no voter of a generation gives a label to any row, though the next sets need some.
        """
        kept: list[Generation] = []
        for number in range(self.plan.generations):
            source = kept[-1] if kept else None
            sets = self._draw(source, number) if source else self._first_sets()
            generation = self._judged(self._vote(number, sets, self._rows(number, source), source), kept)
            if number == 0:
                self._refuse_unseen_labels(generation)
            if self.plan.generations > 1:
                tell_of_generation(generation, self.plan.prior, self.say, self.warn)
            tell_of_lost_weights(generation, self.bench, self.plan.voters, self.warn)
            yield generation
            if generation.rejected is None:
                kept.append(generation)
        source = kept[-1]  # the first one is never rejected
        if len(source.rows) < len(self.plan.data.unlabeled):
            # The generation that was to label the whole pool was rejected: the last good one does it.
            self.say(f"generation {source.number} labels the whole pool")
            whole = self._vote(source.number, source.sets, self._pool, None)
            figures = replace(whole.figures, changed=source.figures.changed)
            yield replace(whole, step=source.step, continues=source.continues, figures=figures)

    @cached_property
    def _pool(self) -> np.ndarray:
        return np.arange(len(self.plan.data.unlabeled))

    @cached_property
    def _order(self) -> np.ndarray:
        """The pool in random order: its beginning is the subset that a generation labels."""
        return rng_for(self.plan.inputs.seed, "subset").permutation(len(self.plan.data.unlabeled))

    def _rows(self, number: int, source: Generation | None) -> np.ndarray:
        """Return the pool rows that a generation labels: all of them in the last one, else a random part."""
        # Every row is as likely to be in it as any other, so what is drawn from it is drawn from the pool.
        return np.sort(self._order[: labeled_rows(self.plan, number, source.step + 1 if source else 0)])

    def _first_sets(self) -> tuple[TrainingSet, ...]:
        return tuple(TrainingSet(self._kept(i)) for i in range(len(self.plan.voters)))

    def _kept(self, voter: int) -> np.ndarray:
        """Return the gold rows that a voter learns from: all but its fold."""
        return np.flatnonzero(~self.plan.held_out[voter])

    def _draw(self, source: Generation, number: int) -> tuple[TrainingSet, ...]:
        """Draw the next training sets from the votes of a generation."""
        settings, growth = self.plan.config.ipet, self.plan.growth
        step = source.step + 1
        # Of a part of the pool, as large a part of its most likely rows: no others than the whole pool would give.
        most_likely = math.ceil(MOST_LIKELY * len(source.rows) / len(self._pool))
        first = growth.from_zero and step == 1
        floor = tuple(growth.shares.tolist())
        likely = most_likely if first else 0
        rule = Rule(settings.share, settings.confidence, likely, settings.cap, floor, settings.ratio)
        distinct = self._distinct(source.rows)
        rows, votes = source.rows[distinct], [vote.take(distinct) for vote in source.votes]
        wanted, sets = growth.wanted(step), []
        for i, spec in enumerate(self.plan.voters):
            rng = rng_for(self.plan.inputs.seed, "draw", spec.kind, spec.seed_index, number)
            chosen = select(votes, spec.name, wanted, rule, rng)
            sets.append(TrainingSet(self._kept(i), replace(chosen, rows=rows[chosen.rows])))
        tell_of_sets(number, sets, self.plan.data.task.labels, self.say, self.warn)
        return tuple(sets)

    def _distinct(self, rows: np.ndarray) -> np.ndarray:
        """Say which of some pool rows are the first with their text, bool [n]: a set of copies teaches little."""
        texts = (hash(normalise(row)) for row in self.plan.data.unlabeled.take(rows))
        distinct = np.zeros(len(rows), np.bool_)
        distinct[np.unique(np.fromiter(texts, np.int64, len(rows)), return_index=True)[1]] = True
        return distinct

    def _vote(
        self, number: int, sets: Sequence[TrainingSet], rows: np.ndarray, source: Generation | None
    ) -> Generation:
        """Train the voters of a generation on their sets and measure what they say."""
        plan = self.plan
        ids = plan.data.unlabeled.take(rows).ids
        found = []
        self.bench.vote_ahead(
            [(spec, training, rows, number) for spec, training in zip(plan.voters, sets, strict=True)]
        )
        for spec, training in zip(plan.voters, sets, strict=True):
            raw = self.bench.vote(spec, training, rows, number)
            found.append(self._adjusted(raw, trained=len(training) > 0 and spec.learns))
        labels = plan.data.task.labels
        votes = tuple(
            Votes(spec.name, spec.seed_index, ids, labels, scores["pool"])
            for spec, scores in zip(plan.voters, found, strict=True)
        )
        weighted = tuple(weigh(votes, plan.config.ensemble.weighting, self._untrained_accuracies()))
        gold, test = (np.stack([scores[part] for scores in found]).astype(np.float64) for part in ("gold", "test"))
        before = source.given(len(self._pool))[rows] if source else None
        figures = measure(weighted, plan.prior, before, self._on_held_out(weighted, gold))
        step, continues = (source.step + 1, source.number) if source else (0, None)
        return Generation(number, step, tuple(sets), rows, weighted, gold, test, figures, continues)

    def _judged(self, now: Generation, kept: Sequence[Generation]) -> Generation:
        """Return a generation with the reason to reject it, if there is one.

        It is compared with the one it goes on from on the rows of both, and with the best of all on gold rows held out.
        """
        if self.plan.config.ipet.accept_all or not kept:
            return now
        source, prior = kept[-1], self.plan.prior
        _, mine, theirs = np.intersect1d(now.rows, source.rows, assume_unique=True, return_indices=True)
        best = max((one.figures.held_out for one in kept if one.figures.held_out), key=_accuracy, default=None)
        before = measure([vote.take(theirs) for vote in source.votes], prior, None, best)
        after = measure([vote.take(mine) for vote in now.votes], prior, None, now.figures.held_out)
        trained = len(source.sets[0]) > 0
        reason = rejection(replace(after, changed=now.figures.changed), before, prior, trained)
        return replace(now, rejected=reason)

    def _adjusted(self, raw: Arrays, trained: bool) -> dict[str, np.ndarray]:
        """Return a voter's scores with calibration and prior, float32; as they are where there is neither."""
        how = self.plan.calibration(trained)
        prior = self.plan.prior if self.plan.config.ensemble.prior != "none" else None
        if how == "none" and prior is None:
            return dict(raw)
        offset = calibration_offset(how, raw["pool"], raw["content_free"])
        if prior is not None:
            offset = offset + prior_offset(raw["pool"] + offset, prior)  # what all labels of a row share has no effect
        return {part: calibrated(scores, offset) for part, scores in raw.items()}

    def _untrained_accuracies(self) -> Mapping[str, float]:
        """Return the accuracy of each voter's PVP on the labeled rows before training: the paper's weight."""
        if self.plan.config.ensemble.weighting != "accuracy":
            return {}
        gold = self.plan.inputs.gold

        def accuracy(spec: VoterSpec) -> float:
            return float((self.bench.zero_shot(spec.pvp)["labeled"].argmax(axis=1) == gold).mean())

        return {spec.name: accuracy(spec) if len(gold) else 1.0 for spec in self.plan.voters}

    def _on_held_out(self, votes: Sequence[Votes], gold: np.ndarray) -> HeldOut | None:
        ids = tuple(example.id for example in self.plan.data.labeled)
        on_gold = [replace(vote, ids=ids, scores=scores) for vote, scores in zip(votes, gold, strict=True)]
        return HeldOut.of(on_gold, self.plan.held_out, self.plan.inputs.gold) if ids else None

    def _refuse_unseen_labels(self, first: Generation) -> None:
        """Refuse to grow sets with a label that no voter gives to any row."""
        if self.plan.generations == 1 or self.plan.config.ipet.accept_all:
            return
        given = np.unique(np.concatenate([vote.hard() for vote in first.votes]))
        # A rare label may be missing in a small part of the pool by chance.
        if len(first.rows) < min(ENOUGH_ROWS, len(self._pool) / 2):
            return
        expected = self.plan.prior * len(first.rows) >= FEW_ROWS
        for k, label in enumerate(self.plan.data.task.labels):
            if k not in given and expected[k]:
                raise PromptError(
                    f"No voter gives the label {label!r} to any of {len(first.rows)} rows, so nothing can be learned "
                    "of it: change its words, add labeled rows of it, or use --accept-all to take the rows that score "
                    "highest for it."
                )


def _accuracy(held_out: HeldOut) -> float:
    return held_out.accuracy
