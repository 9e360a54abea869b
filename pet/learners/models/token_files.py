"""Token ids of texts kept on disk, so that a text is tokenized once in a run, whatever reads it under which pattern.

    <folder>/<digest>.arrow    the ids of a list of texts, in its order; the digest is over the tokenizer and the texts

Each file is an Arrow IPC file with one column of lists, read through a memory map, and a digest of it: what a power cut
has left half written is not taken for tokens.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

FEWEST_TEXTS = 64
"""Fewer texts are tokenized again: opening a file takes longer."""

_DIGEST = b"digest"


def tokenizer_digest(tokenizer: Any) -> str:
    """Return the sha256, in hex, of all that decides how a tokenizer of the `tokenizers` library splits a text."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


@dataclass(frozen=True)
class TokenFiles:
    """The files of one tokenizer, whose digest is `tokenizer`, in a folder that exists."""

    folder: Path
    tokenizer: str

    def find(self, texts: Sequence[tuple[str, bool]]) -> list[np.ndarray] | None:
        """Return the ids of (text, spaced) pairs, int32 [t] each, or None where this list was not kept."""
        try:
            with pa.memory_map(str(self._path(texts))) as source:
                file = pa.ipc.open_file(source)
                column, stored = file.get_batch(0).column(0), (file.schema.metadata or {}).get(_DIGEST)
        except (OSError, pa.ArrowInvalid):
            return None
        values, ends = column.values.to_numpy(), column.offsets.to_numpy()
        if stored != _digest(ends, values):
            return None
        return [values[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]

    def keep(self, texts: Sequence[tuple[str, bool]], ids: Sequence[np.ndarray]) -> None:
        """Write the ids of a list of texts; where the disk is full, nothing is kept."""
        ends = np.zeros(len(ids) + 1, np.int32)
        np.cumsum([len(one) for one in ids], out=ends[1:])
        values = np.concatenate(ids) if ids else np.empty(0, np.int32)
        column = pa.ListArray.from_arrays(pa.array(ends), pa.array(values))
        batch = pa.record_batch([column], names=["ids"]).replace_schema_metadata({_DIGEST: _digest(ends, values)})
        path = self._path(texts)
        beside = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            try:
                with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
                    writer.write_batch(batch)
                os.replace(beside, path)
            finally:
                beside.unlink(missing_ok=True)  # what a full disk has cut short

    def _path(self, texts: Sequence[tuple[str, bool]]) -> Path:
        digest = hashlib.blake2b(self.tokenizer.encode(), digest_size=16)
        for text, spaced in texts:
            # The length first, so that no two lists spell the same bytes.
            digest.update(f"{len(text)} {spaced:d} {text}".encode("utf-8", "surrogatepass"))
        return self.folder / f"{digest.hexdigest()}.arrow"


def _digest(ends: np.ndarray, values: np.ndarray) -> bytes:
    digest = hashlib.blake2b(ends.tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest().encode()
