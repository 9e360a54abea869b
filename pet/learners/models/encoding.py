"""One example under one PVP as token ids: pieces spliced around the mask, shortened without touching the template."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from pet.data.examples import Example
from pet.errors import ModelError, PromptError
from pet.learners.models.splicing import Column, Spliced, splice
from pet.learners.models.tokens import Layout, PieceTokenizer
from pet.prompts.patterns import Part, Pattern

__all__ = ["Encoded", "PatternEncoder", "Truncation", "VirtualTokens", "shorten", "shortened_lengths"]

Truncation = Literal["tail", "head+tail"]


@dataclass(frozen=True)
class Encoded:
    """A row as a model reads it.

    `input_ids` int32 [t]; `segment_ids` int32 [t]; `mask_positions` int64 [p], the cloze slots (empty for a
    classifier); `text_positions` bool [t], true for tokens that come from the row's text; `cut`, the number of text
    tokens left out; `soft_slots` int32 [t], the row of the table of trained vectors that stands at a token, -1 where
    its own does (None: everywhere).
    """

    input_ids: np.ndarray
    segment_ids: np.ndarray
    mask_positions: np.ndarray
    text_positions: np.ndarray
    cut: int = 0
    soft_slots: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class VirtualTokens:
    """Neighboring rows of a pattern's table of trained vectors: those of one `{soft:...}` or `{tune:...}`.

    `key` is unique in the pattern and shared by slots of one id; `offset` and `size` say which rows; `init` is how they
    start: "uniform", "normal", "vocab", "label_words", "words" (with their int32 `ids`), or "" for what the voter's
    settings say. A tuned word starts as "words".
    """

    key: str
    kind: Literal["soft", "tune"]
    offset: int
    size: int
    init: str
    ids: np.ndarray


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
    """Encodes examples under one pattern for one tokenizer.

    `virtual` has the rows of the pattern's table of trained vectors, those of an id once, in the order of first use;
    `virtual_size` is the number of all rows.

    Raises
    ------
    ModelError
        If the tokenizer has no mask token.
    PromptError
        If tuned words, or words to start from, are no tokens of this tokenizer.
    """

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
        self._table = _table(pattern, pieces)
        self.virtual = tuple(self._table.values())
        self.virtual_size = sum(item.size for item in self.virtual)

    @cached_property
    def placeholder_id(self) -> int:
        """The token that stands in the ids where a virtual token is: the first letter that is one token of its own.

        An ordinary token: RoBERTa counts no position for a pad, a mask would be a second cloze, and special tokens
        are treated apart by some models. Its own vector is never read.
        """
        special = set(self.pieces.tokenizer.all_special_ids)
        for letter in string.ascii_lowercase:
            ids = self.pieces.ids(letter).tolist()
            if len(ids) == 1 and special.isdisjoint(ids):
                return int(ids[0])
        return min(set(range(len(self.pieces.tokenizer))) - special)

    def encode(self, examples: Sequence[Example], slots: int = 1) -> list[Encoded]:
        """Encode rows, with `slots` mask tokens at the place of the mask.

        Raises
        ------
        PromptError
            If the template and its kept fields alone do not fit into `max_length`.
        """
        if not examples:
            return []
        rows = [self.pattern.render(example) for example in examples]
        self.pieces.learn((part.text, part.spaced) for row in rows for part in row if part.kind == "field")
        ids = [self._column(parts, slots) for parts in zip(*rows, strict=True)]
        given = np.stack([_sizes(one, len(rows)) for one in ids], axis=1)
        kept = self._kept(examples, rows[0], given)
        spliced = splice(self._columns(rows[0], ids, kept), len(rows))
        cut = (given - kept).sum(axis=1).tolist()
        return [self._row(spliced, i, cut[i]) for i in range(len(rows))]

    def fitted(self, example: Example, slots: int = 1) -> list[tuple[Part, np.ndarray, int]]:
        """Return the parts of a row, the ids of each, int32, and how many of them are read.

        Raises
        ------
        PromptError
            As `encode`.
        """
        parts = self.pattern.render(example)
        ids = [self._ids(part, slots) for part in parts]
        kept = self._kept([example], parts, np.asarray([[len(one) for one in ids]]))[0]
        return list(zip(parts, ids, kept.tolist(), strict=True))

    def layout_of(self, parts: Sequence[Part]) -> Layout:
        """Return the special tokens around the parts of a row."""
        return self.pieces.layout(pair=any(part.segment for part in parts))

    def _column(self, parts: Sequence[Part], slots: int) -> np.ndarray | list[np.ndarray]:
        """Return the int32 ids of one part in all rows: one array where they are the same in each."""
        return [self._ids(part, slots) for part in parts] if parts[0].kind == "field" else self._ids(parts[0], slots)

    def _kept(self, examples: Sequence[Example], parts: Sequence[Part], given: np.ndarray) -> np.ndarray:
        """Return how many of the `given` ids of each part are read in each row, both int64 [n, parts].

        Raises
        ------
        PromptError
            As `encode`.
        """
        shorter = np.asarray([part.shorten for part in parts])
        fixed = given[:, ~shorter].sum(axis=1) + self.layout_of(parts).size
        for i in np.flatnonzero(fixed + min(1, int(shorter.sum())) > self.max_length)[:1]:
            raise PromptError(
                f"Pattern {self.pattern.name!r} needs {fixed[i]} tokens besides the text of row {examples[i].id!r}, "
                f"and {self.max_length} at most are read: shorten it, or raise model.max_length as far as the model "
                "allows."
            )
        kept, room = given.copy(), self.max_length - fixed
        for i in np.flatnonzero(given[:, shorter].sum(axis=1) > room):
            kept[i, shorter] = shortened_lengths(given[i, shorter].tolist(), int(room[i]))
        return kept

    def _columns(
        self, parts: Sequence[Part], ids: Sequence[np.ndarray | list[np.ndarray]], kept: np.ndarray
    ) -> list[Column]:
        """Return what stands side by side in a row: the parts, and the special tokens around the segments."""
        layout = self.layout_of(parts)
        kinds = layout.segments
        columns = [Column(np.asarray(layout.prefix, np.int32), kinds[0])]
        second = False
        for j, part in enumerate(parts):
            if part.segment and not second:
                second = True
                columns.append(Column(np.asarray(layout.middle, np.int32), kinds[2]))
            segment, one = kinds[3 if part.segment else 1], ids[j]
            if isinstance(one, list):
                pieces = [shorten(piece, size, self.truncation) for piece, size in zip(one, kept[:, j], strict=True)]
                columns.append(Column(np.concatenate(pieces), segment, part.kind, kept[:, j]))
            else:
                slots = np.arange(len(one), dtype=np.int32) + self._table[part.key].offset if part.key else None
                columns.append(Column(one, segment, part.kind, slots=slots))
        return [*columns, Column(np.asarray(layout.suffix, np.int32), kinds[4])]

    def _row(self, spliced: Spliced, i: int, cut: int) -> Encoded:
        row = slice(spliced.starts[i], spliced.starts[i + 1])
        return Encoded(
            input_ids=spliced.ids[row],
            segment_ids=spliced.segments[row],
            mask_positions=spliced.masks[i],
            text_positions=spliced.is_text[row],
            cut=cut,
            soft_slots=spliced.slots[row] if self._table else None,
        )

    def _ids(self, part: Part, slots: int) -> np.ndarray:
        if part.kind == "mask":
            return np.full(slots, self._mask_id, dtype=np.int32)
        if part.kind == "soft":
            return np.full(part.size, self.placeholder_id, dtype=np.int32)
        return self.pieces.ids(part.text, part.spaced)


def _table(pattern: Pattern, pieces: PieceTokenizer) -> dict[str, VirtualTokens]:
    """Return by key which rows of the table of trained vectors a slot has, and how they start."""
    table: dict[str, VirtualTokens] = {}
    offset = 0
    for part in pattern.virtual_parts:
        if part.key in table:
            continue
        kind: Literal["soft", "tune"] = "tune" if part.kind == "tune" else "soft"
        ids = np.empty(0, np.int32)
        if part.init == "words":
            # A tuned word has the ids that it has as a plain one; other starts are words of a sentence.
            ids = pieces.ids(part.text, part.spaced or kind == "soft")
            if not len(ids):
                raise PromptError(
                    f"Pattern {pattern.name!r} trains the words {part.text!r}, which are no tokens for the tokenizer "
                    f"of {pieces.tokenizer.name_or_path}: write other words."
                )
        size = len(ids) if kind == "tune" else part.size
        table[part.key] = VirtualTokens(part.key, kind, offset, size, part.init, ids[:size])
        offset += size
    return table


def _sizes(ids: np.ndarray | list[np.ndarray], n: int) -> np.ndarray:
    """Return how many ids of a part each row has, int64 [n]."""
    return np.full(n, len(ids)) if isinstance(ids, np.ndarray) else np.fromiter(map(len, ids), np.int64, n)
