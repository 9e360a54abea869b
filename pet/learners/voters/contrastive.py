"""An encoder that learns which rows share a label before its vectors are read.

Source: supervised contrastive learning (2004.11362) over batches in which texts that stand for the labels are among the
rows, as in FastFit (2404.12365).
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from pet.data.examples import Example
from pet.labeling.neighbours import centred
from pet.learners.models.encoder import Encoder, as_rows
from pet.learners.models.inference import Advance
from pet.learners.models.sources import ModelSource
from pet.learners.models.training import Trained, TrainLog, fit
from pet.learners.voters.embedding import USUAL, LinearVoter, Rows, cosines, linear_voter
from pet.learners.voters.objectives import LabeledRows
from pet.settings.training import OptimizerSettings

TEMPERATURE = 0.1
"""What cosines are divided by, as in 2004.11362."""

LEARNING_RATE = 5e-5
"""On train rows that were kept from it, 2 to 3 points better than 1e-4 on question types and on sentiment."""

BATCH = 32
"""The most rows of an update, beside the texts of their labels; the loss compares each with all others."""

LONGEST = 128
"""Tokens of a row that are learned from: an update holds what it computes of the whole batch at once."""

PASSES, LEAST, MOST = 3, 12, 60
"""How often the rows are gone through, and the fewest and the most updates."""

SHORT, MOST_OF_SHORT = 2000.0, 40
"""Updates times the letters of a row are so many at least, but the updates on short rows no more than these.

