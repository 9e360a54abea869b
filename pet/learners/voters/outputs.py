"""What scores the labels of a row: words at the mask, trained label vectors, class centroids, or a linear head.

    head = output_head("soft", words, backbone, seed=0)     # while the backbone holds its loaded weights
    head.training_scores(backbone.model, batch, "fp32")     # float32 [b, k], with gradients, for the loss
    head.scores(backbone.model, batch, "fp32")              # float32 [b, k], for predictions

Two heads take something from rows: calibrated words before the training, prototypes after it. `observe` says what each
row shows them, `prepare` takes that of all rows.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.candidates import ABSENT
from pet.learners.models.families import hidden_dropout
from pet.learners.models.generative import generated_log_probs
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import (
    decoder_inputs,
    first_token_states,
    label_scores,
    mask_logits,
    mean_over_words,
    vocabulary_decoder,
    words_at_masks,
)
from pet.learners.models.splicing import Encoded
from pet.learners.models.words import LabelWords
from pet.learners.voters.decoding import Logits, word_log_probs
from pet.settings.variants import Output

TEMPERATURE = 0.1
"""What the cosines of `Prototypes` are divided by: they lie in [-1, 1], which a softmax would hardly tell apart."""


class OutputHead(nn.Module):
    """Scores of labels from their words at the mask, without anything that trains; the base of the other heads.

    Its state is what trains, and what `prepare` has set.
    """

    def __init__(self, words: LabelWords) -> None:
        super().__init__()
        self.words = words

    def scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return raw label scores, float32 [b, k], with gradients."""
        return label_scores(model, batch, self.words, precision)

    def training_scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the scores that a loss is computed from, float32 [b, k]: those of `scores`, unless a head differs."""
        return self.scores(model, batch, precision)

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of training scores, float32 [b, k], of rows with the labels `targets`, int64 [b]."""
        return functional.cross_entropy(scores, targets)


class DecodedWords(OutputHead):
    """Words of several tokens: scored by a decoder, trained in one pass with masks for the longest word."""

    def training_scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the log-probability of each label's words, the sum over their tokens, float32 [b, k].

        All tokens of a word are read off the same pass, and masks behind the word are ignored (equation 5).
        """
        logs = functional.log_softmax(mask_logits(model, batch, precision), dim=-1)
        ids = torch.from_numpy(self.words.ids).to(logs.device)
        slot = torch.arange(self.words.slots, device=logs.device).expand_as(ids)
        return mean_over_words((logs[:, slot, ids.clamp_min(0)] * (ids >= 0)).sum(-1), self.words)

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean over rows of the hinge loss sum over y' of max(0, 1 - log q(y) + log q(y')) (section 3).

        Cross-entropy would be low as well where all labels have no probability at all.
        """
        return scores.shape[1] * functional.multi_margin_loss(scores, targets)

    def decoded(self, rows: Sequence[Encoded], logits: Logits, machine: Machine) -> torch.Tensor:
        """Return the log-probability of each label, float32 [b, k], the mean over its words."""
        ids = self.words.ids
        present = ids[:, :, 0] >= 0
        words = [tuple(word[word >= 0].tolist()) for word in ids[present]]
        found = word_log_probs(rows, [words] * len(rows), self.words.decoder, logits, machine)
        values = torch.zeros((len(rows), *present.shape))
        values[:, torch.from_numpy(present)] = torch.from_numpy(found).float().view(len(rows), len(words))
        return mean_over_words(values, self.words)


