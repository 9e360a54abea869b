"""Rows as vectors: one pass of an encoder over the pool, shared by all that needs no pattern.

The embedding voter, the refinement on the pool, the classifiers on embeddings and the final classifier start from it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from pet.data.dataset import Regrouped
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.labeling.neighbours import centred
from pet.labeling.votes import row_blocks
from pet.learners.models.encoder import Encoder
from pet.learners.models.sentence_files import sentence_form
from pet.learners.models.sources import ModelSource
from pet.learners.models.trimming import trimmed
from pet.learners.students.vectors import KeptVectors
from pet.learners.voters.embedding import Rows as VectorRows
from pet.method.jobs import Jobs
from pet.runs.manifest import VECTORS
from pet.runs.progress import Advance
from pet.runs.results import RESULTS, write_results
from pet.runs.shards import PoolScores

ENCODER, _POOL = "encoder", "pool.npy"
"""In the folder of a job that makes vectors: the encoder, if it is its own, and the vectors of the pool."""


@dataclass(frozen=True)
class _Vectors:
    """Pooled vectors as the encoder gives them, float32 [r, h] each; `mean` [1, h] is that of the pool."""

    labeled: np.ndarray
    content_free: np.ndarray
    texts: np.ndarray
    test: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class Embedded:
    """Vectors of the rows of a run as the encoder gives them, float32 [r, h] each, those of the `pool` in a file.

    `mean` [h] is that of the pool. `texts` stand for the labels in `text_columns` (int64 [r]). `source` is the encoder,
    its vocabulary cut to what the run needs where it is a large one.
    """

    source: ModelSource
    pool: np.ndarray
    labeled: np.ndarray
    content_free: np.ndarray
    texts: np.ndarray
    text_columns: np.ndarray
    test: np.ndarray
    mean: np.ndarray

    def centred(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors without the mean of the pool, of length 1."""
        return centred(vectors, self.mean)

    @property
    def standing_for(self) -> VectorRows:
        """The texts that stand for labels, as rows to learn from."""
        return VectorRows.standing_for(self.centred(self.texts), self.text_columns)


def embedded(source: ModelSource, jobs: Jobs) -> Embedded:
    """Return the vectors of all rows by an encoder; they are the result of a job.

    Rows that people have labeled meanwhile are not read again: their vectors move with them.

    Raises `ModelError` if it is no encoder.
    """
    found, moved = _embedded(source, jobs.drawn), jobs.rows.data.reviewed
    return found if moved is None else _regrouped(found, moved, jobs)


def _regrouped(found: Embedded, moved: Regrouped, jobs: Jobs) -> Embedded:
    """Return vectors in the order of the rows as they are now."""

    def write(folder: Path) -> None:
        count, total = len(moved.left), np.zeros(found.pool.shape[1])
        whole = np.lib.format.open_memmap(
            folder / _POOL, mode="w+", dtype=np.float32, shape=(count, found.pool.shape[1])
        )
        for rows in row_blocks(count):
            whole[rows] = found.pool[moved.left[rows]]
            total += whole[rows].sum(axis=0, dtype=np.float64)
        whole.flush()
        save_file({"mean": (total / count).astype(np.float32)}, folder / RESULTS)

    job = jobs.runner.apart.job(f"regrouped/{Path(found.source.name).name}", encoder=found.source.digest)
    folder = jobs.runner.store.run(job, write)
    jobs.runner.journal.keys[VECTORS + Path(found.source.name).name] = job.key
    labeled = np.concatenate([found.labeled[moved.kept], found.pool[moved.moved]])
    return replace(found, labeled=labeled, pool=pool_vectors(folder), mean=load_file(folder / RESULTS)["mean"])


