"""Rows through a model without training: chunks encoded ahead, batches filled by tokens, memory that gives way.

While a chunk of rows is computed, the next one is read and tokenized in a thread. A batch that does not fit into memory
halves the token budget of the machine and is done again, so that the results are those of a larger memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from pet.data.examples import Example
from pet.errors import RunError
from pet.learners.models.batching import ahead, row_chunks, token_budget_batches
from pet.learners.models.fast.packed import PackedForward
from pet.learners.models.machine import Machine, is_out_of_memory
from pet.learners.models.splicing import Encoded

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Inference:
    """A forward pass over rows: `encode` makes tokens of a chunk, `compute` float32 [b, c] of a batch of them."""

    machine: Machine
    encode: Callable[[Sequence[Example]], list[Encoded]]
    compute: Callable[[list[Encoded]], torch.Tensor]

    def run(self, examples: Sequence[Example], columns: int, advance: Advance = lambda _: None) -> np.ndarray:
        """Return float32 [n, c], c = `columns`, in the order of `examples`; two chunks at most are held as tokens.

        Raises `RunError` if a value is not finite, or one row alone does not fit into memory.
        """
        found = np.empty((len(examples), columns), np.float32)
        chunks = ((chunk, self.encode(examples[chunk])) for chunk in row_chunks(len(examples)))
        with torch.inference_mode(), self._packed():
            for chunk, encoded in ahead(chunks, depth=1):
                # Fetched together: a GPU is not waited for after every batch.
                for rows, values in list(self._batches(encoded, examples, chunk.start, advance)):
                    found[chunk.start + rows] = values.cpu().numpy()
                check_finite(found[chunk], examples, chunk.start)
        return found

    def _packed(self) -> AbstractContextManager[object]:
        on = self.machine.device.type == "cpu" and self.machine.inference == "bf16"
        return PackedForward() if on else nullcontext()

    def _batches(
        self, encoded: list[Encoded], examples: Sequence[Example], start: int, advance: Advance
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield the rows of each batch, int64 [b], with what was computed of them, float32 [b, c]."""
        budget, lengths = self.machine.token_budget, np.asarray([len(row) for row in encoded], np.int64)
        waiting = token_budget_batches(lengths.tolist(), budget.tokens, budget.rows, pads=self.machine.pads)
        while waiting:
            rows, *rest = waiting
            try:
                values = self.compute([encoded[i] for i in rows])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise RunError(
                        f"Row {examples[start + rows[0]].id!r} alone ({lengths[rows[0]]} tokens) does not fit into "
                        "memory: lower model.max_length, or choose a smaller model."
                    ) from None
                budget.halve()
                left = np.concatenate(waiting)
                smaller = token_budget_batches(
                    lengths[left].tolist(), budget.tokens, budget.rows, pads=self.machine.pads
                )
                waiting = [left[batch] for batch in smaller]
                continue
            waiting = rest
            yield rows, values
            advance(len(rows))


def check_finite(values: np.ndarray, examples: Sequence[Example], start: int) -> None:
    """Refuse scores [c, k] of the examples from `start` on that are not finite: a RunError names the row."""
    for i in np.flatnonzero(~np.isfinite(values).all(axis=1))[:1]:
        raise RunError(
            f"The model gives row {examples[start + i].id!r} the scores {values[i].tolist()}, expected numbers: set "
            'run.precision = "fp32", or choose another model.'
        )
