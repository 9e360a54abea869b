"""One pass of the untrained model per pattern: what it says at the mask, for every candidate word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import words_at_masks
from pet.learners.models.splicing import Encoded
from pet.learners.models.words import LabelWords
from pet.learners.voters.parts import row_length
from pet.learners.voters.shared import SharedModel
from pet.prompts.patterns import Pattern
from pet.settings.variants import PET


@dataclass(frozen=True)
class AtMask:
    """What a model says at the mask of a pattern, of c words or labels, float32: in n known rows, and in the pool."""

    known: np.ndarray
    pool: np.ndarray


def word_logits(
    pattern: Pattern,
    ids: np.ndarray,
    rows: Sequence[Example],
    model: SharedModel,
    advance: Advance = lambda _: None,
) -> np.ndarray:
    """Return the logits of the tokens `ids`, int64 [c], at the mask of a pattern in each row, float32 [n, c].

    Raises `PromptError` if the pattern leaves no room for the text of a row.
    """
    backbone = model.backbone
    backbone.reset()
    machine: Machine = backbone.abilities.fit(model.machine)
    length = row_length(model.settings, backbone.longest_input, PET)
    encoder = PatternEncoder(pattern, backbone.pieces, length, model.settings.truncation)
    words = LabelWords(("",), ids[None, :, None])

    def compute(encoded: list[Encoded]) -> torch.Tensor:
        return words_at_masks(backbone.model, backbone.batch(encoded), words, machine.inference)[:, 0]

    return Inference(machine, encoder.encode, compute).run(rows, len(ids), advance)
