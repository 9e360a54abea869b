"""Logistic regression on mean-pooled vectors of an encoder, written as a stock sequence classifier.

One more layer of the encoder's own kind takes the mean, so that the folder needs no code of ours:

    attention     queries and keys are 0: uniform over all tokens but padding; values and output are I and `REACH` * I,
                  so that LayerNorm(x + REACH * mean) is LayerNorm(mean) but for a share of 1 / REACH
    feed-forward  0: LayerNorm(x + 0) changes nothing
    pooler        `NARROW` * scale * (x - the pool's mean), where tanh is nearly linear
    classifier    the weights of the regression

The regression learns from what comes out of that pooler, so that the stock classifier says exactly what it does.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pet.data.examples import Example
from pet.errors import ModelError
from pet.labeling.acceptance import AcceptanceCurve
from pet.labeling.votes import softmax
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.masked_lm import autocast
from pet.learners.models.sources import ModelSource
from pet.learners.models.splicing import Encoded
from pet.learners.models.training import TrainLog
from pet.learners.students.base import PLAIN, ClassifierForm, HeldOut, Learning
from pet.learners.students.classifier import TextClassifier, output_layer
from pet.learners.students.fitting import Linear, SoftTargets, logistic_regression
from pet.learners.students.vectors import RowVectors
from pet.settings.training import OptimizerSettings

SHAPES = frozenset({"bert", "camembert", "roberta", "xlm-roberta"})
"""Model types with post-norm layers of one construction, and a tanh between the first token and the last layer."""

REACH = 1e4
"""What the mean outweighs a token's own vector by: more would leave the range of half precision (65,504)."""

