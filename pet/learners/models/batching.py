"""Batches of rows as tensors: filled by tokens from rows sorted by length, padded on the right, made ahead."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from pet.learners.models.splicing import Encoded

T = TypeVar("T")
Lengths = TypeVar("Lengths", int, np.ndarray)

CHUNK_ROWS = 4096
"""So many rows of a pool are held as tokens at a time: enough to fill batches with rows of like lengths."""


@dataclass(frozen=True)
class Batch:
    """Rows ready for a model.

    `inputs` are int64 [b, t] tensors by argument name; `rows` and `positions` int64 [b * p] say where the cloze masks
    are; `slots` is p. `soft_slots` int64 [b, t] are rows of the table of trained vectors, -1 elsewhere (None: no row
    has any). `words` int64 [b, c, p] are the tokens of each row's candidates, -1 where there are fewer or shorter ones
    (None: rows have none). A row with fewer masks than others has its last one again.
    """

    inputs: dict[str, torch.Tensor]
    rows: torch.Tensor
    positions: torch.Tensor
    slots: int
    soft_slots: torch.Tensor | None = None
    words: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


def collate(
    encoded: Sequence[Encoded], pad_id: int, segments: bool, device: torch.device | str, width: int = 0
) -> Batch:
    """Pad rows on the right to the longest of them, or to `width` if that is more.

    `segments` adds `token_type_ids`.
    """
    shape = (len(encoded), max(width, *map(len, encoded)))
    ids, attention = np.full(shape, pad_id, np.int64), np.zeros(shape, np.int64)
    types, soft = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    for i, row in enumerate(encoded):
        ids[i, : len(row)] = row.input_ids
        attention[i, : len(row)] = 1
        types[i, : len(row)] = row.segment_ids
        if row.soft_slots is not None:
            soft[i, : len(row)] = row.soft_slots
    inputs = {"input_ids": ids, "attention_mask": attention} | ({"token_type_ids": types} if segments else {})
    slots = max(len(row.mask_positions) for row in encoded)
    positions = [_filled_up(row.mask_positions, slots) for row in encoded]
    return Batch(
        inputs={name: _moved(array, device) for name, array in inputs.items()},
        rows=torch.arange(len(encoded), device=device).repeat_interleave(slots),
        positions=_moved(np.concatenate(positions), device),
        slots=slots,
        soft_slots=None if all(row.soft_slots is None for row in encoded) else _moved(soft, device),
        words=_moved(_padded_words(encoded), device) if encoded[0].words else None,
    )


def _filled_up(positions: np.ndarray, slots: int) -> np.ndarray:
    """Return mask positions, int64, with the last one again up to so many."""
    return positions if len(positions) == slots else np.pad(positions, (0, slots - len(positions)), mode="edge")


def _padded_words(encoded: Sequence[Encoded]) -> np.ndarray:
    """Return the tokens of the candidates of rows, int64 [b, c, p], -1 elsewhere."""
    most, longest = max(len(row.words) for row in encoded), max(len(ids) for row in encoded for ids in row.words)
    found = np.full((len(encoded), most, longest), -1, np.int64)
    for i, row in enumerate(encoded):
        for c, ids in enumerate(row.words):
            found[i, c, : len(ids)] = ids
    return found


def _moved(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """Return an array on a device; to a GPU from pinned memory, so that nothing waits for the copy."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def padded(lengths: Lengths) -> Lengths:
    """Return lengths rounded up to a multiple of 8: matrix products at odd sizes are several times slower."""
    return -(-lengths // 8) * 8


def ahead(values: Iterator[T], depth: int = 3) -> Generator[T]:
    """Yield values of which another thread computes the next `depth` while the present one is used, in their order.

    >>> list(ahead(iter([1, 2, 3])))
    [1, 2, 3]
    """
    end = object()

    def following() -> T | object:
        return next(values, end)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        waiting: deque[Future[T | object]] = deque(pool.submit(following) for _ in range(depth))
        while (value := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(following))
            yield value  # type: ignore[misc]


def row_chunks(count: int) -> Iterator[slice]:
    """Yield slices of at most `CHUNK_ROWS` over `count` rows, in order."""
    return (slice(start, start + CHUNK_ROWS) for start in range(0, count, CHUNK_ROWS))


def token_budget_batches(
    lengths: Sequence[int], budget: int, max_rows: int = 256, waste: float = 0.02, *, pads: bool = True
) -> list[np.ndarray]:
    """Return int64 row indices per batch, longest rows first, rows x longest at most `budget` (one row at least).

    A batch ends early where shorter rows would make more than `waste` of it padding, once it has an eighth of the
    budget: below that, the fixed cost of a batch outweighs its padding. Unless it `pads`, its rows have one length.

    >>> [batch.tolist() for batch in token_budget_batches([2, 9, 3, 8], budget=18, waste=0.1)]
    [[1, 3], [2], [0]]
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    sizes = np.asarray(lengths, dtype=np.int64)[order]
    batches, start = [], 0
    while start < len(order):
        longest = max(1, int(sizes[start]))
        most = min(max(1, budget // longest), max_rows)
        rows = np.arange(1, len(sizes[start : start + most]) + 1)
        padding = 1.0 - np.cumsum(sizes[start : start + most]) / (rows * longest)
        fits = rows[(padding <= waste) | (rows * longest <= budget // 8) if pads else padding == 0.0]
        size = max(1, int(fits.max(initial=1)))
        batches.append(order[start : start + size])
        start += size
    return batches


def length_groups(lengths: Sequence[int], overhead: int) -> list[np.ndarray]:
    """Divide the rows of a batch into groups of like lengths, int64 each, so that computing all of them costs least.

    A group costs its padded tokens and `overhead` tokens, which stand for the fixed cost of a forward and a backward.

    >>> [group.tolist() for group in length_groups([9, 2, 8, 2], overhead=4)]
    [[1, 3], [0, 2]]
    >>> [group.tolist() for group in length_groups([9, 2, 8, 2], overhead=40)]
    [[0, 1, 2, 3]]
    """
    order = np.argsort(np.asarray(lengths, np.int64), kind="stable")
    sizes = np.asarray(lengths, np.int64)[order]
    cheapest, starts = np.zeros(len(sizes) + 1), np.zeros(len(sizes) + 1, np.int64)
    for end in range(1, len(sizes) + 1):
        # The last group begins at `start`; what is before it is divided at best already.
        costs = cheapest[:end] + (end - np.arange(end)) * sizes[end - 1] + overhead
        starts[end] = int(costs.argmin())
        cheapest[end] = costs.min()
    groups, end = [], len(sizes)
    while end:
        groups.append(np.sort(order[starts[end] : end]))
        end = int(starts[end])
    return groups[::-1]
