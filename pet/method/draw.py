"""The training sets of a generation: the labeled rows, and rows of the pool with the labels that other voters gave.

Source of the method: iPET, 2001.07676, section 3.4.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.data.overlap import normalise
from pet.data.rows import Rows
from pet.labeling.growth import Growth
from pet.labeling.selection import MOST_LIKELY, Rule, select
from pet.learners.voters.embedding import AnySpec
from pet.learners.voters.outside import OutsideSpec
from pet.method.generation import Generation, TrainingSet
from pet.runs.log import RunLog
from pet.seeding import rng_for
from pet.settings.run import IpetSettings

SUBSET_TIMES = 4
"""An intermediate generation labels so many times the rows that are drawn from it."""


@dataclass(frozen=True)
class Drawing:
    """What the sets of all generations are drawn by.

    `settings` with the number of generations settled; `held_out` bool [m, n] says which gold rows are kept from which
    voter's sets.
    """

    settings: IpetSettings
    growth: Growth
    held_out: np.ndarray
    voters: tuple[AnySpec, ...]
    pool: Rows
    labels: tuple[str, ...]
    seed: int

    def labeled_rows(self, number: int, step: int) -> int:
        """Return how many rows of the pool a generation labels whose sets are those of a growth step.

        All of them in the last one, else a part that is enough to draw the next sets from.
        """
        if number + 1 == self.settings.generations or not self.settings.subset:
            return len(self.pool)
        drawn = int(self.growth.wanted(step + 1).sum())
        if self.growth.from_zero and step == 0:
            drawn = MOST_LIKELY * len(self.labels)
        return min(SUBSET_TIMES * drawn, len(self.pool))

    def gold_of(self, voter: int) -> np.ndarray:
        """Return the gold rows that a voter learns from, int64: all but those held out."""
        return np.flatnonzero(~self.held_out[voter])


def first_sets(drawing: Drawing) -> tuple[TrainingSet, ...]:
    """Return the sets of generation 0: the labeled rows."""
    return tuple(TrainingSet(drawing.gold_of(i)) for i in range(len(drawing.voters)))


def rows_to_label(number: int, source: Generation | None, drawing: Drawing) -> np.ndarray:
    """Return the pool rows that a generation labels, int64, sorted: all of them in the last one, else a random part."""
    # Every row is as likely to be in it as any other, so what is drawn from it is drawn from the pool.
    order = rng_for(drawing.seed, "subset").permutation(len(drawing.pool))
    return np.sort(order[: drawing.labeled_rows(number, source.step + 1 if source else 0)])


def next_training_sets(source: Generation, number: int, drawing: Drawing, log: RunLog) -> tuple[TrainingSet, ...]:
    """Draw the sets of a generation from the votes of an earlier one; `log` hears where they are not what was wanted.

    Each voter learns what a random part of the others say, never what it said itself.
    """
    settings, growth, step = drawing.settings, drawing.growth, source.step + 1
    # Of a part of the pool, as large a part of its most likely rows: no others than the whole pool would give.
    most_likely = math.ceil(MOST_LIKELY * len(source.rows) / len(drawing.pool))
    likely = most_likely if growth.from_zero and step == 1 else 0
    floor = tuple(growth.shares.tolist())
    rule = Rule(settings.share, settings.confidence, likely, settings.cap, floor, settings.ratio)
    distinct = _distinct(drawing.pool.take(source.rows))
    rows, votes = source.rows[distinct], [vote.take(distinct) for vote in source.votes]
    graph = source.ensemble.graph.take(distinct) if source.ensemble.graph else None
    if graph is None and rule.confidence == "neighbourhood":
        rule = replace(rule, confidence="consensus")
        log.warn(f"generation {number}: rows are drawn by consensus, for the labels were not refined by neighbours")
    wanted, sets = growth.wanted(step), []
    for i, spec in enumerate(drawing.voters):
        if isinstance(spec, OutsideSpec):
            sets.append(TrainingSet(drawing.gold_of(i)))
            continue
        rng = rng_for(drawing.seed, "draw", spec.kind, spec.seed_index, number)
        chosen = select(votes, spec.name, wanted, rule, rng, graph)
        sets.append(TrainingSet(drawing.gold_of(i), replace(chosen, rows=rows[chosen.rows])))
    _tell_of_sets(number, sets, drawing.labels, log)
    return tuple(sets)


def _distinct(rows: Rows) -> np.ndarray:
    """Say which of some rows are the first with their text, bool [n]: a set of copies teaches little."""
    texts = (hash(normalise(row)) for row in rows)
    distinct = np.zeros(len(rows), np.bool_)
    distinct[np.unique(np.fromiter(texts, np.int64, len(rows)), return_index=True)[1]] = True
    return distinct


def _tell_of_sets(number: int, sets: Sequence[TrainingSet], labels: Sequence[str], log: RunLog) -> None:
    """Tell of which labels the sets have other rows than wanted, or less than half of them."""
    filled, missing, capped = Counter[int](), Counter[int](), Counter[int]()
    for drawn in (training.drawn for training in sets if training.drawn):
        filled |= Counter(drawn.filled)
        missing |= Counter(drawn.missing)
        got = Counter(drawn.columns.tolist())
        capped |= Counter({k: count for k, count in drawn.capped.items() if count > got[k]})
    for k, count in sorted(filled.items()):
        log.warn(
            f"generation {number}: too few rows are labeled {labels[k]!r}: up to {count} that score highest for it are "
            "taken"
        )
    for k, count in sorted(capped.items()):
        log.say(
            f"generation {number}: up to {count} rows of {labels[k]!r} fewer than wanted are drawn: few rows have that "
            "label (ipet.ratio, ipet.cap)"
        )
    for k, count in sorted(missing.items()):
        log.warn(f"generation {number}: up to {count} rows of {labels[k]!r} are missing: the pool has no more")
