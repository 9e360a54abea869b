"""Text as rows of token ids: tokenized once, kept in one array, assembled into batches without a loop over rows."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from pet.errors import DataError
from pet.learners.models.splicing import Encoded
from pet.learners.models.tokens import Layout, keep_specials_apart

_AT_ONCE = 1000
"""Documents that are handed to the tokenizer, which works on them in parallel."""


@dataclass(frozen=True)
class Corpus:
    """Rows of token ids one after the other: row i is ``ids[starts[i]:starts[i + 1]]``, special tokens included.

    `ids` uint16 or int32 [t]; `starts` int64 [n + 1]; `sources` int32 [n], places in `names`; `types` uint8 [t] are
    token types (None: all are 0, or the model reads none).
    """

    ids: np.ndarray
    starts: np.ndarray
    sources: np.ndarray
    names: tuple[str, ...]
    types: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [n]."""
        return np.diff(self.starts)

    @property
    def tokens(self) -> np.ndarray:
        """Tokens of each source, int64 [s]."""
        return self.tokens_of(np.arange(len(self)))

    def tokens_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the tokens of each source in some rows, int64 [s]."""
        weights, sources = self.lengths[rows], self.sources[rows]
        return np.bincount(sources, weights=weights, minlength=len(self.names)).astype(np.int64)

    def batch(self, rows: np.ndarray, pad_id: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows int64 [b] padded to a width: their ids int64 [b, t], and which are real, bool [b, t]."""
        places, real = self._places(rows, width)
        return np.where(real, self.ids[places], pad_id).astype(np.int64), real

    def batch_types(self, rows: np.ndarray, width: int) -> np.ndarray | None:
        """Return the token types of rows int64 [b], padded with 0: int64 [b, t]; None where none are kept."""
        if self.types is None:
            return None
        places, real = self._places(rows, width)
        return np.where(real, self.types[places], 0).astype(np.int64)

    def _places(self, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the tokens of rows stand in `ids`, int64 [b, t], and which of them are real, bool [b, t]."""
        columns = np.arange(width)
        real = columns < self.lengths[rows][:, None]
        return np.minimum(self.starts[rows][:, None] + columns, len(self.ids) - 1), real

    def save(self, path: Path) -> None:
        """Write the rows, which have no token types, as safetensors."""
        arrays = {"ids": self.ids, "starts": self.starts, "sources": self.sources}
        save_file(arrays, path, metadata={"names": json.dumps(self.names)})

    @classmethod
    def load(cls, path: Path) -> "Corpus":
        """Read what `save` wrote."""
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in ("ids", "starts", "sources")}
            return cls(**arrays, names=tuple(json.loads(file.metadata()["names"])))

    @classmethod
    def from_rows(cls, name: str, rows: Iterable[Encoded], tokenizer: Any, types: bool) -> "Corpus":
        """Take rows as they are, as one source; with their token types where the model reads `types`.

        Raises `DataError` if there is no row.
        """
        dtype = _dtype(tokenizer)
        parts = [(row.input_ids.astype(dtype), row.segment_ids.astype(np.uint8)) for row in rows]
        if not parts:
            raise DataError(f"The source {name} has no row to learn from or to measure on: give more rows.")
        ids, segments = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        starts = np.cumsum([0, *(len(own) for own, _ in parts)], dtype=np.int64)
        return cls(ids, starts, np.zeros(len(parts), np.int32), (name,), segments if types else None)

    @classmethod
    def from_documents(cls, sources: Mapping[str, Iterable[str]], tokenizer: Any, length: int) -> "Corpus":
        """Tokenize documents, and cut each into as many rows of like length as it needs; none is mixed with another.

        `tokenizer` is one of transformers; rows have at most `length` tokens.

        Raises `DataError` if a source has no text.
        """
        layout = Layout.of(tokenizer, pair=False)
        dtype = _dtype(tokenizer)
        parts: list[np.ndarray] = [np.empty(0, dtype)]
        lengths: list[int] = []
        owners: list[int] = []
        for number, (name, texts) in enumerate(sources.items()):
            before = len(lengths)
            for row in _rows(plain_tokens(tokenizer, texts), layout, length):
                parts.append(row.astype(dtype))
                lengths.append(len(row))
            owners += [number] * (len(lengths) - before)
            if len(lengths) == before:
                raise DataError(f"The source {name} has no text: give a file with at least one document, one a line.")
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.concatenate(parts), starts, np.asarray(owners, np.int32), tuple(sources))


def _dtype(tokenizer: Any) -> Any:
    """Return the smallest type that holds the ids of a tokenizer."""
    return np.uint16 if len(tokenizer) <= 2**16 else np.int32


def plain_tokens(tokenizer: Any, texts: Iterable[str]) -> Iterator[np.ndarray]:
    """Yield the ids of each text, int64 [t], without special tokens; text that spells one is plain characters."""
    apart = copy.deepcopy(tokenizer)
    keep_specials_apart(apart)
    backend = Tokenizer.from_str(apart.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    waiting = iter(texts)
    while some := list(islice(waiting, _AT_ONCE)):
        for encoding in backend.encode_batch_fast(some, add_special_tokens=False):
            yield np.asarray(encoding.ids, np.int64)


def token_counts(tokenizer: Any, texts: Iterable[str]) -> np.ndarray:
    """Return how often each piece of the vocabulary is in the texts, int64 [v]."""
    counts = np.zeros(len(tokenizer), np.int64)
    waiting = plain_tokens(tokenizer, texts)
    while some := list(islice(waiting, _AT_ONCE)):
        counts += np.bincount(np.concatenate(some), minlength=len(counts))
    return counts


def _rows(documents: Iterable[np.ndarray], layout: Layout, length: int) -> Iterator[np.ndarray]:
    room = length - layout.size
    prefix, suffix = np.asarray(layout.prefix), np.asarray(layout.suffix)
    for ids in documents:
        if len(ids):
            for part in np.array_split(ids, -(-len(ids) // room)):
                yield np.concatenate([prefix, part, suffix])