class Candidates(DecodedWords):
    """The candidates of each row as its words: they are scored, and trained, as label words of several tokens are.

    A label is the index of a candidate; those that a row does not have score `ABSENT`.
    """

    def training_scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the log-probability of each candidate, the sum over its tokens in one pass, float32 [b, c]."""
        assert batch.words is not None  # rows are encoded with their candidates
        logs = functional.log_softmax(mask_logits(model, batch, precision), dim=-1)  # [b, p, v]
        ids = batch.words
        rows = torch.arange(len(ids), device=ids.device)[:, None, None]
        slot = torch.arange(ids.shape[2], device=ids.device)
        values = (logs[rows, slot, ids.clamp_min(0)] * (ids >= 0)).sum(-1)
        return values.masked_fill(ids[:, :, 0] < 0, ABSENT)

    def decoded(self, rows: Sequence[Encoded], logits: Logits, machine: Machine) -> torch.Tensor:
        """Return the log-probability of each candidate, float32 [b, k]."""
        found = word_log_probs(rows, [row.words for row in rows], self.words.decoder, logits, machine)
        values = torch.full((len(rows), len(self.words.labels)), ABSENT)
        places = [(i, c) for i, row in enumerate(rows) for c in range(len(row.words))]
        values[tuple(torch.tensor(places).T)] = torch.from_numpy(found).float()
        return values


class GeneratedWords(OutputHead):
    """Scores of labels from the log-probabilities of their words, as causal models and encoder-decoders say them."""

    def scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the mean over the words of each label, float32 [b, k]."""
        return mean_over_words(generated_log_probs(model, batch, self.words, precision), self.words)


