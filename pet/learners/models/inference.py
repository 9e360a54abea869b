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
from pet.learners.models.keeping import Piece, next_piece, read_state, write_state
from pet.learners.models.machine import Machine, is_out_of_memory
from pet.learners.models.shortening import Join, mean_of_windows
from pet.learners.models.splicing import Encoded

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Inference:
    """A forward pass over rows: `encode` makes tokens of a chunk, `compute` float32 [b, c] of a batch of them.

    What was computed of the windows of a row that has several is `join`ed.
    """

    machine: Machine
    encode: Callable[[Sequence[Example]], list[Encoded]]
    compute: Callable[[list[Encoded]], torch.Tensor]
    join: Join = mean_of_windows

    def run(self, examples: Sequence[Example], columns: int, advance: Advance = lambda _: None) -> np.ndarray:
        """Return float32 [n, c], c = `columns`, in the order of `examples`; two chunks at most are held as tokens.

        Raises `RunError` if a value is not finite, or one row alone does not fit into memory.
        """
        kept = KeptScores.of(examples, columns)
        found, done = kept.found, kept.done
        waiting = [chunk for chunk in row_chunks(len(examples)) if not done[chunk].all()]
        if done.any():
            advance(int(done.sum()))
        with torch.inference_mode(), self._packed():
            for chunk, encoded in ahead(((chunk, self.encode(examples[chunk])) for chunk in waiting), depth=1):
                windows = _Windows.of(encoded, columns)
                batches = self._batches(windows, examples, chunk.start, done[chunk].copy(), advance)
                # A GPU is not waited for after every batch: all is fetched together.
                for places, values in batches if self.machine.device.type == "cpu" else list(batches):
                    for row, whole in windows.complete(places, values.cpu().numpy(), self.join):
                        found[chunk.start + row] = whole
                        done[chunk.start + row] = True
                    kept.keep()
                check_finite(found[chunk], examples, chunk.start)
        kept.keep(ended=True)
        return found

    def _packed(self) -> AbstractContextManager[object]:
        on = self.machine.device.type == "cpu" and self.machine.inference == "bf16"
        return PackedForward() if on else nullcontext()

    def _batches(
        self, windows: "_Windows", examples: Sequence[Example], start: int, done: np.ndarray, advance: Advance
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield the windows of each batch, int64 [b], with what was computed of them, float32 [b, c].

        Batches whose rows are all `done`, bool [n], are left out.
        """
        encoded, of_row = windows.encoded, windows.rows
        done = done[of_row]
        budget, lengths = self.machine.token_budget, np.asarray([len(row) for row in encoded], np.int64)
        waiting = token_budget_batches(lengths.tolist(), budget.tokens, budget.rows, pads=self.machine.pads)
        waiting = [rows for rows in waiting if not done[rows].all()]
        while waiting:
            rows, *rest = waiting
            try:
                values = self.compute([encoded[i] for i in rows])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    alone = examples[start + of_row[rows[0]]].id
                    raise RunError(
                        f"Row {alone!r} alone ({lengths[rows[0]]} tokens) does not fit into memory: lower "
                        "model.max_length, or choose a smaller model."
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
            advance(int(windows.first[rows].sum()))


@dataclass(frozen=True)
class _Windows:
    """The windows of n rows, one after the other: of which row each is, int64 [w], and whether it is its first.

    `values` float32 [w, c] and `left` int64 [n], the windows of each row that are not there yet, are filled in.
    """

    encoded: list[Encoded]
    rows: np.ndarray
    first: np.ndarray
    values: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, encoded: Sequence[Encoded], columns: int) -> "_Windows":
        """Return the windows of rows, of which nothing is computed yet."""
        counts = np.asarray([1 + len(row.more) for row in encoded], np.int64)
        rows = np.repeat(np.arange(len(encoded)), counts)
        windows = [window for row in encoded for window in row.windows]
        return cls(windows, rows, np.diff(rows, prepend=-1) > 0, np.empty((len(rows), columns), np.float32), counts)

    def complete(self, places: np.ndarray, values: np.ndarray, join: Join) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Take what was computed, float32 [b, c], of windows int64 [b]; yield rows that are complete, and their own."""
        if len(self.encoded) == len(self.left):
            yield places, values
            return
        self.values[places] = values
        np.subtract.at(self.left, self.rows[places], 1)
        for row in np.unique(self.rows[places]):
            if not self.left[row]:
                start, end = np.searchsorted(self.rows, [row, row + 1])
                yield row, join(self.values[start:end])


MOST_KEPT = 2**28
"""Scores of more bytes are not kept while they come: those of a large pool are computed in parts."""


@dataclass(frozen=True)
class KeptScores:
    """Scores that come, float32 [n, c], those that are `done`, bool [n], and their place in a job."""

    found: np.ndarray
    done: np.ndarray
    piece: Piece | None

    @classmethod
    def of(cls, examples: Sequence[Example], columns: int) -> "KeptScores":
        """Return what was kept of rows, as many scores each as there are columns; none are done where nothing was."""
        found, done = np.empty((len(examples), columns), np.float32), np.zeros(len(examples), np.bool_)
        if not len(examples) or found.nbytes > MOST_KEPT:
            return cls(found, done, None)
        piece = next_piece(f"scores of {examples[0].id} to {examples[-1].id}, {found.shape}")
        if folder := piece.latest():
            tensors, _ = read_state(folder)
            return cls(tensors["found"].numpy(), tensors["done"].numpy(), piece)
        return cls(found, done, piece)

    def keep(self, *, ended: bool = False) -> None:
        """Write down the scores that are there, if that is due."""
        if self.piece is not None and self.piece.due(ended=ended):
            tensors = {"found": torch.from_numpy(self.found), "done": torch.from_numpy(self.done)}
            self.piece.save(lambda folder: write_state(folder, (tensors, {})))


def check_finite(values: np.ndarray, examples: Sequence[Example], start: int) -> None:
    """Refuse scores [c, k] of the examples from `start` on that are not finite: a RunError names the row."""
    for i in np.flatnonzero(~np.isfinite(values).all(axis=1))[:1]:
        raise RunError(
            f"The model gives row {examples[start + i].id!r} the scores {values[i].tolist()}, expected numbers: set "
            'run.precision = "fp32", or choose another model.'
        )
