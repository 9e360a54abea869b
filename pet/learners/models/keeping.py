"""What long work keeps on the way, so that little is lost when it is interrupted: tensors and plain values, in files.

Whoever does a job says where that is; training and scoring ask for a piece of it, each in the order in which they come,
and go on from what it holds. Without such a place, as in a library, nothing is kept.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file

_TENSORS, _VALUES = "tensors.safetensors", "values.json"

State = tuple[dict[str, torch.Tensor], dict[str, Any]]
"""Tensors by name, and plain values."""


class Piece(Protocol):
    """The place of one piece of work."""

    def latest(self) -> Path | None:
        """Return the folder of what was kept last, or None."""

    def due(self, *, ended: bool = False) -> bool:
        """Say whether it is time to keep how far the work is, or how it has `ended`."""

    def save(self, write: Callable[[Path], None]) -> None:
        """Let `write` fill an empty folder with it."""


class Keeper(Protocol):
    """The places of the pieces of a job."""

    def piece(self, name: str) -> Piece:
        """Return the place of the next piece of that name."""


class _Nowhere:
    """Keeps nothing."""

    def latest(self) -> Path | None:
        return None

    def due(self, *, ended: bool = False) -> bool:  # noqa: ARG002
        return False

    def save(self, write: Callable[[Path], None]) -> None:
        pass


_KEEPER: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


@contextmanager
def kept_by(keeper: Keeper | None) -> Iterator[None]:
    """Let a keeper give the places of all work that begins while active; None: nothing of it is kept."""
    before = _KEEPER.set(keeper)
    try:
        yield
    finally:
        _KEEPER.reset(before)


def next_piece(name: str) -> Piece:
    """Return the place of the piece of work that begins now."""
    keeper = _KEEPER.get()
    return keeper.piece(name) if keeper else _Nowhere()


def write_state(folder: Path, state: State) -> None:
    """Write tensors and plain values into a folder."""
    tensors, values = state
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, folder / _TENSORS)
    (folder / _VALUES).write_text(json.dumps(values), encoding="utf-8")


def read_state(folder: Path) -> State:
    """Return what `write_state` has written."""
    return load_file(folder / _TENSORS), json.loads((folder / _VALUES).read_text(encoding="utf-8"))


class Resumable(Protocol):
    """Something whose state decides how a training goes on."""

    def state(self) -> State:
        """Return the state."""

    def resume(self, state: State) -> None:
        """Go back to a state."""


def joint_state(parts: Sequence[Resumable | np.random.Generator]) -> State:
    """Return the states of several things as one."""
    tensors: dict[str, torch.Tensor] = {}
    values: dict[str, Any] = {}
    for place, part in enumerate(parts):
        if isinstance(part, np.random.Generator):
            values[str(place)] = part.bit_generator.state
            continue
        own, values[str(place)] = part.state()
        tensors |= {f"{place}.{name}": tensor for name, tensor in own.items()}
    return tensors, values


def resume_jointly(parts: Sequence[Resumable | np.random.Generator], state: State) -> None:
    """Give several things their states back."""
    tensors, values = state
    for place, part in enumerate(parts):
        if isinstance(part, np.random.Generator):
            part.bit_generator.state = values[str(place)]
        else:
            part.resume((_below(tensors, f"{place}."), values[str(place)]))


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