NARROW = 0.02
"""Vectors of scale 1 go into tanh as so much; a component of 10 loses 1 % there."""

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""L2 penalties that are tried, strongest first."""

USUAL_PENALTY = 0.3
"""The penalty where no row is held out to choose one by."""

MOST_ROWS = 10_000
"""A linear layer learns from so many rows, drawn at random: more would change its few weights by nothing."""


@dataclass(frozen=True)
class LogisticClassifier:
    """A stock classifier whose last layers are a logistic regression on mean-pooled vectors; it learns in seconds.

    `text` is the stock classifier: it may be fine-tuned from there (linear probing, then fine-tuning: 2202.10054).
    Where the `vectors` of its rows by its encoder are known, it learns from them.
    """

    text: TextClassifier
    vectors: RowVectors | None = None

    @classmethod
    def on(cls, text: TextClassifier, vectors: RowVectors | None = None) -> "LogisticClassifier":
        """Put the layer that takes the mean on the encoder of a new classifier, in place.

        Raises `ModelError` if its layers are of another kind.
        """
        check_mean(text.backbone.source)
        _add_mean(text.backbone.model)
        return cls(text, vectors)

    @property
    def form(self) -> ClassifierForm:
        """What it reads and says."""
        return self.text.form

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of its model."""
        return self.text.tokenizer

    def fit(
        self,
        examples: Sequence[Example],
        targets: np.ndarray,
        settings: OptimizerSettings,  # noqa: ARG002 - as every student has it
        rng: np.random.Generator,
        learning: Learning = PLAIN,
        advance: Advance = lambda _: None,
    ) -> TrainLog:
        """Learn target probabilities [n, k] exactly: no updates are made, and nothing of `settings` is read.

        The penalty is the one whose probabilities are nearest to the teacher's on the rows held out; `rng` draws the
        rows to learn from where there are very many.
        """
        chosen = np.sort(rng.permutation(len(examples))[:MOST_ROWS])
        known = self.vectors
        if known:
            states = _normalised(known.kept.take(known.learned[chosen]))
        else:
            states = self._states([examples[i] for i in chosen], advance)
        mean, scale = states.mean(axis=0), 1.0 / max(float((states - states.mean(axis=0)).std()), 1e-6)
        learned = SoftTargets(_pooled(states, mean, scale), targets[chosen], learning.temperature)
        held = learning.held_out
        if held is None:
            found, asked = logistic_regression(learned, USUAL_PENALTY), 0
        else:
            others = _normalised(known.kept.take(known.held)) if known else self._states(held.examples)
            found, asked = _nearest(learned, held, _pooled(others, mean, scale)), len(others)
        self._write(mean, scale, found)
        return TrainLog((), scored=0 if known else len(chosen) + asked)

    def probabilities(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return label probabilities, float32 [n, k], in the order of `examples`."""
        return self.text.probabilities(examples, advance)

    def probabilities_of(self, vectors: np.ndarray) -> np.ndarray:
        """Return what it says, float32 [n, k], of rows by their mean vectors, float32 [n, h]: what it says by reading.

        Both are equal up to rounding.
        """
        states = torch.from_numpy(_normalised(vectors).astype(np.float32))
        model = self.text.backbone.model
        pooler, output = _pooler(model), output_layer(model)
        with torch.inference_mode():
            logits = output(torch.tanh(pooler(states.to(pooler.weight.device))))
        return softmax(logits.cpu().numpy())

    def rescale(self, scale: float, offsets: np.ndarray) -> None:
        """Let the last layer say `scale` * logits + `offsets` [k] from now on."""
        self.text.rescale(scale, offsets)

    def accepting(self, curve: AcceptanceCurve) -> "LogisticClassifier":
        """Return this classifier with a curve in its form."""
        return replace(self, text=self.text.accepting(curve))

    def save(self, folder: Path) -> None:
        """Write a stock model folder."""
        self.text.save(folder)

    def _states(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return the normalised mean vectors of rows, float32 [n, h]: what goes into the pooler."""
        text, model, seen = self.text, self.text.backbone.model, []
        handle = _pooler(model).register_forward_pre_hook(lambda _, given: seen.append(given[0]))

        def compute(rows: list[Encoded]) -> torch.Tensor:
            seen.clear()
            with autocast(text.machine.device, text.machine.inference):
                model(**text.backbone.batch(rows).inputs)
            states: torch.Tensor = seen[0].float()
            return states

        try:
            return Inference(text.machine, text.encode, compute).run(examples, model.config.hidden_size, advance)
        finally:
            handle.remove()

    def _write(self, mean: np.ndarray, scale: float, found: Linear) -> None:
        """Put the regression on states, centred on `mean` [h] and multiplied by `scale`, into the model."""
        pooler, output = _pooler(self.text.backbone.model), output_layer(self.text.backbone.model)
        with torch.no_grad():
            nn.init.eye_(pooler.weight).mul_(NARROW * scale)
            pooler.bias.copy_(torch.from_numpy(-NARROW * scale * mean))
            output.weight.copy_(torch.from_numpy(found.weights / NARROW))
            output.bias.copy_(torch.from_numpy(found.bias))


def takes_mean(config: Any) -> bool:
    """Return whether a model of such a config can be a `LogisticClassifier`."""
    return config.model_type in SHAPES


def check_mean(source: ModelSource) -> None:
    """Refuse a model that cannot be a `LogisticClassifier`: a ModelError says so."""
    if not takes_mean(source.config):
        raise ModelError(
            f'size = "logistic" cannot be made of the {source.config.model_type!r} model {source.name}, expected one '
            f'of {sorted(SHAPES)}: use size = "same", or set distill.model to another.'
        )


def _normalised(vectors: np.ndarray) -> np.ndarray:
    """Return what the layer that takes the mean makes of mean vectors, float64 [n, h]."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-9))


def _pooled(states: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    """Return what comes out of the pooler, at a scale of 1: float64 [n, h]."""
    return np.asarray(np.tanh(NARROW * scale * (states.astype(np.float64) - mean)) / NARROW)


def _nearest(learned: SoftTargets, held: HeldOut, vectors: np.ndarray) -> Linear:
    """Return the regression of the penalty that is nearest to the teacher on the rows held out, of `vectors` [r, h].

    From the strongest on, each starts at the one before; it ends where a weaker penalty is worse.
    """
    best, nearest = None, np.inf
    for penalty in PENALTIES:
        found = logistic_regression(learned, penalty, best)
        away = held.fidelity(found.probabilities(vectors)).divergence
        if best is not None and away >= nearest:
            break
        best, nearest = found, away
    assert best is not None  # there are penalties
    return best


@torch.no_grad()
def _add_mean(model: Any) -> None:
    """Give a model one more layer, in which each token becomes the normalised mean of all; it will not train."""
    layers = model.base_model.encoder.layer
    layer = copy.deepcopy(layers[-1])
    for weight in layer.parameters():
        weight.zero_()
    nn.init.eye_(layer.attention.self.value.weight)
    nn.init.eye_(layer.attention.output.dense.weight).mul_(REACH)
    for norm in (layer.attention.output.LayerNorm, layer.output.LayerNorm):
        norm.weight.fill_(1.0)
    layers.append(layer)
    model.config.num_hidden_layers += 1
    # Rates that suit an encoder would tear apart weights as large as these, and as small as the pooler's.
    for part in (layer, _pooler(model)):
        part.requires_grad_(False)


def _pooler(model: Any) -> nn.Linear:
    """Return the linear layer between the first token and tanh."""
    layer: nn.Linear = model.base_model.pooler.dense if model.config.model_type == "bert" else model.classifier.dense
    return layer