class WeightedWords(OutputHead):
    """Words at the mask with a trained weight each: what the knowledge-rich verbalizer learns (2108.02035, KPT).

    The weights of a label are a softmax over its words. They start even, so that an untrained head scores as the words
    do.
    """

    def __init__(self, words: LabelWords) -> None:
        super().__init__(words)
        self.weights = nn.Parameter(torch.zeros(words.ids.shape[:2]))

    def scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the weighted mean over the words of each label, float32 [b, k]."""
        values = words_at_masks(model, batch, self.words, precision)
        absent = torch.from_numpy(self.words.ids[:, :, 0] < 0).to(values.device)
        shares = self.weights.masked_fill(absent, -torch.inf).softmax(-1)
        return (values * shares).sum(-1)


class CalibratedWords(OutputHead):
    """Words at the mask, less what each word scores on average whatever the text (2108.02035; 2309.17249).

    The average is over rows under the voter as it is before training, and stays fixed: training and scoring subtract
    the same. Taken over logits, it divides a word's probability by its geometric mean over the rows. Before `prepare`
    nothing is subtracted.
    """

    offsets: torch.Tensor

    def __init__(self, words: LabelWords) -> None:
        super().__init__(words)
        self.register_buffer("offsets", torch.zeros(words.ids.shape[:2]))

    def scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the mean over the words of each label, float32 [b, k]."""
        return mean_over_words(self.observe(model, batch, precision) - self.offsets, self.words)

    def observe(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the score of each word, float32 [b, k, w]."""
        return words_at_masks(model, batch, self.words, precision)

    def prepare(self, observed: torch.Tensor) -> None:
        """Set the offsets to the mean over n rows of their words' scores, float32 [n, k, w]."""
        self.offsets.copy_(observed.mean(0))


class LabelVectors(OutputHead):
    """A trained vector and bias per label in the place of words (2101.00121, WARP, section 3).

    They start as the mean over a label's words of the decoder's weight and bias, so that an untrained head scores as
    the words do. With several mask slots it reads the mean of what is at them, and starts from the mean over pieces
    too: a start near the words' scores, but not equal to them.
    """

    def __init__(self, words: LabelWords, model: Any) -> None:
        super().__init__(words)
        vectors, biases = _decoder_rows(model, words)
        self.vectors = nn.Parameter(vectors)
        self.biases = nn.Parameter(biases)

    def scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the products of the mask's features with the label vectors, float32 [b, k]."""
        return functional.linear(_features(model, batch, precision), self.vectors, self.biases)


class Prototypes(OutputHead):
    """The cosine of what is at the mask and the mean of it over the rows of each label, divided by `TEMPERATURE`.

    Nothing of it trains: a loss is computed from the words' scores, and the centroids are taken from labeled rows
    afterwards (the prototypes of 2203.09770 without their projection and its training). A label without a row, and any
    label before `prepare`, has the start of `LabelVectors` as its centroid.
    """

    centroids: torch.Tensor

    def __init__(self, words: LabelWords, model: Any) -> None:
        super().__init__(words)
        self.register_buffer("centroids", _decoder_rows(model, words)[0])

    def scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return cosines over the temperature, float32 [b, k], in [-10, 10]."""
        features = functional.normalize(self.observe(model, batch, precision), dim=-1)
        return features @ functional.normalize(self.centroids, dim=-1).T / TEMPERATURE

    def training_scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the words' scores, float32 [b, k]."""
        return label_scores(model, batch, self.words, precision)

    def observe(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the features at the mask, float32 [b, d]."""
        return _features(model, batch, precision)

    def prepare(self, observed: torch.Tensor, columns: torch.Tensor) -> None:
        """Set the centroids from the features of n rows, float32 [n, d], and the columns of their labels, int64 [n]."""
        for column in set(columns.tolist()):
            self.centroids[column] = observed[columns == column].mean(0)


class FirstTokenHead(OutputHead):
    """A linear head on the last hidden state of the first token, as a classifier has it; the mask is not read.

    The weights are drawn from N(0, 0.02) by `seed`, the biases start at 0. While the model trains, its input has the
    dropout of the model's hidden states.
    """

    def __init__(self, words: LabelWords, config: Any, seed: int) -> None:
        super().__init__(words)
        generator = torch.Generator().manual_seed(seed)
        labels = len(words.labels)
        self.weight = nn.Parameter(0.02 * torch.randn(labels, config.hidden_size, generator=generator))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.dropout = hidden_dropout(config)

    def scores(self, model: Any, batch: Batch, precision: str) -> torch.Tensor:
        """Return the logits of the linear head, float32 [b, k]."""
        states = first_token_states(model, batch, precision)
        return functional.linear(functional.dropout(states, self.dropout, model.training), self.weight, self.bias)


def output_head(kind: Output, words: LabelWords, backbone: Backbone, seed: int) -> OutputHead:
    """Return a new head on the backbone's device.

    It starts from the weights the backbone holds at the time: reset it first. `seed` is for what is drawn. Where every
    label has one word, "weighted" has nothing to weigh and is the head of "words". Errors are those of
    `vocabulary_decoder`.
    """
    model = backbone.model
    if backbone.pieces.kind != "masked":
        head: OutputHead = GeneratedWords(words)
    elif kind == "weighted" and words.ids.shape[1] > 1:
        head = WeightedWords(words)
    elif kind == "calibrated":
        head = CalibratedWords(words)
    elif kind == "soft":
        head = LabelVectors(words, model)
    elif kind == "proto":
        head = Prototypes(words, model)
    elif kind == "cls":
        head = FirstTokenHead(words, model.config, seed)
    else:
        several: type[OutputHead] = Candidates if words.per_row else DecodedWords
        head = several(words) if words.per_row or words.is_decoded else OutputHead(words)
    return head.to(next(model.parameters()).device)


def _features(model: Any, batch: Batch, precision: str) -> torch.Tensor:
    """Return what the decoder reads, float32 [b, d], mean over the mask slots."""
    return decoder_inputs(model, batch, precision).mean(1)


@torch.no_grad()
def _decoder_rows(model: Any, words: LabelWords) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the decoder's weight [k, d] and bias [k] of labels: mean over words of the mean over pieces."""
    decoder = vocabulary_decoder(model)
    ids = torch.from_numpy(words.ids).to(decoder.weight.device)
    used = (ids >= 0).float()
    pieces = used / used.sum(-1, keepdim=True).clamp_min(1.0)
    shares = pieces / pieces.sum((1, 2), keepdim=True)  # [k, w, p], of sum 1 for each label
    rows = decoder.weight[ids.clamp_min(0)].float()
    biases = torch.zeros_like(shares) if decoder.bias is None else decoder.bias[ids.clamp_min(0)].float()
    return torch.einsum("kwp,kwpd->kd", shares, rows), (shares * biases).sum((1, 2))
