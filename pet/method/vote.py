"""What voters say: one masked language model per pattern-verbalizer pair, trained on its set, scores the pool.

Source of the method: 2001.07676, section 3.1.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pet.learners.models.training import TrainLog
from pet.learners.voters.base import Voter
from pet.learners.voters.spec import VoterSpec
from pet.method.generation import TrainingSet
from pet.method.jobs import Jobs, digest
from pet.prompts.pvp import PVP
from pet.runs.executors.processes import Processes
from pet.runs.jobs import Job, job_hash
from pet.runs.progress import stage_progress
from pet.runs.results import write_results
from pet.runs.shards import PoolScores
from pet.seeding import rng_for


@dataclass(frozen=True)
class ZeroShot:
    """Raw scores of an untrained PVP, float32 [n, k] each; `pool` is about the compared rows."""

    labeled: np.ndarray
    pool: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class _OtherScores:
    """Raw scores of a voter on all but the pool, float32 [n, k] each."""

    gold: np.ndarray
    content_free: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class VoterScores:
    """What one voter says: raw scores, float32 [n, k] each, on the rows of the pool it was asked for, and on others.

    One that had nothing to learn, or nothing to learn it with, is not `trained`.
    """

    spec: VoterSpec
    trained: bool
    pool: np.ndarray
    gold: np.ndarray
    content_free: np.ndarray
    test: np.ndarray


def zero_shot(pvp: PVP, jobs: Jobs) -> ZeroShot:
    """Return what the untrained model says under a PVP."""
    rows = jobs.rows
    parts = {"labeled": rows.data.labeled, "pool": rows.sample, "test": rows.data.test}

    def work(folder: Path) -> None:
        with jobs.runner.stages.stage(f"zero-shot {pvp.name}", sum(map(len, parts.values()))) as advance:
            voter: Voter = jobs.model.voter(pvp, machine=jobs.machine)
            write_results(folder, ZeroShot(**{name: voter.scores(part, advance) for name, part in parts.items()}))

    job = jobs.runner.job(f"zero-shot/{pvp.name}", pvp=pvp.key(), compared=rows.compared.tolist())
    return jobs.runner.run(job, ZeroShot, work)


def vote(
    voters: Sequence[VoterSpec],
    sets: Sequence[TrainingSet],
    rows: np.ndarray,
    generation: int,
    jobs: Jobs,
    processes: Processes | None = None,
) -> list[VoterScores]:
    """Train each voter on its set, and return what all say of the pool rows (int64 [n]) and of the other rows.

    Those that are not done yet are done side by side where there are `processes`.
    """
    asked = [(spec, training, rows, generation) for spec, training in zip(voters, sets, strict=True)]
    if processes is not None:
        _vote_side_by_side([one for one in asked if not jobs.runner.store.done(voter_job(jobs, *one))], jobs, processes)
    return [vote_of(jobs, *one) for one in asked]


def vote_of(jobs: Jobs, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> VoterScores:
    """Return what one voter says of pool rows (int64) once it was trained on a set.

    An empty set leaves the pretrained model as it is. Its weights are dropped once it has voted, unless the run keeps
    its models. The scores of a large pool are written as they come (see `pet.runs.shards`).
    """
    data, job = jobs.rows.data, voter_job(jobs, spec, training, rows, generation)
    jobs.runner.journal.keys[job.name] = job.key
    pool = PoolScores(jobs.runner.store, job, data.unlabeled.take(rows))

    def work(folder: Path) -> None:
        parts = {"gold": data.labeled, "content_free": jobs.rows.content_free, "test": data.test}
        name = f"training and voting {spec.name}" + (f", generation {generation}" if generation else "")
        total = _steps(spec, training) + len(rows) + sum(map(len, parts.values()))
        with jobs.runner.stages.stage(name, total) as advance:
            voter: Voter = jobs.model.voter(spec.pvp, machine=jobs.machine)
            log = TrainLog(())
            if len(training):
                voter = jobs.model.voter(spec.prompt, spec.train, jobs.machine)
                rng = rng_for(jobs.seed, "train", spec.kind, spec.seed_index, generation)
                log = voter.train(training.examples(data), spec.train, rng, data.unlabeled, advance)
            # With nothing to learn from, the pretrained model votes as it is, on the pattern's own words.
            pool.write(folder, lambda part: voter.scores(part, advance), advance)
            scores = _OtherScores(**{part: voter.scores(examples, advance) for part, examples in parts.items()})
            facts = voter.facts(jobs.rows.sample)
            jobs.runner.note(f"{job.name}: {json.dumps(facts)}")
            write_results(folder, scores, log, facts, len(rows))
            if jobs.keep_models and len(training):
                voter.save(folder / "model")

    others = jobs.runner.run(job, _OtherScores, work)
    pool.tidy()
    # Read anew each time: who asked for the scores of a whole pool holds them, and nobody else.
    return VoterScores(spec, len(training) > 0 and spec.learns, pool.read(), **vars(others))


def voter_job(jobs: Jobs, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> Job:
    """Name the job of a voter by what it depends on."""
    return jobs.runner.job(
        (f"generation-{generation}/" if generation else "") + f"voter/{spec.name}",
        pvp=spec.prompt.key(),
        seed_index=spec.seed_index,
        train=spec.train.model_dump(mode="json", exclude={"seeds", "voters"}),
        set=job_hash(**training.key()),
        rows=digest(rows.astype(np.int64, copy=False)),
        generation=generation,
    )


def _steps(spec: VoterSpec, training: TrainingSet) -> int:
    return (spec.train.steps or 0) * (spec.train.restarts or 1) if len(training) else 0


def _vote_side_by_side(asked: Sequence[tuple[Any, ...]], jobs: Jobs, processes: Processes) -> None:
    """Have votes done by processes, each with a model of its own."""
    if not asked:
        return
    jobs.model.unload()
    data, stages = jobs.rows.data, jobs.runner.stages
    first, last = stages.started + 1, stages.started + len(asked)
    total = sum(_steps(*one[:2]) + len(one[2]) + len(data.labeled) + len(data.test) for one in asked)
    name = f"jobs {first} to {last} of {stages.total}: {len(asked)} voters side by side"
    with stage_progress(name, total, stages.enabled) as advance:
        tell: Mapping[str, Any] = {"advance": advance, "note": jobs.runner.note}
        started = time.monotonic()
        processes.run(asked, lambda kind, content: tell[kind](content))
        for one in asked:  # all at the same time: to each its share
            jobs.runner.journal.took(voter_job(jobs, *one).name, (time.monotonic() - started) / len(asked))
