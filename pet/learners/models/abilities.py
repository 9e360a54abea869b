"""What a model can, found out by trying it once when it is opened: leave padding alone, and compute in bfloat16.

Neither can be read off a configuration: convolutions, pooled landmarks and Fourier transforms mix padding into a row
whatever the attention mask says, and bfloat16 fails in single lines of a family's code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pet.errors import ModelError
from pet.learners.models.delta import drawn_from
from pet.learners.models.machine import Machine, is_out_of_memory
from pet.learners.models.masked_lm import autocast
from pet.learners.models.sources import first_line
from pet.learners.models.splicing import Encoded

READS_PADDING = 1e-3
"""A model reads padding that changes its outputs by more than this share of what other words change them by.

With random weights of two layers the share is 0 to 1e-4 in families that leave padding alone, and 1 to 2 in others.
"""

_SHORT, _LONG = 12, 40
"""Tokens of text of the rows that are tried."""

ToBatch = Callable[[Sequence[Encoded]], Mapping[str, torch.Tensor]]
"""Makes the inputs of a model out of rows, padded to the longest."""


@dataclass(frozen=True)
class Abilities:
    """Whether a row's outputs are its own whatever it is padded with, and whether the model computes in bfloat16."""

    ignores_padding: bool = True
    bfloat16: bool = True

    @classmethod
    def of(cls, name: str, model: Any, rows: "TrialRows", to_batch: ToBatch) -> "Abilities":
        """Try a loaded model, in float32 and not in training; torch's generators go on as if nothing was drawn.

        Raises `ModelError` if it does not compute a row of tokens, or what it says of a token does not depend on the
        words beside it.
        """
        with drawn_from(0, next(model.parameters()).device):
            try:
                own = ignores_padding(rows, lambda some: _output(model, to_batch(some)))
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise _unusable(name, model, f"cannot read a row of tokens alone ({first_line(error)})") from None
            if own is None:
                raise _unusable(name, model, "says the same of a token whatever the words beside it are")
            return cls(own, computes_in_bfloat16(model, to_batch(rows.uneven)))

    def said(self, name: str, machine: Machine) -> str:
        """Say what a person should know of how a model, by its name, computes on a machine (empty: nothing)."""
        if machine.precision == self.fit(machine).precision:
            return ""
        return f"{name} does not compute in bfloat16: it computes in float32"

    def fit(self, machine: Machine) -> Machine:
        """Return a machine that computes as the model can."""
        if not self.bfloat16 and "bf16" in (machine.precision, machine.scoring):
            machine = replace(machine, precision="fp32", scoring="")
        return machine if self.ignores_padding or not machine.pads else replace(machine, pads=False)


@dataclass(frozen=True)
class TrialRows:
    """Rows to try a model with: `one` and `other` differ in a few words, `longer` makes padding of `one` beside it."""

    one: Encoded
    other: Encoded
    longer: Encoded
    shorter: Encoded

    @property
    def uneven(self) -> tuple[Encoded, Encoded]:
        """A batch of few tokens with padding."""
        return self.one, self.shorter

    @classmethod
    def of(cls, tokenizer: Any, longest: int) -> "TrialRows":
        """Return rows of words from all over the vocabulary, of at most `longest` tokens, special ones included."""
        encoding = tokenizer("a", return_special_tokens_mask=True, return_token_type_ids=True)
        special = np.asarray(encoding["special_tokens_mask"], np.bool_)
        ids, types = (np.asarray(encoding[name], np.int32) for name in ("input_ids", "token_type_ids"))
        text = np.flatnonzero(~special)
        start, end = (int(text[0]), int(text[-1]) + 1) if len(text) else (len(ids), len(ids))
        room = max(2, longest - start - (len(ids) - end))
        ordinary = np.setdiff1d(np.arange(len(tokenizer), dtype=np.int32), tokenizer.all_special_ids)
        # From all over the vocabulary: neighbours are often alike, such as entries that were never used.
        words = ordinary[np.linspace(0, len(ordinary) - 1, 2 * _LONG).astype(np.int64)].reshape(_LONG, 2)

        def row(words: np.ndarray) -> Encoded:
            read = np.concatenate([ids[:start], words, ids[end:]])
            kind = np.concatenate([types[:start], np.full(len(words), types[start] if len(text) else 0), types[end:]])
            return Encoded(read, kind.astype(np.int32), np.empty(0, np.int64), np.ones(len(read), np.bool_))

        size = min(_SHORT, room)
        few, changed = words[:: _LONG // _SHORT][:size, 0], words[:: _LONG // _SHORT][:size, 1]
        other = np.where(np.arange(size) < max(1, size // 3), changed, few)
        return cls(row(few), row(other), row(words[: min(_LONG, room), 1]), row(few[: max(1, size // 3)]))


def ignores_padding(rows: TrialRows, compute: Callable[[Sequence[Encoded]], torch.Tensor]) -> bool | None:
    """Say whether a row has the same outputs alone and padded, by `compute`: float [b, c] or [b, t, c] of rows.

    How much padding may change is measured by what other words of the row change, at tokens that stay as they are.
    None says that these change nothing there, so that nothing can be told.
    """
    one, other, padded = (compute(some)[0] for some in ([rows.one], [rows.other], [rows.one, rows.longer]))
    if one.dim() > 1:
        same = torch.from_numpy(rows.one.input_ids == rows.other.input_ids).to(one.device)
        one, other, padded = one[same], other[same], padded[: len(rows.one)][same]
        if not bool((one != other).any()):
            return None
    rounding = 8 * torch.finfo(torch.float32).eps * one.abs().max()
    return bool((one - padded).abs().max() <= READS_PADDING * (one - other).abs().max() + rounding)


@torch.enable_grad()
def computes_in_bfloat16(model: Any, inputs: Mapping[str, torch.Tensor]) -> bool:
    """Say whether a model computes a batch, and a gradient, under autocast to bfloat16."""
    # One small weight, so that no gradient of all of them is held; autograd goes through every layer above it.
    first = next(model.parameters())
    weight = next((weight for weight in model.parameters() if weight.dim() < 2), first)
    device = inputs["input_ids"].device
    try:
        with autocast(device, "bf16"):
            output = model(**inputs)[0]
        torch.autograd.grad(output.float().square().mean(), [weight], allow_unused=True)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return False
    return bool(torch.isfinite(output).all())


@torch.no_grad()
def _output(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the first output of a model: logits, or last hidden states."""
    output: torch.Tensor = model(**inputs)[0]
    return output


def _unusable(name: str, model: Any, why: str) -> ModelError:
    return ModelError(f"{name} is a {model.config.model_type!r} model, which {why}: choose another model.")
