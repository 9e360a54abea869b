"""The next training sets of iPET: which rows of the pool a voter learns from, with which labels (2001.07676, 3.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pet.errors import RunError
from pet.labeling.ensemble import mean_scores
from pet.labeling.votes import Votes, log_softmax, with_some_weight

__all__ = ["CONFIDENCES", "MOST_LIKELY", "MOST_STEPS", "Confidence", "Growth", "Ratio", "Rule", "Selection", "select"]

Confidence = Literal["probability", "margin", "consensus"]

Ratio = Literal["labels", "predicted"]

TARGET_ROWS = 1000
"""``generations = "auto"`` grows the training sets until they have so many rows (2001.07676, section 3.4)."""

FIRST_ROWS = 10
"""Rows of the paper's first training sets where no row is labeled (2001.07676, section 3.4)."""

MOST_ROWS = 2**40
"""No pool has so many rows: what a huge factor asks for still fits an integer."""

MOST_STEPS = 64
"""The sets grow no more often, however slowly."""

MOST_LIKELY = 100
"""They are drawn from so many rows of the pool per label that score highest for it."""


@dataclass(frozen=True)
class Growth:
    """How the training sets grow: `counts` [k] are the gold rows per label, `factor` is d > 1.

    Without gold rows the first sets have `first` rows.
    """

    counts: tuple[int, ...]
    factor: float
    first: int = FIRST_ROWS

    @property
    def from_zero(self) -> bool:
        """Whether there are no gold rows."""
        return not any(self.counts)

    @property
    def shares(self) -> np.ndarray:
        """Return int64 [k]: the rows per label that the sets grow from.

        With no gold rows, `first` of them spread over the labels, at least one each. A label without a gold row among
        others that have some counts as one: it would never be learned otherwise.
        """
        if not self.from_zero:
            return np.maximum(np.asarray(self.counts, np.int64), 1)
        k = len(self.counts)
        total = max(self.first, k)
        return np.asarray([total // k + (i < total % k) for i in range(k)], np.int64)

    def wanted(self, step: int) -> np.ndarray:
        """Return int64 [k]: pseudo-labeled rows per label in the sets of growth step 1, 2, ...: c0 (d^step - 1).

        Without gold rows the first step makes the first sets, c0 rows, and each later one d times as many.

        >>> Growth((4, 2), 5.0).wanted(1).tolist()
        [16, 8]
        >>> Growth((0, 0), 5.0).wanted(1).tolist()
        [5, 5]
        """
        times = min(self.factor ** (step - 1) if self.from_zero else self.factor**step - 1.0, float(MOST_ROWS))
        rows: np.ndarray = np.clip(np.rint(self.shares * times), 1, MOST_ROWS).astype(np.int64)
        return rows

    def largest_step(self, pool: int) -> int:
        """Return the last growth step whose sets a pool of so many rows can fill; 0 where there is none."""
        step = 0
        while self.wanted(step + 1).sum() <= pool and step < MOST_STEPS:
            step += 1
        return step

    def automatic(self) -> int:
        """Return the growth steps k = ceil(log_d(1000 / rows)) of the paper, one more without gold rows.

        >>> Growth((5, 5), 5.0).automatic(), Growth((0, 0), 5.0).automatic()
        (3, 4)
        """
        rows = int(self.shares.sum())
        steps = max(0, int(np.ceil(np.log(TARGET_ROWS / rows) / np.log(self.factor) - 1e-9)))
        return steps + self.from_zero


@dataclass(frozen=True)
class Selection:
    """Rows drawn for one voter, sorted: `rows`, `columns` int64 [s] (places in the votes; labels), `confidence` [s].

    `confidence` is the mean probability of the label, whatever the rows were drawn by; `deciders` are the voters whose
    mean decided. `filled` says per label (its column) how many rows were taken though another label scored higher,
    since too few rows had it; `missing` how many are not there at all; `capped` how many the rule has left out.
    """

    rows: np.ndarray
    columns: np.ndarray
    confidence: np.ndarray
    deciders: tuple[str, ...]
    filled: Mapping[int, int] = field(default_factory=dict)
    missing: Mapping[int, int] = field(default_factory=dict)
    capped: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Rule:
    """How rows are chosen: `share` (lambda) of the other voters decide; `confidence` weighs the rows of a label.

    With `most_likely` they are drawn from so many rows that score highest for a label instead of those that have it:
    the start without gold rows (2001.07676, section 3.4). Else no label gets more rows than the part `cap` of those
    that have it, nor, with `ratio` "predicted", more than its share of the labels given gives it of all rows wanted;
    but always `floor` [k]. Where a label is rarer in the pool than among the gold rows, what else would be drawn are
    rows of other labels, and the next generation finds still more of them.
    """

    share: float = 0.25
    confidence: Confidence = "probability"
    most_likely: int = 0
    cap: float = 1.0
    floor: tuple[int, ...] = ()
    ratio: Ratio = "labels"


def select(votes: Sequence[Votes], voter: str, wanted: np.ndarray, rule: Rule, rng: np.random.Generator) -> Selection:
    """Draw the pseudo-labeled rows of a voter's next training set from the votes of the others.

    A random share of the other voters (at least one) label the rows by the weighted mean of their scores. Of each
    label, `wanted` [k] rows are drawn without replacement, with probability proportional to confidence, but for what
    the rule leaves out; no row is drawn twice. A label that fewer rows have than its floor is filled from those
    that score highest for it.

    Raises
    ------
    RunError
        If there is no other voter.
    """
    # By name, so that the order in which patterns are listed decides nothing.
    others = sorted((vote for vote in votes if vote.voter != voter), key=lambda vote: vote.voter)
    if not others:
        raise RunError(f"No voter but {voter!r} is there to label its rows: add a pattern, or set train.seeds = 2.")
    count = max(1, round(rule.share * len(others)))
    deciders = [others[i] for i in sorted(rng.choice(len(others), size=count, replace=False))]
    # Not the float32 softmax: many rows of it are exactly 1, and those would be ranked by their place in the pool.
    probs = np.exp(log_softmax(mean_scores(with_some_weight(deciders))))
    weights = _weights(probs, others, rule.confidence)
    limited = wanted if rule.most_likely else np.minimum(wanted, _limits(probs, wanted, rule))
    drawn = _draw(probs, weights, limited, rng, rule.most_likely)
    filled = _fill(probs, drawn, limited)
    rows = np.concatenate([*drawn, *filled.values()]).astype(np.int64)
    columns = np.concatenate(
        [*(np.full(len(part), k) for k, part in enumerate(drawn)), *(np.full(len(p), k) for k, p in filled.items())]
    ).astype(np.int64)
    order = np.argsort(rows)
    rows, columns = rows[order], columns[order]
    got = np.bincount(columns, minlength=len(wanted))
    return Selection(
        rows=rows,
        columns=columns,
        confidence=probs[rows, columns].astype(np.float32),
        deciders=tuple(vote.voter for vote in deciders),
        filled={k: len(part) for k, part in filled.items() if len(part)},
        missing={k: int(n) for k, n in enumerate(limited - got) if n > 0},
        capped={k: int(n) for k, n in enumerate(wanted - limited) if n > 0},
    )


def _limits(probs: np.ndarray, wanted: np.ndarray, rule: Rule) -> np.ndarray:
    """Return int64 [k]: the most rows of each label that a rule allows."""
    given = np.bincount(probs.argmax(axis=1), minlength=probs.shape[1])
    limits = np.ceil(rule.cap * given).astype(np.int64)
    if rule.ratio == "predicted":
        limits = np.minimum(limits, -(-wanted.sum() * given // max(1, len(probs))))  # rounded up
    found: np.ndarray = np.maximum(limits, rule.floor or 0)
    return found


def _weights(probs: np.ndarray, others: Sequence[Votes], confidence: Confidence) -> np.ndarray:
    """Return float64 [n, k]: the confidence in each label of a row.

    In a label that another one outscores it is the label's probability; margins have no confidence in it.
    """
    weights = probs.copy() if confidence == "probability" else np.zeros_like(probs)
    weights[np.arange(len(probs)), probs.argmax(axis=1)] = CONFIDENCES[confidence](probs, others)
    return weights


def _draw(
    probs: np.ndarray, weights: np.ndarray, wanted: np.ndarray, rng: np.random.Generator, most_likely: int
) -> list[np.ndarray]:
    """Return rows per label, int64: as many as wanted, or all there are."""
    hard, free, drawn = probs.argmax(axis=1), np.ones(len(probs), np.bool_), []
    for k, size in enumerate(wanted):
        if most_likely:
            top = np.argsort(-probs[:, k], kind="stable")[: max(most_likely, size)]
            rows = top[free[top]]
        else:
            rows = np.flatnonzero(hard == k)
        chosen = _weighted(rows, weights[rows, k], min(int(size), len(rows)), rng)
        free[chosen] = False
        drawn.append(chosen)
    return drawn


def _weighted(rows: np.ndarray, weights: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    if not size:
        return np.empty(0, np.int64)
    # A row without any confidence is still there to be drawn when the others are used up.
    positive = np.maximum(weights, 1e-9)
    chosen: np.ndarray = rng.choice(rows, size=size, replace=False, p=positive / positive.sum())
    return chosen


def _fill(probs: np.ndarray, drawn: Sequence[np.ndarray], wanted: np.ndarray) -> dict[int, np.ndarray]:
    """Return, for each label that has too few rows, those not yet drawn that score highest for it."""
    free = np.ones(len(probs), np.bool_)
    free[np.concatenate(drawn).astype(np.int64)] = False
    filled = {}
    for k, part in enumerate(drawn):
        ranked = np.argsort(-probs[:, k], kind="stable")
        rows = ranked[free[ranked]][: max(0, int(wanted[k]) - len(part))]
        free[rows] = False
        filled[k] = rows
    return filled


def _margins(probs: np.ndarray) -> np.ndarray:
    """Return float64 [n]: the highest probability minus the second."""
    top = np.partition(probs, -2, axis=1)
    margins: np.ndarray = top[:, -1] - top[:, -2]
    return margins


def _consensus(probs: np.ndarray, others: Sequence[Votes]) -> np.ndarray:
    """Return float64 [n]: over all other voters, the mean margin of the label minus its spread, 0 at least.

    The margin of a voter is its probability of the label minus that of the best other label, so a voter of another
    opinion counts negatively.
    """
    hard = probs.argmax(axis=1)
    rows = np.arange(len(hard))
    margins = []
    for vote in others:
        own = vote.probs().astype(np.float64)
        rest = own.copy()
        rest[rows, hard] = -1.0
        margins.append(own[rows, hard] - rest.max(axis=1))
    stacked = np.stack(margins)
    certain: np.ndarray = np.maximum(stacked.mean(axis=0) - stacked.std(axis=0), 0.0)
    return certain


CONFIDENCES: Mapping[str, Callable[[np.ndarray, Sequence[Votes]], np.ndarray]] = {
    "probability": lambda probs, _: probs.max(axis=1),
    "margin": lambda probs, _: _margins(probs),
    "consensus": _consensus,
}
"""From the deciders' mean probabilities [n, k] and the votes of all others to a confidence >= 0 per row."""