def _embedded(source: ModelSource, jobs: Jobs) -> Embedded:
    rows, texts = jobs.rows, jobs.rows.label_texts
    lines = [text for label in rows.data.task.labels for text in texts[label]]
    job = jobs.runner.apart.job(f"embeddings/{Path(source.name).name}", encoder=source.digest, texts=lines)
    pool = PoolScores(jobs.runner.store, job, rows.data.unlabeled)

    def work(folder: Path) -> None:
        parts = {"labeled": rows.data.labeled, "content_free": rows.content_free, "test": rows.data.test}
        total = len(rows.data.unlabeled) + sum(map(len, parts.values()))
        with jobs.runner.stages.stage(f"embeddings by {Path(source.name).name}", total) as advance:
            start = trimmed(source, _texts(jobs), folder / ENCODER)
            encoder = Encoder.load(start, jobs.machine, rows.form.truncation)
            if said := encoder.backbone.abilities.said(source.name, jobs.machine):
                jobs.runner.note(said)
            embed = partial(encoder.embed, fields=rows.form.columns, max_length=rows.form.max_length, advance=advance)
            found = {name: embed(examples) for name, examples in parts.items()}
            mean = write_pool(folder, pool, embed, encoder.hidden_size, advance)
            found |= {"texts": encoder.embed_texts(lines), "mean": mean.astype(np.float32)[None]}
            write_results(folder, _Vectors(**found), forwards=total + len(lines))

    found, folder = jobs.runner.run(job, _Vectors, work), jobs.runner.store.path(job)
    jobs.runner.journal.keys[VECTORS + Path(source.name).name] = job.key
    pool.tidy()
    return Embedded(
        source=ModelSource(source.name, folder / ENCODER) if (folder / ENCODER).is_dir() else source,
        pool=pool_vectors(folder),
        text_columns=np.repeat(np.arange(len(texts)), [len(texts[label]) for label in rows.data.task.labels]),
        **{**vars(found), "mean": found.mean[0]},
    )


def pool_vectors(folder: Path) -> np.ndarray:
    """Return the vectors of the pool, float32 [n, h], that `write_pool` has left in the folder of a job."""
    found: np.ndarray = np.load(folder / _POOL, mmap_mode="r")
    return found


def write_pool(
    folder: Path, pool: PoolScores, embed: Callable[[Rows], np.ndarray], hidden: int, advance: Advance
) -> np.ndarray:
    """Make vectors of length `hidden` of the pool, in shards; leave them in one file, whose rows are read in any order.

    Returns their mean, float64 [h].
    """
    pool.write(folder, embed, advance)
    count = len(pool.rows)
    whole = np.lib.format.open_memmap(folder / _POOL, mode="w+", dtype=np.float32, shape=(count, hidden))
    start, total = 0, np.zeros(hidden)
    for shard in sorted(folder.glob("pool-*.safetensors")):
        vectors = load_file(shard)["pool"]
        whole[start : start + len(vectors)] = vectors
        start, total = start + len(vectors), total + vectors.sum(axis=0, dtype=np.float64)
        shard.unlink()
    whole.flush()
    return np.asarray(total / max(1, count))


def kept_vectors(examples: Sequence[Example], tuned: ModelSource | None, jobs: Jobs) -> dict[ModelSource, KeptVectors]:
    """Return the vectors of a labeled data set by encoders that have read it, and read it as a classifier does.

    These are the encoder of the run, its vocabulary cut, and one that a voter has `tuned`. There are none where the
    `examples` are not the labeled rows of the run, and its pool behind them, or rows are read in windows, of which a
    classifier sees each alone.
    """
    data, form = jobs.rows.data, jobs.rows.form
    if form.truncation == "windows" or not _same_texts(examples, [data.labeled, data.unlabeled]):
        return {}
    found = {}
    if jobs.encoder:
        own = embedded(jobs.encoder, jobs)
        found[own.source] = KeptVectors(own.labeled, own.pool, own.test)
    if tuned:
        results = load_file(tuned.folder.parent / RESULTS)
        found[tuned] = KeptVectors(results["labeled"], pool_vectors(tuned.folder.parent), results["test_vectors"])
    return {
        source: vectors
        for source, vectors in found.items()
        if len(vectors) == len(examples) and sentence_form(source).is_plain(form.max_length)
    }


def _same_texts(examples: Sequence[Example], parts: Sequence[Sequence[Example]]) -> bool:
    return len(examples) == sum(map(len, parts)) and all(
        one.fields == other.fields for one, other in zip(examples, chain.from_iterable(parts), strict=True)
    )


def _texts(jobs: Jobs) -> Iterator[str]:
    """Yield all that the encoder has to read in the run."""
    rows = jobs.rows
    sets = (rows.data.labeled, rows.data.unlabeled, rows.data.test)
    yield from (text for examples in sets for example in examples for text in example.fields.values())
    yield from chain.from_iterable(rows.label_texts.values())
