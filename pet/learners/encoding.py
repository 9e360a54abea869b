"""One example under one PVP as token ids: pieces spliced around the mask, shortened without touching the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from pet.data import Example
from pet.errors import ModelError, PromptError
from pet.learners.tokens import Layout, PieceTokenizer
from pet.prompts import Part, Pattern

__all__ = ["Encoded", "PatternEncoder", "Truncation", "shorten", "shortened_lengths"]

Truncation = Literal["tail", "head+tail"]


@dataclass(frozen=True)
class Encoded:
    """A row as a model reads it.

    `input_ids` int32 [t]; `segment_ids` int32 [t]; `mask_positions` int64 [p], the cloze slots (empty for a
    classifier); `text_positions` bool [t], true for tokens that come from the row's text; `cut`, the number of text
    tokens left out.
    """

    input_ids: np.ndarray
    segment_ids: np.ndarray
    mask_positions: np.ndarray
    text_positions: np.ndarray
    cut: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)


def shortened_lengths(lengths: Sequence[int], budget: int) -> list[int]:
    """Return lengths with a sum of at most `budget`, the longest always giving first.

    Equal to taking one token at a time from the longest (the first of them on a tie), without the loop.

    >>> shortened_lengths([5, 3], 8), shortened_lengths([5, 3], 6), shortened_lengths([5, 3], 3)
    ([5, 3], [3, 3], [1, 2])
    """
    if sum(lengths) <= budget:
        return list(lengths)
    cap = rest = budget
    for i, size in enumerate(sorted(lengths)):
        cap = rest // (len(lengths) - i)  # what each field gets that is as long as this one, or longer
        if size > cap:
            break
        rest -= size
    kept = [min(size, cap) for size in lengths]
    left = budget - sum(kept)
    for i in reversed(range(len(kept))):  # the later of equal fields keeps the odd token
        if left and lengths[i] > cap:
            kept[i] += 1
            left -= 1
    return kept


def shorten(ids: np.ndarray, length: int, truncation: Truncation) -> np.ndarray:
    """Return `length` of the int32 [t] ids: the first ones, or (head+tail) the first and last halves.

    >>> shorten(np.arange(6), 3, "tail").tolist(), shorten(np.arange(6), 3, "head+tail").tolist()
    ([0, 1, 2], [0, 1, 5])
    """
    if length >= len(ids):
        return ids
    if truncation == "tail":
        return ids[:length]
    head = (length + 1) // 2
    return np.concatenate([ids[:head], ids[len(ids) - (length - head) :]])


class PatternEncoder:
    """Encodes examples under one pattern for one tokenizer."""

    def __init__(
        self, pattern: Pattern, pieces: PieceTokenizer, max_length: int, truncation: Truncation = "tail"
    ) -> None:
        self.pattern = pattern
        self.pieces = pieces
        self.max_length = max_length
        self.truncation = truncation
        mask_token_id = pieces.tokenizer.mask_token_id
        if mask_token_id is None:
            raise ModelError(
                f"The tokenizer of {pieces.tokenizer.name_or_path} has no mask token: choose a masked language model."
            )
        self._mask_id = int(mask_token_id)

    def encode(self, examples: Sequence[Example], slots: int = 1) -> list[Encoded]:
        """Encode rows, with `slots` mask tokens at the place of the mask.

        Raises
        ------
        PromptError
            If the template and its kept fields alone do not fit into `max_length`.
        """
        rendered = [self.pattern.render(example) for example in examples]
        self.pieces.learn((part.text, part.spaced) for parts in rendered for part in parts if part.kind != "mask")
        return [self._splice(parts, example, slots) for parts, example in zip(rendered, examples, strict=True)]

    def _splice(self, parts: Sequence[Part], example: Example, slots: int) -> Encoded:
        layout = self.pieces.layout(pair=any(part.segment for part in parts))
        ids = [self._ids(part, slots) for part in parts]
        given = [len(piece) for piece, part in zip(ids, parts, strict=True) if part.shorten]
        fixed = layout.size + sum(len(piece) for piece, part in zip(ids, parts, strict=True) if not part.shorten)
        if fixed + min(1, len(given)) > self.max_length:
            raise PromptError(
                f"Pattern {self.pattern.name!r} needs {fixed} tokens besides the text of row {example.id!r}, and "
                f"{self.max_length} at most are read: shorten it, or raise model.max_length as far as the model allows."
            )
        lengths = iter(shortened_lengths(given, self.max_length - fixed))
        kept = [
            shorten(piece, next(lengths), self.truncation) if part.shorten else piece
            for piece, part in zip(ids, parts, strict=True)
        ]
        cut = fixed - layout.size + sum(given) - sum(len(piece) for piece in kept)
        return _assemble(parts, kept, layout, cut)

    def _ids(self, part: Part, slots: int) -> np.ndarray:
        if part.kind == "mask":
            return np.full(slots, self._mask_id, dtype=np.int32)
        return self.pieces.ids(part.text, part.spaced)


def _assemble(parts: Sequence[Part], kept: Sequence[np.ndarray], layout: Layout, cut: int) -> Encoded:
    """Put the special tokens around the segments; remember which tokens are text and where the mask is."""
    kinds = layout.segments
    chunks: list[tuple[np.ndarray, int, str]] = [(np.asarray(layout.prefix, np.int32), kinds[0], "special")]
    for segment, group in groupby(zip(parts, kept, strict=True), key=lambda pair: pair[0].segment):
        if segment:
            chunks.append((np.asarray(layout.middle, np.int32), kinds[2], "special"))
        chunks += [(ids, kinds[3 if segment else 1], part.kind) for part, ids in group]
    chunks.append((np.asarray(layout.suffix, np.int32), kinds[4], "special"))
    sizes = [len(ids) for ids, _, _ in chunks]
    kind_of = np.repeat([kind for _, _, kind in chunks], sizes)
    return Encoded(
        input_ids=np.concatenate([ids for ids, _, _ in chunks]),
        segment_ids=np.repeat(np.asarray([segment for _, segment, _ in chunks], np.int32), sizes),
        mask_positions=np.flatnonzero(kind_of == "mask"),
        text_positions=kind_of == "field",
        cut=cut,
    )
