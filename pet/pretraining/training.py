"""The training of a masked language model on text: limited by steps, tokens or minutes, and resumable.

Which rows a step reads and what is masked in them follow from the seed and the step; the weights, the optimizer's
state and the counters are all that a checkpoint has to keep. Little is read off the device between measurements, so
that a GPU does not wait for Python; the next batches are made by another thread.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pet.learners.models.batching import ahead
from pet.learners.models.machine import Machine, reproducible
from pet.learners.models.progress import cosine_factor, done_share
from pet.learners.models.schedules import scheduled_pretraining
from pet.learners.models.training import Step, Trained, TrainingLoop, weight_groups
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel
from pet.pretraining.masking import MaskedBatch, Masker
from pet.pretraining.mixing import row_batches
from pet.pretraining.objective import loss_terms, masked_accuracy
from pet.pretraining.progress import Point, PretrainingProgress
from pet.seeding import derive_seed, rng_for
from pet.settings.pretraining import MaskingSettings, UpdateSettings

_WEIGHTS, _MOMENTS, _COUNTERS = "weights.safetensors", "optimizer.safetensors", "progress.json"
_MOMENT_NAMES = ("exp_avg", "exp_avg_sq")

_SHOWN_SECONDS = 0.5


@dataclass(frozen=True)
class PretrainingData:
    """The text in rows of at most `length` tokens, each source in its part of `shares`, float64 [s].

    The `seed` decides in which order they are read, and what is masked. The batches `held_out` are measured on.
    """

    corpus: Corpus
    shares: np.ndarray
    length: int
    seed: int
    held_out: Sequence[MaskedBatch] = ()


@dataclass(frozen=True)
class Callbacks:
    """What is called when: `measured` with each of so many `measurements`, and the one before the first step.

    `advanced` gets the share done and the tokens per second; `save` is called every `save_seconds` of training, and at
    the end, to keep a checkpoint.
    """

    measurements: int = 10
    measured: Callable[[Point], None] = lambda _: None
    advanced: Callable[[float, float], None] = lambda *_: None
    save: Callable[[], None] = lambda: None
    save_seconds: float = 60.0


class Pretraining:
    """A masked language model that learns a text.

    `progress` says how far it is; `updates` are the settings with learning rates.
    """

    def __init__(
        self,
        start: InitialModel,
        data: PretrainingData,
        masking: MaskingSettings,
        updates: UpdateSettings,
        machine: Machine,
        frozen: Any = None,
    ) -> None:
        self.model = start.model
        self.data = data
        self.machine = machine
        self.updates = scheduled_pretraining(updates, start.new)
        self.masker = Masker(start.tokenizer, masking, data.length)
        self.frozen = frozen
        self.progress = PretrainingProgress(seen=[0] * len(data.corpus.names))
        trained = _trained(start.model, self.updates)
        rates = max(group["lr"] for group in trained.groups)
        self.loop = TrainingLoop(
            trained,
            self.updates,
            lambda coming: cosine_factor(done_share(coming, self.updates), self.updates.warmup, self.updates.final),
            self.updates.max_grad_norm,
            "The loss is no longer a number at step {update}: set a lower train.learning_rate "
            f'(now {rates:g}), or run.precision = "fp32"; the last checkpoint is as it was.',
            self.progress,
        )
        self._names: dict[str, nn.Parameter] = dict(start.model.named_parameters())
        self._parts: list[MaskedBatch] = []  # the batches of the present step
        self._terms: list[torch.Tensor] = []  # both terms of its loss, [2] for each of them
        self._sums = torch.zeros(2, device=machine.device)  # of the terms, since the last point

    def train(self, callbacks: Callbacks) -> None:
        """Train on from where `progress` is, until the first limit is reached.

        Raises `RunError` if the loss is no longer finite.
        """
        self.model.train(self.updates.dropout)
        if not self.progress.curve:
            self._measure(callbacks.measured)
        saved, shown, done = time.monotonic(), 0.0, done_share(self.progress, self.updates)
        with closing(ahead(self.steps(self.progress.step))) as steps, reproducible(self.machine.device):
            for _ in self.loop.updates(steps):
                self._count()
                before, done = done, self.loop.done
                if int(done * callbacks.measurements) > int(before * callbacks.measurements) or done >= 1.0:
                    self._measure(callbacks.measured)
                if time.monotonic() - saved >= callbacks.save_seconds or done >= 1.0:
                    self._fetch_losses()
                    callbacks.save()
                    saved = time.monotonic()
                if time.monotonic() - shown >= _SHOWN_SECONDS:
                    callbacks.advanced(done, self.progress.tokens / max(1e-9, self.progress.seconds))
                    shown = time.monotonic()
        self.model.eval()

    @torch.no_grad()
    def average(self, start: Any, share: float, measured: Callable[[Point], None]) -> None:
        """Make the weights `share` of what they are and, for the rest, a start's; and measure those (2109.01903)."""
        for name, weight in start.named_parameters():
            self._names[name].lerp_(weight, 1.0 - share)
        self._measure(measured)

    def steps(self, begin: int) -> Generator[Step]:
        """Yield the steps from number `begin` on, with their batches."""
        data, parts = self.data, self.updates.accumulation
        budget = self.updates.batch_size // parts * data.length
        batches = islice(row_batches(data.corpus, data.shares, budget, data.seed), begin * parts, None)
        number = begin
        while True:
            rng = rng_for(data.seed, "masks", number)
            masked = [self.masker.batch(data.corpus, rows, rng) for rows in islice(batches, parts)]
            if self.machine.device.type == "cuda":  # which copies from pinned memory without the processor
                masked = [part.each(torch.Tensor.pin_memory) for part in masked]
            yield Step(partial(self._summands, masked, number), sum(int(part.tokens.sum()) for part in masked))
            number += 1

    def _summands(self, parts: list[MaskedBatch], number: int) -> Iterator[torch.Tensor]:
        """Yield the loss of each part of a step: together the mean over all its masked tokens."""
        if self.updates.dropout:
            torch.manual_seed(derive_seed(self.data.seed, "dropout", number))
        masked = max(1, sum(len(part.targets) for part in parts))
        self._parts, self._terms = parts, []
        for part in parts:
            part = part.to(self.machine.device)
            predicted, kept = loss_terms(self.model, part, self.machine.precision, self.frozen)
            predicted, kept = predicted / masked, kept / len(parts)
            self._terms.append(torch.stack([predicted.detach(), kept.detach()]))
            yield predicted + self.masker.settings.keep_embeddings * kept

    def _count(self) -> None:
        """Add up what the step that was just made has read and lost."""
        self._sums += torch.stack(self._terms).sum(dim=0)
        self.progress.summed += 1
        self.progress.seen = sum((part.tokens for part in self._parts), np.asarray(self.progress.seen)).tolist()

    def _fetch_losses(self) -> None:
        """Read the sums of the losses off the device; it has done all its work then."""
        tick = time.monotonic()
        self.loop.losses.fetch()
        self.progress.sums = self._sums.tolist()
        self.progress.seconds += time.monotonic() - tick

    def _measure(self, measured: Callable[[Point], None]) -> None:
        """Add a point to the curve."""
        self._fetch_losses()
        progress, held_out = self.progress, self.data.held_out
        loss, kept = (total / max(1, progress.summed) for total in progress.sums)
        valid = masked_accuracy(self.model, held_out, self.machine) if held_out else (None, None)
        trained = progress.summed > 0
        point = Point(
            step=progress.step,
            tokens=progress.tokens,
            seconds=round(progress.seconds, 3),
            loss=loss if trained else None,
            kept=kept if trained and self.masker.settings.keep_embeddings else None,
            valid_loss=valid[0],
            valid_accuracy=valid[1],
        )
        progress.curve.append(point)
        progress.summed = 0
        self._sums.zero_()
        progress.sums = [0.0, 0.0]
        measured(point)

    def save(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder."""
        state = self.loop.optimizer.state
        moments = {
            f"{moment}.{name}": state[weight][moment]
            for name, weight in self._names.items()
            if weight in state
            for moment in _MOMENT_NAMES
        }
        save_file({name: weight.detach() for name, weight in self._names.items()}, folder / _WEIGHTS)
        save_file(moments, folder / _MOMENTS)
        (folder / _COUNTERS).write_text(json.dumps(asdict(self.progress)), encoding="utf-8")

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go back to a checkpoint."""
        device = str(self.machine.device)
        for name, weight in load_file(folder / _WEIGHTS, device=device).items():
            self._names[name].copy_(weight)
        counters = json.loads((folder / _COUNTERS).read_text(encoding="utf-8"))
        counters["curve"] = [Point(**point) for point in counters["curve"]]
        self.progress = self.loop.progress = PretrainingProgress(**counters)
        for key, value in load_file(folder / _MOMENTS, device=device).items():
            moment, _, name = key.partition(".")
            state = self.loop.optimizer.state[self._names[name]]
            state["step"] = torch.tensor(float(self.progress.step), device=value.device)
            state[moment] = value
        self._sums = torch.tensor(self.progress.sums, device=self.machine.device)


def _trained(model: Any, updates: UpdateSettings) -> Trained:
    """Return all weights of a masked language model; those of the head have a rate of their own."""
    encoder = list(model.base_model.parameters())
    inside = {id(weight) for weight in encoder}
    head = [weight for weight in model.parameters() if id(weight) not in inside]
    of_head = updates.model_copy(update={"learning_rate": updates.head_learning_rate})
    groups = (*weight_groups(encoder, updates), *weight_groups(head, of_head))
    betas = (0.9, updates.beta2)
    return Trained((model,), tuple({**group, "betas": betas} for group in groups), tensors=tuple(model.parameters()))
