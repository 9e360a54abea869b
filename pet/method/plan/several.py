"""The plan of a run whose rows have several labels each: all that is named is read, checked, and frozen."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.dataset import TaskData, load_task_data
from pet.data.examples import Task
from pet.data.label_sets import label_matrix
from pet.data.names import name_parts
from pet.data.rows import Rows
from pet.errors import ConfigError
from pet.learners.models.encoder import find_encoder
from pet.learners.models.machine import Machine
from pet.learners.models.schedules import scheduled
from pet.learners.models.sources import ModelSource, find_model, masked_lm_config, quiet_transformers
from pet.learners.students.linear import takes_mean
from pet.learners.students.sizes import check_student
from pet.learners.voters.embedding import EmbeddingSpec
from pet.learners.voters.pairs import NO, YES, asked, check_pair_pattern, label_words_of, pair_task
from pet.learners.voters.shared import SharedModel
from pet.learners.voters.spec import VoterSpec, voter_specs
from pet.method.jobs import Jobs, RunRows
from pet.method.plan.opening import begun_log, shared_parts
from pet.method.plan.plan import COMPARED_ROWS, form_of
from pet.method.plan.readers import Readers, able_readers
from pet.method.sets import sets_digest
from pet.method.several.place import SetPlace
from pet.method.several.vote import GoldSets
from pet.prompts.descriptions import label_texts, name_as_words
from pet.prompts.registry import find_verbalizer, load_patterns
from pet.prompts.verbalizers import Verbalizer
from pet.runs.directory import RunDirectory
from pet.runs.identity import code_digest
from pet.runs.jobs import job_hash
from pet.runs.log import STARTED, failures_logged, tell
from pet.runs.progress import Stages
from pet.runs.runner import JobRunner
from pet.seeding import rng_for
from pet.settings.config import RunConfig, checked_config
from pet.settings.run import EnsembleSettings
from pet.settings.training import OptimizerSettings

USUAL_PATTERNS = ("labels/about", "labels/topic")
"""The patterns of a task with several labels per row that names none."""

_ANSWERS = {YES: ("Yes",), NO: ("No",)}


@dataclass(frozen=True)
class SetPlan:
    """A config without gaps, and everything that it names, read and checked.

    `words` are those that each label is asked about by, `label_texts` stand for labels; `notes` are what a person
    should know.
    """

    config: RunConfig
    data: TaskData
    source: ModelSource
    machine: Machine
    patterns: tuple[VoterSpec, ...]
    embedding: EmbeddingSpec | None
    words: tuple[str, ...]
    label_texts: Mapping[str, Sequence[str]]
    notes: tuple[str, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """All that a person should know before the run."""
        return (*self.data.messages, *self.notes)

    @cached_property
    def gold(self) -> GoldSets:
        """The labels of the labeled rows, and which voter each is kept from."""
        given = label_matrix(self.data.labeled, self.data.task.labels)
        return GoldSets.of(given, len(self.patterns), rng_for(self.config.run.seed, "folds"))

    @property
    def model(self) -> SharedModel:
        """The model that the voters with patterns share, not loaded yet."""
        kinds = [spec for spec in self.patterns if not spec.seed_index]
        return SharedModel(self.source, self.config.model, self.machine, self.config.prompts.multi_token, kinds)

    @cached_property
    def rows(self) -> RunRows:
        """The rows as jobs ask for them."""
        pool, task = len(self.data.unlabeled), self.config.task
        compared = rng_for(self.config.run.seed, "compare").choice(pool, size=min(COMPARED_ROWS, pool), replace=False)
        form = replace(form_of(self.config, self.data), label_separator=task.label_separator)
        return RunRows(self.data, np.sort(compared), form, self.label_texts)

    @cached_property
    def base(self) -> dict[str, str]:
        """The digests that every job is named by."""
        return {"data": sets_digest(self.data), "model": self.source.digest, "code": code_digest()}

    @cached_property
    def identity(self) -> dict[str, str]:
        """The digests that a run directory is checked against; files count by what is in them, not by their paths."""
        left_out: dict[str, Any] = {
            "data": {*self.config.data.SOURCES},
            "model": {"name"},
            "encoder": {"name"},
            "prompts": {"registry"},
            "run": {"keep_models", "workers", "report_to"},
        }
        settings = self.config.model_dump(mode="json", exclude=left_out)
        encoder = self.embedding.source.digest if self.embedding else ""
        pvps = [spec.pvp.key() for spec in self.patterns]
        return {**self.base, "config": job_hash(settings=settings, pvps=pvps, words=self.words, encoder=encoder)}

    @property
    def baseline(self) -> OptimizerSettings | None:
        """How the supervised baseline is trained, where one is wanted and there are rows for it."""
        if self.config.run.baseline is not True or not self.data.labeled:
            return None
        own = next((spec.train for spec in self.patterns if spec.train.weights == "full"), None)
        fields = own.model_dump(include=set(OptimizerSettings.model_fields)) if own else {}
        return scheduled(OptimizerSettings(**fields), self.source.parameters)

    @property
    def facts(self) -> dict[str, object]:
        """What `metrics.json` tells of the run from its beginning."""
        data, config = self.data, self.config
        return {
            "task": data.task.name,
            "labels": list(data.task.labels),
            "multi_label": True,
            "seed": config.run.seed,
            "rows": {"labeled": len(data.labeled), "unlabeled": len(data.unlabeled), "test": len(data.test)},
            **{name: getattr(config, name).model_dump(mode="json") for name in ("train", "distill")},
        }


def prepare_several(config: RunConfig) -> SetPlan:
    """Read and check the data, the prompts and the models of a config whose rows have several labels each.

    Raises `UsageError` if something in them is wrong, or a setting is one that such rows do not have.
    """
    config = checked_config(config).absolute()
    _refuse_what_is_not_done(config)
    given = find_verbalizer(config.prompts)
    named = {label: words for label, words in given.words.items() if label not in _ANSWERS} if given else {}
    data = load_task_data(config.task, config.data, config.run.seed, tuple(named))
    labels = data.task.labels
    words = {label: (" ".join(map(name_as_words, name_parts(label))),) for label in labels} | _of_labels(named, labels)
    quiet_transformers()
    source = find_model(config.model.name, config.model.revision)
    masked_lm_config(source)
    encoder = find_encoder(config.encoder.name, config.encoder.revision) if config.encoder.wanted else None
    if config.train.is_fast and config.distill.size == "auto" and encoder and takes_mean(encoder.config):
        config = config.model_copy(update={"distill": config.distill.model_copy(update={"size": "logistic"})})
    check_student(config.distill, source, encoder)
    config, voters = _with_voters(config, data.task, given, source.parameters)
    on_vectors = (EmbeddingSpec(encoder),) if encoder and config.train.embedding else ()
    if not voters and not on_vectors:
        raise ConfigError("There is no voter: set [encoder] name and train.embedding = true, or leave out --fast.")
    able = able_readers(Readers(voters, on_vectors, encoder), source, data.unlabeled)
    task = config.task.model_copy(update={"labels": labels, "fields": dict(data.columns)})
    plan = SetPlan(
        config=config.model_copy(update={"task": task}),
        data=data,
        source=source,
        machine=Machine.pick(config.run),
        patterns=able.patterns,
        embedding=able.embeddings[0] if able.embeddings else None,
        words=label_words_of(words, labels),
        label_texts=label_texts(labels, words, data.task.descriptions),
        notes=able.notes,
    )
    question = asked(data.unlabeled[0], max(plan.words, key=len))
    plan.model.try_prompts(replace(data, labeled=(), unlabeled=Rows.of([question]), test=Rows.of(())))
    return plan


def _with_voters(
    config: RunConfig, task: Task, given: Verbalizer | None, parameters: int
) -> tuple[RunConfig, tuple[VoterSpec, ...]]:
    """Return the voters that ask about labels, and the config without gaps for them; none for a fast run.

    The words of yes and no are those that were `given`, in English where they were not.
    """
    if config.train.is_fast:
        return config, ()
    words = {name: given.words.get(name, usual) if given else usual for name, usual in _ANSWERS.items()}
    prompts = config.prompts.model_copy(update={"patterns": config.prompts.patterns or USUAL_PATTERNS})
    patterns, answers = load_patterns(prompts.registry), Verbalizer("labels/yes-no", words)
    voters = voter_specs(config.train, prompts, patterns, answers, pair_task(task), parameters)
    for spec in voters:
        check_pair_pattern(spec.pvp)
    return config.model_copy(update={"prompts": prompts, "train": voters[0].train}), voters


def _of_labels(named: Mapping[str, tuple[str, ...]], labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return words that were given for labels of the task; any other is refused as a verbalizer's is."""
    if named:
        Verbalizer("prompts.words", named).for_labels([label for label in labels if label in named])
    return dict(named)


