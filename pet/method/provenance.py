"""`generations/<g>/`: what each voter learned from, what it said, and how the generation went."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pet.data.dataset import TaskData
from pet.data.output import row_pieces
from pet.labeling.votes import Votes, softmax
from pet.learners.voters.embedding import AnySpec, EmbeddingSpec
from pet.learners.voters.outside import OutsideSpec
from pet.method.generation import Ensemble, Generation, TrainingSet
from pet.runs.atomic import write_folder

# Of the same types in every file, whatever is in it.
_TRAINING_SET = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.string()),
        ("source", pa.string()),
        ("confidence", pa.float32()),
        ("decided_by", pa.list_(pa.string())),
    ]
)


def voter_file(voter: str) -> str:
    """Return the name of the file with a voter's training set.

    >>> voter_file("agnews/colon+words#1")
    'agnews+colon+words#1.parquet'
    """
    # Names may have dots, but no plus sign: no two voters share a file.
    return voter.replace("/", "+") + ".parquet"


def write_generation(
    root: Path,
    generation: Generation,
    voters: Sequence[AnySpec],
    data: TaskData,
    out_of_fold: np.ndarray | None = None,
) -> None:
    """Write ``report.json``, ``votes.parquet``, ``gold.parquet`` and a training set per voter, all or nothing.

    `out_of_fold` bool [m, n] says which gold rows each voter did not learn from; what they say of them is kept.

    Raises `RunError` if the disk is full or may not be written.
    """

    def write(folder: Path) -> None:
        (folder / "report.json").write_text(
            json.dumps(_report(generation, voters), ensure_ascii=False, indent=2), encoding="utf-8"
        )
        _write_votes(folder / "votes.parquet", generation.votes)
        if out_of_fold is not None and out_of_fold.any():
            _write_gold_votes(folder / "gold.parquet", generation, data, out_of_fold)
        for spec, training in zip(voters, generation.sets, strict=True):
            pq.write_table(_training_set(training, data), folder / voter_file(spec.name))

    root.mkdir(exist_ok=True)
    write_folder(root / str(generation.number), write)


def _report(generation: Generation, voters: Sequence[AnySpec]) -> Mapping[str, Any]:
    return {
        "generation": generation.number,
        "continues": generation.continues,
        "rejected": generation.rejected,
        "labeled_rows": len(generation.rows),
        "figures": generation.figures.as_json(),
        "voters": [_voter(spec, training) for spec, training in zip(voters, generation.sets, strict=True)],
    }


def _voter(spec: AnySpec, training: TrainingSet) -> Mapping[str, Any]:
    """Return what a report tells of a voter; one that reads no pattern has neither template nor words."""
    named = {"name": spec.name, "file": voter_file(spec.name)}
    if isinstance(spec, OutsideSpec):
        return {**named, "template": None, "words": {}, "outside": spec.votes.origin}
    if isinstance(spec, EmbeddingSpec):
        return {**named, "template": None, "words": {}}
    return {
        **named,
        # Without a row to learn from, the pattern's own words have voted.
        "template": (spec.prompt if spec.trains(len(training)) else spec.pvp).pattern.template,
        "train": spec.train.model_dump(
            mode="json", exclude={"seeds", "voters", "embedding", "contrastive"}, exclude_none=True
        ),
        "words": {label: list(words) for label, words in spec.pvp.verbalizer.words.items()},
    }


def _write_votes(path: Path, votes: Sequence[Votes]) -> None:
    """Write the probabilities of every voter: one list of k per row and voter, null where it does not vote."""
    lists = {vote.voter: pa.list_(pa.float32(), len(vote.labels)) for vote in votes}
    schema = pa.schema([("id", pa.string()), *lists.items()])
    with pq.ParquetWriter(path, schema) as writer:
        for rows in row_pieces(len(votes[0].ids)):
            arrays = [pa.array(votes[0].ids[rows], pa.string())]
            for vote in votes:
                flat, absent = pa.array(softmax(vote.scores[rows]).ravel()), pa.array(~vote.voted()[rows])
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, len(vote.labels), mask=absent))
            writer.write_table(pa.table(arrays, schema))


def _write_gold_votes(path: Path, generation: Generation, data: TaskData, out_of_fold: np.ndarray) -> None:
    """Write what voters say of gold rows that they did not learn from: a list of k per row and voter, or nothing."""
    k, columns = len(data.task.labels), {"id": pa.array([row.id for row in data.labeled], pa.string())}
    for vote, scores, kept in zip(generation.votes, generation.ensemble.gold, out_of_fold, strict=True):
        lists = [row if known else None for row, known in zip(softmax(scores).tolist(), kept.tolist(), strict=True)]
        columns[vote.voter] = pa.array(lists, pa.list_(pa.float32(), k))
    pq.write_table(pa.table(columns), path)


def _training_set(training: TrainingSet, data: TaskData) -> pa.Table:
    """Return id, label, source, confidence and who decided, of the gold rows and then of the drawn ones."""
    examples, gold, drawn = training.examples(data), len(training.gold), training.drawn
    count = len(drawn) if drawn else 0
    columns = {
        "id": [example.id for example in examples],
        "label": [example.label for example in examples],
        "source": ["gold"] * gold + ["pseudo"] * count,
        "confidence": [None] * gold + (drawn.confidence.tolist() if drawn else []),
        "decided_by": [[]] * gold + ([list(drawn.deciders)] * count if drawn else []),
    }
    return pa.table(columns, schema=_TRAINING_SET)


def outside_facts(voters: Sequence[OutsideSpec], ensemble: Ensemble) -> list[dict[str, object]]:
    """Return what `metrics.json` tells of outside votes: on how many rows they are, and their share in an ensemble."""
    weights = dict(zip((vote.voter for vote in ensemble.votes), ensemble.weights.tolist(), strict=True))
    return [{**spec.votes.as_json(), "voter": spec.name, "weight": round(weights[spec.name], 4)} for spec in voters]


def first_labeled(generations: Sequence[Generation], pool: int) -> np.ndarray:
    """Return int64 [n]: the first of the generations that labeled each row of the pool; the last has labeled all."""
    found = np.full(pool, -1, np.int64)
    for generation in reversed(generations):
        found[generation.rows] = generation.number
    return found


def training_set_counts(generations: Sequence[Generation], pool: int) -> np.ndarray:
    """Return int64 [n]: in how many voters' training sets each row of the pool was."""
    found = np.zeros(pool, np.int64)
    for training in (training for generation in generations for training in generation.sets):
        if training.drawn:
            found[training.drawn.rows] += 1
    return found
