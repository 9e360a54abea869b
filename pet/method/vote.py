"""What voters say: one masked language model per pattern-verbalizer pair, trained on its set, scores the pool.

Source of the method: 2001.07676, section 3.1.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.dataset import data_digest
from pet.data.examples import Example
from pet.labeling.outside import shrunk_accuracy, vote_scores
from pet.labeling.votes import row_blocks
from pet.learners.models.encoder import Encoder
from pet.learners.models.sources import ModelSource
from pet.learners.models.training import TrainLog
from pet.learners.voters.base import Voter
from pet.learners.voters.contrastive import ContrastiveVoter, tuning_settings
from pet.learners.voters.embedding import AnySpec, EmbeddingSpec, LinearVoter, trained_voter
from pet.learners.voters.embedding import Rows as VectorRows
from pet.learners.voters.outside import OutsideSpec
from pet.learners.voters.spec import VoterSpec
from pet.method.callbacks import VoterEnd
from pet.method.demonstrate import demonstrations
from pet.method.embed import ENCODER, embedded, pool_vectors, write_pool
from pet.method.generation import TrainingSet
from pet.method.handing import Asked, Handing
from pet.method.jobs import Jobs, digest
from pet.prompts.pvp import PVP
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.results import losses_of, write_results
from pet.runs.shards import PoolScores
from pet.seeding import derive_seed, rng_for


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
class _TunedScores:
    """What a voter on an encoder of its own says of all but the pool, float32 [n, k] each, and what it says it by.

    That is the vectors of the labeled rows and of the test rows, float32 [n, h], and what scores are linear in vectors
    with, float64 [h, k] and [k]: the vectors of the pool are kept in place of its scores.
    """

    gold: np.ndarray
    content_free: np.ndarray
    test: np.ndarray
    labeled: np.ndarray
    test_vectors: np.ndarray
    weights: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class VoterScores:
    """What one voter says: raw scores, float32 [n, k] each, on the rows of the pool it was asked for, and on others.

    One that had no labeled rows to learn from, or nothing to learn with, is not `trained`. On the gold rows an
    embedding voter speaks out of fold, NaN where it cannot; an outside one has NaN wherever it does not vote, and an
    `accuracy` on gold rows where its votes are labels.
    """

    spec: AnySpec
    trained: bool
    pool: np.ndarray
    gold: np.ndarray
    content_free: np.ndarray
    test: np.ndarray
    accuracy: float | None = None


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
    voters: Sequence[AnySpec],
    sets: Sequence[TrainingSet],
    rows: np.ndarray,
    generation: int,
    jobs: Jobs,
    handing: Handing | None = None,
) -> list[VoterScores]:
    """Train each voter on its set, and return what all say of the pool rows (int64 [n]) and of the other rows.

    Those of patterns that are not done yet are handed to an executor where there is one.
    """
    asked = [(spec, training, rows, generation) for spec, training in zip(voters, sets, strict=True)]
    for spec in voters:
        if isinstance(spec, EmbeddingSpec):  # before anything is trained: it may not fit its tokenizer
            embedded(spec.source, jobs)
        elif isinstance(spec, VoterSpec) and spec.shows_nearest and jobs.encoder:
            embedded(jobs.encoder, jobs)
    if handing is not None:
        pairs = zip(voters, sets, strict=True)
        patterns = [(spec, of, rows, generation) for spec, of in pairs if isinstance(spec, VoterSpec)]
        _hand_out(patterns, jobs, handing)
    return [_heard(jobs, *one) for one in asked]


def _heard(jobs: Jobs, spec: AnySpec, training: TrainingSet, *asked: Any) -> VoterScores:
    """Return what a voter says, once the callbacks have heard of it."""
    found = _vote_of_any(jobs, spec, training, *asked)
    if jobs.callbacks.hearers:
        losses = losses_of(jobs.runner.store.path(voter_job(jobs, spec, training, *asked)))
        jobs.callbacks.voter(VoterEnd(spec.name, asked[-1], len(training), losses))
    return found


def _vote_of_any(jobs: Jobs, spec: AnySpec, training: TrainingSet, *asked: Any) -> VoterScores:
    if isinstance(spec, OutsideSpec):
        return outside_vote(jobs, spec, *asked)
    if isinstance(spec, VoterSpec):
        return vote_of(jobs, spec, training, *asked)
    tunes = spec.learner == "contrastive" and len(training) > 0
    return (contrastive_vote if tunes else embedding_vote)(jobs, spec, training, *asked)


def vote_of(jobs: Jobs, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> VoterScores:
    """Return what one voter says of pool rows (int64) once it was trained on a set.

    An empty set leaves the pretrained model as it is, unless there are rows that explain the labels. Its weights are
    dropped once it has voted, unless the run keeps its models. The scores of a large pool are written as they come (see
    `pet.runs.shards`).
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
            if spec.trains(len(training)):
                voter = jobs.model.learner(spec, jobs.machine, demonstrations(spec, training, jobs))
                rng = rng_for(jobs.seed, "train", spec.kind, spec.seed_index, generation)
                log = voter.train(training.examples(data), spec.train, rng, data.unlabeled, advance)
            # With nothing to learn from, the pretrained model votes as it is, on the pattern's own words.
            pool.write(folder, lambda part: voter.scores(part, advance), advance)
            scores = _OtherScores(**{part: voter.scores(examples, advance) for part, examples in parts.items()})
            facts = voter.facts(jobs.rows.sample)
            jobs.runner.note(f"{job.name}: {json.dumps(facts)}")
            write_results(folder, scores, log, facts, len(rows) + sum(map(len, parts.values())))
            if jobs.keep_models and spec.trains(len(training)):
                voter.save(folder / "model")

    others = jobs.runner.run(job, _OtherScores, work)
    pool.tidy()
    # Read anew each time: who asked for the scores of a whole pool holds them, and nobody else.
    return VoterScores(spec, len(training) > 0 and spec.learns, pool.read(), **vars(others))


