"""The voter of a PVP: a masked language model that reads rows under one pattern and scores the words of labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from pet.data.examples import Example, made_up
from pet.errors import ModelError, PetError
from pet.labeling.votes import log_softmax
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import token_budget_batches
from pet.learners.models.candidates import encode_with_candidates
from pet.learners.models.delta import copies_of, copy_into, drawn_from
from pet.learners.models.encoding import PatternEncoder, ShownRows
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.keeping import Resumable
from pet.learners.models.machine import Machine, is_out_of_memory
from pet.learners.models.shortening import joined
from pet.learners.models.sources import ModelSource, first_line
from pet.learners.models.splicing import Encoded
from pet.learners.models.training import LossFunction, RowStream, TrainLog, fit
from pet.learners.models.words import label_words
from pet.learners.voters.deltas.unipelt import UniPELT
from pet.learners.voters.objectives import LabeledRows, adapet_objective, pet_objective, with_descriptions
from pet.learners.voters.outputs import CalibratedWords, Prototypes
from pet.learners.voters.parts import Parts, row_length
from pet.learners.voters.saved import SavedVoter
from pet.prompts.demonstrations import Demonstrations
from pet.prompts.pvp import PVP
from pet.settings.task import CHOICES, ModelSettings, MultiToken
from pet.settings.training import TrainSettings
from pet.settings.variants import PET, VariantSettings

CONTENT_FREE = ("N/A", "...")
"""Texts that say nothing."""

SUPPORT_ROWS = 256
"""Rows of the pool that calibrated words are averaged over."""


@dataclass(eq=False)
class PvpVoter:
    """A PVP on a backbone, with what of it trains.

    The backbone is shared: the parts of one voter are attached to it at a time, and each attaches its own when it
    computes. One that trains all weights loses them when another computes; save it before. `described` are rows that
    explain the labels; it learns from them beside the labeled ones. `demonstrations` stand behind each row.
    """

    backbone: Backbone
    pvp: PVP
    settings: ModelSettings
    machine: Machine
    multi_token: MultiToken = False
    variant: VariantSettings = PET
    described: Sequence[Example] = ()
    demonstrations: Demonstrations | None = None
    parts: Parts | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Find the words and the parts of the pattern in the model's vocabulary."""
        self.variant, self.base, pieces = self.variant.with_preset(), self.backbone.source, self.backbone.pieces
        self.machine = self.backbone.abilities.fit(self.machine)
        averaged = self.settings.word_scores == "mean"
        self.words = replace(label_words(self.pvp, pieces, self.multi_token), averaged=averaged)
        length = row_length(self.settings, self.backbone.longest_input, self.variant)
        self.encoder = PatternEncoder(self.pvp.pattern, pieces, length, self.settings.truncation)
        if self.demonstrations:
            self.encoder.shown = ShownRows.fitting(self.demonstrations, self.words.first, self.encoder)

    @classmethod
    def load(cls, folder: Path, backbone: Backbone, machine: Machine) -> "PvpVoter":
        """Return a saved voter on its backbone; one that trained all weights brings its own.

        Raises `ModelError` if the folder holds no voter, or one of another backbone.
        """
        saved, tensors = SavedVoter.read(folder)
        base = backbone.source
        if base.digest != saved.digest:
            raise ModelError(
                f"{folder} is a voter on {saved.backbone}, found {base.name} with other weights: load the model that "
                "it was trained on."
            )
        if saved.variant.weights == "full":
            backbone = Backbone.language_model(ModelSource(str(folder), folder), machine.device)
        voter = cls(backbone, saved.pvp, saved.model, machine, saved.multi_token, saved.variant)
        voter.base, voter.parts = base, voter.new_parts()
        copy_into(voter._beside_model(voter.parts), tensors)
        return voter

    def save(self, folder: Path) -> None:
        """Write a trained voter; a ModelError says that it was not trained."""
        if self.parts is None:
            raise ModelError(f"The voter {self.pvp.name!r} was not trained: there is nothing to save.")
        tensors = self._beside_model(self.parts)
        folder.mkdir(parents=True, exist_ok=True)
        if self.variant.weights == "full":
            self.backbone.save(folder)
        about = (self.base.name, self.base.digest, self.pvp, self.settings, self.multi_token, self.variant)
        SavedVoter(*about).write(folder, tensors)

    def check(self) -> None:
        """Attach new parts to the model, and let a made-up row go forward and back through them; nothing is changed.

        Raises `ModelError` if the model's family has no such parts, or they do not work on it.
        """
        kind, variant = self.backbone.model.config.model_type, self.variant
        try:
            with drawn_from(0, self.machine.device):
                self._try(self.new_parts())
        except PetError:
            raise
        except Exception as error:  # of any line of the family's own code
            if is_out_of_memory(error):
                raise
            plain = (variant.input, variant.weights, variant.output) == ("hard", "full", "words")
            raise ModelError(
                f'The preset "{variant.preset}" (input "{variant.input}", weights "{variant.weights}", output '
                f'"{variant.output}") does not work on {kind!r} models ({first_line(error)}): choose another model'
                + ("." if plain else ', or train.preset = "pet".')
            ) from None

    def encode(self, rows: Sequence[Example]) -> list[Encoded]:
        """Encode rows under the pattern, with as many mask tokens as the words need; no text of them is kept."""
        with self.backbone.pieces.temporary_cache():
            return self._encoded(rows)

    def _encoded(self, rows: Sequence[Example]) -> list[Encoded]:
        if self.words.per_row:
            return encode_with_candidates(self.encoder, rows)
        return self.encoder.encode(rows, self.words.slots)

    def train(
        self,
        rows: Sequence[Example],
        settings: TrainSettings,
        rng: np.random.Generator,
        unlabeled: Sequence[Example] = (),
        advance: Advance = lambda _: None,
    ) -> TrainLog:
        """Train on labeled rows, from the pretrained weights each time.

        Without a labeled row it learns from those that explain the labels. `unlabeled` rows serve the auxiliary loss
        and calibrated words only. Of `restarts` trainings, the one of the lowest loss over its last tenth is kept.
        Where nothing trains, no step is made.

        Raises `ModelError` if the model's family has no such parts. Raises `RunError` if the loss is no longer
        finite.
        """
        explained = self._labeled(self.described) if rows and self.described else None
        rows = rows or self.described
        labeled = self._labeled(rows)
        order_rng, loss_rng, start_rng = rng.spawn(3)
        best: tuple[TrainLog, dict[str, torch.Tensor]] | None = None
        made, restarts = 0, self.variant.restarts or 1
        for _ in range(restarts):
            parts = self._started(start_rng, unlabeled or rows)
            size = settings.batch_size // settings.accumulation
            stream = RowStream(len(unlabeled or rows), size, loss_rng)
            loss = self._loss(parts, labeled, settings, unlabeled or rows, stream)
            draws: tuple[Resumable | np.random.Generator, ...] = (loss_rng, stream)
            if explained:
                # A generator of its own: what else is drawn stays as it is without these rows.
                more = RowStream(len(explained), size, loss_rng.spawn(1)[0])
                loss = with_descriptions(loss, parts, self.machine, explained, settings, more)
                draws += (more.rng, more)
            self.backbone.attach(parts.delta)
            trained = replace(parts.trained(settings), draws=draws)
            log = fit(trained, loss, len(labeled), settings, order_rng, advance) if trained.groups else TrainLog(())
            made += log.updates
            if restarts > 1 and (best is None or log.last < best[0].last):
                best = log, copies_of(parts.tensors())
        if best:
            log = replace(best[0], discarded=made - best[0].updates)
            copy_into(parts.tensors(), best[1])
        if isinstance(parts.output, Prototypes):
            seen = self._observed(parts, parts.output, labeled.encoded)
            parts.output.prepare(seen, torch.from_numpy(labeled.targets))
        return log

    def scores(self, rows: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return raw label scores, float32 [n, k], in the order of `rows`; only a chunk is held as tokens.

        A voter that was not trained scores as the pretrained model does.
        """
        parts = self.parts or self.new_parts(untrained=True)

        def compute(encoded: list[Encoded]) -> torch.Tensor:
            return parts.scores(encoded, self.machine)

        k = len(self.words.labels)
        passes = Inference(self.machine, self.encode, compute, joined(self.settings.windows))
        if not (self.demonstrations and self.demonstrations.settings.in_context):
            return passes.run(rows, k, advance)
        # What it says of texts that say nothing is what the shown rows make it prefer (2102.09690).
        fields = self.pvp.pattern.fields
        nothing = passes.run([Example(text, dict.fromkeys(fields, text)) for text in CONTENT_FREE], k)
        return np.asarray(passes.run(rows, k, advance) - log_softmax(nothing).mean(axis=0), np.float32)

    def facts(self, rows: Sequence[Example] = ()) -> dict[str, object]:
        """Return how many numbers train, and for UniPELT the mean of its gates per layer over some rows."""
        if self.parts is None:
            return {"trained_numbers": 0}
        settings = TrainSettings(prompt_learning_rate=self.variant.prompt_learning_rate)
        numbers = sum(tensor.numel() for tensor in self.parts.trained(settings).tensors)
        if not (isinstance(self.parts.delta, UniPELT) and rows):
            return {"trained_numbers": numbers}
        return {"trained_numbers": numbers, "gates": self._mean_gates(self.parts, self.parts.delta, rows)}

    def new_parts(self, rng: np.random.Generator | None = None, *, untrained: bool = False) -> Parts:
        """Return parts of this voter as they are before training; `untrained` ones score as the pretrained model."""
        variant = self.variant
        if untrained:
            variant = variant.model_copy(update={"weights": "none", "output": "words"})
        return Parts.start(self.backbone, self.encoder, self.words, variant, rng or np.random.default_rng(0))

    def _try(self, parts: Parts) -> None:
        """Score and learn from a row of each of two labels; a ValueError says that nothing that trains would change."""
        self.backbone.attach(parts.delta)
        fields = [*self.pvp.pattern.fields, *([CHOICES] if self.words.per_row else [])]
        rows = [made_up(label, fields, "a a a a a a a a", label) for label in self.words.labels[:2]]
        chosen = self.variant.model_dump(include=set(VariantSettings.model_fields))
        settings = TrainSettings(**chosen, steps=1, batch_size=len(rows), descriptions=0.0)
        with torch.no_grad():
            parts.scores(self.encode(rows), self.machine)
        trained, wanted = parts.trained(settings), parts.trained_apart(settings)
        if not wanted:
            return
        stream = RowStream(len(rows), len(rows), np.random.default_rng(0))
        loss, reached = self._loss(parts, self._labeled(rows), settings, rows, stream), set[int]()
        with trained.training():
            for summand in _as_summands(loss(np.arange(len(rows)))):
                found = torch.autograd.grad(summand, trained.tensors, allow_unused=True)
                pairs = zip(trained.tensors, found, strict=True)
                reached |= {id(tensor) for tensor, gradient in pairs if gradient is not None}
        if not all(any(id(tensor) in reached for tensor in part) for part in wanted):
            raise ValueError("the loss does not depend on what trains")

    def _started(self, rng: np.random.Generator, support: Sequence[Example]) -> Parts:
        """Return new parts, which are this voter's from now on."""
        parts = self.parts = self.new_parts(rng)
        if isinstance(parts.output, CalibratedWords):
            some = rng.choice(len(support), size=min(SUPPORT_ROWS, len(support)), replace=False)
            parts.output.prepare(self._observed(parts, parts.output, self.encode([support[i] for i in some])))
        return parts

    def _labeled(self, rows: Sequence[Example]) -> LabeledRows:
        columns = {label: k for k, label in enumerate(self.words.labels)}
        targets = np.asarray([columns[str(row.label)] for row in rows], np.int64)
        # Every voter learns from these rows: the ids of their texts stay known. Each window is a row of its own.
        encoded = self._encoded(rows)
        counts = [len(row.windows) for row in encoded]
        return LabeledRows([window for row in encoded for window in row.windows], targets.repeat(counts))

    def _loss(
        self,
        parts: Parts,
        labeled: LabeledRows,
        settings: TrainSettings,
        unlabeled: Sequence[Example],
        stream: RowStream,
    ) -> LossFunction:
        if self.variant.loss == "adapet":
            return adapet_objective(parts, self.machine, labeled, stream.rng)
        if parts.prompt is None and self.variant.weights == "none":
            # A new head alone trains, on what the model makes of a row: the vocabulary has nothing to teach it.
            settings = settings.model_copy(update={"auxiliary_mlm": 0.0})

        def draw() -> list[Encoded]:
            return self.encode([unlabeled[i] for i in next(stream)])

        return pet_objective(parts, self.machine, labeled, settings, draw, stream.rng)

    @torch.no_grad()
    def _observed(self, parts: Parts, head: CalibratedWords | Prototypes, encoded: Sequence[Encoded]) -> torch.Tensor:
        """Return what the output of `parts` wants to know of rows, float32 [n, ...] in their order."""
        found: dict[int, torch.Tensor] = {}
        for rows in token_budget_batches([len(row) for row in encoded], self.machine.token_budget.tokens):
            batch = self.backbone.batch([encoded[i] for i in rows])
            with parts.during(batch):
                seen = head.observe(self.backbone.model, batch, self.machine.precision)
            found |= dict(zip(rows.tolist(), seen, strict=True))
        return torch.stack([found[i] for i in range(len(encoded))])

    def _mean_gates(self, parts: Parts, delta: UniPELT, rows: Sequence[Example]) -> dict[str, list[float]]:
        """Return the mean of each gate over rows, a number per layer."""

        def compute(encoded: list[Encoded]) -> torch.Tensor:
            parts.scores(encoded, self.machine)
            return torch.from_numpy(np.hstack(list(delta.gates().values())))

        columns = len(delta.gate_names) * delta.prefix.depth
        means = Inference(self.machine, self.encode, compute).run(rows, columns).mean(axis=0)
        return dict(zip(delta.gate_names, means.reshape(-1, delta.prefix.depth).round(4).tolist(), strict=True))

    def _beside_model(self, parts: Parts) -> dict[str, torch.Tensor]:
        """Return the tensors that are kept beside the model; where all of its weights train, they are in it."""
        whole, tensors = self.variant.weights == "full", parts.tensors()
        return {name: value for name, value in tensors.items() if not (whole and name.startswith("weights."))}


def _as_summands(found: torch.Tensor | Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
    return [found] if isinstance(found, torch.Tensor) else found
