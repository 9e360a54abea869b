"""Guard rails of self-training: what is measured after each generation, and when a generation is rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pet.labeling.ensemble import agreement, combine, mean_scores
from pet.labeling.votes import Votes, row_blocks, with_some_weight

FOLDS = 5
"""The gold rows are divided into so many folds; a voter is kept from one of them."""

LEAST_PER_LABEL = 8
"""Rows are held out where every label that has gold rows has so many at least."""

FEW_ROWS = 5
"""A label of which fewer rows are expected may be given to none."""

LEAST_SHARE = 0.05
"""A label has almost no rows when its share of the pool is below so much of its share in the prior."""

KL_SHARE = 0.5
"""The bound of the KL divergence from the prior, as a share of log k, its value when one label gets every row."""

KL_RISE = 0.1
"""A rise of the KL divergence by less than so much of log k is no collapse."""

MOST_CHANGED = 0.5
"""The largest share of rows whose label may change from one trained generation to the next."""

SIGMAS = 1.96
"""Half-widths of the 95 % interval, in standard errors."""


def gold_folds(gold: np.ndarray, rng: np.random.Generator, least: int = LEAST_PER_LABEL) -> np.ndarray | None:
    """Return int64 [n]: the fold of each gold row, every label spread over the folds; None with too few rows a label.

    `gold` int64 [n] are the columns of the labels. Each that has rows needs `least`: 2 for weights, which are shrunk
    where rows are few, and with 1 nobody else would know the label.
    """
    counts = np.bincount(gold)
    if not len(gold) or counts[counts > 0].min() < least:
        return None
    folds = np.empty(len(gold), np.int64)
    for column in np.flatnonzero(counts):
        rows = rng.permutation(np.flatnonzero(gold == column))
        # Each label goes on where the one before it stopped, so that no two folds differ by more than a row.
        folds[rows] = (np.arange(len(rows)) + counts[:column].sum()) % FOLDS
    return folds


@dataclass(frozen=True)
class HeldOut:
    """Whether each gold row that was held out of some voters' sets is labeled right by those voters: bool [r]."""

    correct: np.ndarray

    @property
    def accuracy(self) -> float:
        """The share of right rows."""
        return float(self.correct.mean())

    @classmethod
    def of(cls, gold_votes: Sequence[Votes], held_out: np.ndarray, gold: np.ndarray) -> "HeldOut | None":
        """Combine, for each gold row, the voters that did not train on it.

        `gold_votes` are about the gold rows [n]; `held_out` bool [m, n] says who was kept from which; `gold` int64 [n].
        None where no voter was kept from any row.
        """
        measured = held_out.any(axis=0)
        if not measured.any():
            return None
        hard = [_hard(gold_votes, held_out[:, row], row) for row in np.flatnonzero(measured).tolist()]
        return cls(np.asarray(hard) == gold[measured])

    def fell(self, now: "HeldOut") -> bool:
        """Say whether the accuracy on the same rows went down by more than the 95 % interval of the difference.

        The interval is that of a difference of paired proportions (Wald) with one row more that rose and one that fell
        (Bonett and Price 2012): without them a single row that falls would have an interval of no width.
        """
        difference = np.append(now.correct.astype(np.float64) - self.correct, [1.0, -1.0])
        error = difference.std() / np.sqrt(len(difference))
        return bool(difference.mean() < -SIGMAS * error)


def _hard(votes: Sequence[Votes], kept: np.ndarray, row: int) -> int:
    """Return the label that the voters kept from a row (bool [m]) give it together."""
    about = [vote.take(np.array([row])) for vote, was_kept in zip(votes, kept, strict=True) if was_kept]
    return int(mean_scores(with_some_weight(about)).argmax())


