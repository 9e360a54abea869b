"""From a config to a plan: everything it names is read and checked before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from pet.data.dataset import TaskData, data_digest, load_task_data
from pet.data.examples import Example, Task
from pet.data.overlap import normalise
from pet.data.rows import Rows
from pet.errors import ConfigError
from pet.labeling.calibration import Calibration
from pet.labeling.guards import FOLDS, gold_folds
from pet.labeling.selection import Growth
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.machine import Machine
from pet.learners.models.schedules import scheduled, scheduled_student
from pet.learners.models.sources import (
    ModelSource,
    find_model,
    load_tokenizer,
    longest_input,
    masked_lm_config,
    parameter_count,
    quiet_transformers,
)
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.students.sizes import check_student
from pet.learners.voters.parts import row_length
from pet.learners.voters.spec import VoterSpec, voter_notes, voter_specs
from pet.learners.voters.words import label_words
from pet.method.growth import held_out_notes, plan_generations, plan_prior
from pet.method.inputs import StageInputs
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.registry import Registry, load_patterns, load_verbalizers
from pet.prompts.templates import Field
from pet.prompts.verbalizers import Verbalizer
from pet.runs.identity import code_digest, run_identity
from pet.seeding import rng_for
from pet.settings.config import RunConfig
from pet.settings.toml import absolute, merged, overrides_as_tables
from pet.settings.training import DistillSettings, OptimizerSettings
from pet.settings.variants import PET

__all__ = [
    "Plan",
    "check_prompts",
    "prepare",
    "resolve",
    "student_source",
    "with_distillation",
    "without_pool",
]

S = TypeVar("S", bound=OptimizerSettings)

_UNSET = {"steps": None, "learning_rate": None}

COMPARED_ROWS = 500
"""Every way to label is compared with the ensemble on so many rows of the pool."""


@dataclass(frozen=True)
class Plan:
    """A config with everything it names, read and checked. Nothing is trained yet.

    `notes` are what a person should know of its generations.
    """

    config: RunConfig
    inputs: StageInputs
    voters: tuple[VoterSpec, ...]
    identity: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def data(self) -> TaskData:
        """The rows."""
        return self.inputs.data

    @property
    def pvps(self) -> tuple[PVP, ...]:
        """The patterns with their words, each once, as they are before anything trains."""
        return tuple({spec.pvp.name: spec.pvp for spec in self.voters}.values())

    @property
    def untried(self) -> list[VoterSpec]:
        """One voter of each kind, to be put on the model before anything trains."""
        return [spec for spec in self.voters if not spec.seed_index]

    @property
    def generations(self) -> int:
        """The ensembles to train."""
        return int(self.config.ipet.generations)

    @property
    def stage_count(self) -> int:
        """The jobs that a whole run does, if no generation is rejected."""
        folds = len(np.unique(self.held_out.argmax(axis=1))) if self.held_out.any() else 0
        baselines = 2 + folds if self.has_baseline else 0
        adaptation = int(self.config.adapt.method != "none")
        return adaptation + self.generations * len(self.voters) + len(self.pvps) + 1 + baselines

    @property
    def growth(self) -> Growth:
        """How the training sets grow."""
        counts = np.bincount(self.inputs.gold, minlength=len(self.data.task.labels))
        return Growth(tuple(counts.tolist()), self.config.ipet.growth, self.config.ipet.first_rows)

    @property
    def prior(self) -> np.ndarray:
        """The label ratio that is expected of the pool, float64 [k]."""
        return plan_prior(self.config.ensemble.prior, self.data.task.labels, self.inputs.gold)

    def calibration(self, trained: bool) -> Calibration:
        """Return how a voter's scores are calibrated."""
        how = self.config.ensemble.calibration
        if how != "auto":
            return how
        return "none" if trained else "batch"

    @cached_property
    def held_out(self) -> np.ndarray:
        """Which gold rows are kept from which voter's sets, bool [m, n]: a fold each with its copies, or none."""
        gold, voters = self.inputs.gold, len(self.voters)
        wanted = self.config.ipet.held_out
        folds = gold_folds(gold, rng_for(self.inputs.seed, "folds")) if len(gold) else None
        if folds is None or not (self.generations > 1 if wanted == "auto" else wanted):
            return np.zeros((voters, len(gold)), np.bool_)
        first: dict[str, int] = {}  # who is kept from a row is kept from its copies
        folds = folds[[first.setdefault(normalise(row), i) for i, row in enumerate(self.data.labeled)]]
        # The fold follows the name, so that the order in which patterns are listed decides nothing.
        names = sorted(spec.name for spec in self.voters)
        own = np.asarray([names.index(spec.name) % FOLDS for spec in self.voters])
        kept: np.ndarray = folds == own[:, None]
        return kept

    @property
    def has_baseline(self) -> bool:
        """Whether the supervised baseline is trained for comparison."""
        return bool(self.data.labeled) and self.config.run.baseline


