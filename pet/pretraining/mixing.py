"""Which rows a step reads: sources in their shares, each in shuffled passes, batches of like length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pet.learners.models.batching import token_budget_batches
from pet.pretraining.corpus import Corpus, padded
from pet.seeding import rng_for

__all__ = ["mixed_shares", "row_batches"]

CHUNK_BATCHES = 64
"""So many batches are cut from rows sorted by length, and then shuffled."""


def mixed_shares(tokens: np.ndarray, shares: Sequence[float | None]) -> np.ndarray:
    """Return the part of each source in what is read, float64 [s]: its share, else what its size earns of the rest.

    >>> mixed_shares(np.array([100, 300, 50]), [None, None, 0.5]).tolist()
    [0.125, 0.375, 0.5]
    """
    said = np.asarray([share or 0.0 for share in shares])
    sizes = np.where(said > 0, 0, tokens)
    parts: np.ndarray = said + (1.0 - said.sum()) * sizes / max(1, sizes.sum())
    return parts


def row_batches(corpus: Corpus, shares: np.ndarray, budget: int, seed: int) -> Iterator[np.ndarray]:
    """Yield int64 row indices of one batch after the other, without end; the same for the same seed.

    A batch has at most `budget` tokens, padding included. Over `CHUNK_BATCHES` of them each source has its share.
    """
    streams = [_Stream(corpus, number, seed) for number in range(len(corpus.names))]
    chunk = 0
    while True:
        wanted = shares * CHUNK_BATCHES * budget
        rows = np.concatenate([stream.take(tokens) for stream, tokens in zip(streams, wanted, strict=True)])
        rng = rng_for(seed, "order", chunk)
        rows = rng.permutation(rows)  # rows of one length are a mixture too
        batches = token_budget_batches(padded(corpus.lengths[rows]).tolist(), budget, max_rows=budget, waste=1.0)
        for i in rng.permutation(len(batches)):
            yield rows[batches[i]]
        chunk += 1


@dataclass
class _Stream:
    """Passes over the rows of one source, each in an order of its own, handed out by tokens."""

    corpus: Corpus
    source: int
    seed: int
    _pass: int = field(default=0, init=False)
    _order: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64), init=False)
    _sums: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64), init=False)
    _at: int = field(default=0, init=False)
    _owed: float = field(default=0.0, init=False)

    def take(self, tokens: float) -> np.ndarray:
        """Return the next rows of so many tokens; what is given too much is taken off the next time."""
        self._owed += tokens
        taken = [np.empty(0, np.int64)]
        while self._owed > 0:
            if self._at == len(self._order):
                self._begin_pass()
            begin = self._sums[self._at]
            end = min(int(np.searchsorted(self._sums, begin + self._owed)), len(self._order))
            taken.append(self._order[self._at : end])
            self._owed -= float(self._sums[end] - begin)
            self._at = end
        return np.concatenate(taken)

    def _begin_pass(self) -> None:
        rows = np.flatnonzero(self.corpus.sources == self.source)
        name = self.corpus.names[self.source]
        self._order = rng_for(self.seed, "pass", name, self._pass).permutation(rows)
        self._sums = np.concatenate([[0], np.cumsum(self.corpus.lengths[self._order])])
        self._at, self._pass = 0, self._pass + 1
