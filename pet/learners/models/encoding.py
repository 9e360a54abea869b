"""One example under one PVP as token ids: pieces spliced around the mask, shortened without touching the template."""

import string
import typing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pet.data.examples import Example
from pet.errors import ModelError, PromptError
from pet.learners.models.shortening import read_parts, shortened_lengths, window_counts
from pet.learners.models.splicing import Column, Encoded, splice, with_windows
from pet.learners.models.tokens import SENTINEL, PieceTokenizer
from pet.prompts.demonstrations import Demonstrations
from pet.prompts.patterns import Part, Pattern
from pet.prompts.templates import Literal, Mask
from pet.settings.task import Truncation

SHOWN_LEAST = 4
"""With demonstrations, a row and each of them has room for so many tokens of its text, or they do not fit."""


@dataclass(frozen=True)
class VirtualTokens:
    """Neighboring rows of a pattern's table of trained vectors: those of one `{soft:...}` or `{tune:...}`.

    `offset` and `size` say which rows; slots of one id share them. `init` is how they start: "uniform", "normal",
    "vocab", "label_words", "words" (with their int32 `ids`), or "" for what the voter's settings say. A tuned word
    starts as "words".
    """

    kind: typing.Literal["soft", "tune"]
    offset: int
    size: int
    init: str
    ids: np.ndarray


