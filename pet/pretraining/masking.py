"""Masked batches: which tokens are to be told, decided by the seed and the number of the step alone."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from pet.pretraining.corpus import Corpus, padded
from pet.settings.pretraining import MaskingSettings

__all__ = ["MaskedBatch", "Masker", "ahead"]

T = TypeVar("T")

EMBEDDED_PART = 4
"""One in so many rows of a batch keeps its embedding: an estimate of the mean over all, at a quarter of the price."""


@dataclass(frozen=True)
class MaskedBatch:
    """Rows to be told, and behind them `whole` rows without a mask, whose embeddings are kept.

    `inputs` int64 [b + whole, t] by argument name; `places` int64 [m] are positions in the masked rows, row after row,
    and `targets` int64 [m] what stands there; `weights` float32 [whole, t] are each token's part in the mean of its
    row. `tokens` counts what is real of the masked rows.
    """

    inputs: dict[str, torch.Tensor]
    places: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    whole: int
    tokens: int

    def to(self, device: torch.device) -> "MaskedBatch":
        """Return this batch on a device; the copy to a GPU runs beside what that computes."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "MaskedBatch":
        """Return this batch in memory that a GPU copies from without the processor."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "MaskedBatch":
        return replace(
            self,
            inputs={name: change(tensor) for name, tensor in self.inputs.items()},
            places=change(self.places),
            targets=change(self.targets),
            weights=change(self.weights),
        )


class Masker:
    """Masks rows of a corpus for one tokenizer; special tokens and unknown pieces are never to be told."""

    def __init__(self, tokenizer: Any, settings: MaskingSettings, longest: int) -> None:
        self.settings = settings
        self.longest = longest
        self.pad_id: int = tokenizer.pad_token_id
        self.mask_id: int = tokenizer.mask_token_id
        self._plain = np.ones(len(tokenizer), np.bool_)
        self._plain[list(tokenizer.all_special_ids)] = False
        self._drawn = np.flatnonzero(self._plain)

    def batch(self, corpus: Corpus, rows: np.ndarray, rng: np.random.Generator) -> MaskedBatch:
        """Return rows int64 [b] of a corpus with some tokens masked (1810.04805, section 3.1)."""
        width = min(int(padded(corpus.lengths[rows]).max()), self.longest)
        ids, real = corpus.batch(rows, self.pad_id, width)
        chosen = self._plain[ids] & real & (rng.random(ids.shape, np.float32) < self.settings.rate)
        places = np.flatnonzero(chosen)
        targets = ids.reshape(-1)[places]
        masked = ids.copy()
        masked.reshape(-1)[places] = self._instead(targets, rng)
        whole = max(1, len(rows) // EMBEDDED_PART) if self.settings.keep_embeddings else 0
        weights = (self._plain[ids[:whole]] & real[:whole]).astype(np.float32)
        weights += real[:whole] * ~weights.any(axis=1, keepdims=True)  # a row without a known piece
        weights /= weights.sum(axis=1, keepdims=True)
        inputs = {"input_ids": np.concatenate([masked, ids[:whole]])}
        if not real.all():  # without padding, attention needs no mask, and is faster
            inputs["attention_mask"] = np.concatenate([real, real[:whole]]).astype(np.int64)
        return MaskedBatch(
            inputs={name: torch.from_numpy(array) for name, array in inputs.items()},
            places=torch.from_numpy(places),
            targets=torch.from_numpy(targets),
            weights=torch.from_numpy(weights),
            whole=whole,
            tokens=int(corpus.lengths[rows].sum()),
        )

    def _instead(self, targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return what the model reads in the place of tokens, int64 [m]: the mask, a random piece, or themselves."""
        kind = rng.random(len(targets), np.float32)
        drawn = self._drawn[rng.integers(len(self._drawn), size=len(targets))]
        swapped = np.where(kind < self.settings.masked + self.settings.random, drawn, targets)
        return np.where(kind < self.settings.masked, self.mask_id, swapped)


def ahead(values: Iterator[T], depth: int = 3) -> Generator[T]:
    """Yield values that another thread computes while the present one is used, in their order.

    >>> list(ahead(iter([1, 2, 3])))
    [1, 2, 3]
    """
    end = object()

    def following() -> T | object:
        return next(values, end)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        waiting: list[Future[T | object]] = [pool.submit(following) for _ in range(depth)]
        while (value := waiting.pop(0).result()) is not end:
            waiting.append(pool.submit(following))
            yield value  # type: ignore[misc]
