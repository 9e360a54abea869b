"""`Plan`: a config with everything it names, read and checked, and the part of it that each stage takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pet.data.dataset import TaskData, data_digest, load_task_data
from pet.data.overlap import normalise
from pet.forecast.probe import Probe
from pet.forecast.workload import VoterLoad, Workload, adaptation_load
from pet.labeling.growth import Growth
from pet.labeling.guards import FOLDS, gold_folds
from pet.learners.models.machine import Machine
from pet.learners.models.schedules import scheduled
from pet.learners.models.sources import ModelSource, find_model, masked_lm_config, quiet_transformers
from pet.learners.students.base import ClassifierForm
from pet.learners.students.sizes import resolved_student
from pet.learners.voters.shared import SharedModel
from pet.learners.voters.spec import VoterSpec, distinct_pvps, voter_notes, voter_specs
from pet.method.compare import EMBEDDED_ROWS, Baselines
from pet.method.draw import Drawing
from pet.method.ensemble import Rules
from pet.method.jobs import RunRows
from pet.method.judge import Guards
from pet.method.metrics import gold_columns
from pet.method.schedule import Schedule, plan_prior
from pet.method.trial import Tried
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.prompts.verbalizers import Verbalizer
from pet.runs.identity import code_digest
from pet.runs.jobs import job_hash
from pet.runs.manifest import ADDITIONS
from pet.seeding import rng_for
from pet.settings.config import RunConfig
from pet.settings.training import OptimizerSettings

COMPARED_ROWS = 500
"""Every way to label is compared with the ensemble on so many rows of the pool."""


@dataclass(frozen=True)
class Plan:
    """A config without gaps, and everything that it names, read and checked. Nothing is trained yet.

    Each stage takes the part that is its own. `machine` is as the settings ask for it, `notes` are what a person should
    know.
    """

    config: RunConfig
    data: TaskData
    source: ModelSource
    machine: Machine
    voters: tuple[VoterSpec, ...]
    notes: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """What every draw of the run follows from."""
        return self.config.run.seed

    @property
    def generations(self) -> int:
        """The ensembles to train."""
        return int(self.config.ipet.generations)

    @cached_property
    def gold(self) -> np.ndarray:
        """The columns of the labeled rows, int64 [n]."""
        return gold_columns(self.data.labeled, self.data.task.labels)

    @cached_property
    def held_out(self) -> np.ndarray:
        """Which gold rows are kept from which voter's sets, bool [m, n]: a fold each with its copies, or none."""
        gold, wanted = self.gold, self.config.ipet.held_out
        folds = gold_folds(gold, rng_for(self.seed, "folds")) if len(gold) else None
        if folds is None or not (self.generations > 1 if wanted == "auto" else wanted):
            return np.zeros((len(self.voters), len(gold)), np.bool_)
        first: dict[str, int] = {}  # who is kept from a row is kept from its copies
        folds = folds[[first.setdefault(normalise(row), i) for i, row in enumerate(self.data.labeled)]]
        # The fold follows the name, so that the order in which patterns are listed decides nothing.
        names = sorted(spec.name for spec in self.voters)
        own = np.asarray([names.index(spec.name) % FOLDS for spec in self.voters])
        kept: np.ndarray = folds == own[:, None]
        return kept

    @cached_property
    def prior(self) -> np.ndarray:
        """The label ratio that is expected of the pool, float64 [k]."""
        return plan_prior(self.config.ensemble.prior, self.data.task.labels, self.gold)

    @cached_property
    def drawing(self) -> Drawing:
        """How training sets are drawn."""
        counts = np.bincount(self.gold, minlength=len(self.data.task.labels))
        growth = Growth(tuple(counts.tolist()), self.config.ipet.growth, self.config.ipet.first_rows)
        labels, pool = self.data.task.labels, self.data.unlabeled
        return Drawing(self.config.ipet, growth, self.held_out, self.voters, pool, labels, self.seed)

    @cached_property
    def rules(self) -> Rules:
        """How scores become votes."""
        return Rules(self.config.ensemble, self.prior)

    @cached_property
    def guards(self) -> Guards:
        """What generations are judged by."""
        return Guards(
            labels=self.data.task.labels,
            prior=self.prior,
            pool=len(self.data.unlabeled),
            gold=self.gold,
            held_out=self.held_out,
            several=self.generations > 1,
            accept_all=self.config.ipet.accept_all,
        )

    @cached_property
    def baseline(self) -> OptimizerSettings:
        """How the supervised baseline is trained: as the first voter that trains all weights, or by default."""
        own = next((spec.train for spec in self.voters if spec.train.weights == "full"), None)
        fields = own.model_dump(include=set(OptimizerSettings.model_fields)) if own else {}
        return scheduled(OptimizerSettings(**fields), self.source.parameters)

    @property
    def baselines(self) -> Baselines:
        """What the method is compared with; what needs labels only where there are some."""
        wanted = bool(self.data.labeled) and self.config.run.baseline
        return Baselines(distinct_pvps(self.voters), self.held_out, self.baseline if wanted else None)

    @cached_property
    def rows(self) -> RunRows:
        """The rows as jobs ask for them."""
        pool = len(self.data.unlabeled)
        compared = rng_for(self.seed, "compare").choice(pool, size=min(COMPARED_ROWS, pool), replace=False)
        return RunRows(self.data, np.sort(compared), form_of(self.config, self.data))

    @cached_property
    def identity(self) -> dict[str, str]:
        """The digests that a run directory is checked against: one each of config, data, model and code.

        Paths are left out of the settings, for files count by what is in them, and so is what no job depends on.
        """
        left_out: dict[str, set[str]] = {}
        paths = ("data.train", "data.unlabeled", "data.test", "model.name", "prompts.registry")
        for name in (*paths, *ADDITIONS):
            section, _, key = name.partition(".")
            left_out.setdefault(section, set()).add(key)
        data, settings = self.data, self.config.model_dump(mode="json", exclude=left_out)
        return {
            "config": job_hash(settings=settings, pvps=[spec.pvp.key() for spec in self.voters]),
            "data": job_hash(
                labels=list(data.task.labels),
                columns=list(data.columns.items()),
                sets=[data_digest(rows) for rows in (data.labeled, data.unlabeled, data.test)],
            ),
            "model": self.source.digest,
            "code": code_digest(),
        }

    @property
    def base(self) -> dict[str, str]:
        """The digests that every job is named by."""
        return {name: self.identity[name] for name in ("data", "model", "code")}

    @property
    def tried(self) -> Tried:
        """What a trial tries, on a model of its own."""
        return Tried(self.config.run, self.voters, self.generations, self.data, self.model, self.base)

    @property
    def facts(self) -> dict[str, object]:
        """What `metrics.json` tells of the run from its beginning."""
        data, config = self.data, self.config
        return {
            "task": data.task.name,
            "labels": list(data.task.labels),
            "seed": self.seed,
            "rows": {"labeled": len(data.labeled), "unlabeled": len(data.unlabeled), "test": len(data.test)},
            **{name: getattr(config, name).model_dump(mode="json") for name in ("train", "distill", "ipet")},
        }

    @property
    def model(self) -> SharedModel:
        """The model that the voters share, not loaded yet; each kind of them is to be tried on it."""
        kinds = [spec for spec in self.voters if not spec.seed_index]
        return SharedModel(self.source, self.config.model, self.machine, self.config.prompts.multi_token, kinds)

    @property
    def probe(self) -> Probe:
        """What measures a few seconds of the work, on a model of its own."""
        return Probe(
            data=self.data,
            voters=self.voters,
            model=self.model,
            machine=self.machine,
            form=self.rows.form,
            student=self.config.distill,
            baseline=self.baselines.settings,
            seed=self.seed,
            self_trained=self.generations > 1 or not self.data.labeled,
        )

    @property
    def workload(self) -> Workload:
        """What is asked for, if no generation is rejected, and all of it done by one process."""
        config, pool = self.config, len(self.data.unlabeled)
        compared = len(self.rows.compared)
        return Workload(
            voters=tuple(map(VoterLoad.of, self.voters)),
            labels=len(self.data.task.labels),
            labeled=len(self.data.labeled),
            pool=pool,
            test=len(self.data.test),
            compared=compared,
            embedded=min(pool, max(compared, EMBEDDED_ROWS)),
            generation_rows=tuple(self.drawing.labeled_rows(number, number) for number in range(self.generations)),
            baseline=self.baselines.settings is not None,
            folds=int(self.baselines.folds.max(initial=-1)) + 1,
            baseline_steps=self.baseline.steps or 0,
            distill_steps=config.distill.steps or 0,
            distill_batch=config.distill.batch_size,
            distill_size=config.distill.size,
            adaptation=adaptation_load(config.adapt, config.model.max_length, pool),
            gold_rows=config.distill.gold_rows,
            keep_models=config.run.keep_models,
            weighed=config.ensemble.weighting == "accuracy" and bool(self.data.labeled),
        )


