"""New output heads on tiny models whose rows differ, and a batch for them.

head, batch = new(backbone, "soft"), batch_of(backbone)
head.scores(backbone.model, batch, "fp32")
backbone.reset()
"""

import numpy as np
import torch

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.masked_lm import vocabulary_decoder
from pet.learners.models.words import LabelWords
from pet.learners.voters.outputs import OutputHead, output_head
from pet.prompts.patterns import Pattern
from pet.settings.variants import Output

TEXTS = ("good", "man plays outside at my city", "phone code data")
WORDS = LabelWords(("a", "b", "c"), np.array([[[40], [31]], [[52], [-1]], [[60], [45]]]))


def new(backbone: Backbone, kind: Output, words: LabelWords = WORDS, seed: int = 0) -> OutputHead:
    """Return a head on a model whose matrices are larger, so that rows differ, and whose vocabulary bias is not 0."""
    backbone.reset()
    with torch.no_grad():
        for weight in backbone.model.parameters():
            weight.mul_(5.0 if weight.dim() > 1 else 1.0)
        vocabulary_decoder(backbone.model).bias.normal_(generator=torch.Generator().manual_seed(0))
    return output_head(kind, words, backbone, seed)


def batch_of(backbone: Backbone, slots: int = 1, width: int = 0) -> Batch:
    """Return three rows with so many mask tokens each."""
    encoder = PatternEncoder(Pattern("p", "It was {mask}. {text}"), backbone.pieces, 64)
    return backbone.batch(encoder.encode([Example(text, {"text": text}) for text in TEXTS], slots), width)
