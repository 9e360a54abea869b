"""The voters of a run: which patterns, with which words, and what of each trains."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pet.data.examples import Example, Task
from pet.errors import ConfigError, PromptError, shown
from pet.learners.models.schedules import scheduled_voter
from pet.learners.models.tokens import ModelKind
from pet.prompts.descriptions import description_rows
from pet.prompts.inputs import with_input
from pet.prompts.patterns import Pattern, check_segments
from pet.prompts.pvp import PVP
from pet.prompts.registry import Registry
from pet.prompts.templates import read_segments
from pet.prompts.verbalizers import NAME_WORDS, Verbalizer, wordless
from pet.settings.task import DemonstrationSettings, PromptSettings
from pet.settings.training import TrainSettings, VoterSettings

IN_CONTEXT = DemonstrationSettings(1, "drawn", 4, in_context=True)
"""How rows are shown to a voter that is not trained: in four orders, each of other rows where not all fit."""

_UNTRAINED = TrainSettings(weights="none", prompt_learning_rate=0.0, descriptions=0.0, steps=0)


@dataclass(frozen=True)
class VoterSpec:
    """A PVP with what of it trains and the index of its seed; `variant` names what trains where that is not all.

    `train` are its settings without gaps. `described` are rows that explain the labels, which it learns from beside
    the labeled ones; `shown` says which labeled rows stand behind each row. `name` is unique in a run.
    """

    pvp: PVP
    seed_index: int = 0
    train: TrainSettings = field(default_factory=TrainSettings)
    variant: str = ""
    described: tuple[Example, ...] = field(default=(), hash=False)
    shown: DemonstrationSettings = field(default_factory=DemonstrationSettings)

    @property
    def prompt(self) -> PVP:
        """The PVP as this voter reads it: with virtual tokens in it where its `input` has some."""
        train = self.train.with_preset()
        return replace(self.pvp, pattern=with_input(self.pvp.pattern, train.input or "hard", train.virtual_tokens))

    @property
    def has_vectors(self) -> bool:
        """Whether it has virtual tokens or numbers of labels, which train at the prompt learning rate."""
        output = self.train.with_preset().output
        several = any(len(words) > 1 for words in self.pvp.verbalizer.words.values())
        weighs = output in ("soft", "cls") or (output == "weighted" and several)
        return weighs or bool(self.prompt.pattern.virtual_parts)

    @property
    def learns(self) -> bool:
        """Whether anything of it is learned from rows; if not, it votes as the pretrained model does."""
        train = self.train.with_preset()
        by_vectors = self.has_vectors and train.prompt_learning_rate != 0
        return train.weights != "none" or train.output == "proto" or by_vectors

    @property
    def shows_nearest(self) -> bool:
        """Whether it shows the labeled rows that are nearest to each row."""
        return self.shown.count > 0 and self.shown.choice == "nearest"

    def trains(self, rows: int) -> bool:
        """Say whether there is anything to train it on, with so many rows that have a label."""
        return rows > 0 or bool(self.described)

    @property
    def reads(self) -> dict[str, bool]:
        """Which of the settings that not every variant reads it does."""
        train, own = self.train.with_preset(), bool(self.pvp.pattern.virtual_parts)
        free = [part for part in self.prompt.pattern.virtual_parts if part.kind == "soft"]
        frozen, prefixed = train.weights == "none", train.weights in ("prefix", "unipelt")
        return {
            "input": not own,
            "virtual_tokens": train.input == "prepend" and not own,
            "init": any(not part.init for part in free),
            "prompt_encoder": bool(free),
            "prompt_learning_rate": self.has_vectors,
            "learning_rate": not frozen,
            "weight_decay": not frozen,
            "auxiliary_mlm": not frozen or bool(self.prompt.pattern.virtual_parts),
            "rank": train.weights in ("lora", "unipelt"),
            "adapter_reduction": train.weights in ("adapter", "unipelt"),
            "adapter_layout": train.weights == "adapter",
            "prefix_length": prefixed,
            "prefix_shifts_positions": prefixed,
            "prefix_encoder": train.weights == "prefix",
        }

    @property
    def kind(self) -> str:
        """The PVP's name, with ``@<variant>`` where the voter has one; voters of one kind differ in their seed."""
        return self.pvp.name + (f"@{self.variant}" if self.variant else "")

    @property
    def name(self) -> str:
        """The kind, with ``#<seed>`` for every seed after the first."""
        return self.kind + (f"#{self.seed_index}" if self.seed_index else "")


