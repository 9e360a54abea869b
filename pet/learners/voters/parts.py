"""The parts of a voter that train: virtual tokens, weights, and what scores a label; one voter has one of each."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.delta import Delta
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import mask_logits
from pet.learners.models.splicing import Encoded
from pet.learners.models.training import Trained, weight_groups
from pet.learners.models.words import LabelWords
from pet.learners.voters.deltas.adapters import Adapter
from pet.learners.voters.deltas.peft_deltas import PeftDelta
from pet.learners.voters.deltas.prefix import Prefix, check_prefix_length
from pet.learners.voters.deltas.selected import Selected
from pet.learners.voters.deltas.unipelt import UniPELT
from pet.learners.voters.outputs import DecodedWords, OutputHead, output_head
from pet.learners.voters.soft_prompt import SoftPrompt
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings
from pet.settings.variants import VariantSettings


@dataclass(frozen=True)
class Parts:
    """What of one voter trains on a shared backbone, and how it computes with it."""

    backbone: Backbone
    delta: Delta
    prompt: SoftPrompt | None
    output: OutputHead

    @classmethod
    def start(
        cls,
        backbone: Backbone,
        encoder: PatternEncoder,
        words: LabelWords,
        variant: VariantSettings,
        rng: np.random.Generator,
    ) -> "Parts":
        """Return new parts, drawn from `rng`, as they are before training.

        Raises `ModelError` if the model's family has no such part, or a setting does not fit the model.
        """
        seed = int(rng.integers(2**62))
        backbone.reset()
        prompt = SoftPrompt.start(encoder.virtual, variant, words, backbone, rng) if encoder.virtual else None
        return cls(
            backbone,
            weight_delta(backbone.model, variant, seed),
            prompt,
            output_head(variant.output or "words", words, backbone, seed),
        )

    def trained(self, settings: TrainSettings) -> Trained:
        """Return what trains: the weights at the learning rate, all else at the prompt learning rate without decay."""
        groups = weight_groups(self.delta.tensors().values(), settings)
        rate = settings.prompt_learning_rate
        vectors = [*(self.prompt.parameters() if self.prompt else ()), *self.output.parameters()]
        if vectors and rate != 0:
            group = {"params": vectors, "lr": rate or 1e-2, "weight_decay": 0.0, "setting": "prompt_learning_rate"}
            groups += (group,)
        modules: list[nn.Module] = [self.backbone.model, self.delta, self.output]
        modules += [self.prompt] if self.prompt else []
        # AdaLoRA decides by the gradients of all updates what is left of its ranks.
        resumes = type(self.delta).updated is Delta.updated
        return Trained(tuple(modules), groups, self.delta.updated, stop_loss=settings.stop_loss, resumes=resumes)

    def trained_apart(self, settings: TrainSettings) -> list[list[torch.Tensor]]:
        """Return the tensors that train as lists: of the weights, of the virtual tokens, and of the output."""
        trains = {id(tensor) for tensor in self.trained(settings).tensors}
        virtual = self.prompt.parameters() if self.prompt else ()
        parts: tuple[Iterable[torch.Tensor], ...] = (
            self.delta.tensors().values(),
            virtual,
            self.output.parameters(),
        )
        return [own for part in parts if (own := [tensor for tensor in part if id(tensor) in trains])]

    @contextmanager
    def during(self, batch: Batch) -> Iterator[None]:
        """While active, forward passes on `batch` compute with these parts."""
        self.backbone.attach(self.delta)
        model: Any = self.backbone.model
        virtual = self.prompt.during(model, batch) if self.prompt else nullcontext()
        with self.delta.during(batch), virtual:
            yield

    def scores(self, encoded: Sequence[Encoded], machine: Machine) -> torch.Tensor:
        """Return raw label scores of a batch of rows, float32 [b, k]."""
        if isinstance(self.output, DecodedWords):
            return self.output.decoded(encoded, partial(self._logits, precision=machine.inference), machine)
        batch = self.backbone.batch(encoded)
        with self.during(batch):
            return self.output.scores(self.backbone.model, batch, machine.inference)

    def _logits(self, encoded: Sequence[Encoded], precision: str) -> torch.Tensor:
        """Return the vocabulary logits at the masks of rows that have as many each, float32 [b, p, v]."""
        batch = self.backbone.batch(encoded)
        with self.during(batch):
            return mask_logits(self.backbone.model, batch, precision)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that a file has to hold of these parts, by name."""
        self.backbone.attach(self.delta)
        found: dict[str, torch.Tensor] = {f"weights.{name}": value for name, value in self.delta.tensors().items()}
        if self.prompt:
            found |= {f"prompt.{name}": value for name, value in self.prompt.state_dict().items()}
        return found | {f"output.{name}": value for name, value in self.output.state_dict().items()}


def row_length(model: ModelSettings, longest_input: int, variant: VariantSettings) -> int:
    """Return the most tokens of a row: a prefix that shifts positions leaves fewer of those that the model reads.

    Errors are those of `check_prefix_length`.
    """
    length = min(model.max_length, longest_input)
    if variant.with_preset().weights not in ("prefix", "unipelt"):
        return length
    check_prefix_length(variant.prefix_length, length)
    return min(length, longest_input - variant.prefix_length * variant.prefix_shifts_positions)


def weight_delta(model: Any, variant: VariantSettings, seed: int) -> Delta:
    """Return how a variant trains the weights of a model."""
    kind = variant.weights or "full"
    if kind == "adapter":
        return Adapter(model, variant.adapter_layout, variant.adapter_reduction, seed)
    if kind == "prefix":
        encoder = variant.prefix_encoder or "none"
        return Prefix(model, variant.prefix_length, encoder, variant.prefix_shifts_positions, seed)
    if kind == "unipelt":
        shifts = variant.prefix_shifts_positions
        return UniPELT(model, variant.rank, variant.adapter_reduction, variant.prefix_length, shifts, seed)
    if kind == "lora":
        return PeftDelta(model, variant.rank, seed)
    if kind == "peft":
        return PeftDelta(model, variant.peft or {}, seed)
    return Selected(model, kind)
