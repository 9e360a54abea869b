"""What voters say of every label of every row: log-odds, of each label by itself.

A voter with a pattern asks about each label, with one model for all of them; one on vectors has a regression per label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.data.examples import Example
from pet.labeling.label_sets import SetVotes
from pet.labeling.votes import row_blocks
from pet.learners.models.training import TrainLog
from pet.learners.voters.base import Voter
from pet.learners.voters.embedding import EmbeddingSpec
from pet.learners.voters.one_vs_rest import Anchors, trained_on_sets
from pet.learners.voters.pairs import Pairs, training_pairs
from pet.learners.voters.spec import VoterSpec
from pet.method.embed import embedded
from pet.method.jobs import Jobs
from pet.runs.jobs import Job
from pet.runs.progress import Advance
from pet.runs.results import write_results
from pet.runs.shards import PoolScores
from pet.seeding import derive_seed, rng_for

_ANCHOR_ROWS = 2000
"""So many rows of the pool say how the cosines to the texts of labels are spread."""


@dataclass(frozen=True)
class GoldSets:
    """The labels of the labeled rows, bool [n, k], and the `fold` of each, int64 [n]; -1: held out of nobody's set."""

    given: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, given: np.ndarray, voters: int, rng: np.random.Generator) -> "GoldSets":
        """Put the rows into folds, one for each of so many voters with patterns, three at least; none of a few rows."""
        n, count = len(given), max(3, voters)
        if not voters or n < 2 * count:
            return cls(given, np.full(n, -1, np.int64))
        return cls(given, rng.permutation(n).astype(np.int64) % count)


@dataclass(frozen=True)
class _Others:
    """Scores of a voter on all but the pool, float32 [., k]."""

    gold: np.ndarray
    test: np.ndarray


def asked_pattern(jobs: Jobs, spec: VoterSpec, number: int, words: tuple[str, ...], gold: GoldSets) -> SetVotes:
    """Return what the voter of this number says; `words` are those that each label is asked about by.

    It learns the gold rows without its fold, of which it then speaks.
    """
    data, k, held = jobs.rows.data, len(words), np.flatnonzero(gold.fold == number)
    kept = np.setdiff1d(np.arange(len(gold.given)), held)
    train = spec.train.model_dump(mode="json", exclude={"seeds", "voters", "embedding", "contrastive"})
    job = jobs.runner.job(
        f"voter/{spec.name}",
        pvp=spec.prompt.key(),
        train=train,
        seed_index=spec.seed_index,
        words=words,
        set=kept.tolist(),
    )
    jobs.runner.journal.keys[job.name] = job.key
    pool = PoolScores(jobs.runner.store, job, data.unlabeled)

    def work(folder: Path) -> None:
        rng = rng_for(jobs.seed, "train", spec.kind, spec.seed_index)
        pairs, shift = training_pairs([data.labeled[i] for i in kept], gold.given[kept], words, rng)
        total = (len(data.unlabeled) + len(data.test) + len(held)) * k + (spec.train.steps or 0)
        with jobs.runner.stages.stage(f"training and voting {spec.name}", total) as advance:
            voter: Voter = jobs.model.voter(spec.pvp, machine=jobs.machine)
            log = TrainLog(())
            if len(kept):
                voter = jobs.model.learner(spec, jobs.machine)
                log = voter.train(pairs, spec.train, rng, (), advance)
            shift = shift if len(kept) else 0.0

            def says(rows: Sequence[Example]) -> np.ndarray:
                return _answers(voter, rows, words, shift, advance)

            pool.write(folder, says, advance)
            on_gold = np.full(gold.given.shape, np.nan, np.float32)
            on_gold[held] = says([data.labeled[i] for i in held])
            others = _Others(on_gold, says(data.test))
            write_results(folder, others, log, forwards=(len(data.unlabeled) + len(data.test) + len(held)) * k)
            if jobs.keep_models and len(kept):
                voter.save(folder / "model")

    others = jobs.runner.run(job, _Others, work)
    pool.tidy()
    return SetVotes(spec.name, "patterns", pool.read(), others.test, others.gold)


def _answers(
    voter: Voter, rows: Sequence[Example], words: tuple[str, ...], shift: float, advance: Advance
) -> np.ndarray:
    """Return the log-odds of yes, float32 [n, k]: less `shift`, by which yes is more frequent in what was learned."""
    if not len(rows):
        return np.empty((0, len(words)), np.float32)
    scores = voter.scores(Pairs(rows, words), advance)
    return np.asarray((scores[:, 0] - scores[:, 1] - shift).reshape(len(rows), len(words)), np.float32)


def embedding_sets(jobs: Jobs, spec: EmbeddingSpec, gold: GoldSets) -> SetVotes:
    """Return what a voter on the vectors of an encoder says of every row and label; of gold rows out of fold."""
    found, data, k = embedded(spec.source, jobs), jobs.rows.data, gold.given.shape[1]
    texts = jobs.rows.label_texts
    job: Job = jobs.runner.job(f"voter/{spec.name}", encoder=spec.source.digest, texts={**texts})
    jobs.runner.journal.keys[job.name] = job.key
    pool = PoolScores(jobs.runner.store, job, data.unlabeled)

    def work(folder: Path) -> None:
        with jobs.runner.stages.stage(f"voting {spec.name}", len(data.unlabeled)) as advance:
            some = rng_for(jobs.seed, "anchors").permutation(len(found.pool))[:_ANCHOR_ROWS]
            near = found.centred(found.pool[np.sort(some)])
            anchors = Anchors.of(found.standing_for, near, k)
            seed = derive_seed(jobs.seed, "folds", spec.kind)
            trained = trained_on_sets(found.centred(found.labeled), gold.given, anchors, near, seed)
            jobs.runner.note(
                f"{job.name}: C = {trained.strength:g}, cosines to the label texts times {trained.scale:g}"
            )
            blocks = [trained.voter.scores(found.centred(found.pool[rows])) for rows in row_blocks(len(found.pool))]
            pool.write_whole(folder, np.concatenate(blocks))
            advance(len(data.unlabeled))
            write_results(folder, _Others(trained.on_gold, trained.voter.scores(found.centred(found.test))), forwards=0)

    others = jobs.runner.run(job, _Others, work)
    return SetVotes(spec.name, "embeddings", pool.read(), others.test, others.gold)
