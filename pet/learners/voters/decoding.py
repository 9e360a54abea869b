"""Label words of several tokens, asked for one token after the other (2009.07118, section 3, "Multiple Masks").

    masks    [M] [M] [M]        as many as the word has tokens
    filled   [M] sib [M]        the token that the model is surest of in its place is put there, and the rest asked anew
    score    log q(sib | 3 masks) + log q(plau | ...) + log q(##le | ...)

The words of all rows are asked side by side: rows with as many masks share their batches, and words that begin alike
share their rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pet.learners.models.batching import token_budget_batches
from pet.learners.models.machine import Machine
from pet.learners.models.splicing import Encoded
from pet.settings.task import Decoder

Logits = Callable[[Sequence[Encoded]], torch.Tensor]
"""Gives the vocabulary logits at the masks, float32 [b, p, v], of rows with p masks each."""

MOST_MASKS = 512
"""So many masks of a batch have logits of the whole vocabulary at a time."""


@dataclass(frozen=True, eq=False)
class _Open:
    """A word that is not asked for completely: its place among all, a row with masks for what is left, and its ids."""

    place: int
    row: Encoded
    ids: tuple[int, ...]


def word_log_probs(
    rows: Sequence[Encoded],
    words: Sequence[Sequence[tuple[int, ...]]],
    decoder: Decoder,
    logits: Logits,
    machine: Machine,
) -> np.ndarray:
    """Return the log-probability of each row's own `words`, as tokens; float64, all words of the first row first.

    Every row has as many masks as the longest of its words has tokens. Passes of all words are batched by the token
    budget of the machine.
    """
    waiting = list(_opened(rows, words))
    total = np.zeros(len(waiting))
    while waiting:
        filled: dict[tuple[int, int, int], Encoded] = {}  # words that go on alike share a row
        following = []
        for one, values in _asked(waiting, logits, machine):
            if decoder == "parallel":
                total[one.place] = values.sum()
                continue
            slot = int(values.argmax()) if decoder == "most-confident-first" else 0
            total[one.place] += values[slot]
            if len(one.ids) > 1:
                key = (id(one.row), slot, one.ids[slot])
                row = filled.get(key) or filled.setdefault(key, one.row.filled(slot, one.ids[slot]))
                following.append(_Open(one.place, row, one.ids[:slot] + one.ids[slot + 1 :]))
        waiting = following
    return total


def _opened(rows: Sequence[Encoded], words: Sequence[Sequence[tuple[int, ...]]]) -> Iterator[_Open]:
    """Yield every word of every row; words of as many tokens share a row."""
    place = 0
    for row, own in zip(rows, words, strict=True):
        with_masks = {size: row.with_masks(size) for size in {len(ids) for ids in own}}
        for ids in own:
            yield _Open(place, with_masks[len(ids)], ids)
            place += 1


def _asked(waiting: Sequence[_Open], logits: Logits, machine: Machine) -> Iterator[tuple[_Open, np.ndarray]]:
    """Yield each word with the log-probability of its tokens at their masks, float32 [p]."""
    on_row: dict[int, list[_Open]] = {}
    for one in waiting:
        on_row.setdefault(id(one.row), []).append(one)
    shared = list(on_row.values())
    masks = np.asarray([len(own[0].ids) for own in shared])
    budget = machine.token_budget
    for count in np.unique(masks).tolist():
        some = [shared[i] for i in np.flatnonzero(masks == count)]
        most = max(1, min(budget.rows, MOST_MASKS // count))
        lengths = [len(own[0].row) for own in some]
        for batch in token_budget_batches(lengths, budget.tokens, most, pads=machine.pads):
            yield from _asked_together([some[i] for i in batch.tolist()], logits)


def _asked_together(shared: Sequence[Sequence[_Open]], logits: Logits) -> Iterator[tuple[_Open, np.ndarray]]:
    """Yield words as `_asked` does; those of one row stand together, and all rows have as many masks."""
    said = logits([own[0].row for own in shared])  # [b, p, v]
    opened = [one for own in shared for one in own]
    rows = torch.tensor([i for i, own in enumerate(shared) for _ in own], device=said.device)[:, None]
    ids = torch.tensor([one.ids for one in opened], device=said.device)  # [o, p]
    slots = torch.arange(ids.shape[1], device=said.device)
    values = (said[rows, slots, ids] - said.logsumexp(-1)[rows, slots]).cpu().numpy()
    return zip(opened, values, strict=True)
