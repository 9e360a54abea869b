"""Rows as token ids without a pattern, as the stock pipeline of a classifier reads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pet.data.examples import Example
from pet.learners.models.splicing import Encoded


def encode_rows(tokenizer: Any, examples: Sequence[Example], fields: Sequence[str], max_length: int) -> list[Encoded]:
    """Tokenize rows without a pattern, as the stock pipeline does; at most `max_length` tokens each.

    The first field is the first segment; further fields, joined by blanks, are the second. The longer segment gives
    first. Special tokens spelled in the text stay text.
    """
    if not examples:
        return []
    encoding = tokenizer(
        [segments(example, fields) for example in examples],
        truncation="longest_first",
        max_length=max_length,
        split_special_tokens=True,
        return_token_type_ids=True,
        return_special_tokens_mask=True,
        verbose=False,
    )
    nothing = np.empty(0, np.int64)
    columns = (encoding[name] for name in ("input_ids", "token_type_ids", "special_tokens_mask"))
    return [
        Encoded(np.asarray(ids, np.int32), np.asarray(types, np.int32), nothing, ~np.asarray(special, np.bool_))
        for ids, types, special in zip(*columns, strict=True)
    ]


def segments(example: Example, fields: Sequence[str]) -> str | tuple[str, str]:
    """Return a row's text, or both segments of it: the first field, and all others joined by blanks."""
    first, *others = (example.fields[name] for name in fields)
    second = " ".join(others)
    # As the stock pipeline does: an empty second text is none.
    return (first, second) if second else first
