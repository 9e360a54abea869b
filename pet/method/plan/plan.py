"""`Plan`: a config with everything it names, read and checked, and the part of it that each stage takes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.dataset import TaskData, load_task_data
from pet.data.outside import load_votes
from pet.forecast.probe import Probe
from pet.forecast.workload import EncoderLoad, VoterLoad, Workload, adaptation_load, token_cost
from pet.labeling.growth import Growth
from pet.learners.models.encoder import find_encoder
from pet.learners.models.machine import Machine
from pet.learners.models.schedules import scheduled, scheduled_student
from pet.learners.models.sources import ModelSource, find_model, language_model_config, quiet_transformers
from pet.learners.models.trimming import cut_weights
from pet.learners.students.base import ClassifierForm
from pet.learners.students.linear import MOST_ROWS, takes_mean
from pet.learners.students.sizes import check_student, student_sources
from pet.learners.voters.contrastive import rows_learned
from pet.learners.voters.embedding import AnySpec, EmbeddingSpec, embedding_specs
from pet.learners.voters.outside import OutsideSpec
from pet.learners.voters.shared import SharedModel
from pet.learners.voters.spec import VoterSpec, distinct_pvps, voter_notes, voter_specs
from pet.method.compare import EMBEDDED_ROWS, Baselines
from pet.method.draw import Drawing
from pet.method.ensemble import Rules
from pet.method.jobs import RunRows
from pet.method.judge import Guards
from pet.method.metrics import gold_columns
from pet.method.plan.choices import candidate_notes, for_choices, strata
from pet.method.plan.folds import folds_of, kept_from, no_folds, out_of_fold
from pet.method.plan.gaps import with_student, without_gaps
from pet.method.plan.readers import Readers, able_readers, check_adaptation
from pet.method.refine import Refinement
from pet.method.schedule import Schedule, plan_prior
from pet.method.sets import reviewed, sets_digest
from pet.method.trial import Tried
from pet.prompts.descriptions import label_texts
from pet.prompts.registry import find_verbalizer, load_patterns, load_verbalizers
from pet.prompts.verbalizers import Verbalizer
from pet.runs.identity import code_digest
from pet.runs.jobs import job_hash
from pet.runs.manifest import ADDITIONS
from pet.seeding import rng_for
from pet.settings.config import RunConfig, checked_config
from pet.settings.training import DistillSettings, OptimizerSettings

COMPARED_ROWS = 500
"""Every way to label is compared with the ensemble on so many rows of the pool."""


@dataclass(frozen=True)
class Plan:
    """A config without gaps, and everything that it names, read and checked. Nothing is trained yet.

    Each stage takes the part that is its own. `patterns` are the voters that read rows with one, `embeddings` those on
    the vectors of an encoder, `outside` those of somebody else; `encoder` is what else is done by vectors with.
    `label_texts` stand for labels. `machine` is as the settings ask for it, `notes` are what a person should know.
    """

    config: RunConfig
    data: TaskData
    source: ModelSource
    machine: Machine
    patterns: tuple[VoterSpec, ...]
    embeddings: tuple[EmbeddingSpec, ...] = ()
    encoder: ModelSource | None = None
    outside: tuple[OutsideSpec, ...] = ()
    label_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """All that a person should know before the run."""
        found = [*self.data.messages, *self.notes]
        if self.config.run.precision == "bf16" != self.machine.precision:
            found.append("this hardware does not multiply bfloat16: the run computes in float32")
        if self.holds_out and len(self.gold) and len(self.voters) > 1 and not self.out_of_fold.any():
            found.append("a label has a single labeled row, so none is held out: all families of voters weigh the same")
        return tuple(found)

    @property
    def seed(self) -> int:
        """What every draw of the run follows from."""
        return self.config.run.seed

    @property
    def voters(self) -> tuple[AnySpec, ...]:
        """All voters, in the order of their votes."""
        return (*self.patterns, *self.embeddings, *self.outside)

    @property
    def quickest(self) -> "Plan | None":
        """The plan of the voters that take seconds, where there are others: their labels are the first ones."""
        quick = tuple(spec for spec in self.embeddings if spec.learner == "embedding")
        return (
            replace(self, patterns=(), embeddings=quick)
            if 0 < len(quick) < len(self.voters) - len(self.outside)
            else None
        )

    @property
    def generations(self) -> int:
        """The ensembles to train."""
        return int(self.config.ipet.generations)

    @cached_property
    def gold(self) -> np.ndarray:
        """The columns of the labeled rows, int64 [n]."""
        return gold_columns(self.data.labeled, self.data.task.labels)

    @property
    def holds_out(self) -> bool:
        """Whether gold rows are kept from voters' sets: to judge generations, or for temperatures and weights."""
        wanted, ensemble = self.config.ipet.held_out, self.config.ensemble
        needed = self.generations > 1 or ensemble.mean == "calibrated" or ensemble.weighting == "auto"
        return bool(needed if wanted == "auto" else wanted)

    @cached_property
    def _folds(self) -> np.ndarray:
        """The fold of each gold row, int64 [n], the same for its copies; -1 where none are kept from anyone."""
        return (
            folds_of(strata(self.gold, self.config), self.data.labeled, rng_for(self.seed, "folds"))
            if self.holds_out
            else no_folds(self.gold)
        )

    @property
    def held_out(self) -> np.ndarray:
        """Which gold rows are kept from which pattern's sets, bool [m, n]: a fold each with its copies, or none."""
        return self.kept_from[: len(self.patterns)]

    @cached_property
    def kept_from(self) -> np.ndarray:
        """Which gold rows are kept from which voter's sets, bool [m, n]: a fold each with its copies, or none."""
        return kept_from(self.voters, self._folds)

    @cached_property
    def out_of_fold(self) -> np.ndarray:
        """Of which gold rows each voter speaks without having learned from them, bool [m, n]."""
        return out_of_fold(self.voters, self.kept_from, self.gold, self.holds_out)

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
        return Drawing(self.config.ipet, growth, self.kept_from, self.voters, pool, labels, self.seed)

    @cached_property
    def rules(self) -> Rules:
        """How scores become votes."""
        return Rules(self.config.ensemble, self.prior, self.gold, self.out_of_fold)

    @cached_property
    def refinement(self) -> Refinement:
        """How the ensemble's labels are refined on the pool."""
        return Refinement(self.config.refine, self.encoder, self.gold, self.out_of_fold)

    @cached_property
    def guards(self) -> Guards:
        """What generations are judged by."""
        return Guards(
            labels=self.data.task.labels,
            prior=self.prior,
            pool=len(self.data.unlabeled),
            gold=self.gold,
            held_out=self.out_of_fold,
            several=self.generations > 1,
            accept_all=self.config.ipet.accept_all,
        )

    @cached_property
    def baseline(self) -> OptimizerSettings:
        """How the supervised baseline is trained: as the first voter that trains all weights, or by default."""
        own = next((spec.train for spec in self.patterns if spec.train.weights == "full"), None)
        fields = own.model_dump(include=set(OptimizerSettings.model_fields)) if own else {}
        return scheduled(OptimizerSettings(**fields), self.source.parameters)

    @property
    def baselines(self) -> Baselines:
        """What the method is compared with; what needs labels only where there are some."""
        wanted, labeled = self.config.run.baseline, bool(self.data.labeled)
        pvps, settings = (distinct_pvps(self.patterns), self.baseline) if wanted is True else ((), None)
        if self.config.task.choices:  # untrained scores and vectors are calibrated, and learned, by label
            pvps, wanted = (), False
        on_vectors = labeled and (wanted is True or (wanted == "auto" and self.encoder is not None))
        return Baselines(pvps, self.held_out, settings if labeled else None, on_vectors, self.generations > 1)

    @cached_property
    def rows(self) -> RunRows:
        """The rows as jobs ask for them."""
        pool = len(self.data.unlabeled)
        compared = rng_for(self.seed, "compare").choice(pool, size=min(COMPARED_ROWS, pool), replace=False)
        return RunRows(self.data, np.sort(compared), form_of(self.config, self.data), self.label_texts)

    @cached_property
    def identity(self) -> dict[str, str]:
        """The digests that a run directory is checked against: one each of config, data, model and code.

        Paths are left out of the settings, for files count by what is in them, and so is what no job depends on. What
        people have labeled since the sets were drawn makes no other run of it.
        """
        left_out: dict[str, Any] = {
            "train": {"voters": {"__all__": {"model"}}},
            "data": {*self.config.data.SOURCES},
            "votes": True,
        }
        paths = ("model.name", "encoder.name", "prompts.registry")
        for section, key in (name.split(".") for name in (*paths, *ADDITIONS) if "." in name):
            left_out.setdefault(section, set()).add(key)
        settings = self.config.model_dump(mode="json", exclude=left_out)
        encoders = sorted({spec.source.digest for spec in self.embeddings} | {getattr(self.encoder, "digest", "")})
        return {
            "config": job_hash(settings=settings, pvps=[spec.pvp.key() for spec in self.patterns], encoders=encoders),
            "data": sets_digest(self.data.drawn),
            "model": self.source.digest,
            "code": code_digest(),
        }

    @property
    def base(self) -> dict[str, str]:
        """The digests that every job is named by; the data are the sets as they are now."""
        return {"data": sets_digest(self.data), **{name: self.identity[name] for name in ("model", "code")}}

    @property
    def tried(self) -> Tried:
        """What a trial tries, on a model of its own; labels that people have given since change nothing of it."""
        base = self.base | {"data": self.identity["data"]}
        return Tried(self.config.run, self.patterns, self.generations, self.data, self.model, base)

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
        kinds = [spec for spec in self.patterns if not spec.seed_index]
        return SharedModel(self.source, self.config.model, self.machine, self.config.prompts.multi_token, kinds)

    @property
    def _student(self) -> DistillSettings:
        """The final classifier's settings without gaps: it trains until it agrees, most often about as long."""
        # The encoder of a run is as small as its voters' model, once its vocabulary is cut.
        return scheduled_student(self.config.distill, student_sources(self.config.distill, self.source)[0].parameters)

    @property
    def probe(self) -> Probe:
        """What measures a few seconds of the work, on a model of its own."""
        return Probe(
            data=self.data,
            voters=self.patterns,
            model=self.model,
            machine=self.machine,
            form=self.rows.form,
            student=self._student,
            baseline=self.baselines.settings,
            seed=self.seed,
            self_trained=self.generations > 1 or not self.data.labeled,
        )

    @property
    def _encoders(self) -> tuple[EncoderLoad, ...]:
        """What embeds the rows, each with its voters."""
        named = (self.encoder, *(spec.source for spec in self.embeddings))
        sources = {source.digest: source for source in named if source}
        drawn = [int(self.drawing.growth.wanted(number).sum()) if number else 0 for number in range(self.generations)]
        learned = tuple(rows_learned(len(self.gold) + rows, self.rows.letters) for rows in drawn)

        def load(source: ModelSource) -> EncoderLoad:
            own = [spec for spec in self.embeddings if spec.source.digest == source.digest]
            vectors, tuned = (
                tuple(spec.name for spec in own if spec.learner == learner) for learner in ("embedding", "contrastive")
            )
            cost = token_cost(source.config) / token_cost(self.source.config)
            hidden, pieces = (int(getattr(source.config, name, 0)) for name in ("hidden_size", "vocab_size"))
            size = (cut_weights(source), hidden, pieces, int(getattr(source.config, "num_hidden_layers", 1)))
            return EncoderLoad(Path(source.name).name, cost, vectors, tuned, learned, *size)

        return tuple(map(load, sources.values()))

    @property
    def workload(self) -> Workload:
        """What is asked for, if no generation is rejected, and all of it done by one process."""
        config, pool = self.config, len(self.data.unlabeled)
        start, compared = student_sources(config.distill, self.source, self.encoder)[0], len(self.rows.compared)
        cost = token_cost(start.config) / token_cost(self.source.config)
        learned = pool + (len(self.data.labeled) if config.distill.gold_rows else 0)
        fitted = takes_mean(start.config) and config.distill.size != "static"
        filled = dict.fromkeys((spec.pvp.name for spec in self.patterns), self.drawing.labeled_rows(0, 0))
        return Workload(
            voters=tuple(VoterLoad.of(spec, len(self.gold)) for spec in self.patterns),
            encoders=self._encoders,
            labels=len(self.data.task.labels),
            labeled=len(self.data.labeled),
            pool=pool,
            test=len(self.data.test),
            compared=compared,
            embedded=min(pool, max(compared, EMBEDDED_ROWS)),
            generation_rows=tuple(self.drawing.labeled_rows(number, number) for number in range(self.generations)),
            baseline=self.baselines.settings is not None,
            untrained=bool(self.baselines.pvps),
            first_labels=self.quickest is not None,
            folds=int(self.baselines.folds.max(initial=-1)) + 1 if self.baselines.refitted else 0,
            baseline_steps=self.baseline.steps or 0,
            distill_steps=0 if config.distill.size == "logistic" else round(cost * (self._student.steps or 0)),
            distill_embedded=round(cost * min(learned, MOST_ROWS)) if fitted else 0,
            known=fitted and start is self.encoder,
            distill_batch=config.distill.batch_size,
            distill_size=config.distill.size,
            adaptation=adaptation_load(config.adapt, config.model.max_length, pool, filled),
            gold_rows=config.distill.gold_rows,
            keep_models=config.run.keep_models,
            weighed=config.ensemble.weighting == "accuracy" and bool(self.data.labeled),
        )


