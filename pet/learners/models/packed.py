"""Weights packed in 4 bits, as a bundled model is stored, unpacked into the state of a stock model.

    packed.safetensors   of a matrix [r, c]: <name>.nibbles uint8 [r, c / 2] and <name>.scales fp16 [r, c / 32];
                         other tensors as they are

Each 32 neighbours of a row share a scale, and a value is (nibble - 8) x scale: the Q4_0 blocks of ggml. Of their 16
bytes the low nibbles are the first 16 values, the high ones the other 16.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

PACKED = "packed.safetensors"
"""The file that makes a folder a packed one."""

_NIBBLES, _SCALES, _EMBEDDINGS = ".nibbles", ".scales", "word_embeddings.weight"


def unpacked(file: Path, rows: np.ndarray | None = None) -> dict[str, torch.Tensor]:
    """Return all tensors of a packed file by name, float32.

    With `rows`, int64 [v], the word embeddings are these of their rows, and no others are unpacked.

    Raises `SafetensorError` or `OSError` if the file cannot be read.
    """
    state = {}
    with safe_open(file, framework="np") as stored:
        for name in stored.keys():  # noqa: SIM118
            if name.endswith(_SCALES):
                continue
            matrix, values = name.removesuffix(_NIBBLES), stored.get_tensor(name)
            chosen = rows if rows is not None and matrix.endswith(_EMBEDDINGS) else slice(None)
            if matrix != name:
                values = _values(values[chosen], stored.get_tensor(matrix + _SCALES)[chosen])
            state[matrix] = torch.from_numpy(values.astype(np.float32, copy=False))
    return state


def _values(nibbles: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return the float32 [r, c] of nibbles uint8 [r, c / 2] and scales fp16 [r, c / 32]."""
    blocks = nibbles.reshape(*scales.shape, 16)
    values = np.concatenate([blocks & 15, blocks >> 4], axis=2).astype(np.float32)
    values -= 8
    values *= scales[:, :, None]
    return values.reshape(len(nibbles), -1)


def weight_count(name: str, shape: Sequence[int]) -> int:
    """Return how many weights a stored tensor stands for: a byte of nibbles for two, a scale for none.

    >>> weight_count("dense.weight.nibbles", [3, 32]), weight_count("dense.weight.scales", [3, 2])
    (192, 0)
    """
    return 0 if name.endswith(_SCALES) else math.prod(shape) * (2 if name.endswith(_NIBBLES) else 1)
