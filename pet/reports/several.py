"""What is shown of rows with several labels each: a check before a run, and why a row has its labels."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pet.data.dataset import TaskData
from pet.data.label_sets import labels_of
from pet.data.names import parents_of
from pet.data.output import field_names
from pet.errors import DataError, near_matches, shown, visible
from pet.learners.voters.spec import VoterSpec
from pet.method.labels import is_ours
from pet.reports.columns import FOLDED, columns, fitting, more_lines
from pet.runs.directory import RunDirectory
from pet.settings.config import RunConfig

_WIDEST, _TEXT = 32, 200


def several_check_lines(
    data: TaskData, voters: Sequence[VoterSpec], words: Sequence[str], notes: Sequence[str], every: bool = False
) -> list[str]:
    """Return what a run would read: the rows, how many have each label, and what each label is asked about by."""
    counts = Counter(chain.from_iterable(map(labels_of, data.labeled)))
    none = sum(not labels_of(row) for row in data.labeled)
    mean = counts.total() / max(1, len(data.labeled))
    lines = [
        f"{len(data.labeled)} labeled rows with {mean:.1f} of {len(data.task.labels)} labels in the mean, "
        f"{none} without any; {len(data.unlabeled)} unlabeled, {len(data.test)} test rows",
        *(f"note: {message}" for message in notes),
    ]
    for spec in voters:
        lines += ["", spec.name, f"  {spec.pvp.pattern.template}"]
    ranked = sorted(zip(data.task.labels, words, strict=True), key=lambda pair: counts[pair[0]])
    shown_rows = ranked if every else ranked[:FOLDED]
    told = data.task.descriptions
    cells = [
        (f"  {fitting(label, _WIDEST)}", fitting(word, _WIDEST), str(counts[label]), fitting(told.get(label, ""), 60))
        for label, word in shown_rows
    ]
    lines += ["", *columns([("label", "asked about as", "rows", "description"), *cells], 4)]
    lines += [f"  {line}" for line in more_lines(len(ranked) - len(shown_rows), "labels")]
    if parents := parents_of(data.task.labels):
        of_each = ", ".join(f"{name} {len(own)}" for name, own in list(parents.items())[:FOLDED])
        lines += ["", f"parents by the dots in the names, with their labels: {of_each}"]
    lines += ["", "change: words that do not say what a label is about, in [prompts.words], or add [task.descriptions]"]
    return [visible(line) for line in lines]


@dataclass(frozen=True)
class SetExplanation:
    """Why a row has its labels: the probability and the threshold of each, and the probability by each voter.

    `votes` are empty for a row whose labels were given.
    """

    id: str
    source: str
    fields: Mapping[str, str]
    labels: tuple[str, ...]
    probs: Mapping[str, float]
    thresholds: Mapping[str, float]
    votes: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "labels": list(self.labels)}


def is_several(run: str | Path) -> bool:
    """Say whether a folder is that of a run whose rows have several labels each."""
    path = RunDirectory(Path(run)).config_path
    return path.is_file() and RunConfig.from_toml(path).task.multi_label


def explain_several(run: str | Path, row_id: str) -> SetExplanation:
    """Read why a row of a finished run has its labels; `row_id` is compared with the ids as text.

    Raises `DataError` if the run is not finished, has no such row, or a file of it is damaged.
    """
    directory = RunDirectory(Path(run))
    if not directory.metrics_path.is_file():
        raise DataError(f"The run in {run} is not finished: give the command that made it again.")
    try:
        task, metrics = RunConfig.from_toml(directory.config_path).task, json.loads(directory.metrics_path.read_bytes())
        row = _row(directory.pseudo_labels, row_id)
        names = field_names(task.fields, is_ours)
        pseudo = row["source"] != "gold"
        said = _row(directory.generations / "0" / "votes.parquet", row_id) if pseudo else {}
        named = {voter["name"]: voter["weight"] for voter in metrics["voters"]}
        return SetExplanation(
            id=str(row["id"]),
            source=str(row["source"]),
            fields={field: str(row[name]) for field, name in names.items()},
            labels=tuple(row["label"]),
            probs={label: round(float(row[f"prob_{label}"]), 6) for label in task.labels},
            thresholds={label: float(metrics["thresholds"][label]) for label in task.labels},
            votes={
                name: dict(zip(task.labels, [round(float(p), 6) for p in said[name]], strict=True)) for name in named
            }
            if pseudo
            else {},
            weights=named,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        raise DataError(f"A file of the run in {run} is damaged ({reason}): give its command again.") from None


def _row(path: Path, row_id: str) -> dict[str, Any]:
    """Return the row of a table with an id; of a labeled row and one of the pool that share it, the second."""
    with pq.ParquetFile(path) as file:
        for group in reversed(range(file.num_row_groups)):
            ids = [str(name) for name in file.read_row_group(group, columns=["id"])["id"].to_pylist()]
            if row_id in ids:
                place = len(ids) - 1 - ids[::-1].index(row_id)
                found: dict[str, Any] = file.read_row_group(group).slice(place, 1).to_pylist()[0]
                return found
        every = [str(name) for name in file.read(columns=["id"])["id"].to_pylist()[:10_000]]
    raise DataError(f"No row {row_id!r} in {path}: give one of its ids.{near_matches(row_id, every)}")


def several_explanation_lines(found: SetExplanation) -> list[str]:
    """Return an explanation as lines: the labels first, then a line per label, the surest first."""
    given = ", ".join(map(shown, found.labels)) or "none"
    origin = "gold: the labels were given" if not found.votes else "pseudo: the voters labeled it"
    lines = columns([("labels", given), ("row", f"{found.id} ({origin})")], 2)
    lines += columns([(name, fitting(" ".join(text.split()), _TEXT)) for name, text in found.fields.items()], 2)
    if found.votes:
        ranked = sorted(found.probs, key=lambda label: found.thresholds[label] - found.probs[label])
        heads = ("label", "given", "probability", "from", *(f"by {fitting(name, 24)}" for name in found.votes))
        cells = [
            (
                fitting(label, _WIDEST),
                "yes" if label in found.labels else "no",
                f"{found.probs[label]:.2f}",
                f"{found.thresholds[label]:.2f}",
                *(f"{by[label]:.2f}" for by in found.votes.values()),
            )
            for label in ranked[:FOLDED]
        ]
        weighed = ", ".join(f"{name} {weight:.2f}" for name, weight in found.weights.items())
        lines += ["", *columns([heads, *cells], 2), "", f"weights of the voters: {weighed}"]
        if len(ranked) > FOLDED:
            lines += [
                f"The {FOLDED} labels that are nearest to being given of {len(ranked)} are shown; --json shows all."
            ]
    return [visible(line) for line in lines]