def form_of(config: RunConfig, data: TaskData) -> ClassifierForm:
    """Return what the classifiers of a run read and say."""
    task, model = config.task, config.model
    about = (data.task.labels, data.columns, model.max_length, task.label_column, task.id_column)
    return ClassifierForm(*about, truncation=model.truncation, windows=model.windows)


def prepare(config: RunConfig, *, words: bool = True) -> Plan:
    """Read and check the data, the prompts and the model of a config, and fill its gaps; paths become absolute.

    Unless `words` is false, the words of the labels and the templates are tried with the tokenizer, and voters that
    cannot read the texts are left out.

    Raises `UsageError` if something in them is wrong, or the config is none.
    """
    config = for_choices(checked_config(config).absolute())
    prompts = config.prompts
    patterns, verbalizer = load_patterns(prompts.registry), find_verbalizer(prompts)
    drawn = load_task_data(config.task, config.data, config.run.seed, verbalizer.labels if verbalizer else ())
    data = reviewed(drawn, config.data)
    outside = tuple(OutsideSpec(votes) for votes in load_votes(config.votes, data, config.task))
    quiet_transformers()
    source = find_model(config.model.name, config.model.revision)
    language_model_config(source)
    encoder = find_encoder(config.encoder.name, config.encoder.revision) if config.encoder.wanted else None
    config = with_student(config, encoder)
    check_student(config.distill, source, encoder)
    named = Verbalizer.of_choices if config.task.choices else Verbalizer.from_labels
    spoken = verbalizer or named(data.task.labels)
    spoken = spoken.for_labels(data.task.labels, load_verbalizers(config.prompts.registry))
    voters = voter_specs(config.train, config.prompts, patterns, spoken, data.task, source.parameters)
    counts = Counter(str(row.label) for row in data.labeled)
    specs = embedding_specs(config.train, encoder, [counts[label] for label in data.task.labels] if counts else ())
    able = Readers(voters, specs, encoder)
    able = able_readers(able, source, data.unlabeled) if words else able
    check_adaptation(config.adapt, able, source)
    schedule = Schedule(config.ipet, config.ensemble.prior, drawn, len(able.patterns) + len(able.embeddings))
    asked = voter_notes(config.prompts, patterns, voters, data.task, source.parameters) + candidate_notes(config)
    plan = Plan(
        config=without_gaps(config, data, voters, schedule.generations),
        data=data,
        source=source,
        machine=Machine.pick(config.run),
        patterns=able.patterns,
        embeddings=able.embeddings,
        encoder=able.encoder,
        outside=outside,
        label_texts=label_texts(data.task.labels, spoken.words, data.task.descriptions),
        notes=(*able.notes, *schedule.notes, *asked, *(str(spec.votes) for spec in outside)),
    )
    if words:
        plan.model.try_prompts(data)
    return plan
