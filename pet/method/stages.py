"""The jobs of a run: what each is a function of, what it leaves in its folder, and how that is read again.

    zero-shot/<pvp>    scores of the untrained model on the labeled rows, a sample of the pool, and the test rows
    voter/<voter>      a trained voter's scores on rows of the pool (in shards), the gold rows and the test rows; of
                       generation 1 and later as generation-<g>/voter/<voter>
    embeddings         mean-pooled embeddings of the labeled rows, a sample of the pool, and the test rows
    supervised         the baseline classifier's probabilities; of those that leave out gold rows, on these
    distill            the final classifier and its probabilities on the compared rows and the test rows

What they leave is described in `pet.runs.results`. Models are loaded when the first job needs them, so that a finished
run starts and ends at once.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.dataset import data_digest
from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.embeddings import mean_pooled
from pet.learners.models.machine import give_back_memory
from pet.learners.models.sources import ModelSource, model_digest
from pet.learners.models.training import TrainLog
from pet.learners.students.base import Student
from pet.learners.students.sizes import new_student
from pet.learners.voters.pvp import Voter
from pet.learners.voters.saved import save_voter
from pet.learners.voters.spec import VoterSpec
from pet.method.inputs import EMBEDDED_ROWS, StageInputs, TrainingSet
from pet.prompts.pvp import PVP
from pet.runs.executors.processes import Crew
from pet.runs.identity import pvp_key
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.progress import Stages, stage_progress
from pet.runs.results import Arrays, Work, read_results, write_results
from pet.runs.shards import PoolScores
from pet.seeding import derive_seed, rng_for
from pet.settings.training import DistillSettings, OptimizerSettings, StudentSize
from pet.settings.variants import PET, VariantSettings

__all__ = ["Workbench"]


@dataclass
class Workbench:
    """Does the jobs of a run, each once; finished ones are read from the store. `note` hears of every job done.

    `work` counts what each cost, by key; `seconds` is what those done now took, by name; `voter_jobs` are the keys of
    the voters' jobs, by name. `untried` voters are put on the model before the first is trained, so that one that does
    not fit it is refused at once. Token ids are kept in the folder `tokens`; a `crew` may do voters ahead.
    """

    inputs: StageInputs
    store: JobStore
    stages: Stages = field(default_factory=lambda: Stages(0))
    note: Callable[[str], None] = lambda _: None
    untried: list[VoterSpec] = field(default_factory=list)
    tokens: Path | None = None
    crew: Crew | None = None
    work: dict[str, Work] = field(default_factory=dict, init=False, repr=False)
    seconds: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    voter_jobs: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _found: dict[str, Arrays] = field(default_factory=dict, init=False, repr=False)

    def zero_shot(self, pvp: PVP) -> Arrays:
        """Return raw scores of the untrained PVP: `labeled`, `pool` (the compared rows) and `test`, each [n, k]."""

        def work(folder: Path) -> None:
            data = self.inputs.data
            parts = {"labeled": data.labeled, "pool": self.inputs.pool_sample, "test": data.test}
            with self.stages.stage(f"zero-shot {pvp.name}", sum(map(len, parts.values()))) as advance:
                voter = self.voter(pvp)
                write_results(folder, {name: voter.scores(rows, advance) for name, rows in parts.items()})

        return self._arrays(self.zero_shot_job(pvp), work)

    def vote(self, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> Arrays:
        """Return raw scores of a voter trained on a set: `pool` (its `rows`, int64), `gold`, `content_free`, `test`.

        An empty set leaves the pretrained model as it is. Its weights are dropped once it has voted, unless the run
        keeps its models. The scores of a large pool are written as they come (see `pet.runs.shards`).
        """
        inputs, data = self.inputs, self.inputs.data
        job = self.voter_job(spec, training, rows, generation)
        self.voter_jobs[job.name] = job.key
        pool = PoolScores(self.store, job, data.unlabeled.take(rows))

        def work(folder: Path) -> None:
            parts = {"gold": data.labeled, "content_free": inputs.content_free, "test": data.test}
            name = f"training and voting {spec.name}" + (f", generation {generation}" if generation else "")
            steps = (spec.train.steps or 0) * (spec.train.restarts or 1) if len(training) else 0
            with self.stages.stage(name, steps + len(rows) + sum(map(len, parts.values()))) as advance:
                self.try_on()
                voter, log = self.voter(spec.pvp), TrainLog(())
                if len(training):
                    voter = self.voter(spec.prompt, spec.train)
                    rng = rng_for(inputs.seed, "train", spec.kind, spec.seed_index, generation)
                    log = voter.train(training.examples(data), spec.train, rng, data.unlabeled, advance)
                # With nothing to learn from, the pretrained model votes as it is, on the pattern's own words.
                pool.write(folder, lambda part: voter.scores(part, advance), advance)
                scores = {part: voter.scores(examples, advance) for part, examples in parts.items()}
                facts = voter.facts(inputs.pool_sample)
                self.note(f"{job.name}: {json.dumps(facts)}")
                write_results(folder, scores, log, facts, len(rows))
                if inputs.keep_models and len(training):
                    save_voter(voter, folder / "model")

        arrays = self._arrays(job, work)
        pool.tidy()
        # Read anew each time: who asked for the scores of a whole pool holds them, and nobody else.
        return {"pool": pool.read(), **arrays}

    def vote_ahead(self, given: Sequence[tuple[VoterSpec, TrainingSet, np.ndarray, int]]) -> None:
        """Let the crew, if there is one, do what `vote` will be asked for, side by side."""
        missing = [one for one in given if not self.store.done(self.voter_job(*one))]
        if self.crew is None or not missing:
            return
        self.try_on()
        self.put_model_away()  # each of the crew has one of its own
        rows = sum(len(one[2]) + len(self.inputs.data.labeled) + len(self.inputs.data.test) for one in missing)
        steps = sum((spec.train.steps or 0) * (spec.train.restarts or 1) for spec, *_ in missing)
        first = self.stages.started + 1
        name = f"jobs {first} to {first + len(missing) - 1} of {self.stages.total}: {len(missing)} voters side by side"
        with stage_progress(name, rows + steps, self.stages.enabled) as advance:

            def hear(kind: str, content: Any) -> None:
                (advance if kind == "advance" else self.note)(content)

            started = time.monotonic()
            self.crew.do([("vote", one) for one in missing], hear)
            for one in missing:  # all at the same time: to each its share
                self.took(self.voter_job(*one), (time.monotonic() - started) / len(missing))

    def embeddings(self) -> Arrays:
        """Return mean-pooled embeddings of the pretrained encoder: `labeled`, `pool` and `test`, each [n, h].

        The pool's are those of the compared rows and of others, up to `EMBEDDED_ROWS`.
        """
        inputs, data = self.inputs, self.inputs.data
        others = np.setdiff1d(np.arange(len(data.unlabeled)), inputs.compared)
        more = min(len(others), max(0, EMBEDDED_ROWS - len(inputs.compared)))
        chosen = rng_for(inputs.seed, "embeddings").choice(others, size=more, replace=False)
        pool = data.unlabeled.take(np.concatenate([inputs.compared, chosen]))

        def work(folder: Path) -> None:
            parts = {"labeled": data.labeled, "pool": pool, "test": data.test}
            with self.stages.stage("embeddings", sum(map(len, parts.values()))) as advance:
                self._masked_lm.reset()
                form, machine = inputs.form, inputs.machine
                arrays = {
                    part: mean_pooled(self._masked_lm, rows, form.columns, form.max_length, machine, advance)
                    for part, rows in parts.items()
                }
                write_results(folder, arrays)

        return self._arrays(self._job("embeddings", compared=inputs.compared.tolist()), work)

    def supervised(self, kept: np.ndarray | None = None) -> Arrays:
        """Return probabilities of the baseline: same model, rows and steps, a classification head, no patterns.

        `pool` (the compared rows) and `test`; with only the `kept` gold rows (int64) to learn from, `gold`.
        """
        inputs, data = self.inputs, self.inputs.data
        rows = np.arange(len(data.labeled)) if kept is None else kept
        targets = np.eye(len(data.task.labels), dtype=np.float32)[inputs.gold[rows]]
        lesson = _Lesson([data.labeled[i] for i in rows], targets, inputs.baseline, inputs.source)
        parts = {"gold": data.labeled} if kept is not None else None

        def work(folder: Path) -> None:
            self._classify(folder, "supervised baseline", lesson, parts)

        return self._arrays(self._supervised_job(kept), work)

    def distill(
        self, examples: Sequence[Example], probs: np.ndarray, settings: DistillSettings, source: ModelSource
    ) -> tuple[Path, Arrays]:
        """Train the final classifier on soft labels [n, k]; return its folder and its probabilities."""
        lesson = _Lesson(examples, probs, settings, source, settings.temperature, settings.size)
        job = self.distill_job(lesson)

        def work(folder: Path) -> None:
            self._classify(folder, "distilling", lesson).save(folder / "model")

        return self.store.path(job) / "model", self._arrays(job, work)

    def zero_shot_job(self, pvp: PVP) -> Job:
        """Name the zero-shot job of a PVP by what it depends on."""
        return self._job(f"zero-shot/{pvp.name}", pvp=pvp_key(pvp), compared=self.inputs.compared.tolist())

    def voter_job(self, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> Job:
        """Name the job of a voter by what it depends on."""
        return self._job(
            (f"generation-{generation}/" if generation else "") + f"voter/{spec.name}",
            pvp=pvp_key(spec.prompt),
            seed_index=spec.seed_index,
            train=spec.train.model_dump(mode="json", exclude={"seeds", "voters"}),
            set=job_hash(**training.key()),
            rows=_sha256(rows.astype(np.int64, copy=False)),
            generation=generation,
        )

    def _supervised_job(self, kept: np.ndarray | None) -> Job:
        train = self.inputs.baseline.model_dump(mode="json")
        compared = self.inputs.compared.tolist()
        return self._job("supervised", train=train, compared=compared, kept=None if kept is None else kept.tolist())

    def distill_job(self, lesson: "_Lesson") -> Job:
        """Name the job of the final classifier by what it depends on."""
        return self._job(
            "distill",
            rows=data_digest(lesson.examples),
            probs=_sha256(lesson.targets.astype(np.float32, copy=False)),
            settings=lesson.settings.model_dump(mode="json"),
            source=model_digest(lesson.source.folder),
            compared=self.inputs.compared.tolist(),
        )

    def _job(self, name: str, **parts: object) -> Job:
        inputs = self.inputs
        shared = {
            "base": dict(inputs.base),
            "model": inputs.model.model_dump(mode="json", exclude={"name"}),
            "machine": [inputs.machine.device.type, inputs.machine.precision, inputs.machine.inference],
            "seed": inputs.seed,
            "multi_token": inputs.multi_token,
        }
        return Job(name, job_hash(name=name, shared=shared, **parts))

    def _arrays(self, job: Job, work: Callable[[Path], None]) -> Arrays:
        if job.key not in self._found:
            done, started = self.store.done(job), time.monotonic()
            if done:
                self.stages.skip()
            folder = self.store.run(job, work)
            self._found[job.key], self.work[job.key] = read_results(folder)
            if not done:
                self.took(job, time.monotonic() - started)
                self.note(f"job {job.name} ({job.key}) done in {time.monotonic() - started:.1f} s")
        return self._found[job.key]

    def took(self, job: Job, seconds: float) -> None:
        """Take down what a job took."""
        self.seconds[job.name] = self.seconds.get(job.name, 0.0) + seconds

    @cached_property
    def _masked_lm(self) -> Backbone:
        backbone = Backbone.masked_lm(self.inputs.source, self.inputs.machine.device)
        if self.tokens:
            self.tokens.mkdir(exist_ok=True)
            backbone.pieces.keep_in(self.tokens)
        return backbone

    def put_model_away(self) -> None:
        """Give back the memory of the model; it is loaded again when a job needs it."""
        self.__dict__.pop("_masked_lm", None)
        give_back_memory()

    def try_on(self) -> None:
        """Put the untried voters on the model, each once; a ModelError tells of one that does not fit."""
        while self.untried:
            spec = self.untried.pop()
            parts = self.voter(spec.prompt, spec.train).new_parts()
            self._masked_lm.wear(parts.delta)

    def voter(self, pvp: PVP, variant: VariantSettings = PET) -> Voter:
        """Return an untrained voter on the one backbone of this workbench."""
        inputs = self.inputs
        return Voter(self._masked_lm, pvp, inputs.model, inputs.machine, inputs.multi_token, variant)

    def _classify(
        self, folder: Path, name: str, lesson: "_Lesson", parts: Mapping[str, Sequence[Example]] | None = None
    ) -> Student:
        """Train a classifier and leave its probabilities on the parts: the compared rows and the test rows."""
        inputs = self.inputs
        parts = parts or {"pool": inputs.pool_sample, "test": inputs.data.test}
        with self.stages.stage(name, (lesson.settings.steps or 0) + sum(map(len, parts.values()))) as advance:
            seed = derive_seed(inputs.seed, name, "head")
            classifier = new_student(lesson.size, lesson.source, inputs.form, inputs.machine, seed)
            rng = rng_for(inputs.seed, name, "train")
            log = classifier.fit(lesson.examples, lesson.targets, lesson.settings, rng, lesson.temperature, advance)
            write_results(folder, {part: classifier.probabilities(rows, advance) for part, rows in parts.items()}, log)
        return classifier


@dataclass(frozen=True)
class _Lesson:
    """What a classifier learns: rows, their target probabilities [n, k], how, from which model, and of which size."""

    examples: Sequence[Example]
    targets: np.ndarray
    settings: OptimizerSettings
    source: ModelSource
    temperature: float = 1.0
    size: StudentSize = "same"


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
