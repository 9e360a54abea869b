"""The voters of a run: which patterns, with which words, and what of each trains."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pet.config import RunConfig, TrainSettings
from pet.data import Task
from pet.errors import ConfigError
from pet.learners import scheduled_voter
from pet.prompts import PVP, Pattern, Registry, Verbalizer
from pet.prompts.inputs import with_input

__all__ = ["VoterSpec", "voter_notes", "voter_specs"]


@dataclass(frozen=True)
class VoterSpec:
    """A PVP with what of it trains and the index of its seed; `variant` names what trains where that is not all.

    `train` are its settings without gaps. `name` is unique in a run.
    """

    pvp: PVP
    seed_index: int = 0
    train: TrainSettings = field(default_factory=TrainSettings)
    variant: str = ""

    @property
    def prompt(self) -> PVP:
        """The PVP as this voter reads it: with virtual tokens in it where its `input` has some."""
        train = self.train.with_preset()
        return replace(self.pvp, pattern=with_input(self.pvp.pattern, train.input or "hard", train.virtual_tokens))

    @property
    def learns(self) -> bool:
        """Whether anything of it is learned from rows; if not, it votes as the pretrained model does."""
        train = self.train.with_preset()
        vectors = bool(self.prompt.pattern.virtual_parts) or train.output in ("soft", "cls")
        if train.output == "weighted":
            vectors |= any(len(words) > 1 for words in self.pvp.verbalizer.words.values())
        return train.weights != "none" or train.output == "proto" or (vectors and train.prompt_learning_rate != 0)

    @property
    def kind(self) -> str:
        """The PVP's name, with ``@<variant>`` where the voter has one; voters of one kind differ in their seed."""
        return self.pvp.name + (f"@{self.variant}" if self.variant else "")

    @property
    def name(self) -> str:
        """The kind, with ``#<seed>`` for every seed after the first."""
        return self.kind + (f"#{self.seed_index}" if self.seed_index else "")


def voter_specs(
    config: RunConfig, registry: Registry[Pattern], words: Verbalizer, task: Task, parameters: int
) -> tuple[VoterSpec, ...]:
    """Return every PVP with every seed, of `[[train.voters]]` where a config has such tables.

    `parameters` is the size of the model, which steps and learning rates follow where they are not set.

    Raises
    ------
    ConfigError
        If a table has no pattern, or two of its voters have one name.
    PromptError
        If a pattern or verbalizer does not fit the task.
    """
    kinds = []
    for table in config.train.voters or (None,):
        train = config.train.of(table) if table else config.train
        names = (table.patterns if table else ()) or config.prompts.patterns
        variant = (table.name if table else "") or ("" if train.preset == "pet" else train.preset)
        settings = scheduled_voter(train, parameters)
        kinds += [_checked(VoterSpec(pvp, 0, settings, variant)) for pvp in _pvps(names, registry, words, task)]
    found = {kind.name: kind for kind in kinds}
    if len(found) < len(kinds):
        twice = next(kind.name for kind in kinds if found[kind.name] is not kind)
        raise ConfigError(
            f'Two voters are called {twice!r}: give their [[train.voters]] tables different names, such as name = "b".'
        )
    return tuple(replace(kind, seed_index=i) for i in range(config.train.seeds) for kind in kinds)


def _checked(spec: VoterSpec) -> VoterSpec:
    train, frozen = spec.train, spec.train.weights == "none" and spec.train.prompt_learning_rate == 0
    if frozen and spec.prompt.pattern.virtual_parts:
        raise ConfigError(
            f"{spec.name} has virtual tokens, but prompt_learning_rate = {train.prompt_learning_rate:g} and frozen "
            "weights leave nothing that learns: set a prompt_learning_rate such as 0.01."
        )
    return spec


def voter_notes(config: RunConfig, registry: Registry[Pattern], voters: Sequence[VoterSpec]) -> tuple[str, ...]:
    """Return what a person should know of the voters: who learns nothing, and which patterns are nobody's."""
    used = {spec.pvp.pattern.name for spec in voters}
    unused = [pattern.name for pattern in _patterns(config.prompts.patterns, registry) if pattern.name not in used]
    notes = tuple(
        f"{spec.name}: nothing trains, so it votes as the pretrained model does (zero-shot); set weights or input for "
        "more"
        for spec in voters
        if not spec.learns and not spec.seed_index
    )
    if unused:
        notes += (f"in no [[train.voters]] table, so not used: {', '.join(unused)}",)
    return notes


def _written(template: str) -> Pattern:
    """Read a template that stands in the place of a pattern's name; what it says is its name, in short."""
    return Pattern.parse(f"written/{hashlib.sha256(template.encode()).hexdigest()[:6]}", template)


def _pvps(names: Sequence[str], registry: Registry[Pattern], words: Verbalizer, task: Task) -> tuple[PVP, ...]:
    if not names:
        raise ConfigError(
            'No pattern is named: set [prompts] patterns, such as ["topic/*"]; `pet patterns` lists them.'
        )
    pvps = tuple(PVP(pattern, words) for pattern in _patterns(names, registry))
    for pvp in pvps:
        pvp.check(task)
    return pvps


def _patterns(names: Sequence[str], registry: Registry[Pattern]) -> list[Pattern]:
    named = [name for name in names if "{" not in name]
    written = dict.fromkeys(name for name in names if name not in named)
    return [*(registry.select(named) if named else ()), *map(_written, written)]