They cost little: from 12 to 20 and 40 updates of 48 questions of 50 letters, accuracy on train rows that were not drawn
rose from 80.0 to 81.7 and 85.3 (TREC); news of 240 letters (AG News) had 85.7, 83.3 and 83.7.
"""


def updates_for(rows: int, letters: float) -> int:
    """Return the updates that an encoder is tuned for on so many rows, of so many letters in the mean.

    >>> [updates_for(rows, 240) for rows in (0, 16, 385, 5000)]
    [0, 12, 37, 60]
    >>> updates_for(48, 50), updates_for(48, 130)
    (40, 15)
    """
    least = min(MOST_OF_SHORT, max(LEAST, int(SHORT / max(1.0, letters))))
    return min(MOST, max(least, -(-PASSES * rows // BATCH))) if rows else 0


def tuning_settings(rows: int, letters: float) -> OptimizerSettings:
    """Return how an encoder is tuned on so many rows, at least one, of so many letters in the mean.

    >>> tuning_settings(16, 240).steps, tuning_settings(16, 240).batch_size
    (12, 16)
    """
    steps = updates_for(rows, letters)
    return OptimizerSettings(steps=steps, batch_size=min(BATCH, rows), learning_rate=LEARNING_RATE)


def rows_learned(rows: int, letters: float) -> int:
    """Return how many rows go through the encoder while it is tuned on so many, texts of labels aside.

    >>> rows_learned(16, 240), rows_learned(385, 240)
    (192, 1184)
    """
    return updates_for(rows, letters) * min(BATCH, rows)


@dataclass
class ContrastiveVoter:
    """Logistic regression on the vectors of an encoder that was tuned on the same rows, or on most of them.

    `fields` and `max_length` say what is read of a row, `texts` stand for each label, in the order of the scores, and
    `centre` float32 [h] is the mean of the pool before tuning: rows gather around it after that as well.
    """

    encoder: Encoder
    fields: tuple[str, ...]
    max_length: int
    texts: Mapping[str, Sequence[str]]
    centre: np.ndarray
    linear: LinearVoter = field(init=False)
    _learned: Rows = field(init=False, repr=False)
    _standing_for: Rows = field(init=False, repr=False)

    def train(
        self,
        rows: Sequence[Example],
        settings: OptimizerSettings,
        rng: np.random.Generator,
        advance: Advance = lambda _: None,
    ) -> TrainLog:
        """Tune the encoder on labeled rows, and learn from the vectors that they have then.

        How strong the penalty is, and how much the cosines to the texts count, is not chosen: the vectors of all these
        rows fit their labels by now.

        Raises `RunError` if the loss is no longer finite.
        """
        text_columns = np.repeat(np.arange(len(self.texts)), [len(texts) for texts in self.texts.values()])
        lines = as_rows([text for texts in self.texts.values() for text in texts])
        length = min(self.max_length, LONGEST)
        tuning = Tuning(
            self.encoder,
            LabeledRows(self.encoder.encode(rows, self.fields, length), self._columns(rows)),
            LabeledRows(self.encoder.encode(lines, ("text",), length), text_columns),
            self.centre,
        )
        log = tuning.run(settings, rng, advance)
        vectors = self.encoder.embed(lines, ("text",), self.max_length)
        self._standing_for = Rows.standing_for(centred(vectors, self.centre), text_columns)
        self._learned = self._standing_for.take(np.empty(0, np.int64))
        self.learn(self.embed(rows), self._columns(rows))
        return log

    def learn(self, vectors: np.ndarray, columns: np.ndarray) -> None:
        """Let the regression learn more rows by their vectors, as of `embed`, and columns int64 [n].

        Those that were kept from the encoder, too: it stays as it is.
        """
        self._learned += Rows.of(centred(vectors, self.centre), columns)
        k, (strength, scale) = len(self.texts), USUAL
        fitted = linear_voter(self._learned + self._standing_for, k, strength)
        self.linear = fitted.plus(cosines(self._standing_for, k), scale)

    def embed(self, rows: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return vectors by the tuned encoder, float32 [n, h], in the order of `rows`; a chunk is held as tokens."""
        return self.encoder.embed(rows, self.fields, self.max_length, advance)

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return log-probabilities, float32 [n, k], of rows by their vectors, as of `embed`."""
        return self.linear.scores(centred(vectors, self.centre))

    def save(self, folder: Path, source: ModelSource) -> None:
        """Write the tuned encoder as a stock folder; beside the weights all is as in the `source` it was tuned from."""
        shutil.copytree(source.folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        self.encoder.backbone.model.save_pretrained(folder)

    def _columns(self, rows: Sequence[Example]) -> np.ndarray:
        numbers = {label: k for k, label in enumerate(self.texts)}
        return np.asarray([numbers[str(row.label)] for row in rows], np.int64)


@dataclass(frozen=True)
class Tuning:
    """What an encoder is tuned on: `rows` and `texts` that stand for labels, at least one for each label of the rows.

    Vectors are compared as they are read later: less `centre` float32 [h], with length 1.
    """

    encoder: Encoder
    rows: LabeledRows
    texts: LabeledRows
    centre: np.ndarray

    def run(self, settings: OptimizerSettings, rng: np.random.Generator, advance: Advance) -> TrainLog:
        """Tune the encoder in place; its word embeddings stay as they are, as few of them occur in few rows.

        Raises `RunError` if the loss is no longer finite.
        """
        model = self.encoder.backbone.model
        model.get_input_embeddings().weight.requires_grad_(False)
        order_rng, text_rng = rng.spawn(2)
        trained = replace(Trained.weights_of(model, settings), draws=(text_rng,))
        return fit(trained, lambda chosen: self.loss(chosen, text_rng), len(self.rows), settings, order_rng, advance)

    def loss(self, chosen: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Return the loss of some rows, int64 [b], together with one text, drawn anew, of each of their labels."""
        targets = self.rows.targets[chosen]
        drawn = [rng.choice(np.flatnonzero(self.texts.targets == label)) for label in np.unique(targets)]
        texts = np.asarray(drawn, np.int64)
        found = [*self._vectors(self.rows, chosen), *self._vectors(self.texts, texts)]
        vectors = torch.cat([vectors for vectors, _ in found])
        columns = torch.from_numpy(np.concatenate([columns for _, columns in found])).to(vectors.device)
        centre = torch.from_numpy(self.centre).to(vectors)
        return contrastive_loss(functional.normalize(vectors - centre, dim=1), columns)

    def _vectors(self, rows: LabeledRows, chosen: np.ndarray) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        for group in rows.groups(chosen, self.encoder.machine.group_overhead):
            yield self.encoder.training_vectors(group.encoded), group.targets


def contrastive_loss(vectors: torch.Tensor, columns: torch.Tensor, temperature: float = TEMPERATURE) -> torch.Tensor:
    """Return the supervised contrastive loss of a batch (2004.11362, equation 2), the mean over its rows.

    `vectors` [b, h] have length 1, `columns` int64 [b] are their labels. A row is to be nearer to those of its label
    than to all others; one that is alone with its label is left out.
    """
    itself = torch.eye(len(columns), dtype=torch.bool, device=columns.device)
    alike = (columns[:, None] == columns) & ~itself
    scores = (vectors @ vectors.T / temperature).masked_fill(itself, float("-inf")).log_softmax(dim=1)
    mean = scores.masked_fill(~alike, 0.0).sum(dim=1) / alike.sum(dim=1).clamp(min=1)
    return -mean[alike.any(dim=1)].mean()
