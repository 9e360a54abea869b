"""The trained vectors that stand at virtual tokens, and the hook that puts them there.

The model is given `input_ids` as ever, with an ordinary token at each slot; a forward hook on its input embeddings
replaces that token's vector. Positions, token types and norms then come as for words, in each family in its own way,
and the same word elsewhere in a row keeps its vector (a test compares the hook with `inputs_embeds` for each family).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.delta import drawn_from
from pet.learners.models.encoding import VirtualTokens
from pet.learners.models.words import LabelWords
from pet.learners.voters.inits import initial_table, ordinary_ids, token_texts
from pet.settings.variants import PromptEncoderKind, VariantSettings


class _PromptEncoder(nn.Module):
    """MLP over each vector, after a two-layer BiLSTM over all of them or alone (2103.10385, section 3.2)."""

    def __init__(self, size: int, lstm: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, size, num_layers=2, bidirectional=True) if lstm else None
        self.head = nn.Sequential(nn.Linear(2 * size if lstm else size, size), nn.ReLU(), nn.Linear(size, size))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return encoded vectors [r, e] of vectors [r, e]."""
        encoded: torch.Tensor = self.head(vectors if self.lstm is None else self.lstm(vectors)[0])
        return encoded

    def train(self, mode: bool = True) -> "_PromptEncoder":  # noqa: ARG002
        """Stay in training mode: nothing here differs in it, and cuDNN's LSTM has a backward in no other."""
        return super().train(True)


class SoftPrompt(nn.Module):
    """A table of trained vectors [m, e] and, if asked for, an encoder that makes the model's input of them.

    The encoder reads the rows of free vectors only: tuned words enter the model as they are in the table, so that they
    start as the words. With nothing but tuned words there is no encoder. It trains m * e numbers, with "mlp"
    2e^2 + 2e more, with "lstm" 43e^2 + 34e more. The constructor draws the encoder's weights from torch's generator, as
    modules do; `start` from the one it is given.
    """

    _free: torch.Tensor

    def __init__(self, table: torch.Tensor, encoder: PromptEncoderKind, tuned: np.ndarray) -> None:
        """Store the start of the table, float32 [m, e]; `tuned`, bool [m], marks rows of words."""
        super().__init__()
        self.table = nn.Parameter(table.detach().clone())
        plain = encoder == "none" or tuned.all()
        self.encoder = None if plain else _PromptEncoder(table.shape[1], encoder == "lstm")
        self.register_buffer("_free", torch.from_numpy(np.flatnonzero(~tuned)), persistent=False)
        self.to(table.device)

    @classmethod
    def start(
        cls,
        virtual: Sequence[VirtualTokens],
        settings: VariantSettings,
        words: LabelWords,
        backbone: Backbone,
        rng: np.random.Generator,
    ) -> "SoftPrompt":
        """Return the vectors of a pattern as its inits and `settings` start them, on the model's device.

        The same `rng` gives the same numbers, whatever was drawn from torch before; torch's generator is left alone.
        Errors are those of `initial_table`.
        """
        table = initial_table(virtual, settings.init, words, backbone, rng)
        tuned = np.zeros(len(table), bool)
        for group in virtual:
            tuned[group.offset : group.offset + group.size] = group.kind == "tune"
        with drawn_from(int(rng.integers(2**62))):
            return cls(table, settings.with_preset().prompt_encoder or "none", tuned)

    def vectors(self) -> torch.Tensor:
        """Return what stands at the virtual tokens, float32 [m, e], whatever autocast is on."""
        if self.encoder is None:
            return self.table
        # In float32, whatever the model computes in.
        with torch.autocast(self.table.device.type, enabled=False):
            return self.table.index_copy(0, self._free, self.encoder(self.table[self._free]))

    @contextmanager
    def during(self, model: Any, batch: Batch) -> Iterator[None]:
        """While active, forward passes of `model` on `batch` read the trained vectors at its soft slots.

        The vectors are made anew for each pass. A batch without soft slots is passed as it is.
        """
        if batch.soft_slots is None:
            yield
            return
        rows, positions = (batch.soft_slots >= 0).nonzero(as_tuple=True)
        slots = batch.soft_slots[rows, positions]

        def put(_module: Any, _inputs: Any, embeddings: torch.Tensor) -> torch.Tensor:
            # Unlike indexing, an embedding adds up the gradients of a shared row in a fixed order.
            vectors = functional.embedding(slots, self.vectors()).to(embeddings.dtype)
            return embeddings.index_put((rows, positions), vectors)

        with model.get_input_embeddings().register_forward_hook(put):
            yield

    @torch.no_grad()
    def nearest_words(self, backbone: Backbone, k: int = 3) -> list[list[tuple[str, float]]]:
        """Return, per row, the k tokens of the vocabulary of nearest vectors with their cosine, nearest first.

        Special and unused tokens are left out; the model's vectors are those it holds at the time.
        """
        vocabulary = backbone.model.get_input_embeddings().weight
        ids = ordinary_ids(backbone.tokenizer)
        own = functional.normalize(self.vectors())
        cosines = (own @ vocabulary.T / vocabulary.norm(dim=1).clamp_min(1e-12))[:, ids]
        best = cosines.topk(min(k, len(ids)))
        texts = [token_texts(backbone.tokenizer, [ids[i] for i in row]) for row in best.indices.tolist()]
        return [list(zip(words, row, strict=True)) for words, row in zip(texts, best.values.tolist(), strict=True)]
