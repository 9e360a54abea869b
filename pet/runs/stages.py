"""The jobs of a run: what each is a function of, what it leaves in its folder, and how that is read again.

    zero-shot/<pvp>    scores of the untrained model on the labeled rows, a sample of the pool, and the test rows
    voter/<voter>      a trained voter's scores on the pool and the test rows
    supervised         the baseline classifier's probabilities on a sample of the pool and the test rows
    distill            the final classifier and its probabilities on the same rows

Arrays are safetensors, the rest JSON. Models are loaded when the first job needs them, so that a finished run starts
and ends at once.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from pet.config import DistillSettings, ModelSettings, OptimizerSettings, TaskSettings, TrainSettings
from pet.data import Example, TaskData, data_digest
from pet.learners import Backbone, ClassifierForm, Machine, ModelSource, TextClassifier, TrainLog, Voter, model_digest
from pet.prompts import PVP
from pet.runs.identity import pvp_key
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.progress import Stages
from pet.seeding import derive_seed, rng_for

__all__ = ["Arrays", "StageInputs", "VoterSpec", "Workbench"]

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class VoterSpec:
    """A PVP with the index of its seed; `name` is unique in a run."""

    pvp: PVP
    seed_index: int = 0

    @property
    def name(self) -> str:
        """The PVP's name, with ``#<seed>`` for every seed after the first."""
        return self.pvp.name + (f"#{self.seed_index}" if self.seed_index else "")


@dataclass(frozen=True)
class StageInputs:
    """What all jobs of a run share. `base` has the digests of data, model and code; `compared` are pool row indices."""

    data: TaskData
    source: ModelSource
    model: ModelSettings
    train: TrainSettings
    task: TaskSettings
    machine: Machine
    seed: int
    multi_token: bool
    base: Mapping[str, str]
    compared: np.ndarray

    @property
    def form(self) -> ClassifierForm:
        """What the classifiers of this run read and say."""
        task = self.data.task
        return ClassifierForm(
            task.labels, self.data.columns, self.model.max_length, self.task.label_column, self.task.id_column
        )

    @property
    def pool_sample(self) -> list[Example]:
        """The pool rows that everything is compared on."""
        return [self.data.unlabeled[i] for i in self.compared]


