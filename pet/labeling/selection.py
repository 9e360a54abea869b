"""Which rows of the pool a voter learns from next, with which labels: the selection of iPET (2001.07676, 3.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pet.errors import RunError
from pet.labeling.ensemble import mean_scores
from pet.labeling.neighbours import Graph
from pet.labeling.refinement import refined
from pet.labeling.votes import Votes, log_softmax, with_some_weight

Confidence = Literal["probability", "margin", "consensus", "neighbourhood"]

Ratio = Literal["labels", "predicted"]

MOST_LIKELY = 100
"""Without gold rows, the first sets are drawn from so many rows per label that score highest for it."""


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


def select(
    votes: Sequence[Votes],
    voter: str,
    wanted: np.ndarray,
    rule: Rule,
    rng: np.random.Generator,
    graph: Graph | None = None,
) -> Selection:
    """Draw the pseudo-labeled rows of a voter's next training set from the votes of the others.

    A random share of the other voters (at least one) label the rows by the weighted mean of their scores; those who
    need not vote on every row have a say wherever they do. Of each
    label, `wanted` [k] rows are drawn without replacement, with probability proportional to confidence, but for what
    the rule leaves out; no row is drawn twice. A label that fewer rows have than its floor is filled from those
    that score highest for it. With a `graph` of the same rows what the deciders say is refined first; confidence by
    "neighbourhood" needs it.

    Raises `RunError` if there is no other voter, or no graph where one is needed.
    """
    # By name, so that the order in which patterns are listed decides nothing.
    every = sorted((vote for vote in votes if vote.voter != voter), key=lambda vote: vote.voter)
    others = [vote for vote in every if not vote.may_abstain]
    if not others:
        raise RunError(f"No voter but {voter!r} is there to label its rows: add a pattern, or set train.seeds = 2.")
    count = max(1, round(rule.share * len(others)))
    deciders = [others[i] for i in sorted(rng.choice(len(others), size=count, replace=False))]
    deciders += [vote for vote in every if vote.may_abstain]
    # Not the float32 softmax: many rows of it are exactly 1, and those would be ranked by their place in the pool.
    probs = np.exp(log_softmax(mean_scores(with_some_weight(deciders))))
    weights = _weights(probs, every, rule.confidence, graph)
    if graph is not None:
        probs = refined(probs, graph).astype(np.float64)
    limited = wanted if rule.most_likely else np.minimum(wanted, _limits(probs, wanted, rule))
    drawn = _draw(probs, weights, limited, rng, rule.most_likely)
    filled = _fill(probs, drawn, limited)
    taken = [np.concatenate(parts) for parts in zip(drawn, filled, strict=True)]
    got = np.asarray([len(part) for part in taken])
    rows, columns = np.concatenate(taken).astype(np.int64), np.repeat(np.arange(len(taken)), got)
    order = np.argsort(rows)
    rows, columns = rows[order], columns[order]
    return Selection(
        rows=rows,
        columns=columns,
        confidence=probs[rows, columns].astype(np.float32),
        deciders=tuple(vote.voter for vote in deciders),
        filled={k: len(part) for k, part in enumerate(filled) if len(part)},
        missing={k: int(n) for k, n in enumerate(limited - got) if n > 0},
        capped={k: int(n) for k, n in enumerate(wanted - limited) if n > 0},
    )


def _limits(probs: np.ndarray, wanted: np.ndarray, rule: Rule) -> np.ndarray:
    """Return int64 [k]: the most rows of each label that a rule allows."""
    given = np.bincount(probs.argmax(axis=1), minlength=probs.shape[1])
    limits = np.ceil(rule.cap * given).astype(np.int64)
    if rule.ratio == "predicted":
        limits = np.minimum(limits, -(-wanted.sum() * given // max(1, len(probs))))  # rounded up
    return np.asarray(np.maximum(limits, rule.floor or 0))


def _weights(probs: np.ndarray, others: Sequence[Votes], confidence: Confidence, graph: Graph | None) -> np.ndarray:
    """Return float64 [n, k]: the confidence in each label of a row.

    In a label that another one outscores it is the label's probability; margins have no confidence in it.
    """
    weights = probs.copy() if confidence == "probability" else np.zeros_like(probs)
    weights[np.arange(len(probs)), probs.argmax(axis=1)] = CONFIDENCES[confidence](probs, others, graph)
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
        # A row without any confidence is still there to be drawn when the others are used up.
        positive, many = np.maximum(weights[rows, k], 1e-9), min(int(size), len(rows))
        chosen = rng.choice(rows, size=many, replace=False, p=positive / positive.sum()) if many else rows[:0]
        free[chosen] = False
        drawn.append(chosen)
    return drawn


def _fill(probs: np.ndarray, drawn: Sequence[np.ndarray], wanted: np.ndarray) -> list[np.ndarray]:
    """Return int64 rows per label: where it has too few, those not yet drawn that score highest for it."""
    free = np.ones(len(probs), np.bool_)
    free[np.concatenate(drawn).astype(np.int64)] = False
    filled = []
    for k, part in enumerate(drawn):
        ranked = np.argsort(-probs[:, k], kind="stable")
        rows = ranked[free[ranked]][: max(0, int(wanted[k]) - len(part))]
        free[rows] = False
        filled.append(rows)
    return filled


def _consensus(probs: np.ndarray, others: Sequence[Votes]) -> np.ndarray:
    """Return float64 [n]: over all other voters, the mean margin of the label minus its spread, 0 at least.

    The margin of a voter is its probability of the label minus that of the best other label, so a voter of another
    opinion counts negatively, and one that does not vote not at all.
    """
    hard, margins = probs.argmax(axis=1), []
    for vote in others:
        margins.append(_margin_of(vote.probs().astype(np.float64), hard))
    stacked = np.stack(margins)
    return np.asarray(np.maximum(np.nanmean(stacked, axis=0) - np.nanstd(stacked, axis=0), 0.0))


def _neighbourhood(probs: np.ndarray, others: Sequence[Votes], graph: Graph | None) -> np.ndarray:
    """Return float64 [n]: the share of neighbours with a row's label, times its margin, times the least in a family.

    A row whose neighbours are labeled alike is seldom labeled wrong (NeST, 2301.03726), nor one on whose label voters
    agree that learn in different ways. Families that would give another label have no confidence in this one.
    """
    if graph is None:
        raise RunError("Confidence by neighbourhood needs the embeddings of the rows: choose another confidence.")
    hard = probs.argmax(axis=1)
    families: dict[str, list[Votes]] = {}
    for vote in others:
        families.setdefault(vote.family, []).append(vote)
    least = np.ones(len(hard))
    for members in families.values():
        own = np.exp(log_softmax(mean_scores(with_some_weight(members))))
        voted = np.any([vote.voted() for vote in members], axis=0)
        least = np.where(voted, np.minimum(least, _margin_of(own, hard)), least)
    return np.asarray(graph.share_alike(hard) * _margin_of(probs, hard) * np.maximum(least, 0.0))


def _margin_of(probs: np.ndarray, hard: np.ndarray) -> np.ndarray:
    """Return float64 [n]: the probability of a row's label minus that of the best other one, which may be more."""
    rows, rest = np.arange(len(hard)), probs.copy()
    rest[rows, hard] = -1.0
    return np.asarray(probs[rows, hard] - rest.max(axis=1))


CONFIDENCES: Mapping[str, Callable[[np.ndarray, Sequence[Votes], Graph | None], np.ndarray]] = {
    "probability": lambda probs, _, __: probs.max(axis=1),
    "margin": lambda probs, _, __: np.diff(np.partition(probs, -2, axis=1)[:, -2:], axis=1)[:, 0],
    "consensus": lambda probs, others, _: _consensus(probs, others),
    "neighbourhood": _neighbourhood,
}
"""From the deciders' mean probabilities [n, k], the votes of all others and the graph to a confidence >= 0 per row."""
