"""One example under one PVP as token ids: pieces spliced around the mask, shortened without touching the template."""

import string
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from pet.data.examples import Example
from pet.errors import ModelError, PromptError
from pet.learners.models.splicing import Column, Encoded, splice
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.patterns import Part, Pattern

Truncation = Literal["tail", "head+tail"]


@dataclass(frozen=True)
class VirtualTokens:
    """Neighboring rows of a pattern's table of trained vectors: those of one `{soft:...}` or `{tune:...}`.

    `offset` and `size` say which rows; slots of one id share them. `init` is how they start: "uniform", "normal",
    "vocab", "label_words", "words" (with their int32 `ids`), or "" for what the voter's settings say. A tuned word
    starts as "words".
    """

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
    caps = range(budget // len(lengths), budget + 1)  # what each field gets that has more: the most for which all fit
    cap = caps[bisect_right(caps, budget, key=lambda cap: sum(min(size, cap) for size in lengths)) - 1]
    kept = [min(size, cap) for size in lengths]
    left = budget - sum(kept)
    longer = [i for i, size in enumerate(lengths) if size > cap]
    for i in longer[len(longer) - left :]:  # the later of equal fields keeps the odd token
        kept[i] += 1
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


@dataclass(eq=False)
class PatternEncoder:
    """Encodes examples under one pattern for one tokenizer.

    `virtual` has the rows of the pattern's table of trained vectors, those of an id once, in the order of first use.

    Raises `ModelError` if the tokenizer has no mask token. Raises `PromptError` if tuned words, or words to start
    from, are no tokens of this tokenizer.
    """

    pattern: Pattern
    pieces: PieceTokenizer
    max_length: int
    truncation: Truncation = "tail"

    def __post_init__(self) -> None:
        """Check the tokenizer, and count the rows of the table."""
        tokenizer = self.pieces.tokenizer
        if tokenizer.mask_token_id is None:
            raise ModelError(
                f"The tokenizer of {tokenizer.name_or_path} has no mask token: choose a masked language model."
            )
        self._table = _table(self.pattern, self.pieces)
        self.virtual = tuple(self._table.values())

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

        Raises `PromptError` if the template and its kept fields alone do not fit into `max_length`.
        """
        if not examples:
            return []
        columns, kept = self.columns(examples, slots)
        given = np.stack([column.lengths(len(examples)) for column in columns], axis=1)
        for i, column in enumerate(columns):
            if isinstance(column.ids, list):
                texts = zip(column.ids, kept[:, i], strict=True)
                columns[i] = replace(column, ids=[shorten(ids, size, self.truncation) for ids, size in texts])
        return splice(columns, (given - kept).sum(axis=1).tolist())

    def columns(self, examples: Sequence[Example], slots: int = 1) -> tuple[list[Column], np.ndarray]:
        """Return what stands side by side in rows, and how many tokens of each column are read, int64 [n, c].

        The columns are the parts of the pattern, with all of their tokens, and the special ones around the segments.
        Errors are those of `encode`.
        """
        rows = [self.pattern.render(example) for example in examples]
        self.pieces.tokenize((part.text, part.spaced) for row in rows for part in row if part.kind == "field")
        layout = self.pieces.layout(pair=any(part.segment for part in rows[0]))
        columns = [Column(np.asarray(layout.prefix, np.int32), layout.segments[0])]
        for side, after in ((0, layout.middle), (1, layout.suffix)):
            parts = [part for part in zip(*rows, strict=True) if part[0].segment == side]
            columns += [self._column(part, layout.segments[1 + 2 * side], slots) for part in parts]
            columns.append(Column(np.asarray(after, np.int32), layout.segments[2 + 2 * side]))
        return columns, self._kept(examples, columns)

    def _column(self, parts: Sequence[Part], segment: int, slots: int) -> Column:
        """Return one part in all rows: one array where it is the same in each."""
        part = parts[0]
        if part.kind == "field":
            return Column([self.pieces.ids(one.text, one.spaced) for one in parts], segment, part.kind, part.shorten)
        if part.kind == "mask":
            ids = np.full(slots, self.pieces.tokenizer.mask_token_id, dtype=np.int32)
        elif part.kind == "soft":
            ids = np.full(part.size, self.placeholder_id, dtype=np.int32)
        else:
            ids = self.pieces.ids(part.text, part.spaced)
        vectors = np.arange(len(ids), dtype=np.int32) + self._table[part.key].offset if part.key else None
        return Column(ids, segment, part.kind, slots=vectors)

    def _kept(self, examples: Sequence[Example], columns: Sequence[Column]) -> np.ndarray:
        """Return how many tokens of each column are read in each row, int64 [n, c]."""
        kept = np.stack([column.lengths(len(examples)) for column in columns], axis=1)
        shorter = np.asarray([column.shorten for column in columns])
        fixed = kept[:, ~shorter].sum(axis=1)
        for i in np.flatnonzero(fixed + min(1, int(shorter.sum())) > self.max_length)[:1]:
            raise PromptError(
                f"Pattern {self.pattern.name!r} needs {fixed[i]} tokens besides the text of row {examples[i].id!r}, "
                f"and {self.max_length} at most are read: shorten it, or raise model.max_length as far as the model "
                "allows."
            )
        room = self.max_length - fixed
        for i in np.flatnonzero(kept[:, shorter].sum(axis=1) > room):
            kept[i, shorter] = shortened_lengths(kept[i, shorter].tolist(), int(room[i]))
        return kept


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
        table[part.key] = VirtualTokens(kind, offset, size, part.init, ids[:size])
        offset += size
    return table
