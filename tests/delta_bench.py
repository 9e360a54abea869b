"""One model with a batch, to try what trains its weights on."""

from typing import Any

import numpy as np
import torch

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.masked_lm import label_scores
from pet.learners.models.words import LabelWords
from pet.prompts.patterns import Pattern

PATTERN = Pattern("toy/about", "It was {mask}. {text}")
TEXTS = ("team game match won", "phone chip", "coach goal score team game", "code software robot data quick chip")
TARGETS = torch.tensor([0, 1, 0, 1])


class Bench:
    """One model with a batch of four rows and two label words of one piece each."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone, self.model = backbone, backbone.model
        backbone.reset()
        backbone.model.eval()
        encoder = PatternEncoder(PATTERN, backbone.pieces, 64)
        self.rows = encoder.encode([Example(text, {"text": text}) for text in TEXTS], 1)
        ids = [[[int(backbone.pieces.ids(word, True)[0])]] for word in ("good", "bad")]
        self.words = LabelWords(("Sports", "Tech"), np.array(ids))
        self.batch = backbone.batch(self.rows)

    def scores(self, delta: Any, batch: Batch | None = None) -> torch.Tensor:
        batch = batch or self.batch
        with torch.no_grad(), delta.during(batch):
            return label_scores(self.model, batch, self.words, "fp32")

    def plain(self) -> torch.Tensor:
        with torch.no_grad():
            return self.model(**self.batch.inputs).logits

    def train(self, delta: Any, steps: int = 3) -> dict[str, int]:
        """Make AdamW steps; return by name the number of steps in which a weight had a gradient that is not zero."""
        seen = dict.fromkeys(delta.tensors(), 0)
        optimizer = torch.optim.AdamW(delta.tensors().values(), lr=1e-2)
        self.model.train()
        torch.manual_seed(0)
        for step in range(steps):
            with delta.during(self.batch):
                scores = label_scores(self.model, self.batch, self.words, "fp32")
            torch.nn.functional.cross_entropy(scores, TARGETS).backward()
            for name, weight in delta.tensors().items():
                seen[name] += weight.grad is not None and bool(weight.grad.any())
            optimizer.step()
            delta.updated(step)
            optimizer.zero_grad()
        self.model.eval()
        return seen

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}

    def tree(self) -> tuple[list[tuple[str, int]], list[tuple[int, int]], set[str]]:
        hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in self.model.modules()]
        return [(name, id(module)) for name, module in self.model.named_modules()], hooks, set(vars(self.model))