def distinct_pvps(voters: Sequence[VoterSpec]) -> tuple[PVP, ...]:
    """Return the patterns of voters with their words, each once, as they are before anything trains."""
    return tuple({spec.pvp.name: spec.pvp for spec in voters}.values())


def voter_specs(
    settings: TrainSettings,
    prompts: PromptSettings,
    registry: Registry[Pattern],
    words: Verbalizer,
    task: Task,
    parameters: int,
) -> tuple[VoterSpec, ...]:
    """Return every PVP with every seed, of `[[train.voters]]` where the settings have such tables.

    `parameters` is the size of the model, which steps and learning rates follow where they are not set.

    Raises `ConfigError` if a table has no pattern, two of its voters have one name, or its output does not go with the
    decoder. Raises `PromptError` if a
    pattern or verbalizer does not fit the task.
    """
    kinds, tables = [], settings.voters or (VoterSettings(),)
    for table in [table for table in tables if table.has_pattern and not settings.is_fast]:
        train, shown = settings.of(table), prompts.shown
        variant = table.name or ("" if train.preset == "pet" else train.preset)
        if table.learner == "in-context":
            train, shown = _UNTRAINED, IN_CONTEXT
            variant = table.name or table.learner
        scheduled = scheduled_voter(train, parameters)
        pvps = _pvps(table.patterns or prompts.patterns, registry, words, task)
        described = description_rows(task, words.words, task.descriptions) if train.descriptions else ()
        _check_decoder(prompts, train, words)
        kinds += [_checked(VoterSpec(pvp, 0, scheduled, variant, described, shown)) for pvp in pvps]
    found = {kind.name: kind for kind in kinds}
    if len(found) < len(kinds):
        twice = next(kind.name for kind in kinds if found[kind.name] is not kind)
        raise ConfigError(
            f'Two voters are called {twice!r}: give their [[train.voters]] tables different names, such as name = "b".'
        )
    return tuple(replace(kind, seed_index=i) for i in range(settings.seeds) for kind in kinds)


def _check_decoder(prompts: PromptSettings, train: TrainSettings, words: Verbalizer) -> None:
    parts = train.with_preset()
    if words.is_of_choices and (parts.output, parts.loss) != ("words", "pet"):
        raise ConfigError(
            f'The candidates of a row stand at the mask, expected output = "words" and loss = "pet", found '
            f'"{parts.output}" and "{parts.loss}": choose another preset.'
        )
    if isinstance(prompts.multi_token, str) and prompts.multi_token != "parallel" and parts.output != "words":
        raise ConfigError(
            f'prompts.multi_token = "{prompts.multi_token}" asks for the words of the labels token by token, expected '
            f'output = "words", found "{parts.output}": set prompts.multi_token = "parallel", or another preset.'
        )


def _checked(spec: VoterSpec) -> VoterSpec:
    train, frozen = spec.train, spec.train.weights == "none" and spec.train.prompt_learning_rate == 0
    if frozen and spec.prompt.pattern.virtual_parts:
        raise ConfigError(
            f"{spec.name} has virtual tokens, but prompt_learning_rate = {train.prompt_learning_rate:g} and frozen "
            "weights leave nothing that learns: set a prompt_learning_rate such as 0.01."
        )
    return spec


def check_kind(kind: ModelKind, spec: VoterSpec) -> None:
    """Refuse what only a masked language model can: a ConfigError says what."""
    train = spec.train.with_preset()
    wants = {
        "input": train.input not in ("hard", "null") or bool(spec.prompt.pattern.virtual_parts),
        "weights": train.weights not in ("full", "none", "bitfit", "layernorm", "lora", "peft"),
        "output": train.output != "words",
        "loss": train.loss != "pet",
        "auxiliary_mlm": train.auxiliary_mlm > 0,
    }
    if kind != "masked" and any(wants.values()):
        name = next(name for name, wanted in wants.items() if wanted)
        raise ConfigError(
            f"{spec.name} has train.{name} = {shown(getattr(train, name))}, which needs a masked language model, and "
            f"model.name is {'a causal one' if kind == 'causal' else 'an encoder-decoder'}: leave it out, or choose "
            "another model."
        )


