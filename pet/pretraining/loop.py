"""The training loop of a masked language model on text: limited by steps, tokens or minutes, and resumable.

Which rows a step reads and what is masked in them follow from the seed and the step; the weights, the optimizer's
state and the counters are all that a checkpoint has to keep. Nothing is read off the device but at a measurement, so
that a GPU never waits for Python; the next batches are made by another thread.
"""

import json
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pet.errors import RunError
from pet.learners.models.machine import Machine, reproducible, reproducibly
from pet.pretraining.corpus import Corpus
from pet.pretraining.masking import MaskedBatch, Masker, ahead
from pet.pretraining.measuring import masked_accuracy
from pet.pretraining.mixing import row_batches
from pet.pretraining.objective import Objective
from pet.pretraining.progress import Point, Progress, done_share, rate_factor
from pet.pretraining.start import Start
from pet.seeding import derive_seed, rng_for
from pet.settings.pretraining import MaskingSettings, UpdateSettings

__all__ = ["Hooks", "Lesson", "Pretraining"]

_WEIGHTS, _MOMENTS, _COUNTERS = "weights.safetensors", "optimizer.safetensors", "progress.json"
_MOMENT_NAMES = ("exp_avg", "exp_avg_sq")

_RATES = {"trained": 2e-4, "new": 7e-4}
"""Learning rates of a small model: for weights that were trained before, and for those from scratch."""

_HEAD_FACTOR = 4.0
"""So much faster a new head on a trained encoder learns than that."""

_SHOWN_SECONDS = 0.5


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Lesson:
    """What is learned: the text in its shares float64 [s], the held-out batches, how, and from which seed."""

    corpus: Corpus
    shares: np.ndarray
    masking: MaskingSettings
    updates: UpdateSettings
    length: int
    seed: int
    held_out: list[MaskedBatch] = field(default_factory=list)
    measurements: int = 10


@dataclass(frozen=True)
class Hooks:
    """Who hears of what: `measured` of each point, `advanced` of the share done and the tokens per second.

    `save` is called every `save_seconds` of training, and at the end, to keep a checkpoint.
    """

    measured: Callable[[Point], None] = _nothing
    advanced: Callable[[float, float], None] = _nothing
    save: Callable[[], None] = _nothing
    save_seconds: float = 60.0


