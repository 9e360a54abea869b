"""Where the arithmetic happens: the device and the precision of the encoder."""

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch

from pet.errors import ConfigError
from pet.settings.run import RunSettings

Found = TypeVar("Found")


@dataclass
class TokenBudget:
    """Tokens per inference batch, padding included; less once that many did not fit into memory."""

    tokens: int

    @property
    def rows(self) -> int:
        """The most rows of a batch, however short: thousands on a GPU, where small ones cost as much as large ones."""
        return max(256, self.tokens // 16)

    def halve(self) -> None:
        """Make do with half of it from now on."""
        self.tokens = max(1, self.tokens // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


# torch's allocator on the CPU has no error class of its own, nor have cuBLAS and oneDNN when they find no room.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "STATUS_ALLOC_FAILED", "bad_alloc")
_OUT_OF_MEMORY_IN_ONEDNN = ("could not create a primitive", "could not execute a primitive")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is about memory: of the GPU, of torch on the CPU, or of Python."""
    said = str(error)
    spoken = any(words in said for words in _OUT_OF_MEMORY) or said.strip() in _OUT_OF_MEMORY_IN_ONEDNN
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and spoken)


@dataclass(frozen=True)
class Machine:
    """A device, "bf16" or "fp32" for training, and for what goes forward only, if that is another ("").

    `pads` says whether rows of unlike lengths share a batch, which they may not where a model reads padding.
    """

    device: torch.device
    precision: str
    scoring: str = ""
    pads: bool = True

    @property
    def inference(self) -> str:
        """The precision of what goes forward only."""
        return self.scoring or self.precision

    @classmethod
    def pick(cls, settings: RunSettings) -> "Machine":
        """Choose by `run.device` and `run.precision`.

        "auto" takes a GPU where there is one, and bfloat16 where the hardware multiplies it; elsewhere "bf16" too
        becomes float32. Threads that `run.threads` names hold for this process from now on.

        Raises `ConfigError` if the device is not there.
        """
        device = _device(settings.device)
        _keep_freed_memory()
        if settings.threads != "auto":
            torch.set_num_threads(settings.threads)
        return cls(device, _precision(settings.precision, device))

    @property
    def group_overhead(self) -> int:
        """What a further group of rows costs in a training step, in tokens; on a GPU, more than padding ever does.

        Where nothing is padded it costs nothing, so that each length is a group of its own.
        """
        if not self.pads:
            return 0
        return 128 if self.device.type == "cpu" else 2**20

    @cached_property
    def token_budget(self) -> TokenBudget:
        """Tokens per inference batch; the caches of a CPU gain nothing from more."""
        return TokenBudget(4096 if self.device.type == "cpu" else 65536)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them


def _keep_freed_memory() -> None:
    """Let glibc keep large freed blocks for the next ones, instead of asking the system for new pages each time.

    A training step makes the gradient of the word embeddings anew; without this a fifth of a small model's step is
    spent on page faults (pet-mini on a CPU). Elsewhere than in glibc there is nothing to set.
    """
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Return to the system what was freed: other processes need it."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """While active, a GPU takes only algorithms that give the same bits every time, as a CPU does anyway.

    Without it the gradient of attention, added up in any order, differs from run to run, and so does all that follows.
    """
    before = torch.get_deterministic_debug_mode()
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch asks for it
        torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def reproducibly(gradient: Callable[[], Found], undo: Callable[[], None]) -> Found:
    """Return what a computation returns; if the model has an operation with no such algorithm, do it again with any.

    `undo` takes back what the first attempt left. From then on torch warns of the operation instead of refusing it.
    """
    try:
        return gradient()
    except RuntimeError as error:
        if "use_deterministic_algorithms" not in str(error):
            raise
    torch.set_deterministic_debug_mode("warn")
    undo()
    return gradient()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'run.device = "{name}" cannot be used here ({reason}): set it to "auto".') from None
    return device


def _precision(name: str, device: torch.device) -> str:
    if name == "fp32":
        return name
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if has_bf16 else "fp32"
