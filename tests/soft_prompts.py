"""Trained vectors at virtual tokens of a tiny model, and batches that have places for them.

prompt, batch = started(backbone, SOFT, prompt_encoder="mlp"), marked(backbone, rows)
all_logits(backbone, batch, prompt)
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.encoding import PatternEncoder, VirtualTokens
from pet.learners.models.splicing import Encoded
from pet.learners.models.words import LabelWords
from pet.learners.voters.soft_prompt import SoftPrompt
from pet.prompts.patterns import Pattern
from pet.settings.variants import PromptEncoderKind, VariantSettings

ENCODERS: tuple[PromptEncoderKind, ...] = ("none", "mlp", "lstm")
NO_IDS = np.empty(0, np.int32)
WORDS = LabelWords(("a", "b"), np.asarray([[[20]], [[21]]]))
PAIR = Pattern("toy/it", "It was {mask}. it was {text}")
SOFT = VirtualTokens("soft", 0, 3, "uniform", NO_IDS)
"""Three free vectors."""


def tuned(ids: Sequence[int] | np.ndarray, offset: int = 3) -> VirtualTokens:
    """Return the group of vectors that start as these words."""
    return VirtualTokens("tune", offset, len(ids), "", np.asarray(ids, np.int32))


def started(backbone: Backbone, *groups: VirtualTokens, seed: int = 0, **settings: Any) -> SoftPrompt:
    """Return untrained vectors for the groups."""
    return SoftPrompt.start(groups, VariantSettings(**settings), WORDS, backbone, np.random.default_rng(seed))


def encoded(backbone: Backbone, rows: Sequence[Example]) -> list[Encoded]:
    return PatternEncoder(PAIR, backbone.pieces, 64).encode(rows)


def with_slots(batch: Batch, slots: Mapping[int, int]) -> Batch:
    """Mark the same places of every row: {position: slot}."""
    places = torch.full_like(batch.inputs["input_ids"], -1)
    for position, slot in slots.items():
        places[:, position] = slot
    return replace(batch, soft_slots=places)


def marked(backbone: Backbone, rows: Sequence[Example]) -> Batch:
    """Return a padded batch whose rows have slots at two, three or four places, not the same ones."""
    batch = backbone.batch(encoded(backbone, rows))
    places = torch.full_like(batch.inputs["input_ids"], -1)
    places[:, 1], places[:, 4] = 0, 2
    places[::2, 5], places[::3, 2] = 1, 0
    return replace(batch, soft_slots=places)


def all_logits(backbone: Backbone, batch: Batch, prompt: SoftPrompt | None = None) -> torch.Tensor:
    """Return the logits at every token, with the vectors of a prompt if there is one."""
    with torch.no_grad():
        if prompt is None:
            return backbone.model(**batch.inputs).logits
        with prompt.during(backbone.model, batch):
            return backbone.model(**batch.inputs).logits


def real(batch: Batch) -> torch.Tensor:
    """Tell the tokens from the padding."""
    return batch.inputs["attention_mask"].bool()
