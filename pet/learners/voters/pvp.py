"""One voter: a masked language model under one PVP, trained on labeled rows and asked for the scores of others."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import token_budget_batches
from pet.learners.models.encoding import Encoded, PatternEncoder
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.machine import Machine
from pet.learners.models.training import LossFunction, TrainLog, fit, row_stream
from pet.learners.voters.deltas.unipelt import UniPELT
from pet.learners.voters.objectives import Lesson, adapet_objective, pet_objective
from pet.learners.voters.parts import Parts, row_length
from pet.learners.voters.words import label_words
from pet.prompts.pvp import PVP
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings
from pet.settings.variants import PET, VariantSettings

__all__ = ["Voter"]

SUPPORT_ROWS = 256
"""Rows of the pool that calibrated words are averaged over."""


class Voter:
    """A PVP on a backbone, with what of it trains.

    The backbone is shared: it wears the parts of one voter at a time, each voter puts its own on when it computes. One
    that trains all weights loses them when another computes; save it before.
    """

    def __init__(
        self,
        backbone: Backbone,
        pvp: PVP,
        settings: ModelSettings,
        machine: Machine,
        multi_token: bool = False,
        variant: VariantSettings = PET,
    ) -> None:
        self.backbone = backbone
        self.pvp = pvp
        self.settings = settings
        self.machine = machine
        self.multi_token = multi_token
        self.variant = variant.with_preset()
        self.words = label_words(pvp, backbone.pieces, multi_token)
        length = row_length(settings, backbone.longest_input, self.variant)
        self.encoder = PatternEncoder(pvp.pattern, backbone.pieces, length, settings.truncation)
        self.parts: Parts | None = None
        self.base = backbone.source

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
        *,
        anew: bool = True,
    ) -> TrainLog:
        """Train on labeled rows, from the pretrained weights unless `anew` is false.

        `unlabeled` rows serve the auxiliary loss and calibrated words only. Of `restarts` trainings, the one of the
        lowest loss over its last tenth is kept. Where nothing trains, no step is made.

        Raises
        ------
        ModelError
            If the model's family has no such parts.
        RunError
            If the loss is no longer finite.
        """
        columns = {label: k for k, label in enumerate(self.words.labels)}
        targets = np.asarray([columns[str(example.label)] for example in labeled], np.int64)
        lesson = Lesson(self.encode(labeled), targets)
        order_rng, loss_rng, start_rng = rng.spawn(3)
        best: tuple[float, TrainLog, dict[str, torch.Tensor]] | None = None
        made, restarts = 0, (self.variant.restarts or 1) if anew else 1
        for _ in range(restarts):
            parts = self._begin(start_rng, unlabeled or labeled) if anew or self.parts is None else self.parts
            loss = self._loss(parts, lesson, settings, unlabeled or labeled, loss_rng)
            log = self._fit(parts, loss, len(labeled), settings, order_rng, advance)
            made += log.updates
            if restarts > 1 and (best is None or log.last < best[0]):
                best = log.last, log, {name: value.detach().clone() for name, value in parts.tensors().items()}
        if best:
            log = replace(best[1], discarded=made - best[1].updates)
            parts.load(best[2])
        if parts.output.prepared == "after":
            parts.output.prepare(self._observed(parts, lesson.encoded), torch.from_numpy(targets))
        return log

    def facts(self, examples: Sequence[Example] = ()) -> dict[str, object]:
        """Return how many numbers train, and for UniPELT the mean of its gates per layer over some rows."""
        if self.parts is None:
            return {"trained_numbers": 0}
        settings = TrainSettings(prompt_learning_rate=self.variant.prompt_learning_rate)
        numbers = sum(tensor.numel() for tensor in self.parts.trained(settings).tensors)
        if not (isinstance(self.parts.delta, UniPELT) and examples):
            return {"trained_numbers": numbers}
        return {"trained_numbers": numbers, "gates": self._mean_gates(self.parts, self.parts.delta, examples)}

    def scores(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return raw label scores, float32 [n, k], in the order of `examples`; only a chunk is held as tokens.

        A voter that was not trained scores as the pretrained model does.
        """
        parts = self.parts or self.new_parts(untrained=True)

        def compute(rows: list[Encoded]) -> torch.Tensor:
            return parts.scores(self.backbone.batch(rows), self.machine.inference)

        return Inference(self.machine, self._encode_in_passing, compute).run(examples, len(self.words.labels), advance)

    def new_parts(self, rng: np.random.Generator | None = None, *, untrained: bool = False) -> Parts:
        """Return parts of this voter as they are before training; `untrained` ones score as the pretrained model."""
        variant = self.variant
        if untrained:
            variant = variant.model_copy(update={"weights": "none", "output": "words"})
        return Parts.start(self.backbone, self.encoder, self.words, variant, rng or np.random.default_rng(0))

    def _begin(self, rng: np.random.Generator, support: Sequence[Example]) -> Parts:
        """Put on new parts."""
        parts = self.new_parts(rng)
        if parts.output.prepared == "before":
            some = rng.choice(len(support), size=min(SUPPORT_ROWS, len(support)), replace=False)
            parts.output.prepare(self._observed(parts, self._encode_in_passing([support[i] for i in some])))
        self.parts = parts
        return parts

    def _fit(
        self,
        parts: Parts,
        loss: LossFunction,
        n: int,
        settings: TrainSettings,
        rng: np.random.Generator,
        advance: Advance,
    ) -> TrainLog:
        self.backbone.wear(parts.delta)
        trained = parts.trained(settings)
        return fit(trained, loss, n, settings, rng, advance) if trained.groups else TrainLog(())

    def _loss(
        self,
        parts: Parts,
        lesson: Lesson,
        settings: TrainSettings,
        unlabeled: Sequence[Example],
        rng: np.random.Generator,
    ) -> LossFunction:
        if self.variant.loss == "adapet":
            return adapet_objective(parts, self.machine, lesson, rng)
        if parts.prompt is None and self.variant.weights == "none":
            # A new head alone trains, on what the model makes of a row: the vocabulary has nothing to teach it.
            settings = settings.model_copy(update={"auxiliary_mlm": 0.0})
        stream = row_stream(len(unlabeled), settings.batch_size // settings.accumulation, rng)

        def draw() -> list[Encoded]:
            return self._encode_in_passing([unlabeled[i] for i in next(stream)])

        return pet_objective(parts, self.machine, lesson, settings, draw, rng)

    @torch.no_grad()
    def _observed(self, parts: Parts, encoded: Sequence[Encoded]) -> torch.Tensor:
        """Return what the output wants to know of rows, float32 [n, ...] in their order."""
        found: dict[int, torch.Tensor] = {}
        for rows in token_budget_batches([len(row) for row in encoded], self.machine.token_budget.tokens):
            batch = self.backbone.batch([encoded[i] for i in rows])
            with parts.during(batch):
                seen = parts.output.observe(self.backbone.model, batch, self.machine.precision)
            found |= dict(zip(rows.tolist(), seen, strict=True))
        return torch.stack([found[i] for i in range(len(encoded))])

    def _mean_gates(self, parts: Parts, delta: UniPELT, examples: Sequence[Example]) -> dict[str, list[float]]:
        """Return the mean of each gate over rows, a number per layer."""

        def compute(rows: list[Encoded]) -> torch.Tensor:
            parts.scores(self.backbone.batch(rows), self.machine.inference)
            return torch.from_numpy(np.hstack(list(delta.gates().values())))

        columns = len(delta.gate_names) * delta.prefix.depth
        means = Inference(self.machine, self._encode_in_passing, compute).run(examples, columns).mean(axis=0)
        return dict(zip(delta.gate_names, means.reshape(-1, delta.prefix.depth).round(4).tolist(), strict=True))

    def _encode_in_passing(self, examples: Sequence[Example]) -> list[Encoded]:
        with self.backbone.pieces.forgetting():
            return self.encode(examples)
