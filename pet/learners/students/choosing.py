"""The classifier of rows with candidates: a stock model that scores a row with each candidate; the best is chosen.

A pair is read as any row: the first field is the first segment, the others, with a candidate in the place of all of
them, are the second. The probabilities of a row are the softmax of its pairs' scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pet.data.examples import Example
from pet.data.rows import Rows
from pet.labeling.votes import softmax
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import length_groups
from pet.learners.models.candidates import ABSENT
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.losses import distillation_loss, soften
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.models.splicing import Encoded
from pet.learners.models.training import LossFunction
from pet.learners.students.base import ClassifierForm, read_form
from pet.learners.students.classifier import TextClassifier, output_layer

FITS = ("fits",)
"""The one output of the model: how well a candidate fits the row."""


@dataclass(frozen=True)
class ChoiceClassifier(TextClassifier):
    """`AutoModelForSequenceClassification` with one output, for rows that have candidates; labels are their indices."""

    @classmethod
    def from_source(cls, source: ModelSource, form: ClassifierForm, machine: Machine, seed: int) -> "ChoiceClassifier":
        """Put a head of one output, drawn from `seed`, on a pretrained encoder."""
        backbone = Backbone.classifier(source, FITS, machine.device, seed)
        shorter = replace(form, max_length=min(form.max_length, backbone.longest_input))
        return cls(backbone, shorter, backbone.abilities.fit(machine))

    @classmethod
    def load(cls, folder: Path, machine: Machine) -> "ChoiceClassifier":
        """Load a folder written by `save`; errors are those of `read_form`."""
        backbone = Backbone.classifier(ModelSource(str(folder), folder), FITS, machine.device, seed=None)
        return cls(backbone, read_form(folder), backbone.abilities.fit(machine))

    def loss(
        self,
        examples: Sequence[Example],
        targets: np.ndarray,
        temperature: float,
        rng: np.random.Generator,  # noqa: ARG002 - no row is read in windows
    ) -> LossFunction:
        """Return the distillation loss over the candidates of each row; absent ones count nothing."""

        def loss(rows: np.ndarray) -> Iterator[torch.Tensor]:
            some = [examples[i] for i in rows.tolist()]
            counts = np.asarray([len(row.choices) for row in some])
            present = np.arange(targets.shape[1]) < counts[:, None]
            softened = soften(targets[rows], temperature) * present
            softened /= softened.sum(axis=1, keepdims=True)
            lengths = [len(row.choices) * max(map(len, row.fields.values())) for row in some]
            for group in length_groups(lengths, self.machine.group_overhead):
                encoded = self.encode([pair for i in group for pair in some[i].with_each_choice])
                said = self.logits(self.backbone.training_batch(encoded), self.machine.precision)[:, 0]
                scores = torch.full((len(group), targets.shape[1]), ABSENT, device=said.device)
                scores[torch.from_numpy(present[group]).to(said.device)] = said
                wanted = torch.from_numpy(softened[group].astype(np.float32)).to(said.device)
                yield len(group) / len(rows) * distillation_loss(scores, wanted, temperature)

        return loss

    def probabilities(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return the probability of each candidate, float32 [n, k]; k is larger where a row has more than the form."""
        counts = np.fromiter((len(row.choices) for row in examples), np.int64, len(examples))
        pairs = Rows.of(pair for row in examples for pair in row.with_each_choice)

        def compute(rows: list[Encoded]) -> torch.Tensor:
            return self.logits(self.backbone.batch(rows), self.machine.inference)

        said = Inference(self.machine, self.encode, compute).run(pairs, 1)[:, 0]
        scores = np.full((len(counts), max(len(self.form.labels), counts.max(initial=0))), ABSENT, np.float32)
        scores[np.arange(scores.shape[1]) < counts[:, None]] = said
        advance(len(counts))
        return softmax(scores)

    def rescale(self, scale: float, offsets: np.ndarray) -> None:  # noqa: ARG002 - as every student has it
        """Let the last layer say `scale` * logits from now on; there is nothing to be said of an index as such."""
        with torch.no_grad():
            for weight in output_layer(self.backbone.model).parameters():
                weight.mul_(scale)