class Pretraining:
    """A masked language model that learns a text.

    `progress` says how far it is; `updates` are the settings with learning rates.
    """

    def __init__(self, start: Start, lesson: Lesson, machine: Machine, frozen: Any = None) -> None:
        self.model = start.model
        self.lesson = lesson
        self.machine = machine
        self.progress = Progress(seen=[0] * len(lesson.corpus.names))
        self.masker = Masker(start.tokenizer, lesson.masking, lesson.length)
        self.objective = Objective(start.model, machine.precision, lesson.masking.keep_embeddings, frozen)
        self.updates = _with_rates(lesson.updates, start)
        groups = _groups(start.model, self.updates)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, lesson.updates.beta2), fused=True)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._sums = torch.zeros(2, device=machine.device)  # of both terms, since the last point

    @cached_property
    def _names(self) -> dict[str, nn.Parameter]:
        return dict(self.model.named_parameters())

    def train(self, hooks: Hooks) -> None:
        """Train on from where `progress` is, until the first limit is reached.

        Raises
        ------
        RunError
            If the loss is no longer finite.
        """
        self.model.train(self.lesson.updates.dropout)
        if not self.progress.curve:
            self._measure(hooks)
        begun, saved, shown = time.monotonic() - self.progress.spent, time.monotonic(), 0.0
        done = done_share(self.progress, self.lesson.updates)
        with closing(ahead(self.steps(self.progress.step))) as steps, reproducible(self.machine.device):
            while done < 1.0:
                tick = time.monotonic()
                self.update(*next(steps), done)
                now = time.monotonic()
                self.progress.seconds += now - tick
                self.progress.spent = now - begun
                before, done = done, done_share(self.progress, self.lesson.updates)
                if int(done * self.lesson.measurements) > int(before * self.lesson.measurements) or done >= 1.0:
                    self._measure(hooks)
                    self.progress.spent = time.monotonic() - begun
                if time.monotonic() - saved >= hooks.save_seconds or done >= 1.0:
                    self._settle()
                    hooks.save()
                    saved = time.monotonic()
                if now - shown >= _SHOWN_SECONDS:
                    hooks.advanced(done, self.progress.tokens / max(1e-9, self.progress.seconds))
                    shown = now
        self.model.eval()

    @torch.no_grad()
    def average(self, start: Any, share: float, hooks: Hooks) -> None:
        """Make the weights `share` of what they are and, for the rest, a start's; and measure those (2109.01903)."""
        for name, weight in start.named_parameters():
            self._names[name].lerp_(weight, 1.0 - share)
        self._measure(hooks)

    def steps(self, begin: int) -> Generator[tuple[list[MaskedBatch], np.ndarray]]:
        """Yield the batches of each step from `begin` on, and the rows int64 [b] in them."""
        lesson, updates = self.lesson, self.lesson.updates
        budget = updates.batch_size // updates.accumulation * lesson.length
        batches = row_batches(lesson.corpus, lesson.shares, budget, lesson.seed)
        batches = islice(batches, begin * updates.accumulation, None)
        pins = self.machine.device.type == "cuda"
        step = begin
        while True:
            rng = rng_for(lesson.seed, "masks", step)
            groups = list(islice(batches, updates.accumulation))
            parts = [self.masker.batch(lesson.corpus, rows, rng) for rows in groups]
            yield [part.pinned() for part in parts] if pins else parts, np.concatenate(groups)
            step += 1

    def update(self, parts: list[MaskedBatch], rows: np.ndarray, done: float) -> None:
        """Make one optimizer update with the gradient of the mean over all masked tokens of a step."""
        lesson, progress = self.lesson, self.progress
        if lesson.updates.dropout:
            torch.manual_seed(derive_seed(lesson.seed, "dropout", progress.step))
        tokens = sum(part.tokens for part in parts)
        coming = Progress(progress.step + 1, progress.tokens + tokens, spent=progress.spent)
        factor = rate_factor(max(done, done_share(coming, lesson.updates)), lesson.updates)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self._sums += reproducibly(partial(self._gradient, parts), self.optimizer.zero_grad)
        nn.utils.clip_grad_norm_(self.model.parameters(), lesson.updates.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.tokens += tokens
        progress.summed += 1
        sources = np.bincount(
            lesson.corpus.sources[rows], weights=lesson.corpus.lengths[rows], minlength=len(progress.seen)
        )
        progress.seen = [before + int(more) for before, more in zip(progress.seen, sources, strict=True)]

    def _gradient(self, parts: list[MaskedBatch]) -> torch.Tensor:
        """Add up the gradient of a step; return both terms of its loss, [2]."""
        masked, terms = max(1, sum(len(part.targets) for part in parts)), []
        for part in parts:
            told, kept = self.objective.terms(part.to(self.machine.device))
            told, kept = told / masked, kept / len(parts)
            torch.autograd.backward(told + self.objective.weight * kept)
            terms.append(torch.stack([told.detach(), kept.detach()]))
        return torch.stack(terms).sum(dim=0)

    def _settle(self) -> None:
        """Read the sums of the losses off the device; it has done all its work then."""
        tick = time.monotonic()
        self.progress.sums = self._sums.tolist()
        self.progress.seconds += time.monotonic() - tick
        if not np.isfinite(self.progress.sums).all():
            raise RunError(
                f"The loss is no longer a number at step {self.progress.step}: set a lower train.learning_rate (now "
                f'{max(self._rates):g}), or run.precision = "fp32"; the last checkpoint is as it was.'
            )

    def _measure(self, hooks: Hooks) -> None:
        """Add a point to the curve."""
        self._settle()
        progress, lesson = self.progress, self.lesson
        told, kept = (total / max(1, progress.summed) for total in progress.sums)
        held_out = masked_accuracy(self.model, lesson.held_out, self.machine) if lesson.held_out else (None, None)
        trained = progress.summed > 0
        point = Point(
            step=progress.step,
            tokens=progress.tokens,
            seconds=round(progress.seconds, 3),
            loss=told if trained else None,
            kept=kept if trained and lesson.masking.keep_embeddings else None,
            valid_loss=held_out[0],
            valid_accuracy=held_out[1],
        )
        progress.curve.append(point)
        progress.summed = 0
        self._sums.zero_()
        progress.sums = [0.0, 0.0]
        hooks.measured(point)

    def save(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder."""
        state = self.optimizer.state
        moments = {
            f"{moment}.{name}": state[weight][moment]
            for name, weight in self._names.items()
            if weight in state
            for moment in _MOMENT_NAMES
        }
        save_file({name: weight.detach() for name, weight in self._names.items()}, folder / _WEIGHTS)
        save_file(moments, folder / _MOMENTS)
        (folder / _COUNTERS).write_text(json.dumps(self.progress.as_json()), encoding="utf-8")

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go back to a checkpoint."""
        device = str(self.machine.device)
        for name, weight in load_file(folder / _WEIGHTS, device=device).items():
            self._names[name].copy_(weight)
        self.progress = Progress.from_json(json.loads((folder / _COUNTERS).read_text(encoding="utf-8")))
        for key, value in load_file(folder / _MOMENTS, device=device).items():
            moment, _, name = key.partition(".")
            state = self.optimizer.state[self._names[name]]
            state["step"] = torch.tensor(float(self.progress.step), device=value.device)
            state[moment] = value
        self._sums = torch.tensor(self.progress.sums, device=self.machine.device)


def _with_rates(updates: UpdateSettings, start: Start) -> UpdateSettings:
    """Return settings whose learning rates, where unset, follow from what of the start is new."""
    rate = updates.learning_rate or _RATES["new" if start.new == "all" else "trained"]
    head_rate = updates.head_learning_rate or (rate * _HEAD_FACTOR if start.new == "head" else rate)
    return updates.model_copy(update={"learning_rate": rate, "head_learning_rate": head_rate})


def _groups(model: Any, updates: UpdateSettings) -> list[dict[str, Any]]:
    """Return the groups of the optimizer: matrices decay, biases and norms do not; the head has a rate of its own."""
    inside = {id(weight) for weight in model.base_model.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for weight in model.parameters():
        groups.setdefault((id(weight) in inside, weight.dim() > 1), []).append(weight)
    return [
        {
            "params": weights,
            "lr": updates.learning_rate if encoder else updates.head_learning_rate,
            "weight_decay": updates.weight_decay if matrix else 0.0,
        }
        for (encoder, matrix), weights in groups.items()
    ]
