"""The one masked language model that the voters of a run share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.errors import ConfigError, ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.candidates import encode_with_candidates
from pet.learners.models.encoding import PatternEncoder, ShownRows
from pet.learners.models.machine import Machine, give_back_memory
from pet.learners.models.sources import ModelSource, language_model_config, load_tokenizer, longest_input, model_kind
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.models.words import label_words
from pet.learners.voters.parts import row_length
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.spec import VoterSpec, check_kind
from pet.prompts.demonstrations import Demonstrations
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.templates import Field
from pet.settings.task import DemonstrationSettings, ModelSettings, MultiToken
from pet.settings.variants import PET, VariantSettings


@dataclass
class SharedModel:
    """A model that is read from disk when it is first needed, and once.

    Every kind of voter, `kinds`, is tried on it then, so that one that does not fit it is refused before anything
    trains. Token ids of texts are kept in the folder `tokens`.
    """

    source: ModelSource
    settings: ModelSettings
    machine: Machine
    multi_token: MultiToken = False
    kinds: Sequence[VoterSpec] = ()
    tokens: Path | None = None
    _loaded: Backbone | None = field(default=None, init=False, repr=False)

    @property
    def backbone(self) -> Backbone:
        """The loaded model."""
        return self._loaded or self.load()

    def load(self) -> Backbone:
        """Read the model, and try the kinds of voters on it; a ModelError says what cannot be read, or does not fit."""
        self._loaded = Backbone.language_model(self.source, self.machine.device)
        if self.tokens:
            self.tokens.mkdir(exist_ok=True)
            self._loaded.pieces.keep_in(self.tokens)
        for error in self.misfits(self.kinds):
            raise error
        return self._loaded

    def misfits(self, kinds: Sequence[VoterSpec]) -> Iterator[ModelError]:
        """Try each kind of voters on the model, those that differ in no more than their words once; yield errors."""
        tried = set[tuple[object, ...]]()
        for spec in kinds:
            virtual = frozenset((part.kind, part.init) for part in spec.prompt.pattern.virtual_parts)
            kind = (spec.train.model_dump_json(include=set(VariantSettings.model_fields)), virtual)
            if kind in tried:
                continue
            tried.add(kind)
            try:
                self.voter(spec.prompt, spec.train).check()
            except ModelError as error:
                yield error

    def try_prompts(self, data: TaskData) -> None:
        """Try the words and templates of the kinds with the tokenizer, on the longest rows; no weights are read.

        Raises `PromptError` if a label word cannot be used, or a template leaves no room for the text of a row.
        Raises `ConfigError` if a prefix is longer than half of what is read.
        """
        config = language_model_config(self.source)
        kind = model_kind(config) or "masked"
        for spec in self.kinds:
            check_kind(kind, spec)
        pieces = PieceTokenizer(load_tokenizer(self.source.folder), kind)
        longest = longest_input(config, pieces.tokenizer)
        nothing = DemonstrationSettings()
        untrained = [(spec.pvp, row_length(self.settings, longest, PET), nothing) for spec in self.kinds]
        trained = [(spec.prompt, row_length(self.settings, longest, spec.train), spec.shown) for spec in self.kinds]
        for pvp, length, shown in dict.fromkeys((*untrained, *trained)):
            words = label_words(pvp, pieces, self.multi_token)
            drawn = drawn_demonstrations(shown, data)
            encoder = PatternEncoder(
                pvp.pattern, pieces, length, self.settings.truncation, ShownRows(drawn, words.first) if drawn else None
            )
            rows = _longest_rows(pvp.pattern, data)
            if words.per_row:
                encode_with_candidates(encoder, [*rows, *_longest_candidates(data)])
            else:
                encoder.encode(rows, words.slots)

    def voter(self, pvp: PVP, variant: VariantSettings = PET, machine: Machine | None = None) -> PvpVoter:
        """Return an untrained voter on the model, which computes on a machine (None: that of the model)."""
        return PvpVoter(self.backbone, pvp, self.settings, machine or self.machine, self.multi_token, variant)

    def learner(self, spec: VoterSpec, machine: Machine | None = None, shown: Demonstrations | None = None) -> PvpVoter:
        """Return a voter that is to be trained, as `voter` returns one that is not; it reads each row with others."""
        about = (self.settings, machine or self.machine, self.multi_token, spec.train, spec.described, shown)
        return PvpVoter(self.backbone, spec.prompt, *about)

    def unload(self) -> None:
        """Give back the memory of the model; it is read again when it is needed."""
        self._loaded = None
        give_back_memory()


def _longest_candidates(data: TaskData) -> list[Example]:
    """Return the row of each set whose longest candidate has the most characters."""
    sets: Sequence[Sequence[Example]] = (data.labeled, data.unlabeled, data.test)
    return [max(rows, key=lambda row: max(map(len, row.choices))) for rows in sets if rows]


def drawn_demonstrations(settings: DemonstrationSettings, data: TaskData) -> Demonstrations | None:
    """Return demonstrations among all labeled rows, drawn whatever the settings say; None where there are to be none.

    Raises `ConfigError` if there are to be some, and no row is labeled.
    """
    if not settings.count:
        return None
    if not data.labeled:
        raise ConfigError(
            f"prompts.demonstrations = {settings.count} shows labeled rows, and there are none: name [data] train, or "
            "leave it out."
        )
    columns = {label: column for column, label in enumerate(data.task.labels)}
    places = np.asarray([columns[str(row.label)] for row in data.labeled], np.int64)
    return Demonstrations(tuple(data.labeled), places, settings)


def _longest_rows(pattern: Pattern, data: TaskData) -> list[Example]:
    """Return the row of each set whose kept fields, which are never shortened, have the most characters."""
    kept = [item for item in pattern.segments if isinstance(item, Field) and item.keep]

    def size(example: Example) -> int:
        return sum(len(item.read(example.fields[item.name])) for item in kept)

    sets: Sequence[Sequence[Example]] = (data.labeled, data.unlabeled, data.test)
    # Without such fields one row is as long as any other: a large pool is not read for it.
    return [max(rows, key=size) if kept else rows[0] for rows in sets if rows]