def shared_parts(config: RunConfig, base: Mapping[str, str], machine: Machine) -> dict[str, object]:
    """Return what every job depends on; `base` are digests of what is read."""
    return {
        "base": dict(base),
        "model": config.model.model_dump(mode="json", exclude={"name"}),
        "machine": [machine.device.type, machine.precision, machine.inference],
        "seed": config.run.seed,
        "multi_token": config.prompts.multi_token,
    }


def form_of(config: RunConfig, data: TaskData) -> ClassifierForm:
    """Return what the classifiers of a run read and say."""
    task = config.task
    return ClassifierForm(data.task.labels, data.columns, config.model.max_length, task.label_column, task.id_column)


def prepare(config: RunConfig, *, words: bool = True) -> Plan:
    """Read and check the data, the prompts and the model of a config, and fill its gaps; paths become absolute.

    Unless `words` is false, the words of the labels and the templates are tried with the tokenizer.

    Raises `UsageError` if something in them is wrong.
    """
    config = config.absolute()
    folders, name = config.prompts.registry, config.prompts.verbalizer
    patterns, verbalizer = load_patterns(folders), load_verbalizers(folders).get(name) if name else None
    data = load_task_data(config.task, config.data, config.run.seed, verbalizer.labels if verbalizer else ())
    quiet_transformers()
    source = find_model(config.model.name, config.model.revision)
    masked_lm_config(source)
    spoken = (verbalizer or Verbalizer.from_labels(data.task.labels)).for_labels(data.task.labels)
    voters = voter_specs(config.train, config.prompts, patterns, spoken, data.task, source.parameters)
    machine = Machine.pick(config.run)
    schedule = Schedule(config.ipet, config.ensemble.prior, data, len(voters))
    notes = (*schedule.notes, *voter_notes(config.prompts, patterns, voters, source.parameters))
    if config.run.precision == "bf16" != machine.precision:
        notes += ("this hardware does not multiply bfloat16: the run computes in float32",)
    resolved = {
        "task": config.task.model_copy(update={"labels": data.task.labels, "fields": dict(data.columns)}),
        "ipet": config.ipet.model_copy(update={"generations": schedule.generations}),
        # With tables of voters it stays as it is: they would take too much from one without gaps.
        "train": config.train if config.train.voters else voters[0].train,
        "distill": resolved_student(config.distill, source),
    }
    plan = Plan(config.model_copy(update=resolved), data, source, machine, voters, notes)
    if words:
        plan.model.try_prompts(data)
    return plan
