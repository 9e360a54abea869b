"""The generations of iPET: train the voters, let them vote, look whether it went well, draw the next training sets.

Plain PET is one generation. Source of the method: 2001.07676, section 3.4.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pet.errors import PromptError
from pet.labeling import (
    FEW_ROWS,
    MOST_LIKELY,
    GenerationFigures,
    HeldOut,
    Rule,
    Votes,
    calibrated,
    calibration_offset,
    combine,
    measure,
    prior_offset,
    rejection,
    select,
    weigh,
)
from pet.runs.inputs import TrainingSet
from pet.runs.plan import Plan
from pet.runs.results import Arrays
from pet.runs.stages import Workbench
from pet.runs.voters import VoterSpec
from pet.seeding import rng_for

__all__ = ["Generation", "Generations", "accepted", "labeled_rows"]

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
        source: Generation | None = None
        for number in range(self.plan.generations):
            sets = self._draw(source, number) if source else self._first_sets()
            generation = self._vote(number, sets, self._rows(number, source), source)
            if number == 0:
                self._refuse_unseen_labels(generation)
            if self.plan.generations > 1:
                self._tell(generation)
            yield generation
            if generation.rejected is None:
                source = generation
        assert source is not None  # the first one is never rejected
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
        rule = Rule(settings.share, settings.confidence, most_likely if first else 0, settings.cap, floor)
        wanted, sets = growth.wanted(step), []
        for i, spec in enumerate(self.plan.voters):
            rng = rng_for(self.plan.inputs.seed, "draw", spec.kind, spec.seed_index, number)
            chosen = select(source.votes, spec.name, wanted, rule, rng)
            sets.append(TrainingSet(self._kept(i), replace(chosen, rows=source.rows[chosen.rows])))
        self._tell_of_filled(number, sets)
        return tuple(sets)

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
        step = source.step + 1 if source else 0
        generation = Generation(number, step, tuple(sets), rows, weighted, gold, test, figures)
        if source is None:
            return generation
        trained = len(source.sets[0]) > 0
        reason = None if plan.config.ipet.accept_all else rejection(figures, source.figures, plan.prior, trained)
        return replace(generation, continues=source.number, rejected=reason)

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
        expected = self.plan.prior * len(first.rows) >= FEW_ROWS
        for k, label in enumerate(self.plan.data.task.labels):
            if k not in given and expected[k]:
                raise PromptError(
                    f"No voter gives the label {label!r} to any of {len(first.rows)} rows, so nothing can be learned "
                    "of it: change its words, add labeled rows of it, or use --accept-all to take the rows that score "
                    "highest for it."
                )

    def _tell_of_filled(self, number: int, sets: Sequence[TrainingSet]) -> None:
        labels = self.plan.data.task.labels
        filled, missing, capped = Counter[int](), Counter[int](), Counter[int]()
        for training in sets:
            if training.drawn:
                filled |= Counter(training.drawn.filled)
                missing |= Counter(training.drawn.missing)
                capped |= Counter(training.drawn.capped)
        for k, count in sorted(filled.items()):
            self.warn(
                f"generation {number}: too few rows are labeled {labels[k]!r}: up to {count} that score highest for it "
                "are taken"
            )
        for k, count in sorted(capped.items()):
            self.say(
                f"generation {number}: up to {count} rows of {labels[k]!r} fewer than wanted are drawn: no more than "
                f"{self.plan.config.ipet.cap:.0%} of the rows that have a label (ipet.cap)"
            )
        for k, count in sorted(missing.items()):
            self.warn(f"generation {number}: up to {count} rows of {labels[k]!r} are missing: the pool has no more")

    def _tell(self, generation: Generation) -> None:
        figures = generation.figures
        facts = [f"voters agree {figures.agreement:.1%}", f"KL from the prior {figures.kl:.2f}"]
        if figures.changed is not None:
            facts.append(f"{figures.changed:.1%} of the labels changed")
        if figures.held_out:
            facts.append(f"gold rows held out {figures.held_out.accuracy:.1%}")
        sizes = sorted({len(training) for training in generation.sets})
        rows = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        self.say(f"generation {generation.number}: trained on {rows} rows, {', '.join(facts)}")
        if generation.rejected:
            self.warn(
                f"generation {generation.number} is rejected: {generation.rejected}; the run goes on from generation "
                f"{generation.continues} (--accept-all keeps it)"
            )
