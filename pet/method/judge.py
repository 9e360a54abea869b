"""Whether a generation went well: it is measured, compared with the one it goes on from, and kept or rejected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pet.errors import PromptError
from pet.labeling.guards import FEW_ROWS, HeldOut, measure, one_sided, rejection
from pet.labeling.votes import Votes
from pet.method.generation import Ensemble, Generation, TrainingSet
from pet.runs.log import RunLog

NAME_THE_RATIO = "if the rows to label are like that, name their ratio in [ensemble] prior"
"""The way out where a generation looks one-sided and is not."""

ENOUGH_ROWS = 500
"""A label that none of so many rows is given, or of half the pool, is not seen by the voters."""


@dataclass(frozen=True)
class Guards:
    """What generations are judged by.

    `prior` float64 [k] is expected of the pool, which has `pool` rows; `gold` int64 [n] are the columns of the labeled
    rows, and `held_out` bool [m, n] says which of them were kept from which voter's sets. Where there are `several`
    generations, others learn from the first; `accept_all` rejects none.
    """

    labels: tuple[str, ...]
    prior: np.ndarray
    pool: int
    gold: np.ndarray
    held_out: np.ndarray
    several: bool
    accept_all: bool


def judge(
    number: int,
    sets: Sequence[TrainingSet],
    rows: np.ndarray,
    ensemble: Ensemble,
    kept: Sequence[Generation],
    guards: Guards,
) -> Generation:
    """Return a generation with its figures, and with the reason to reject it, if there is one.

    It goes on from the last of those that were `kept`, and is compared with that one on the rows of both, and with the
    best of all on gold rows held out.

    Raises `PromptError` if no voter gives a label to any row, though the next sets need some.
    """
    source = kept[-1] if kept else None
    before = source.given(guards.pool)[rows] if source else None
    figures = measure(ensemble.votes, guards.prior, before, _on_held_out(ensemble, guards))
    step, continues = (source.step + 1, source.number) if source else (0, None)
    now = Generation(number, step, tuple(sets), rows, ensemble, figures, continues)
    if number == 0 and source is None:
        _refuse_unseen_labels(now, guards)
    if source is None or guards.accept_all:
        return now
    return replace(now, rejected=_rejection(now, source, kept, guards))


def _rejection(now: Generation, source: Generation, kept: Sequence[Generation], guards: Guards) -> str | None:
    _, mine, theirs = np.intersect1d(now.rows, source.rows, assume_unique=True, return_indices=True)
    measured = [one.figures.held_out for one in kept if one.figures.held_out]
    best = max(measured, key=lambda found: found.accuracy, default=None)
    before = measure([vote.take(theirs) for vote in source.votes], guards.prior, None, best)
    after = measure([vote.take(mine) for vote in now.votes], guards.prior, None, now.figures.held_out)
    trained = len(source.sets[0]) > 0
    return rejection(replace(after, changed=now.figures.changed), before, guards.prior, trained)


def _on_held_out(ensemble: Ensemble, guards: Guards) -> HeldOut | None:
    if not len(guards.gold):
        return None
    ids = [str(i) for i in range(len(guards.gold))]
    on_gold: list[Votes] = [
        replace(vote, ids=ids, scores=scores) for vote, scores in zip(ensemble.votes, ensemble.gold, strict=True)
    ]
    return HeldOut.of(on_gold, guards.held_out, guards.gold)


def _refuse_unseen_labels(first: Generation, guards: Guards) -> None:
    """Refuse to grow sets with a label that no voter gives to any row."""
    # A rare label may be missing in a small part of the pool by chance.
    if not guards.several or guards.accept_all or len(first.rows) < min(ENOUGH_ROWS, guards.pool / 2):
        return
    given = np.unique(np.concatenate([vote.hard() for vote in first.votes]))
    expected = guards.prior * len(first.rows) >= FEW_ROWS
    for k, label in enumerate(guards.labels):
        if k not in given and expected[k]:
            raise PromptError(
                f"No voter gives the label {label!r} to any of {len(first.rows)} rows, so nothing can be learned "
                "of it: change its words, add labeled rows of it, or use --accept-all to take the rows that score "
                "highest for it."
            )


def tell_of_generation(generation: Generation, prior: np.ndarray, log: RunLog) -> None:
    """Tell how a generation went, and what is wrong with it against the prior [k]."""
    figures, number = generation.figures, generation.number
    facts = [f"voters agree {figures.agreement:.1%}", f"KL from the prior {figures.kl:.2f}"]
    if figures.changed is not None:
        facts.append(f"{figures.changed:.1%} of the labels changed")
    if figures.held_out:
        facts.append(f"gold rows held out {figures.held_out.accuracy:.1%}")
    sizes = sorted({len(training) for training in generation.sets})
    rows = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    log.say(f"generation {number}: trained on {rows} rows, {', '.join(facts)}")
    uneven = one_sided(figures, prior)
    if generation.rejected:
        log.warn(
            f"generation {number} is rejected: {generation.rejected}; the run goes on from generation "
            f"{generation.continues} (--accept-all keeps it)"
        )
    elif uneven and number == 0:
        log.warn(f"generation 0 may be no start for others: {uneven}")
    if uneven and (generation.rejected or number == 0):
        log.warn(NAME_THE_RATIO)
