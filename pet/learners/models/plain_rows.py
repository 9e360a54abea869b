"""Rows as token ids without a pattern, as the stock pipeline of a classifier reads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pet.data.examples import Example
from pet.learners.models.shortening import read_parts, shortened_lengths, window_counts
from pet.learners.models.splicing import Encoded, with_windows
from pet.settings.task import Truncation


def encode_rows(
    tokenizer: Any,
    examples: Sequence[Example],
    fields: Sequence[str],
    max_length: int,
    truncation: Truncation = "tail",
) -> list[Encoded]:
    """Tokenize rows without a pattern, as the stock pipeline does; at most `max_length` tokens each.

    The first field is the first segment; further fields, joined by blanks, are the second. The longer segment gives
    first. Special tokens spelled in the text stay text. The stock pipeline knows the `truncation` "tail" alone.
    """
    if not examples:
        return []
    cut = {"truncation": "longest_first", "max_length": max_length} if truncation == "tail" else {"truncation": False}
    encoding = tokenizer(
        [segments(example, fields) for example in examples],
        **cut,
        split_special_tokens=True,
        return_token_type_ids=True,
        return_special_tokens_mask=True,
        verbose=False,
    )
    nothing = np.empty(0, np.int64)
    columns = (encoding[name] for name in ("input_ids", "token_type_ids", "special_tokens_mask"))
    rows = [
        Encoded(np.asarray(ids, np.int32), np.asarray(types, np.int32), nothing, ~np.asarray(special, np.bool_))
        for ids, types, special in zip(*columns, strict=True)
    ]
    return [row if len(row) <= max_length else _within(row, max_length, truncation) for row in rows]


def _within(row: Encoded, max_length: int, truncation: Truncation) -> Encoded:
    """Return a row that is too long as it is read: the special tokens, and of each segment as much as fits."""
    starts = np.flatnonzero(np.diff(row.text_positions)) + 1
    runs = np.split(np.arange(len(row)), starts)
    texts = [run for run in runs if row.text_positions[run[0]]]
    lengths = [len(run) for run in texts]
    kept = shortened_lengths(lengths, max(len(texts), max_length - (len(row) - sum(lengths))))
    count = int(window_counts(np.asarray([lengths]), np.asarray([kept]), truncation)[0])
    sizes = {int(run[0]): size for run, size in zip(texts, kept, strict=True)}
    parts = [read_parts(run, sizes.get(int(run[0]), len(run)), truncation, count) for run in runs]
    cut = 0 if truncation == "windows" else sum(lengths) - sum(kept)
    places = [np.concatenate(window) for window in zip(*parts, strict=True)]
    windows = [
        Encoded(row.input_ids[at], row.segment_ids[at], row.mask_positions, row.text_positions[at], cut)
        for at in places
    ]
    return with_windows(windows, np.asarray([count]))[0]


def segments(example: Example, fields: Sequence[str]) -> str | tuple[str, str]:
    """Return a row's text, or both segments of it: the first field, and all others joined by blanks."""
    first, *others = (example.fields[name] for name in fields)
    second = " ".join(others)
    # As the stock pipeline does: an empty second text is none.
    return (first, second) if second else first
