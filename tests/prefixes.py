"""What the tests of a prefix read: one batch of a short, a long and a middling row, and the logits of its tokens.

batch = batch_of(backbone)
logits_of(backbone, batch, prefix)  # attached before
"""

from collections.abc import Sequence

import numpy as np
import torch

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.words import LabelWords
from pet.learners.voters.deltas.prefix import Prefix
from pet.prompts.patterns import Pattern

TEXTS = ("good", "man plays outside at my city man plays outside at my city movie", "phone code data")
WORDS = LabelWords(("a", "b"), np.array([[[9]], [[30]]]))
P, L, A, D, H = 3, 2, 4, 8, 32  # places, layers, heads, numbers per head, hidden size


def batch_of(backbone: Backbone, texts: Sequence[str] = TEXTS, width: int = 0) -> Batch:
    encoder = PatternEncoder(Pattern("p", "It was {mask}. {text}"), backbone.pieces, 64)
    return backbone.batch(encoder.encode([Example(text, {"text": text}) for text in texts], 1), width)


def logits_of(backbone: Backbone, batch: Batch, delta: Prefix | None = None) -> torch.Tensor:
    """Return the logits at every token, with a prefix if there is one; it has to be attached."""
    with torch.no_grad():
        if delta is None:
            return backbone.model(**batch.inputs).logits
        with delta.during(batch):
            return backbone.model(**batch.inputs).logits