def embedding_vote(
    jobs: Jobs, spec: EmbeddingSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0
) -> VoterScores:
    """Return what a voter on the vectors of an encoder says of pool rows (int64) once it was trained on a set."""
    found, k, drawn = embedded(spec.source, jobs), len(jobs.rows.data.task.labels), training.drawn
    job = voter_job(jobs, spec, training, rows, generation)
    jobs.runner.journal.keys[job.name] = job.key
    pool = PoolScores(jobs.runner.store, job, jobs.rows.data.unlabeled.take(rows))

    def work(folder: Path) -> None:
        with jobs.runner.stages.stage(f"voting {spec.name}", len(rows)) as advance:
            gold = VectorRows.of(found.centred(found.labeled[training.gold]), jobs.rows.gold[training.gold])
            places = drawn.rows if drawn else np.empty(0, np.int64)
            others = VectorRows.of(found.centred(found.pool[places]), drawn.columns if drawn else places)
            seed = derive_seed(jobs.seed, "folds", spec.kind)
            trained = trained_voter(gold, others, found.standing_for, k, seed)
            voter = trained.voter
            jobs.runner.note(
                f"{job.name}: C = {trained.strength:g}, cosines to the label texts times {trained.scale:g}"
            )
            scores = np.concatenate(
                [voter.scores(found.centred(found.pool[rows[part]])) for part in row_blocks(len(rows))]
            )
            pool.write_whole(folder, scores)
            advance(len(rows))
            on_all = np.full((len(jobs.rows.gold), k), np.nan, np.float32)
            on_all[training.gold] = trained.on_gold
            content_free, test = (voter.scores(found.centred(part)) for part in (found.content_free, found.test))
            write_results(folder, _OtherScores(on_all, content_free, test), forwards=0)

    others = jobs.runner.run(job, _OtherScores, work)
    return VoterScores(spec, len(training) > 0, pool.read(), **vars(others))


def contrastive_vote(
    jobs: Jobs, spec: EmbeddingSpec, training: TrainingSet, rows: np.ndarray, generation: int = 0
) -> VoterScores:
    """Return what a voter on an encoder that was tuned on a set, which is not empty, says of pool rows (int64).

    Of the gold rows it speaks before it has learned those that the set lacks, which its regression learns too; it says
    nothing, NaN, of the others.
    """
    found, data, job = embedded(spec.source, jobs), jobs.rows.data, voter_job(jobs, spec, training, rows, generation)
    jobs.runner.journal.keys[job.name] = job.key
    pool = PoolScores(jobs.runner.store, job, data.unlabeled.take(rows))

    def work(folder: Path) -> None:
        parts: dict[str, Sequence[Example]] = {"content_free": jobs.rows.content_free, "test": data.test}
        kept = np.setdiff1d(np.arange(len(data.labeled)), training.gold)
        name = f"tuning and voting {spec.name}" + (f", generation {generation}" if generation else "")
        read = len(rows) + len(data.labeled) + sum(map(len, parts.values()))
        settings = tuning_settings(len(training), jobs.rows.letters)
        with jobs.runner.stages.stage(name, (settings.steps or 0) + read) as advance:
            form = jobs.rows.form
            encoder = Encoder.load(found.source, jobs.machine, form.truncation)
            voter = ContrastiveVoter(encoder, tuple(form.columns), form.max_length, jobs.rows.label_texts, found.mean)
            rng = rng_for(jobs.seed, "train", spec.kind, spec.seed_index, generation)
            log = voter.train(training.examples(data), settings, rng, advance)
            jobs.runner.note(f"{job.name}: tuned for {log.updates} updates, to a loss of {log.last:.3f}")
            labeled = voter.embed(data.labeled, advance)
            on_gold = voter.scores(labeled)
            on_gold[training.gold] = np.nan
            voter.learn(labeled[kept], jobs.rows.gold[kept])
            write_pool(folder, pool, lambda part: voter.embed(part, advance), encoder.hidden_size, advance)
            voter.save(folder / ENCODER, found.source)
            vectors = {part: voter.embed(examples, advance) for part, examples in parts.items()}
            others = {part: voter.scores(made) for part, made in vectors.items()}
            others |= {"labeled": labeled, "test_vectors": vectors["test"]}
            result = _TunedScores(on_gold, **others, **vars(voter.linear))
            write_results(folder, result, log, forwards=read)

    said = jobs.runner.run(job, _TunedScores, work)
    pool.tidy()
    linear, vectors = LinearVoter(said.weights, said.bias), pool_vectors(jobs.runner.store.path(job))
    scores = [linear.scores(found.centred(vectors[part])) for part in row_blocks(len(rows))]
    return VoterScores(spec, True, np.concatenate(scores), said.gold, said.content_free, said.test)