def voter_notes(
    prompts: PromptSettings, registry: Registry[Pattern], voters: Sequence[VoterSpec], task: Task, parameters: int
) -> tuple[str, ...]:
    """Return what a person should know of the voters.

    Who learns nothing, which settings were set for those that do not read them, which patterns are nobody's, and that
    descriptions are not learned from.
    """
    used = {spec.pvp.pattern.name for spec in voters}
    unused = [pattern.name for pattern in _patterns(prompts.patterns, registry) if pattern.name not in used]
    notes = tuple(
        f"{spec.name}: nothing trains, so it votes as the pretrained model does (zero-shot); set weights or input for "
        "more"
        for spec in voters
        if not spec.learns and not spec.seed_index and not spec.shown.in_context
    )
    read = {(name, getattr(spec.train, name)) for spec in voters for name, reads in spec.reads.items() if reads}
    alike: dict[str, list[str]] = {}
    for spec in voters:
        names = [name for name in _set_in_vain(spec, parameters) if (name, getattr(spec.train, name)) not in read]
        if names and spec.learns and not spec.seed_index:
            alike.setdefault(", ".join(names), []).append(spec.name)
    for unread, idle in alike.items():
        who, of = (idle[0], "this voter") if len(idle) == 1 else (f"{idle[0]} and {len(idle) - 1} more", "these voters")
        notes += (f"{who}: set, but nothing of {of} reads it: {unread}",)
    if task.descriptions and not any(spec.described for spec in voters):
        why = f"a row has {len(task.fields)} texts" if len(task.fields) > 1 else "train.descriptions is 0"
        notes += (f"no voter learns from the descriptions of the labels: {why}",)
    numbers = next((wordless(spec.pvp.verbalizer) for spec in voters if not spec.pvp.verbalizer.is_of_choices), ())
    if numbers:
        notes += (f"the labels {', '.join(numbers)} are numbers, which say nothing at a mask: {NAME_WORDS}",)
    if unused:
        why = "in no [[train.voters]] table, so not used" if voters else "no voter has a pattern, so not used"
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        notes += (f"{why}: {', '.join(unused[:3])}{more}",)
    return notes


def _set_in_vain(spec: VoterSpec, parameters: int) -> Iterator[str]:
    """Yield the settings that a voter does not read and that are not as they are by default."""
    for name, reads in spec.reads.items():
        unset = spec.train.model_copy(update={name: TrainSettings.model_fields[name].default})
        if not reads and getattr(spec.train, name) != getattr(scheduled_voter(unset, parameters), name):
            yield name


def _written(template: str) -> Pattern:
    """Read a template that stands in the place of a pattern's name; what it says is its name, in short."""
    try:
        check_segments(read_segments(template))
    except PromptError as error:
        raise PromptError(f"The template {template!r} {error}") from None
    return Pattern(f"written/{hashlib.sha256(template.encode()).hexdigest()[:6]}", template)


def _pvps(names: Sequence[str], registry: Registry[Pattern], words: Verbalizer, task: Task) -> tuple[PVP, ...]:
    if not names:
        raise ConfigError(
            'No pattern is named: set [prompts] patterns, such as ["topic/*"]; `pet patterns` lists them.'
        )
    said = {"task": task.description, "options": options(task, words)}
    pvps = tuple(PVP(pattern.told(said), words) for pattern in _patterns(names, registry))
    for pvp in pvps:
        pvp.check(task)
    return pvps


def options(task: Task, words: Verbalizer) -> str:
    """Return the first words of the labels as a template says them, with the descriptions of those that have one.

    >>> task = Task("mail", ("b", "d"), ("text",), {"b": "charges, refunds"})
    >>> options(task, Verbalizer("w", {"b": ("billing",), "d": ("delivery",)}))
    'billing (charges, refunds), delivery'
    """
    first = {label: words.words[label][0] for label in task.labels if label in words.words}
    told = {label: f" ({task.descriptions[label]})" for label in first if label in task.descriptions}
    return ", ".join(word + told.get(label, "") for label, word in first.items())


def _patterns(names: Sequence[str], registry: Registry[Pattern]) -> list[Pattern]:
    named = [name for name in names if "{" not in name]
    written = dict.fromkeys(name for name in names if name not in named)
    return [*(registry.select(named) if named else ()), *map(_written, written)]