def without_pool(config: RunConfig, test: Rows) -> StageInputs:
    """Return the inputs of a stage that needs no rows but those it is handed, and `test` to be measured on."""
    task = Task(config.task.name, config.task.labels, tuple(config.task.fields))
    return StageInputs(
        data=TaskData(task, (), Rows.of(()), test, config.task.fields, (), ()),
        source=find_model(config.model.name, config.model.revision),
        model=config.model,
        baseline=OptimizerSettings(),
        task=config.task,
        machine=Machine.pick(config.run),
        seed=config.run.seed,
        multi_token=config.prompts.multi_token,
        base={"code": code_digest(), "test": data_digest(test)},
        compared=np.empty(0, np.int64),
    )


def with_distillation(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """Return the settings of a run with changes to its `[distill]`, such as ``distill.steps=300``.

    Raises
    ------
    ConfigError
        If a change is about another section.
    """
    if other := [change for change in overrides if not change.strip().startswith("distill.")]:
        raise ConfigError(f"--set {other[0]}: only distill.* can change here; use `pet run` for the rest.")
    if any(change.strip().startswith(("distill.model", "distill.size")) for change in overrides):
        # The stored schedule is that of the stored model's size.
        unset = config.distill.model_copy(update=_UNSET)
        config = config.model_copy(update={"distill": unset})
    changes = absolute(overrides_as_tables(overrides), Path.cwd())
    changed = RunConfig.from_mapping(merged(config.model_dump(exclude_none=True), changes))
    return changed.model_copy(update={"distill": _student_settings(changed)})


def student_source(config: RunConfig) -> ModelSource:
    """Return the model that the final classifier starts from."""
    return (
        find_model(config.model.name, config.model.revision)
        if config.distill.model == "same"
        else find_model(config.distill.model)
    )


def _student_settings(config: RunConfig) -> DistillSettings:
    source = student_source(config)
    check_student(config.distill.size, source)
    return scheduled_student(config.distill, parameter_count(source.folder))


def resolve(settings: S, source: ModelSource, voter: bool) -> S:
    """Return settings whose steps and learning rate, where unset, follow the model's size."""
    return scheduled(settings, parameter_count(source.folder), voter)


def _resolved(config: RunConfig, data: TaskData, voters: Sequence[VoterSpec], generations: int) -> RunConfig:
    """Return a config without gaps: the labels and fields that were found, generations, steps and learning rates.

    With tables of voters, `[train]` stays as it is: they would take too much from one without gaps.
    """
    train = config.train if config.train.voters else voters[0].train
    return config.model_copy(
        update={
            "task": config.task.model_copy(update={"labels": data.task.labels, "fields": dict(data.columns)}),
            "ipet": config.ipet.model_copy(update={"generations": generations}),
            "train": train,
            "distill": _student_settings(config),
        }
    )


def _baseline(voters: Sequence[VoterSpec], source: ModelSource) -> OptimizerSettings:
    """Return how the baseline is trained: as the first voter that trains all weights, or by default."""
    own = next((spec.train for spec in voters if spec.train.weights == "full"), None)
    fields = own.model_dump(include=set(OptimizerSettings.model_fields)) if own else {}
    return resolve(OptimizerSettings(**fields), source, voter=True)


def prepare(config: RunConfig) -> Plan:
    """Read and check the data, the prompts and the model of a config; its relative paths become absolute.

    Raises
    ------
    UsageError
        If something in them is wrong.
    """
    config = config.absolute()
    registry, verbalizer = _prompts(config)
    data = load_task_data(config.task, config.data, config.run.seed, verbalizer.labels if verbalizer else ())
    quiet_transformers()
    source = find_model(config.model.name, config.model.revision)
    masked_lm_config(source)
    words = (verbalizer or Verbalizer.from_labels(data.task.labels)).for_labels(data.task.labels)
    parameters = parameter_count(source.folder)
    voters = voter_specs(config, registry, words, data.task, parameters)
    generations, notes = plan_generations(config, data, len(voters))
    machine = Machine.pick(config.run)
    notes += held_out_notes(config.ipet.held_out, generations, data)
    notes += voter_notes(config, registry, voters, parameters)
    if config.run.precision == "bf16" != machine.precision:
        notes += ("this hardware does not multiply bfloat16: the run computes in float32",)
    baseline = _baseline(voters, source)
    config = _resolved(config, data, voters, generations)
    sample = min(COMPARED_ROWS, len(data.unlabeled))
    rows = rng_for(config.run.seed, "compare").choice(len(data.unlabeled), size=sample, replace=False)
    identity = run_identity(config, data, source, [spec.pvp for spec in voters])
    inputs = StageInputs(
        data=data,
        source=source,
        model=config.model,
        baseline=baseline,
        task=config.task,
        machine=machine,
        seed=config.run.seed,
        multi_token=config.prompts.multi_token,
        base={name: identity[name] for name in ("data", "model", "code")},
        compared=np.sort(rows),
        keep_models=config.run.keep_models,
    )
    return Plan(config, inputs, voters, identity, notes)


def _prompts(config: RunConfig) -> tuple[Registry[Pattern], Verbalizer | None]:
    folders = config.prompts.registry
    name = config.prompts.verbalizer
    return load_patterns(folders), load_verbalizers(folders).get(name) if name else None


def check_prompts(plan: Plan) -> Plan:
    """Check words and templates against the tokenizer before anything is trained, and return the plan.

    Raises
    ------
    PromptError
        If a label word cannot be used, or a template leaves no room for the text of a row.
    ConfigError
        If a prefix is longer than half of what is read.
    """
    inputs = plan.inputs
    pieces = PieceTokenizer(load_tokenizer(inputs.source.folder))
    longest = longest_input(masked_lm_config(inputs.source), pieces.tokenizer)
    untrained = [(pvp, row_length(inputs.model, longest, PET)) for pvp in plan.pvps]
    trained = [(spec.prompt, row_length(inputs.model, longest, spec.train)) for spec in plan.voters]
    for pvp, length in dict.fromkeys((*untrained, *trained)):
        words = label_words(pvp, pieces, inputs.multi_token)
        encoder = PatternEncoder(pvp.pattern, pieces, length, inputs.model.truncation)
        encoder.encode(_longest_rows(pvp.pattern, plan.data), words.slots)
    return plan


def _longest_rows(pattern: Pattern, data: TaskData) -> list[Example]:
    """Return the row of each set whose kept fields, which are never shortened, have the most characters."""
    kept = [item for item in pattern.segments if isinstance(item, Field) and item.keep]

    def size(example: Example) -> int:
        return sum(len(item.read(example.fields[item.name])) for item in kept)

    sets: Sequence[Sequence[Example]] = (data.labeled, data.unlabeled, data.test)
    # Without such fields one row is as long as any other: a large pool is not read for it.
    return [max(rows, key=size) if kept else rows[0] for rows in sets if rows]