@dataclass
class Workbench:
    """Does the jobs of a run, each once; finished ones are read from the store. `note` hears of every job done."""

    inputs: StageInputs
    store: JobStore
    stages: Stages = field(default_factory=lambda: Stages(0))
    note: Callable[[str], None] = lambda _: None
    _found: dict[str, Arrays] = field(default_factory=dict, init=False, repr=False)

    def zero_shot(self, pvp: PVP) -> Arrays:
        """Return raw scores of the untrained PVP: `labeled`, `pool` (the compared rows) and `test`, each [n, k]."""

        def work(folder: Path) -> None:
            data = self.inputs.data
            parts = {"labeled": data.labeled, "pool": self.inputs.pool_sample, "test": data.test}
            with self.stages.stage(f"zero-shot {pvp.name}", sum(map(len, parts.values()))) as advance:
                self._masked_lm.reset()
                voter = self._voter(pvp)
                save_file(
                    {name: voter.scores(rows, advance) for name, rows in parts.items()},
                    folder / "scores.safetensors",
                )

        return self._arrays(self.zero_shot_job(pvp), work)

    def vote(self, spec: VoterSpec) -> Arrays:
        """Return raw scores of a trained voter: `pool` (all of it) and `test`, each [n, k]."""

        def work(folder: Path) -> None:
            data, inputs = self.inputs.data, self.inputs
            steps = inputs.train.steps or 0 if data.labeled else 0
            total = steps + len(data.unlabeled) + len(data.test)
            with self.stages.stage(f"training and voting {spec.name}", total) as advance:
                voter, log = self._voter(spec.pvp), TrainLog(())
                if data.labeled:
                    rng = rng_for(inputs.seed, "train", spec.pvp.name, spec.seed_index, 0)
                    log = voter.train(data.labeled, inputs.train, rng, data.unlabeled, advance)
                else:  # nothing to learn from: the pretrained model votes as it is
                    voter.backbone.reset()
                arrays = {
                    "pool": voter.scores(data.unlabeled, advance),
                    "test": voter.scores(data.test, advance),
                }
                save_file(arrays, folder / "scores.safetensors")
                _write_log(folder, log)

        return self._arrays(self.voter_job(spec), work)

    def supervised(self) -> Arrays:
        """Return probabilities of the baseline: same model, rows and steps, a classification head, no patterns."""
        data, inputs = self.inputs.data, self.inputs
        columns = {label: k for k, label in enumerate(data.task.labels)}
        gold = np.asarray([columns[str(example.label)] for example in data.labeled], np.int64)
        targets = np.eye(len(columns), dtype=np.float32)[gold]

        def work(folder: Path) -> None:
            self._classify(folder, "supervised baseline", _Lesson(data.labeled, targets, inputs.train, inputs.source))

        return self._arrays(self.supervised_job(), work)

    def distill(
        self, examples: Sequence[Example], probs: np.ndarray, settings: DistillSettings, source: ModelSource
    ) -> tuple[Path, Arrays]:
        """Train the final classifier on soft labels [n, k]; return its folder and its probabilities."""
        lesson = _Lesson(examples, probs, settings, source, settings.temperature)
        job = self.distill_job(lesson)

        def work(folder: Path) -> None:
            self._classify(folder, "distilling", lesson).save(folder / "model")

        arrays = self._arrays(job, work)
        return self.store.path(job) / "model", arrays

    def zero_shot_job(self, pvp: PVP) -> Job:
        """Name the zero-shot job of a PVP by what it depends on."""
        return self._job(f"zero-shot/{pvp.name}", pvp=pvp_key(pvp), compared=self.inputs.compared.tolist())

    def voter_job(self, spec: VoterSpec) -> Job:
        """Name the job of a voter by what it depends on."""
        train = self.inputs.train.model_dump(mode="json", exclude={"seeds"})
        return self._job(f"voter/{spec.name}", pvp=pvp_key(spec.pvp), seed_index=spec.seed_index, train=train)

    def supervised_job(self) -> Job:
        """Name the job of the baseline by what it depends on."""
        train = self.inputs.train.model_dump(mode="json", exclude={"seeds"})
        return self._job("supervised", train=train, compared=self.inputs.compared.tolist())

    def distill_job(self, lesson: "_Lesson") -> Job:
        """Name the job of the final classifier by what it depends on."""
        return self._job(
            "distill",
            rows=data_digest(lesson.examples),
            probs=job_hash(probs=lesson.targets.astype(np.float32).tobytes().hex()),
            settings=lesson.settings.model_dump(mode="json"),
            source=model_digest(lesson.source.folder),
            compared=self.inputs.compared.tolist(),
        )

    def _job(self, name: str, **parts: object) -> Job:
        inputs = self.inputs
        shared = {
            "base": dict(inputs.base),
            "model": inputs.model.model_dump(mode="json", exclude={"name"}),
            "machine": [inputs.machine.device.type, inputs.machine.precision],
            "seed": inputs.seed,
            "multi_token": inputs.multi_token,
        }
        return Job(name, job_hash(name=name, shared=shared, **parts))

    def _arrays(self, job: Job, work: Callable[[Path], None]) -> Arrays:
        if job.key not in self._found:
            done, started = self.store.done(job), time.monotonic()
            if done:
                self.stages.skip()
            self._found[job.key] = load_file(self.store.run(job, work) / "scores.safetensors")
            if not done:
                self.note(f"job {job.name} ({job.key}) done in {time.monotonic() - started:.1f} s")
        return self._found[job.key]

    @cached_property
    def _masked_lm(self) -> Backbone:
        return Backbone.masked_lm(self.inputs.source, self.inputs.machine.device)

    def _voter(self, pvp: PVP) -> Voter:
        return Voter(self._masked_lm, pvp, self.inputs.model, self.inputs.machine, self.inputs.multi_token)

    def _classify(self, folder: Path, name: str, lesson: "_Lesson") -> TextClassifier:
        """Train a classifier and leave its probabilities on the compared rows."""
        inputs = self.inputs
        parts = {"pool": inputs.pool_sample, "test": inputs.data.test}
        total = (lesson.settings.steps or 0) + sum(map(len, parts.values()))
        with self.stages.stage(name, total) as advance:
            seed = derive_seed(inputs.seed, name, "head")
            classifier = TextClassifier.from_source(lesson.source, inputs.form, inputs.machine, seed)
            rng = rng_for(inputs.seed, name, "train")
            log = classifier.fit(lesson.examples, lesson.targets, lesson.settings, rng, lesson.temperature, advance)
            arrays = {part: classifier.probabilities(rows, advance) for part, rows in parts.items()}
            save_file(arrays, folder / "scores.safetensors")
            _write_log(folder, log)
        return classifier


@dataclass(frozen=True)
class _Lesson:
    """What a classifier learns: rows, their target probabilities [n, k], how, and from which model."""

    examples: Sequence[Example]
    targets: np.ndarray
    settings: OptimizerSettings
    source: ModelSource
    temperature: float = 1.0


def _write_log(folder: Path, log: TrainLog) -> None:
    facts = {"updates": log.updates, "losses": [round(loss, 6) for loss in log.losses]}
    (folder / "training.json").write_text(json.dumps(facts), encoding="utf-8")