@dataclass(eq=False)
class PatternEncoder:
    """Encodes examples under one pattern for one tokenizer.

    Behind each row stand the demonstrations of `shown`. `virtual` has the rows of the pattern's table of trained
    vectors, those of an id once, in the order of first use.

    Raises `ModelError` if the tokenizer has no mask token. Raises `PromptError` if tuned words, or words to start
    from, are no tokens of this tokenizer.
    """

    pattern: Pattern
    pieces: PieceTokenizer
    max_length: int
    truncation: Truncation = "tail"
    shown: "ShownRows | None" = None

    def __post_init__(self) -> None:
        """Check the tokenizer, and count the rows of the table."""
        if self.pieces.slot_id is None and self.pieces.kind == "seq2seq":
            raise ModelError(
                f"The tokenizer of {self._named} has no sentinel {SENTINEL}, which stands where the label word goes: "
                "choose an encoder-decoder that was trained to fill gaps, such as T5."
            )
        if self.pieces.slot_id is None:
            raise ModelError(f"The tokenizer of {self._named} has no mask token: choose a masked language model.")
        if self.pieces.kind == "causal":
            _check_mask_is_last(self.pattern)
        self._table = _table(self.pattern, self.pieces)
        self.virtual = tuple(self._table.values())

    @property
    def _named(self) -> str:
        return str(self.pieces.tokenizer.name_or_path)

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

        Of a row that is read in several windows, or with several draws of demonstrations, it is the first of them,
        which has the others.

        Raises `PromptError` if the template and its kept fields alone do not fit into `max_length`.
        """
        if not examples:
            return []
        draws = [self._encode(examples, slots, draw) for draw in range(self.shown.draws if self.shown else 1)]
        if len(draws) == 1:
            return draws[0]
        return [
            replace(first, more=(*first.more, *(window for row in others for window in row.windows)))
            for first, *others in zip(*draws, strict=True)
        ]

    def _encode(self, examples: Sequence[Example], slots: int, draw: int) -> list[Encoded]:
        columns, kept = self.columns(examples, slots, draw)
        given = np.stack([column.lengths(len(examples)) for column in columns], axis=1)
        own = np.asarray([column.kind != "shown" for column in columns])
        counts = window_counts(given[:, own], kept[:, own], self.truncation)
        for i, column in enumerate(columns):
            if isinstance(column.ids, list):
                how: Truncation = self.truncation if own[i] else "tail"
                texts = zip(column.ids, kept[:, i].tolist(), counts.tolist(), strict=True)
                read = [read_parts(ids, size, how, count) for ids, size, count in texts]
                columns[i] = replace(column, ids=[part for parts in read for part in parts])
        cut = (given - kept)[:, own].sum(axis=1) * (counts == 1)
        return with_windows(splice(columns, cut.repeat(counts).tolist()), counts)

    def columns(self, examples: Sequence[Example], slots: int = 1, draw: int = 0) -> tuple[list[Column], np.ndarray]:
        """Return what stands side by side in rows, and how many tokens of each column are read, int64 [n, c].

        The columns are the parts of the pattern, with all of their tokens, and the special ones around the segments;
        of demonstrations those of a `draw`.
        Errors are those of `encode`.
        """
        rows = [self._read(self.pattern.render(example)) for example in examples]
        self.pieces.tokenize((part.text, part.spaced) for row in rows for part in row if part.kind == "field")
        layout = self.pieces.layout(pair=any(part.segment for part in rows[0]))
        columns = [Column(np.asarray(layout.prefix, np.int32), layout.segments[0])]
        shown = self.shown.columns(self.pattern, self.pieces, examples, draw) if self.shown else []
        if self.pieces.kind == "causal":  # which says its word last
            columns, shown = [*columns, *shown], []
        for side, after in ((0, layout.middle), (1, layout.suffix)):
            parts = [part for part in zip(*rows, strict=True) if part[0].segment == side]
            columns += [self._column(part, layout.segments[1 + 2 * side], slots) for part in parts]
            columns += shown if side else []
            columns.append(Column(np.asarray(after, np.int32), layout.segments[2 + 2 * side]))
        return columns, self._kept(examples, columns)

    def _read(self, parts: Sequence[Part]) -> list[Part]:
        """Return the parts of a row that are read: of a causal model those up to the mask."""
        last = len(parts)
        if self.pieces.kind == "causal":
            last = 1 + next(i for i, part in enumerate(parts) if part.kind == "mask")
        return list(parts[:last])

    def _column(self, parts: Sequence[Part], segment: int, slots: int) -> Column:
        """Return one part in all rows: one array where it is the same in each."""
        part = parts[0]
        if part.kind == "field":
            return Column([self.pieces.ids(one.text, one.spaced) for one in parts], segment, part.kind, part.shorten)
        if part.kind == "mask":
            ids = self.pieces.slots(slots)
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
        least = SHOWN_LEAST * int(shorter.sum()) if self.shown else min(1, int(shorter.sum()))
        for i in np.flatnonzero(fixed + least > self.max_length)[:1]:
            way = self.shown.way_out if self.shown else "shorten it"
            raise PromptError(
                f"Pattern {self.pattern.name!r} needs {fixed[i]} tokens besides the text of row {examples[i].id!r}"
                + (" and those of its demonstrations" if self.shown else "")
                + f", and {self.max_length} at most are read: {way}, or raise model.max_length as far as the model "
                "allows."
            )
        room = self.max_length - fixed
        for i in np.flatnonzero(kept[:, shorter].sum(axis=1) > room):
            kept[i, shorter] = shortened_lengths(kept[i, shorter].tolist(), int(room[i]))
        return kept


@dataclass(frozen=True)
class ShownRows:
    """Labeled rows as they stand behind another, under its pattern: `words`, int32 [p] by column, where the mask was.

    A special separator stands before each, as between two segments. For a causal model they stand before the other, and
    end in a line break.
    """

    demonstrations: Demonstrations
    words: Sequence[np.ndarray]

    @classmethod
    def fitting(
        cls, demonstrations: Demonstrations, words: Sequence[np.ndarray], encoder: "PatternEncoder"
    ) -> "ShownRows":
        """Return demonstrations as they are read with an encoder; for in-context learning as many as leave a row room.

        A row is taken to be as long as they are in the mean.
        """
        found = cls(demonstrations, words)
        if not demonstrations.settings.in_context:
            return found
        columns = demonstrations.columns
        parts = [found._parts(encoder.pattern, encoder.pieces, place) for place in range(len(columns))]
        lengths = np.asarray([1 + sum(map(len, part)) for part in parts])
        of_label = [lengths[columns == column] for column in np.unique(columns)]
        each = sum(float(own.mean()) for own in of_label)
        room = encoder.max_length - lengths.mean()
        count = max(1, min(int(room / each), min(map(len, of_label))))
        settings = replace(demonstrations.settings, count=count)
        return cls(replace(demonstrations, settings=settings), words)

    @property
    def way_out(self) -> str:
        """What to do where they do not fit."""
        in_context = self.demonstrations.settings.in_context
        return 'leave learner = "in-context" out' if in_context else "lower prompts.demonstrations"

    @property
    def draws(self) -> int:
        """So many sets of demonstrations are read with a row, one after the other."""
        return self.demonstrations.settings.draws

    def columns(self, pattern: Pattern, pieces: PieceTokenizer, examples: Sequence[Example], draw: int) -> list[Column]:
        """Return the columns of the demonstrations of rows, in a draw."""
        layout, rows = pieces.layout(pair=True), self.demonstrations.rows
        segment = layout.segments[3] if any(part.segment for part in pattern.render(rows[0])) else layout.segments[1]
        shown = [self._parts(pattern, pieces, place) for place in range(len(rows))]
        kinds = [(part.kind == "field" and part.shorten) for part in self._rendered(pattern, rows[0])]
        causal, nothing = pieces.kind == "causal", np.empty(0, np.int32)
        separator = pieces.line_break if causal else np.asarray(layout.middle, np.int32)
        found = []
        for places in self.demonstrations.chosen(examples, draw).T.tolist():
            between = Column([separator if i >= 0 else nothing for i in places], segment, "shown")
            columns = [
                Column([shown[i][part] if i >= 0 else nothing for i in places], segment, "shown", shorten)
                for part, shorten in enumerate(kinds)
            ]
            found += [*columns, between] if causal else [between, *columns]
        return found

    def _parts(self, pattern: Pattern, pieces: PieceTokenizer, place: int) -> list[np.ndarray]:
        """Return the tokens of the parts of a labeled row."""
        word = self.words[int(self.demonstrations.columns[place])]
        parts = self._rendered(pattern, self.demonstrations.rows[place])
        return [word if part.kind == "mask" else pieces.ids(part.text, part.spaced) for part in parts]

    def _rendered(self, pattern: Pattern, row: Example) -> list[Part]:
        """Return the parts of a row without virtual tokens, in whose place nothing stands."""
        return [part for part in pattern.render(row) if part.kind != "soft"]


def _check_mask_is_last(pattern: Pattern) -> None:
    """Refuse what a causal model would not see: anything but punctuation after the mask."""
    place = pattern.segments.index(Mask())
    for item in pattern.segments[place + 1 :]:
        if not isinstance(item, Literal) or any(map(str.isalnum, item.text)):
            raise PromptError(
                f"Pattern {pattern.name!r} has {item.template.strip()!r} after its mask, which a causal language model "
                "does not see: take a pattern whose mask is last, such as '{text} It was {mask}.'."
            )


def _table(pattern: Pattern, pieces: PieceTokenizer) -> dict[str, VirtualTokens]:
    """Return by key which rows of the table of trained vectors a slot has, and how they start."""
    table: dict[str, VirtualTokens] = {}
    offset = 0
    for part in pattern.virtual_parts:
        if part.key in table:
            continue
        kind: typing.Literal["soft", "tune"] = "tune" if part.kind == "tune" else "soft"
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