def _refuse_what_is_not_done(config: RunConfig) -> None:
    """Refuse settings that change nothing where rows have several labels: a ConfigError names the first."""
    ignored = {
        "ipet.generations = 1, one ensemble": config.ipet.generations != 1,
        "no [[votes]] of somebody else": bool(config.votes),
        "no [[train.voters]] tables": bool(config.train.voters),
        'adapt.method = "none"': config.adapt.method != "none",
        'train.contrastive = false or "auto"': config.train.contrastive is True,
        "[ensemble] as it is by default": config.ensemble != EnsembleSettings(),
        'refine.method = "auto" or "none"': config.refine.method == "graph",
        "no data.reviewed": bool(config.data.reviewed),
        "no run.report_to": bool(config.run.report_to),
        'distill.size = "auto", "same", "small" or "logistic"': config.distill.size == "static",
    }
    if wrong := next((expected for expected, found in ignored.items() if found), None):
        raise ConfigError(
            f"With [task] multi_label = true a run has {wrong}, found something else: leave that setting out."
        )


@contextmanager
def open_several(
    plan: SetPlan, output_dir: str | Path | None, *, force: bool = False, quiet: bool = False
) -> Iterator[SetPlace]:
    """Open the directory of a run whose rows have several labels each.

    Raises `PetError` if the directory holds something else, or another process works in it.
    """
    root = Path(output_dir) if output_dir else Path("runs") / plan.data.task.name
    opened = RunDirectory.open(root, plan.config.to_toml(), plan.identity, force)
    with opened as directory, failures_logged(directory.log_path):
        directory.remove_drafts()
        log = begun_log(directory, plan.messages, plan.data.rejected, quiet=quiet)
        voters = len(plan.patterns) + (plan.embedding is not None)
        pool, k = len(plan.data.unlabeled), len(plan.words)
        log.detail(f"{STARTED}{voters} voters, {pool} rows to label")
        if plan.patterns:
            log.say(
                f"each of {len(plan.patterns)} patterns asks about {k} labels of {pool} rows, {k * pool:,} questions"
            )
        # Vectors, and the classifier; the baseline comes on top.
        stages = voters + 2 + (plan.baseline is not None)
        runner = JobRunner(
            directory.store(log),
            shared_parts(plan.config, plan.base, plan.machine),
            Stages(stages, False if quiet else None, None if quiet else tell),
            log.detail,
        )
        encoder = plan.embedding.source if plan.embedding else None
        model = replace(plan.model, tokens=directory.tokens)
        seed, keep = plan.config.run.seed, plan.config.run.keep_models
        jobs = Jobs(plan.rows, model, plan.machine, runner, seed, keep, encoder)
        yield SetPlace(directory, log, jobs, plan.config.distill, plan.facts, plan.baseline, force)