def outside_vote(jobs: Jobs, spec: OutsideSpec, rows: np.ndarray, _generation: int = 0) -> VoterScores:
    """Return what outside votes say of pool rows (int64), labels as surely as they are right on the gold rows."""
    said, k = spec.votes, len(jobs.rows.data.task.labels)
    accuracy = None if said.soft else shrunk_accuracy(said.right, int(said.on_labeled.sum()), k)
    nothing = np.zeros((len(jobs.rows.content_free), k), np.float32)
    parts = {name: vote_scores(getattr(said, part), accuracy) for name, part in (("gold", "labeled"), ("test", "test"))}
    pool = vote_scores(said.pool[rows], accuracy)
    return VoterScores(spec, True, pool, **parts, content_free=nothing, accuracy=accuracy)


def tuned_encoder(keys: Mapping[str, str], store: JobStore) -> ModelSource | None:
    """Return the encoder that the last generation of a run has tuned, if one has; `keys` are those of its jobs by name.

    What it reads texts with is what it was tuned from.
    """
    jobs = (Job(name, key) for name, key in keys.items() if "voter/contrastive+" in name)
    found = [ModelSource(f"{job.name.rpartition('+')[2]}, tuned", store.path(job) / ENCODER) for job in jobs]
    return next((source for source in reversed(found) if source.folder.is_dir()), None)


def voter_job(jobs: Jobs, spec: AnySpec, training: TrainingSet, rows: np.ndarray, generation: int = 0) -> Job:
    """Name the job of a voter by what it depends on; an outside voter has none."""
    own: dict[str, object] = {"seed_index": spec.seed_index}
    runner = jobs.runner.apart if isinstance(spec, EmbeddingSpec) else jobs.runner
    if isinstance(spec, EmbeddingSpec):
        own |= {"encoder": spec.source.digest, "texts": jobs.rows.label_texts}
    elif isinstance(spec, VoterSpec):
        unread = {"seeds", "voters", "embedding", "contrastive", *([] if spec.described else ["descriptions"])}
        own |= {"pvp": spec.prompt.key(), "train": spec.train.model_dump(mode="json", exclude=unread)}
        own |= {"described": data_digest(spec.described)} if spec.described else {}
        own |= {"shown": asdict(spec.shown)} if spec.shown.count else {}
    return runner.job(
        (f"generation-{generation}/" if generation else "") + f"voter/{spec.name}",
        **own,
        set=job_hash(**training.key()),
        rows=digest(rows.astype(np.int64, copy=False)),
        generation=generation,
    )


def _steps(spec: VoterSpec, training: TrainingSet) -> int:
    return (spec.train.steps or 0) * (spec.train.restarts or 1) if spec.trains(len(training)) else 0


def _hand_out(patterns: Sequence[Asked], jobs: Jobs, handing: Handing) -> None:
    """Have the votes that are not done yet done by an executor, whose workers have models of their own."""
    named = [(voter_job(jobs, *one), one) for one in patterns]
    asked = [(job, one) for job, one in named if not jobs.runner.store.done(job)]
    if not asked:
        return
    jobs.model.unload()
    data, stages = jobs.rows.data, jobs.runner.stages
    total = sum(_steps(*one[:2]) + len(one[2]) + len(data.labeled) + len(data.test) for _, one in asked)
    with stages.together(len(asked), f"{len(asked)} voters side by side", total) as advance:
        tell: Mapping[str, Any] = {"advance": advance, "note": jobs.runner.note}
        started = time.monotonic()
        handing.out(asked, lambda kind, content: tell[kind](content))
        for job, _ in asked:  # all at the same time: to each its share
            jobs.runner.journal.took(job.name, (time.monotonic() - started) / len(asked))
