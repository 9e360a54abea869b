"""`pet search patterns`: patterns ranked on the labeled rows, and the few that help each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pet.data.examples import Example
from pet.errors import DataError, PromptError
from pet.labeling.ranking import Measured, chosen_together, ensemble_scores, fold_of_rows, merits
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.inference import Advance
from pet.learners.voters.parts import row_length
from pet.learners.voters.shared import SharedModel
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.search.place import Reading, SearchPlace
from pet.search.rows import SearchRows
from pet.seeding import rng_for
from pet.settings.variants import PET


@dataclass(frozen=True)
class RankedPattern:
    """A pattern with what was measured of it alone, untrained."""

    pattern: Pattern
    measured: Measured


@dataclass(frozen=True)
class FoundPatterns:
    """All patterns that were tried, the best first; those `chosen` together, in the order in which each helps most.

    `together` is measured of as many that are chosen by other rows than those measured on, `present` of the patterns
    that the pipeline has (None: it has none). `dropped` could not be used.
    """

    ranked: tuple[RankedPattern, ...]
    chosen: tuple[RankedPattern, ...]
    together: Measured
    present: Measured | None
    dropped: int


def rank_patterns(
    present: Sequence[Pattern],
    others: Iterable[Pattern],
    words: Verbalizer,
    count: int,
    rows: SearchRows,
    place: SearchPlace,
) -> FoundPatterns:
    """Rank the present patterns and others, and choose `count` of them that help each other.

    Each reads the rows once, with the words that the labels have. Of patterns with the same template the first is
    taken; those that lose a field or leave no room for the text are dropped and counted.

    Raises `DataError` if a label has fewer than two labeled rows. Raises `PromptError` if a word of a label is not one
    token and several are not allowed, or no pattern can be used.
    """
    rows.check()
    distinct = {pattern.template: pattern for pattern in (*reversed((*present, *others)),)}
    tried = list(reversed(distinct.values()))
    usable = [pattern for pattern in tried if _usable(pattern, rows, place.model)]
    if not usable:
        raise PromptError(f"None of the {len(tried)} patterns keeps all fields of a row and its mask: use other ways.")
    found = place.read([_reading(PVP(pattern, words), place.model) for pattern in usable], rows)
    gold = rows.gold
    votes = [ensemble_scores([one.known[: len(gold)]], [one.pool]) for one in found]
    ranked = [RankedPattern(pattern, Measured.of(own, gold)) for pattern, own in zip(usable, votes, strict=True)]
    own = [votes[i] for i, pattern in enumerate(usable) if pattern in present]
    return FoundPatterns(
        ranked=tuple(ranked[i] for i in np.argsort(-merits([one.measured for one in ranked]), kind="stable")),
        chosen=tuple(ranked[i] for i in chosen_together(votes, gold, count)),
        together=_measured_together(votes, gold, count, rows.seed),
        present=Measured.of(np.mean(own, axis=0), gold) if own else None,
        dropped=len(tried) - len(usable),
    )


def _measured_together(votes: Sequence[np.ndarray], gold: np.ndarray, count: int, seed: int) -> Measured:
    """Measure the mean of votes [n, k] that are chosen, for each fold of the rows, by the others."""
    folds = fold_of_rows(gold, rng_for(seed, "search", "folds"))
    scores = np.empty(votes[0].shape)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        chosen = chosen_together([one[~held] for one in votes], gold[~held], count)
        scores[held] = np.mean([votes[i][held] for i in chosen], axis=0)
    return Measured.of(scores, gold)


def _reading(pvp: PVP, model: SharedModel) -> Reading:
    def read(rows: Sequence[Example], advance: Advance) -> np.ndarray:
        return model.voter(pvp).scores(rows, advance)

    return Reading(f"scores/{pvp.name}", {"pvp": pvp.key(), "multi_token": model.multi_token}, read)


def _usable(pattern: Pattern, rows: SearchRows, model: SharedModel) -> bool:
    """Say whether a pattern has every field of the rows, and leaves room for their text."""
    if set(pattern.fields) != set(rows.known[0].fields):
        return False
    length = row_length(model.settings, model.backbone.longest_input, PET)
    encoder = PatternEncoder(pattern, model.backbone.pieces, length, model.settings.truncation)
    try:
        encoder.encode(rows.known[:1])
    except (PromptError, DataError):
        return False
    return True