def held_out_mean(scores: np.ndarray, weights: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return the mean scores [n, k] of the voters that did not learn from each row, by their weights [m].

    `scores` [m, n, k], `held_out` bool [m, n]; a row that all learned from, or whose voters weigh nothing, is zero.

    >>> scores = np.array([[[1.0, 0.0]], [[0.0, 3.0]]])
    >>> held_out_mean(scores, np.array([0.5, 0.5]), np.array([[True], [False]])).tolist()
    [[1.0, 0.0]]
    """
    shares = weights[:, None] * held_out
    total = np.maximum(shares.sum(axis=0), 1e-12)
    return np.asarray(np.einsum("mn,mnk->nk", shares / total, scores))


@dataclass(frozen=True)
class GenerationFigures:
    """What is known of a generation without any test row.

    `shares` of the labels among its predictions; `kl` of these from the prior, in nats; mean `agreement` of the voters
    with the ensemble; mean `entropy` of the soft labels as a share of log k; `changed`: rows whose label differs from
    that of the generation it goes on from; `held_out`: right or wrong on gold rows kept from the voters. All but the
    last is about so many `rows` of the pool.
    """

    shares: Mapping[str, float]
    kl: float
    agreement: float
    entropy: float
    rows: int
    changed: float | None = None
    held_out: HeldOut | None = None

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "shares": {label: round(share, 4) for label, share in self.shares.items()},
            "kl": round(self.kl, 4),
            "agreement": round(self.agreement, 4),
            "entropy": round(self.entropy, 4),
            "changed": None if self.changed is None else round(self.changed, 4),
            "held_out_accuracy": round(self.held_out.accuracy, 4) if self.held_out else None,
            "held_out_rows": len(self.held_out.correct) if self.held_out else 0,
        }


def measure(
    votes: Sequence[Votes], prior: np.ndarray, before: np.ndarray | None, held_out: HeldOut | None
) -> GenerationFigures:
    """Measure the votes of a generation on the pool against the prior [k].

    `before` int64 [n] are the columns that the generation it goes on from has given to the same rows, -1 where it gave
    none.
    """
    soft = combine(votes)
    hard, k = soft.hard(), len(soft.labels)
    shares = np.bincount(hard, minlength=k) / len(hard)
    seen = shares > 0
    known = before >= 0 if before is not None else np.zeros(len(hard), np.bool_)
    return GenerationFigures(
        shares=dict(zip(soft.labels, shares.tolist(), strict=True)),
        kl=float((shares[seen] * np.log(shares[seen] / prior[seen])).sum()),
        agreement=float(agreement(votes, hard).mean(dtype=np.float64)),
        entropy=_entropy(soft.probs),
        rows=len(hard),
        changed=float((before != hard)[known].mean()) if before is not None and known.any() else None,
        held_out=held_out,
    )


def _entropy(probs: np.ndarray) -> float:
    """Return the mean entropy of the rows of [n, k] as a share of log k."""
    total = 0.0
    for rows in row_blocks(len(probs)):
        wide = probs[rows].astype(np.float64)
        total -= float((wide * np.log(np.maximum(wide, 1e-12))).sum())
    return total / len(probs) / float(np.log(probs.shape[1]))


def one_sided(now: GenerationFigures, prior: np.ndarray, kl_before: float | None = None) -> str | None:
    """Return what is wrong with the label ratio of a generation in itself; None where it is near enough the prior."""
    for label, expected in zip(now.shares, prior, strict=True):
        if _is_lost(now, label, expected):
            return f"the label {label!r} has almost no rows ({now.shares[label]:.1%}; {expected:.0%} were expected)"
    if now.kl > _bound(prior):
        before = "" if kl_before is None else f", {kl_before:.2f} before"
        return f"the label ratio left the prior (KL {now.kl:.2f}, bound {_bound(prior):.2f}{before})"
    return None


def uneven_labels(now: GenerationFigures, prior: np.ndarray) -> str | None:
    """Return what is wrong with the ratio of labels given, also where rows are too few to say so of a generation."""
    if found := one_sided(now, prior):
        return found
    pairs = zip(now.shares.items(), prior, strict=True)
    none = [label for (label, share), expected in pairs if not share and expected * now.rows >= 1]
    # Of many labels with a few rows each, some have none by chance: so many, and one standard error, are usual.
    missed = np.power(1.0 - prior, now.rows)
    if len(none) <= missed.sum() + np.sqrt((missed * (1.0 - missed)).sum()):
        return None
    more = f" and {len(none) - 3} more labels" if len(none) > 3 else ""
    return f"no row is given the label {', '.join(map(repr, none[:3]))}{more}" if none else None


def rejection(
    now: GenerationFigures, earlier: GenerationFigures, prior: np.ndarray, trained: bool = True
) -> str | None:
    """Return why a generation has collapsed, compared with an earlier one on the same rows; None where it has not.

    `trained` says whether that one was trained: the first step away from untrained patterns may change most rows.
    What was already so before is no collapse, unless it is clearly worse: half the rows of a label, or a KL divergence
    that rose by `KL_RISE`.
    """
    lost = any(
        _is_lost(now, label, expected)
        and not _is_lost(earlier, label, expected)
        and now.shares[label] <= earlier.shares[label] / 2
        for label, expected in zip(now.shares, prior, strict=True)
    )
    if lost or now.kl > max(_bound(prior), earlier.kl + KL_RISE * np.log(len(prior))):
        return one_sided(now, prior, earlier.kl)
    if now.held_out and earlier.held_out and earlier.held_out.fell(now.held_out):
        rows = len(now.held_out.correct)
        return (
            f"the accuracy on {rows} gold rows held out fell from {earlier.held_out.accuracy:.1%} to "
            f"{now.held_out.accuracy:.1%}"
        )
    if trained and now.changed is not None and now.changed > MOST_CHANGED:
        return f"{now.changed:.0%} of the rows changed their label"
    return None


def _is_lost(figures: GenerationFigures, label: str, expected: float) -> bool:
    return expected * figures.rows >= FEW_ROWS and figures.shares[label] < LEAST_SHARE * expected


def _bound(prior: np.ndarray) -> float:
    return KL_SHARE * float(np.log(len(prior)))
