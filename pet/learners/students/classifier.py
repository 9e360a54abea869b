"""The stock sequence classifier: trained on soft labels (distillation) or on gold labels (the baseline), and loaded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from pet.data.examples import Example
from pet.errors import ModelError
from pet.labeling.acceptance import AcceptanceCurve
from pet.labeling.votes import softmax
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import CHUNK_ROWS, Batch, length_groups
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.losses import distillation_loss, soften
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import autocast
from pet.learners.models.plain_rows import encode_rows
from pet.learners.models.shortening import joined, mean_of_windows
from pet.learners.models.sources import ModelSource
from pet.learners.models.splicing import Encoded
from pet.learners.models.stopping import BestWeights, Rank, measured_every
from pet.learners.models.training import LossFunction, Trained, TrainLog, fit
from pet.learners.students.base import PLAIN, ClassifierForm, HeldOut, Learning, read_form
from pet.learners.students.stock import for_servers
from pet.settings.training import OptimizerSettings

KEPT_ROWS = 2 * CHUNK_ROWS
"""So many rows stay encoded while a classifier trains: all of a small set, which it sees again and again."""


@dataclass(frozen=True)
class TextClassifier:
    """`AutoModelForSequenceClassification` with its labels and the fields it reads.

    The first field is the first segment; further fields, joined by blanks, are the second. A saved folder is stock:
    `transformers.pipeline("text-classification", model=folder)` gives the same labels; text longer than
    `max_length` needs `truncation=True` there.
    """

    backbone: Backbone
    form: ClassifierForm
    machine: Machine

    @classmethod
    def from_source(cls, source: ModelSource, form: ClassifierForm, machine: Machine, seed: int) -> "TextClassifier":
        """Put a head, drawn from `seed` where there is none for so many labels, on a pretrained encoder."""
        backbone = Backbone.classifier(source, form.labels, machine.device, seed)
        shorter = replace(form, max_length=min(form.max_length, backbone.longest_input))
        return cls(backbone, shorter, backbone.abilities.fit(machine))

    @classmethod
    def load(cls, folder: Path, machine: Machine) -> "TextClassifier":
        """Load a folder written by `save`; errors are those of `read_form`."""
        form = read_form(folder)
        backbone = Backbone.classifier(ModelSource(str(folder), folder), form.labels, machine.device, seed=None)
        return cls(backbone, form, backbone.abilities.fit(machine))

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of its model."""
        return self.backbone.tokenizer

    def fit(
        self,
        examples: Sequence[Example],
        targets: np.ndarray,
        settings: OptimizerSettings,
        rng: np.random.Generator,
        learning: Learning = PLAIN,
        advance: Advance = lambda _: None,
    ) -> TrainLog:
        """Train on target probabilities [n, k]; one-hot rows at temperature 1 are plain cross-entropy.

        Where rows are held out, `settings.steps` is the most: it ends once it agrees with the teacher on them, or no
        longer comes nearer, and keeps the weights that were best. Rows are encoded when a batch needs them, and the
        first ones kept: memory does not grow with the rows. Of a row that is read in windows one is drawn each time.
        """
        window_rng = rng.spawn(1)[0]
        loss = self.loss(examples, targets, learning.temperature, window_rng)
        trained = replace(Trained.weights_of(self.backbone.model, settings), draws=(window_rng,))
        if learning.held_out is None or not settings.steps:
            return fit(trained, loss, len(examples), settings, rng, advance)
        held = learning.held_out
        best = BestWeights(trained.tensors, lambda: self._rank(held), measured_every(len(held.examples)))
        if best.look():  # a start that is as good already
            return TrainLog((), scored=len(held.examples), kept=0)
        log = fit(
            replace(trained, ends=best.ends, draws=(window_rng, best)), loss, len(examples), settings, rng, advance
        )
        best.restore()
        return replace(log, scored=best.measured * len(held.examples), kept=best.at)

    def loss(
        self, examples: Sequence[Example], targets: np.ndarray, temperature: float, rng: np.random.Generator
    ) -> LossFunction:
        """Return what training minimizes: the distillation loss of target probabilities [n, k] at a temperature.

        By `rng` the window is drawn of a row that is read in several.
        """
        kept: dict[int, Encoded] = {}

        def loss(rows: np.ndarray) -> Iterator[torch.Tensor]:
            found = self._encoded(examples, rows, kept)
            encoded = [row.windows[rng.integers(len(row.windows))] if row.more else row for row in found]
            for group in length_groups([len(row) for row in encoded], self.machine.group_overhead):
                batch = self.backbone.training_batch([encoded[i] for i in group])
                softened = torch.from_numpy(soften(targets[rows[group]], temperature)).to(self.machine.device)
                logits = self.logits(batch, self.machine.precision)
                yield len(group) / len(rows) * distillation_loss(logits, softened, temperature)

        return loss

    def _rank(self, held: HeldOut) -> Rank:
        """Compare the model as it is, while it trains, with the soft labels of rows that are held out."""
        training = self.backbone.model.training
        self.backbone.model.eval()
        rank = held.fidelity(self.probabilities(held.examples)).rank
        self.backbone.model.train(training)
        return rank

    def _encoded(self, examples: Sequence[Example], rows: np.ndarray, kept: dict[int, Encoded]) -> list[Encoded]:
        """Return the tokens of some rows; `kept` holds those of the first `KEPT_ROWS` that were asked for."""
        missing = [i for i in dict.fromkeys(rows.tolist()) if i not in kept]
        found = dict(zip(missing, self.encode([examples[i] for i in missing]), strict=True))
        kept.update(list(found.items())[: max(0, KEPT_ROWS - len(kept))])
        return [found[i] if i in found else kept[i] for i in rows.tolist()]

    def probabilities(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return label probabilities, float32 [n, k], in the order of `examples`; only chunks are held as tokens."""

        def compute(rows: list[Encoded]) -> torch.Tensor:
            return self.logits(self.backbone.batch(rows), self.machine.inference)

        passes = Inference(self.machine, self.encode, compute, joined(self.form.windows))
        return softmax(passes.run(examples, len(self.form.labels), advance))

    def vectors(self, examples: Sequence[Example]) -> np.ndarray:
        """Return what its last layer reads of rows, float32 [n, h], in the order of `examples`.

        Raises `ModelError` if that is no vector for a row: some families score each token first.
        """
        if self.vector_size is None:
            raise ModelError(f"A {self.backbone.model.config.model_type!r} classifier has no vector for a row.")
        return self.measured(examples, lambda vectors: vectors, self.vector_size)[:, len(self.form.labels) :]

    @property
    def vector_size(self) -> int | None:
        """The length of the vector of a row that the last layer reads, h; None where it reads one of each token."""
        seen: list[int] = []
        row = Example("0", dict.fromkeys(self.form.columns, "a"))

        def note(vectors: torch.Tensor) -> torch.Tensor:
            seen.extend(vectors.shape[1:])
            return vectors.new_zeros(len(vectors), 0)

        self.measured([row], note, 0)
        return seen[0] if len(seen) == 1 else None

    def measured(
        self,
        examples: Sequence[Example],
        measure: Callable[[torch.Tensor], torch.Tensor],
        columns: int,
        advance: Advance = lambda _: None,
    ) -> np.ndarray:
        """Return float32 [n, k + c], c = `columns`: probabilities, and what is measured of the rows' vectors.

        A vector is what the last layer reads of a row; `measure` makes float32 [b, c] of float32 [b, h].
        """
        read, k = list[torch.Tensor](), len(self.form.labels)
        handle = output_layer(self.backbone.model).register_forward_pre_hook(lambda _, given: read.append(given[0]))

        def compute(rows: list[Encoded]) -> torch.Tensor:
            read.clear()
            logits = self.logits(self.backbone.batch(rows), self.machine.inference)
            return torch.cat([logits, measure(read[0].float())], dim=1)

        def join(windows: np.ndarray) -> np.ndarray:
            return np.concatenate([joined(self.form.windows)(windows[:, :k]), mean_of_windows(windows[:, k:])])

        try:
            found = Inference(self.machine, self.encode, compute, join).run(examples, k + columns, advance)
        finally:
            handle.remove()
        return np.concatenate([softmax(found[:, :k]), found[:, k:]], axis=1)

    def rescale(self, scale: float, offsets: np.ndarray) -> None:
        """Let the last layer say `scale` * logits + `offsets` [k] from now on."""
        layer = output_layer(self.backbone.model)
        with torch.no_grad():
            layer.weight.mul_(scale)
            if layer.bias is not None:
                layer.bias.mul_(scale).add_(torch.from_numpy(offsets).to(layer.bias))

    def accepting(self, curve: AcceptanceCurve) -> "TextClassifier":
        """Return this classifier with a curve in its form."""
        return replace(self, form=replace(self.form, acceptance=curve))

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Tokenize rows as the stock pipeline does; special tokens spelled in the text stay text."""
        form = self.form
        return encode_rows(self.backbone.tokenizer, examples, tuple(form.columns), form.max_length, form.truncation)

    def save(self, folder: Path) -> None:
        """Write a stock model folder: safetensors, id2label, tokenizer, and what other servers read beside them."""
        model = self.backbone.model
        model.config.pet = self.form.stored()  # the labels are id2label
        model.save_pretrained(folder)
        _stock_tokenizer(self.backbone.tokenizer, self.form).save_pretrained(folder)
        for_servers(folder, self.backbone.tokenizer, self.form.max_length)

    def logits(self, batch: Batch, precision: str) -> torch.Tensor:
        """Return what the model says of a batch, float32 [b, k]."""
        with autocast(self.machine.device, precision):
            logits: torch.Tensor = self.backbone.model(**batch.inputs).logits
        return logits.float()


def output_layer(model: Any) -> nn.Linear:
    """Return the linear layer that gives the logits of a stock sequence classifier.

    Raises `ModelError` if none has as many outputs as there are labels.
    """
    k = model.config.num_labels
    found = [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == k]
    if not found:
        raise ModelError(
            f"The {model.config.model_type!r} model has no linear layer of {k} outputs at its end, which a final "
            "classifier needs: set distill.model to another."
        )
    return found[-1]


def _stock_tokenizer(tokenizer: Any, form: ClassifierForm) -> Any:
    """Return a tokenizer that, wherever it is loaded, reads text as `encode` does: special tokens spelled out are text.

    A family's own class would be rebuilt from the vocabulary when loaded; this one is what its tokenizer.json says. It
    cuts the tail or the head of a longer text, and knows no other way.
    """
    # What was called last would stand there otherwise, which is not the same in a run that was interrupted.
    side: Literal["left", "right"] = "left" if form.truncation == "head" else "right"
    tokenizer.backend_tokenizer.enable_truncation(form.max_length, direction=side)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer.backend_tokenizer,
        model_max_length=form.max_length,
        truncation_side=side,
        model_input_names=tokenizer.model_input_names,
        split_special_tokens=True,
        **tokenizer.special_tokens_map,
    )
