"""Masked batches, of a step and of held-out text: seeds alone decide which tokens are to be predicted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pet.learners.models.batching import padded, token_budget_batches
from pet.learners.models.embeddings import mean_weights
from pet.pretraining.corpus import Corpus
from pet.seeding import rng_for
from pet.settings.pretraining import MaskingSettings

EMBEDDED_PART = 4
"""One in so many rows of a batch keeps its embedding: an estimate of the mean over all, at a quarter of the price."""

_MASKED = MaskingSettings(rate=0.15, masked=1.0, random=0.0)
"""What is measured: 15 % of the tokens, all of them masked, whatever the training masks."""


@dataclass(frozen=True)
class MaskedBatch:
    """Rows with masks, and behind them `whole` rows without a mask, whose embeddings are kept.

    `inputs` int64 [b + whole, t] by argument name; `places` int64 [m] are positions in the masked rows, row after row,
    and `targets` int64 [m] what stands there; `weights` float32 [whole, t] are each token's part in the mean of its
    row. `tokens` int64 [s] counts what is real of the masked rows, by source.
    """

    inputs: dict[str, torch.Tensor]
    places: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    whole: int
    tokens: np.ndarray

    def to(self, device: torch.device) -> "MaskedBatch":
        """Return this batch on a device; the copy to a GPU runs beside what that computes."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "MaskedBatch":
        """Return this batch with every tensor changed."""
        return replace(
            self,
            inputs={name: change(tensor) for name, tensor in self.inputs.items()},
            places=change(self.places),
            targets=change(self.targets),
            weights=change(self.weights),
        )


class Masker:
    """Masks rows of a corpus for one tokenizer; special tokens and unknown pieces are never to be predicted."""

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
        weights = mean_weights(self._plain[ids[:whole]] & real[:whole], real[:whole])
        inputs = {"input_ids": np.concatenate([masked, ids[:whole]])}
        if (types := corpus.batch_types(rows, width)) is not None:
            inputs["token_type_ids"] = np.concatenate([types, types[:whole]])
        if not real.all():  # without padding, attention needs no mask, and is faster
            inputs["attention_mask"] = np.concatenate([real, real[:whole]]).astype(np.int64)
        return MaskedBatch(
            inputs={name: torch.from_numpy(array) for name, array in inputs.items()},
            places=torch.from_numpy(places),
            targets=torch.from_numpy(targets),
            weights=torch.from_numpy(weights),
            whole=whole,
            tokens=corpus.tokens_of(rows),
        )

    def _instead(self, targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return what the model reads in the place of tokens, int64 [m]: the mask, a random piece, or themselves."""
        kind = rng.random(len(targets), np.float32)
        drawn = self._drawn[rng.integers(len(self._drawn), size=len(targets))]
        swapped = np.where(kind < self.settings.masked + self.settings.random, drawn, targets)
        return np.where(kind < self.settings.masked, self.mask_id, swapped)


def held_out_batches(
    corpus: Corpus, tokenizer: Any, longest: int, tokens: int, budget: int, seed: int = 0
) -> list[MaskedBatch]:
    """Return masked batches of about so many tokens of a corpus: rows and masks depend on the seed alone."""
    rows = rng_for(seed, "held out").permutation(len(corpus))
    rows = rows[: int(np.searchsorted(np.cumsum(corpus.lengths[rows]), tokens)) + 1]
    masker = Masker(tokenizer, _MASKED, longest)
    batches = token_budget_batches(padded(corpus.lengths[rows]).tolist(), budget, max_rows=budget)
    return [masker.batch(corpus, rows[batch], rng_for(seed, "held out", i)) for i, batch in enumerate(batches)]
