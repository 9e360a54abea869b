"""Whether new rows are like those of a pool: what is measured of each row, compared as distributions.

A difference counts if it is large enough to matter, whatever the number of rows, and larger than chance makes it
between samples of these sizes: with very many rows a test alone finds differences that harm nobody.
"""

from dataclasses import dataclass

import numpy as np

ALPHA = 0.01
"""How often rows of the pool itself would be called other ones, over all signals together."""

LEAST = 0.1
"""The least effect that counts: a tenth of the rows would have to be others for both to be alike."""

FAMILIAR = 0.99
"""A row is unfamiliar where its distance is beyond that of such a share of the pool's rows."""

_SIGNALS = 5
_DRAWS = 2000


@dataclass(frozen=True)
class RowFacts:
    """What is measured of n rows.

    `probs` float32 [n, k] are the classifier's; `lengths` float32 [n] are in tokens; `unknown` float32 [n] is the share
    of them that the tokenizer does not know; `distances` float32 [n] are those to the pool (None: the classifier has no
    vectors).
    """

    probs: np.ndarray
    lengths: np.ndarray
    unknown: np.ndarray
    distances: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` if the numbers of rows differ, or there are none."""
        given = [one for one in (self.probs, self.lengths, self.unknown, self.distances) if one is not None]
        if len({len(one) for one in given}) != 1 or not len(self.probs):
            raise ValueError(f"expected facts of the same rows, at least one, found {[one.shape for one in given]}")

    def __len__(self) -> int:
        return len(self.probs)

    @property
    def ratio(self) -> np.ndarray:
        """The share of rows that each label is given to, float64 [k]."""
        return np.bincount(self.probs.argmax(axis=1), minlength=self.probs.shape[1]) / len(self)


@dataclass(frozen=True)
class Sketch:
    """What is kept of a pool: the `facts` of some of its rows, and of others their `vectors`, float32 [r, h].

    Vectors are None where the classifier has none; `apart` says that it has not learned the rows of the facts.
    """

    facts: RowFacts
    apart: bool
    vectors: np.ndarray | None = None

    @property
    def limit(self) -> float | None:
        """The distance beyond which a row is unfamiliar; None where there are no distances."""
        found = self.facts.distances
        return None if found is None else float(np.quantile(found, FAMILIAR, method="higher"))


@dataclass(frozen=True)
class Signal:
    """How far one thing that is measured differs.

    `effect` is a distance of two distributions, from 0 to 1: of the labels the total variation, of all else that of
    Kolmogorov and Smirnov. `chance` is what it is exceeded by in one of 500 samples of the pool itself; `before` and
    `now` are what it is in the pool and in the new rows: means, or for the labels the share of the one that differs
    most, which is the column `label`.
    """

    name: str
    effect: float
    chance: float
    before: float
    now: float
    label: int | None = None

    @property
    def drifted(self) -> bool:
        """Whether the difference is large, and more than chance."""
        return self.effect > max(self.chance, LEAST)


def compare_rows(pool: RowFacts, new: RowFacts, rng: np.random.Generator) -> tuple[Signal, ...]:
    """Return how new rows differ from those of the pool; distances are left out where either has none."""
    found = [
        _labels(pool, new, rng),
        _values("confidence", pool.probs.max(axis=1), new.probs.max(axis=1)),
        _values("length", pool.lengths, new.lengths),
        _values("unknown tokens", pool.unknown, new.unknown),
    ]
    if pool.distances is not None and new.distances is not None:
        # Rows that are nearer to the pool than its own are no other ones.
        found.append(_values("distance", pool.distances, new.distances, more=True))
    return tuple(found)


def _labels(pool: RowFacts, new: RowFacts, rng: np.random.Generator) -> Signal:
    before, now = pool.ratio, new.ratio
    both = (before * len(pool) + now * len(new)) / (len(pool) + len(new))
    one, other = (rng.multinomial(len(rows), both, _DRAWS) / len(rows) for rows in (pool, new))
    drawn = np.abs(one - other).sum(axis=1) / 2
    most = int(np.abs(now - before).argmax())
    effect, chance = np.abs(now - before).sum() / 2, np.quantile(drawn, 1 - ALPHA / _SIGNALS)
    return Signal("labels", float(effect), float(chance), float(before[most]), float(now[most]), most)


def _values(name: str, before: np.ndarray, now: np.ndarray, *, more: bool = False) -> Signal:
    effect = largest_gap(before, now, more=more)
    return Signal(name, effect, chance_gap(len(before), len(now)), float(before.mean()), float(now.mean()))


def largest_gap(one: np.ndarray, other: np.ndarray, *, more: bool = False) -> float:
    """Return the largest difference of two empirical distribution functions, of values [n] and [m].

    With `more` only where the other values are larger.

    >>> largest_gap(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    >>> largest_gap(np.array([2.0, 3.0]), np.array([1.0, 2.0]), more=True)
    0.0
    """
    one, other = np.sort(one), np.sort(other)
    both = np.concatenate([one, other])
    shares = [np.searchsorted(some, both, side="right") / len(some) for some in (one, other)]
    gaps = shares[0] - shares[1]
    return float((gaps if more else np.abs(gaps)).max())


def chance_gap(n: int, m: int) -> float:
    """Return what the largest gap of two samples of one distribution exceeds in `ALPHA` / 5 of cases.

    That is the asymptotic bound of Kolmogorov and Smirnov for two samples (Smirnov 1939); ties make it cautious.
    """
    return min(1.0, float(np.sqrt(-np.log(ALPHA / _SIGNALS / 2) / 2 * (n + m) / (n * m))))
