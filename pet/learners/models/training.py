"""The one training loop, counted in optimizer updates: for voters, classifiers and pretraining."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from pet.errors import ModelError
from pet.learners.models.fast.dropout import QuickDropout
from pet.learners.models.keeping import (
    Piece,
    Resumable,
    State,
    joint_state,
    kept_by,
    next_piece,
    read_state,
    resume_jointly,
    write_state,
)
from pet.learners.models.loss_log import LossLog
from pet.learners.models.machine import reproducible, reproducibly
from pet.learners.models.progress import Progress, done_share, linear_factor
from pet.settings.pretraining import LimitSettings, UpdateSettings
from pet.settings.training import OptimizerSettings

LossFunction = Callable[[np.ndarray], torch.Tensor | Iterable[torch.Tensor]]
"""Maps int64 row indices of a micro-batch to its mean loss, or to the summands of it: each is made once the gradient of
the one before is known, so that only one of them is held with all that it was computed from."""

_LOOK_EVERY = 16
"""On a GPU, which is not waited for, losses are fetched once in so many updates."""


@dataclass(frozen=True)
class TrainLog:
    """What a training did: the loss of every update, in order.

    `discarded` counts the updates of other starts that were not kept, `scored` the rows that went forward beside the
    updates; the weights are those after `kept` updates, if that is not all of them.
    """

    losses: tuple[float, ...]
    discarded: int = 0
    scored: int = 0
    kept: int | None = None

    @property
    def updates(self) -> int:
        """The number of optimizer updates made."""
        return len(self.losses)

    @property
    def made(self) -> int:
        """The number of updates made, those of other starts too."""
        return self.updates + self.discarded

    @property
    def last(self) -> float:
        """The mean loss over the last tenth of the updates; infinite without any."""
        end = self.losses[-max(1, len(self.losses) // 10) :]
        return float(np.mean(end)) if end else float("inf")


class RowStream:
    """Gives int64 [size] row indices without end: shuffled passes over n rows, cut regardless of where a pass ends.

    The first raises `ValueError` if there are no rows.
    """

    def __init__(self, n: int, size: int, rng: np.random.Generator) -> None:
        self.n, self.size, self.rng = n, size, rng
        self._waiting = np.empty(0, np.int64)

    def __iter__(self) -> "RowStream":
        return self

    def __next__(self) -> np.ndarray:
        """Return the next indices."""
        if self.n < 1:
            raise ValueError("expected at least one row")
        while len(self._waiting) < self.size:
            self._waiting = np.concatenate([self._waiting, self.rng.permutation(self.n)])
        rows, self._waiting = self._waiting[: self.size], self._waiting[self.size :]
        return rows

    def state(self) -> State:
        """Return what waits; the state of the generator is not part of it."""
        return {}, {"waiting": self._waiting.tolist()}

    def resume(self, state: State) -> None:
        """Go back to a state."""
        self._waiting = np.asarray(state[1]["waiting"], np.int64)


@dataclass(frozen=True)
class Trained:
    """What trains: modules to be in training mode meanwhile, and their tensors in groups of the optimizer.

    A group has `params`, and the `lr` and `weight_decay` of AdamW; `setting` is what its rate is called, if that is not
    learning_rate. `updated` hears the number of every update made, from 0 on, while the gradients are still there.
    `tensors` are all that trains, in the order in which their norms are added up (default: that of the groups).
    `ends` says, after each update, given their number, whether that was enough; so does a mean loss of the updates of a
    pass over the rows that is below `stop_loss`: nothing is left to learn from them.
    `draws` are the generators and streams of the loss, and what else it goes on from. One that `resumes` can go on from
    these and its tensors.
    """

    modules: tuple[nn.Module, ...]
    groups: tuple[dict[str, Any], ...]
    updated: Callable[[int], None] = lambda _: None
    tensors: tuple[torch.Tensor, ...] = ()
    ends: Callable[[int], bool] = lambda _: False
    stop_loss: float = 0.0
    draws: tuple[Resumable | np.random.Generator, ...] = ()
    resumes: bool = True

    def __post_init__(self) -> None:
        """Take the tensors of the groups where no others are named."""
        if not self.tensors:
            tensors = tuple(tensor for group in self.groups for tensor in group["params"])
            object.__setattr__(self, "tensors", tensors)

    @property
    def rates(self) -> str:
        """The learning rates by the names of their settings, for a person."""
        rates = {group.get("setting", "learning_rate"): group["lr"] for group in self.groups}
        return " or ".join(f"{name} (now {rate:g})" for name, rate in rates.items())

    @property
    def on_cpu(self) -> bool:
        """Whether all of it trains on the CPU."""
        return all(tensor.device.type == "cpu" for tensor in self.tensors)

    @contextmanager
    def training(self, checkpointing: bool = False) -> Iterator[None]:
        """Keep the modules in training mode while active.

        With `checkpointing`, the first of them, the model, computes its layers again in the backward pass instead of
        keeping what they made: the same gradient with less memory.

        Raises `ModelError` if the model cannot.
        """
        model: Any = self.modules[0]
        if checkpointing and not getattr(model, "supports_gradient_checkpointing", False):
            raise ModelError(
                f"{type(model).__name__} has no gradient checkpointing: leave out gradient_checkpointing, or lower "
                "model.max_length."
            )
        for module in self.modules:
            module.train()
        if checkpointing:
            # The backward pass goes forward again outside of what is active here, with the same random bits.
            again = {"context_fn": lambda: (nullcontext(), self._dropout())}
            _checkpointing(model, "enable")({"use_reentrant": False, **again})
        try:
            with self._dropout(), reproducible(self.tensors[0].device):
                yield
        finally:
            if checkpointing:
                _checkpointing(model, "disable")()
                if hasattr(model, "_require_grads_hook"):  # newer transformers leave a hook on the embeddings
                    model.disable_input_require_grads()
            for module in self.modules:
                module.eval()

    def _dropout(self) -> AbstractContextManager[Any]:
        return QuickDropout() if self.on_cpu else nullcontext()

    @classmethod
    def weights_of(cls, model: nn.Module, settings: OptimizerSettings) -> "Trained":
        """Return all weights of a model that want a gradient."""
        return cls((model,), weight_groups((w for w in model.parameters() if w.requires_grad), settings))


def _checkpointing(model: Any, verb: str) -> Any:
    # transformers renamed it within version 5.
    return getattr(model, f"activation_checkpointing_{verb}", None) or getattr(model, f"gradient_checkpointing_{verb}")


def weight_groups(
    weights: Iterable[torch.Tensor], settings: OptimizerSettings | UpdateSettings
) -> tuple[dict[str, Any], ...]:
    """Split weights into groups of the optimizer: matrices decay, biases and norms do not."""
    learning_rate, tensors = settings.learning_rate or 1e-5, list(weights)
    groups = (
        {"params": [w for w in tensors if w.dim() > 1], "lr": learning_rate, "weight_decay": settings.weight_decay},
        {"params": [w for w in tensors if w.dim() <= 1], "lr": learning_rate, "weight_decay": 0.0},
    )
    return tuple(group for group in groups if group["params"])


def fit(
    trained: Trained,
    loss: LossFunction,
    n: int,
    settings: OptimizerSettings,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda _: None,
) -> TrainLog:
    """Train in place for `settings.steps` updates of `batch_size` rows out of n, or until it `trained.ends`.

    `rng` decides the order of the rows and seeds torch (dropout). AdamW without decay on biases and norms, linear
    warm-up and decay, gradient clipping.

    Raises `RunError` if the loss or its gradient is no longer finite.
    """
    steps = settings.steps or 0
    torch.manual_seed(int(rng.integers(2**62)))
    if not steps:
        return TrainLog(())
    loop = TrainingLoop(
        trained,
        LimitSettings(steps=steps),
        lambda coming: linear_factor(coming.step - 1, steps, settings.warmup),
        settings.max_grad_norm,
        f"The loss became {{loss}} (gradient {{norm}}) at update {{update}} of {steps}: lower {trained.rates}, or set "
        'run.precision = "fp32".',
    )
    a_pass, stream = -(-n // settings.batch_size), RowStream(n, settings.batch_size, rng)
    batches = (np.split(rows, settings.accumulation) for rows in stream)
    kept = KeptTraining(loop, (rng, stream, *trained.draws), next_piece("training") if trained.resumes else None)
    ended = kept.restore()
    if loop.progress.step:
        advance(loop.progress.step)
    with trained.training(settings.gradient_checkpointing), kept_by(None):
        for _ in () if ended else loop.updates(Step(partial(_summands, loss, parts)) for parts in batches):
            advance(1)
            ended = trained.ends(loop.progress.step) or loop.losses.mean_of_last(a_pass) < trained.stop_loss
            kept.keep(ended=ended or loop.done >= 1.0)
            if ended:
                break
    return TrainLog(loop.losses.fetch())


def _summands(loss: LossFunction, parts: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
    """Yield the summands of the mean loss over the parts of an update."""
    for part in parts:
        found = loss(part)
        for summand in [found] if isinstance(found, torch.Tensor) else found:
            yield summand / len(parts)


@dataclass(frozen=True)
class KeptTraining:
    """A training that can go on to the same weights: with its moments, its losses, and the states of all it draws from.

    Its place is a `piece` of a job (None: it is not kept).
    """

    loop: "TrainingLoop"
    draws: tuple[Resumable | np.random.Generator, ...]
    piece: Piece | None

    def keep(self, *, ended: bool) -> None:
        """Write down how far the training is, if that is due, and whether it has `ended`."""
        if self.piece is None or not self.piece.due(ended=ended):
            return
        losses, (drawn, values) = self.loop.losses.fetch(), joint_state(self.draws)
        tensors = {f"draws.{name}": tensor for name, tensor in drawn.items()}
        tensors |= {f"random.{place}": state for place, state in enumerate(self._random_states())}
        for place, weight in enumerate(self.loop.trained.tensors):
            tensors[f"weight.{place}"] = weight
            tensors |= {f"{name}.{place}": found for name, found in self.loop.optimizer.state[weight].items()}
        about = {"step": self.loop.progress.step, "losses": losses, "ended": ended, "draws": values}
        self.piece.save(lambda folder: write_state(folder, (tensors, about)))

    @torch.no_grad()
    def restore(self) -> bool:
        """Go back to where the training was kept last, if it was; return whether it had ended."""
        folder = self.piece.latest() if self.piece else None
        if folder is None:
            return False
        tensors, about = read_state(folder)
        for name, tensor in tensors.items():
            kind, _, place = name.partition(".")
            if kind in ("random", "draws"):
                continue
            weight = self.loop.trained.tensors[int(place)]
            if kind == "weight":
                weight.copy_(tensor)
            else:
                self.loop.optimizer.state[weight][kind] = tensor.to(weight.device)
        self.loop.progress.step = about["step"]
        self.loop.losses.resume(about["losses"])
        self._set_random_states([tensors[name] for name in sorted(tensors) if name.startswith("random.")])
        drawn = {name.removeprefix("draws."): tensor for name, tensor in tensors.items() if name.startswith("draws.")}
        resume_jointly(self.draws, (drawn, about["draws"]))
        return bool(about["ended"])

    def _random_states(self) -> list[torch.Tensor]:
        device = self.loop.trained.tensors[0].device
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]

    def _set_random_states(self, states: Sequence[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self.loop.trained.tensors[0].device)


@dataclass(frozen=True)
class Step:
    """What one update needs: the summands of its loss, made one after the other, and the tokens that it reads."""

    loss: Callable[[], Iterable[torch.Tensor]]
    tokens: int = 0


@dataclass
class TrainingLoop:
    """AdamW on what trains, one update after the other until the first limit is reached.

    `rate` maps the progress after an update to what the learning rates are multiplied by in it; `error` is what is said
    of a loss that is not finite (see `LossLog`). `progress` says how far it is, and `done` what share that is.
    """

    trained: Trained
    limits: LimitSettings
    rate: Callable[[Progress], float]
    max_grad_norm: float
    error: str
    progress: Progress = field(default_factory=Progress)
    done: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Make the optimizer."""
        self.losses = LossLog(self.error, every=1 if self.trained.on_cpu else _LOOK_EVERY)
        self.optimizer = torch.optim.AdamW([dict(group) for group in self.trained.groups], fused=True)

    def updates(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Make updates from where `progress` is until it is done; yield each step once its update is made.

        Errors are those of `LossLog.fetch`.
        """
        begun = time.monotonic() - self.progress.spent
        self.done = done_share(self.progress, self.limits)
        while self.done < 1.0:
            tick = time.monotonic()
            step = next(steps)
            self.update(step)
            now = time.monotonic()
            self.progress.seconds += now - tick
            self.progress.spent = now - begun
            self.done = done_share(self.progress, self.limits)
            yield step
            self.progress.spent = time.monotonic() - begun

    def update(self, step: Step) -> None:
        """Make one optimizer update."""
        progress, optimizer = self.progress, self.optimizer
        factor = self.rate(Progress(progress.step + 1, progress.tokens + step.tokens, spent=progress.spent))
        for group, given in zip(optimizer.param_groups, self.trained.groups, strict=True):
            group["lr"] = given["lr"] * factor
        loss = reproducibly(partial(_gradient, step.loss), optimizer.zero_grad)
        norm = nn.utils.clip_grad_norm_(self.trained.tensors, self.max_grad_norm)
        self.losses.add(progress.step + 1, loss, norm)
        optimizer.step()
        self.trained.updated(progress.step)
        optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.tokens += step.tokens


def _gradient(summands: Callable[[], Iterable[torch.Tensor]]) -> torch.Tensor:
    """Add up the gradient of an update; return its loss."""
    values = []
    for value in summands():
        torch.autograd.backward(value)
        values.append(value.detach())
    return torch.stack(values).sum()
