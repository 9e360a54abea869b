"""Which gold rows are held out, of whom: a fold of them is kept from each voter that learns."""

from collections.abc import Sequence

import numpy as np

from pet.data.examples import Example
from pet.data.overlap import normalise
from pet.labeling.guards import FOLDS, LEAST_PER_LABEL, gold_folds
from pet.learners.voters.embedding import AnySpec, EmbeddingSpec
from pet.learners.voters.outside import OutsideSpec
from pet.learners.voters.spec import VoterSpec

MANY_GOLD = 100
"""With so many labeled rows, two of a label are enough to hold one out."""


def no_folds(gold: np.ndarray) -> np.ndarray:
    """Return int64 [n], -1 for each gold row: none is kept from anyone."""
    return np.full(len(gold), -1, np.int64)


def folds_of(gold: np.ndarray, labeled: Sequence[Example], rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each gold row (int64 [n], its column), the same for its copies; -1 where rows are too few."""
    least = 2 if len(gold) >= MANY_GOLD else LEAST_PER_LABEL
    folds = gold_folds(gold, rng, least) if len(gold) else None
    if folds is None:
        return no_folds(gold)
    first: dict[str, int] = {}  # who is kept from a row is kept from its copies
    return folds[[first.setdefault(normalise(row), i) for i, row in enumerate(labeled)]]


def kept_from(voters: Sequence[AnySpec], folds: np.ndarray) -> np.ndarray:
    """Return which gold rows are kept from which voter's sets, bool [m, n]: a fold (int64 [n]) each, or none.

    Voters on the vectors of an encoder as it is make folds of their own, and are kept from nothing; outside ones have
    no set.
    """
    # The fold follows the name, so that the order in which patterns are listed decides nothing.
    names = sorted(spec.name for spec in voters if isinstance(spec, VoterSpec))
    names += [spec.name for spec in voters if isinstance(spec, EmbeddingSpec) and spec.learner == "contrastive"]
    own = [names.index(spec.name) % FOLDS if spec.name in names else FOLDS for spec in voters]
    outside = np.asarray([isinstance(spec, OutsideSpec) for spec in voters], np.bool_)
    return np.asarray((folds == np.asarray(own, np.int64)[:, None]) | outside[:, None])


def out_of_fold(voters: Sequence[AnySpec], kept: np.ndarray, gold: np.ndarray, holds_out: bool) -> np.ndarray:
    """Return of which gold rows (int64 [n]) each voter speaks without having learned from them, bool [m, n].

    `kept` bool [m, n] are those kept from its sets. An outside voter does where it votes and others speak as well: it
    is measured beside them, never in their place.
    """
    counts = np.bincount(gold)
    foldable = len(gold) > 0 and bool(counts[counts > 0].min() > 1) and holds_out
    found = kept.copy()
    for i, spec in enumerate(voters):
        if isinstance(spec, EmbeddingSpec) and spec.learner == "embedding":
            found[i] |= foldable
    outside = [i for i, spec in enumerate(voters) if isinstance(spec, OutsideSpec)]
    others = np.delete(found, outside, axis=0).any(axis=0)
    for i in outside:
        found[i] = others & voters[i].votes.on_labeled  # type: ignore[union-attr]
    return found
