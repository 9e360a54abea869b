"""One voter: a masked language model under one PVP, trained on labeled rows and asked for the scores of others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from pet.config import ModelSettings, TrainSettings
from pet.data import Example
from pet.learners.backbone import Backbone
from pet.learners.batching import length_groups, row_chunks, token_budget_batches
from pet.learners.encoding import Encoded, PatternEncoder
from pet.learners.losses import mask_tokens, masked_lm_loss, pet_loss
from pet.learners.machine import Machine
from pet.learners.masked_lm import label_scores
from pet.learners.training import TrainLog, fit, row_stream
from pet.learners.words import label_words
from pet.prompts import PVP

__all__ = ["Voter"]

Advance = Callable[[int], None]


@dataclass(frozen=True)
class _Rows:
    encoded: list[Encoded]
    targets: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens per row, int64 [n]."""
        return np.asarray([len(row) for row in self.encoded], np.int64)


class Voter:
    """A PVP on a backbone. The backbone is shared: `train` resets it first."""

    def __init__(
        self, backbone: Backbone, pvp: PVP, settings: ModelSettings, machine: Machine, multi_token: bool = False
    ) -> None:
        self.backbone = backbone
        self.pvp = pvp
        self.machine = machine
        self.words = label_words(pvp, backbone.pieces, multi_token)
        length = min(settings.max_length, backbone.longest_input)
        self.encoder = PatternEncoder(pvp.pattern, backbone.pieces, length, settings.truncation)

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Encode rows under the pattern, with as many mask tokens as the words need."""
        return self.encoder.encode(examples, self.words.slots)

    def train(
        self,
        labeled: Sequence[Example],
        settings: TrainSettings,
        rng: np.random.Generator,
        unlabeled: Sequence[Example] = (),
        advance: Advance = lambda _: None,
    ) -> TrainLog:
        """Train from the pretrained weights on labeled rows; `unlabeled` rows serve the auxiliary loss only.

        The loss is (1 - alpha) * CE + alpha * MLM with alpha = `settings.auxiliary_mlm` (2001.07676, section 3.1).
        """
        self.backbone.reset()
        columns = {label: k for k, label in enumerate(self.words.labels)}
        targets = np.asarray([columns[str(example.label)] for example in labeled], np.int64)
        rows = _Rows(self.encode(labeled), targets)
        order_rng, mask_rng = rng.spawn(2)
        auxiliary = self._auxiliary(unlabeled or labeled, settings, mask_rng) if settings.auxiliary_mlm else None

        def loss(chosen: np.ndarray) -> torch.Tensor:
            value = self._pet_loss(rows, chosen)
            if auxiliary is None:
                return value
            return (1.0 - settings.auxiliary_mlm) * value + settings.auxiliary_mlm * auxiliary()

        return fit(self.backbone.model, loss, len(labeled), settings, order_rng, advance)

    def scores(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return raw label scores, float32 [n, k], in the order of `examples`; only a chunk is held as tokens."""
        found = np.empty((len(examples), len(self.words.labels)), np.float32)
        for chunk in row_chunks(len(examples)):
            found[chunk] = self._chunk_scores(examples[chunk], advance)
        return found

    @torch.inference_mode()
    def _chunk_scores(self, examples: Sequence[Example], advance: Advance) -> np.ndarray:
        encoded = self._encode_in_passing(examples)
        found = np.empty((len(encoded), len(self.words.labels)), np.float32)
        for rows in token_budget_batches([len(row) for row in encoded], self.machine.token_budget):
            batch = self.backbone.batch([encoded[i] for i in rows])
            found[rows] = label_scores(self.backbone.model, batch, self.words, self.machine.precision).cpu().numpy()
            advance(len(rows))
        return found

    def _encode_in_passing(self, examples: Sequence[Example]) -> list[Encoded]:
        with self.backbone.pieces.forgetting():
            return self.encode(examples)

    def _pet_loss(self, rows: _Rows, chosen: np.ndarray) -> torch.Tensor:
        """Return the mean loss of a batch, computed in groups of rows of like lengths."""
        groups = [chosen[group] for group in length_groups(rows.lengths[chosen], self.machine.group_overhead)]
        batches = [self.backbone.training_batch([rows.encoded[i] for i in group]) for group in groups]
        scores = [label_scores(self.backbone.model, batch, self.words, self.machine.precision) for batch in batches]
        targets = torch.from_numpy(rows.targets[np.concatenate(groups)]).to(self.machine.device)
        return pet_loss(torch.cat(scores), targets)

    def _auxiliary(
        self, examples: Sequence[Example], settings: TrainSettings, rng: np.random.Generator
    ) -> Callable[[], torch.Tensor]:
        """Return a function that gives the masked-LM loss of the next batch of patterned rows, encoded when drawn."""
        stream = row_stream(len(examples), settings.batch_size // settings.accumulation, rng)
        tokenizer = self.backbone.tokenizer

        def loss() -> torch.Tensor:
            rows = self._encode_in_passing([examples[i] for i in next(stream)])
            masked, targets = mask_tokens(rows, len(tokenizer), tokenizer.mask_token_id, rng)
            return masked_lm_loss(
                self.backbone.model, self.backbone.training_batch(masked), targets, self.machine.precision
            )

        return loss
