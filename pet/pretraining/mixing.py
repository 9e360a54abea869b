"""Which rows a step reads: sources in their shares, each in shuffled passes, batches of like length."""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from pet.learners.models.batching import padded, token_budget_batches
from pet.pretraining.corpus import Corpus
from pet.seeding import rng_for

CHUNK_BATCHES = 64
"""So many batches are cut from rows sorted by length, and then shuffled."""


def mixed_shares(tokens: np.ndarray, shares: Sequence[float | None]) -> np.ndarray:
    """Return the part of each source in what is read, float64 [s]: its share, else what its size earns of the rest.

    >>> mixed_shares(np.array([100, 300, 50]), [None, None, 0.5]).tolist()
    [0.125, 0.375, 0.5]
    """
    said = np.asarray([share or 0.0 for share in shares])
    sizes = np.where(said > 0, 0, tokens)
    return np.asarray(said + (1.0 - said.sum()) * sizes / max(1, sizes.sum()))


def row_batches(corpus: Corpus, shares: np.ndarray, budget: int, seed: int) -> Iterator[np.ndarray]:
    """Yield int64 row indices of one batch after the other, without end; the same for the same seed.

    A batch has at most `budget` tokens, padding included. Over `CHUNK_BATCHES` of them each source has its share.
    """
    wanted = shares * CHUNK_BATCHES * budget
    streams = [_stream(corpus, number, tokens, seed) for number, tokens in enumerate(wanted.tolist())]
    for chunk, parts in enumerate(zip(*streams, strict=True)):
        rng = rng_for(seed, "order", chunk)
        rows = rng.permutation(np.concatenate(parts))  # rows of one length are a mixture too
        batches = token_budget_batches(padded(corpus.lengths[rows]).tolist(), budget, max_rows=budget, waste=1.0)
        for i in rng.permutation(len(batches)):
            yield rows[batches[i]]


def _stream(corpus: Corpus, source: int, tokens: float, seed: int) -> Iterator[np.ndarray]:
    """Yield so many tokens of a source in rows, in shuffled passes; what is too much is taken off the next time."""
    rows, name = np.flatnonzero(corpus.sources == source), corpus.names[source]
    owed, taken = tokens, [np.empty(0, np.int64)]
    for number in count():
        order = rng_for(seed, "pass", name, number).permutation(rows)
        sums = np.concatenate([[0], np.cumsum(corpus.lengths[order])])
        at = 0
        while at < len(order):
            while owed <= 0:
                yield np.concatenate(taken)
                owed, taken = owed + tokens, [np.empty(0, np.int64)]
            end = min(int(np.searchsorted(sums, sums[at] + owed)), len(order))
            taken.append(order[at:end])
            owed -= float(sums[end] - sums[at])
            at = end
