"""Labels that people have given to rows of a run become gold rows of it; where they disagree, the majority decides."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pet.data.dataset import Regrouped, TaskData
from pet.data.examples import Example
from pet.data.keys import key_of
from pet.data.overlap import normalise
from pet.data.review import NO_LABEL, Review, read_reviews
from pet.errors import DataError, close_match, near_matches, shown

_SHOWN = 5
"""So many rows on which reviewers disagree are told of; `metrics.json` has all."""


@dataclass(frozen=True)
class Said:
    """What each reviewer says of a row: a label by each name, None where no label fits."""

    id: str
    labels: Mapping[str, str | None]

    @cached_property
    def ranked(self) -> list[tuple[str | None, int]]:
        """The labels with how many have given them, most first."""
        return Counter(self.labels.values()).most_common()

    @property
    def agreed(self) -> bool:
        """Whether all say the same."""
        return len(self.ranked) == 1

    @property
    def tied(self) -> bool:
        """Whether as many say one thing as another, so that the row is left out."""
        return not self.agreed and self.ranked[0][1] == self.ranked[1][1]

    @property
    def label(self) -> str | None:
        """What most say; None where that is that no label fits."""
        return self.ranked[0][0]

    def line(self) -> str:
        """Say who says what, and what comes of it."""
        said: dict[str, list[str]] = {}
        for reviewer, label in self.labels.items():
            said.setdefault(NO_LABEL if label is None else label, []).append(reviewer)
        parts = ", ".join(f"{label} by {' and '.join(names)}" for label, names in said.items())
        return f"{shown(self.id)} {parts}: {'left out' if self.tied else self.label or NO_LABEL}"


def with_reviews(data: TaskData, files: Sequence[str], run: str) -> TaskData:
    """Return the sets of a run, which `run` names, with what people say of its rows in some files.

    A row of the pool becomes a gold row, and it and its copies leave the pool; the label of a gold row is corrected. A
    row that no label fits is in neither; one on which as many say one thing as another stays as it is.

    Raises `DataError` if a file cannot be used, is of another run, or names a row or a label that is not there, if one
    reviewer says two things of a row, or if no row of the pool is left.
    """
    if not files:
        return data
    reviews = {file: read_reviews(Path(file)) for file in files}
    for file, rows in reviews.items():
        _check(file, rows, data, run)
    said = list(_by_row(reviews))
    return _regrouped(data, _Decided.of(data, said, tuple(files)))


def _check(file: str, reviews: Iterable[Review], data: TaskData, run: str) -> None:
    """Refuse a file of another run, or with a label that the task lacks."""
    for review in reviews:
        if review.run and review.run != run:
            raise DataError(
                f"{file}: the row {shown(review.id)} is of another run ({shown(review.run)}, not {run!r}): give a file "
                "of this run, or, if its ids mean the same rows here, empty its column run."
            )
        if review.label is not None and review.label not in data.task.labels:
            raise DataError(
                f"{file}: the row {shown(review.id)} has the label {shown(review.label)}, expected one of "
                f"{', '.join(map(shown, data.task.labels[:12]))}{', ...' if len(data.task.labels) > 12 else ''} or "
                f"{shown(NO_LABEL)}.{close_match(review.label, data.task.labels)}"
            )


def _by_row(reviews: Mapping[str, Sequence[Review]]) -> Iterator[Said]:
    """Yield what is said of each row; where no reviewer is named, the file stands for one."""
    found: dict[str, dict[str, str | None]] = {}
    names = _names(list(reviews))
    for file, rows in reviews.items():
        for review in rows:
            reviewer, labels = review.reviewer or names[file], found.setdefault(review.id, {})
            if labels.setdefault(reviewer, review.label) != review.label:
                both = " and ".join(shown(one or NO_LABEL) for one in (labels[reviewer], review.label))
                raise DataError(
                    f"{file}: {shown(reviewer)} gives the row {shown(review.id)} two labels, {both}, in two files: "
                    "keep one of them."
                )
    return (Said(name, labels) for name, labels in found.items())


def _names(files: Sequence[str]) -> dict[str, str]:
    """Return the names of files, without their folders where these are not needed to tell them apart."""
    counts = Counter(Path(file).name for file in files)
    return {file: Path(file).name if counts[Path(file).name] == 1 else file for file in files}


@dataclass(frozen=True)
class _Decided:
    """What counts of the reviews in some `files`: the label of each row by its place in the set that it is in."""

    files: tuple[str, ...]
    said: Sequence[Said]
    gold: Mapping[int, str | None] = field(default_factory=dict)
    pool: Mapping[int, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, data: TaskData, said: Sequence[Said], files: tuple[str, ...]) -> "_Decided":
        """Find the rows by their ids."""
        wanted = {one.id: one for one in said}
        places = [{name: place for place, name in enumerate(_ids(rows)) if name in wanted} for rows in _sets(data)]
        for name in wanted:
            if not any(name in found for found in places):
                raise DataError(
                    f"{', '.join(files)}: no row of the run has the id {shown(name)}: give the ids as they are in its "
                    f"pseudo_labels.parquet.{_near(name, data)}"
                )
        gold, pool = (
            {place: wanted[name].label for name, place in found.items() if not wanted[name].tied} for found in places
        )
        return cls(files, said, gold, pool)

    def facts(self, data: TaskData) -> dict[str, object]:
        """Return how many rows count, and as what."""
        gold = [(data.labeled[place].label, label) for place, label in self.gold.items() if label is not None]
        labels = [*self.gold.values(), *self.pool.values()]
        return {
            "rows": len(labels),
            "new": sum(label is not None for label in self.pool.values()),
            "corrected": sum(before != label for before, label in gold),
            "confirmed": sum(before == label for before, label in gold),
            "no_label_fits": sum(label is None for label in labels),
            "tied": sum(one.tied for one in self.said),
            "disagreements": [
                {"id": one.id, "labels": dict(one.labels), "label": None if one.tied else one.label}
                for one in self.said
                if not one.agreed
            ],
        }


def _sets(data: TaskData) -> tuple[Sequence[Example], Sequence[Example]]:
    return data.labeled, data.unlabeled


def _ids(rows: Sequence[Example]) -> Iterable[str]:
    return rows.ids if hasattr(rows, "ids") else (row.id for row in rows)


def _near(name: str, data: TaskData) -> str:
    """Return ids that are near: of a large pool, those of its first rows."""
    return near_matches(name, [row.id for rows in _sets(data) for row in rows[:_NEAR_ROWS]])


_NEAR_ROWS = 2000


def _regrouped(data: TaskData, decided: _Decided) -> TaskData:
    """Return the sets with the rows in their new places."""
    kept = np.asarray([i for i in range(len(data.labeled)) if decided.gold.get(i, "") is not None], np.int64)
    corrected = [replace(data.labeled[i], label=decided.gold.get(i, data.labeled[i].label)) for i in kept.tolist()]
    chosen = sorted(decided.pool)
    moved = np.asarray([place for place in chosen if decided.pool[place] is not None], np.int64)
    added = [replace(data.unlabeled[place], label=decided.pool[place]) for place in moved.tolist()]
    left = _without_copies(data, np.asarray(chosen, np.int64))
    if not len(left):
        raise DataError("Every row of the pool is labeled by hand: there is nothing left to label.")
    facts, copies = decided.facts(data), len(data.unlabeled) - len(left) - len(chosen)
    said = _sentence(facts, decided.files, copies)
    return replace(
        data,
        labeled=(*corrected, *added),
        unlabeled=data.unlabeled.take(left),
        messages=(*data.messages, said, *_disagreements(decided.said)),
        reviewed=Regrouped(data, kept, moved, left, facts, said),
    )


def _without_copies(data: TaskData, chosen: np.ndarray) -> np.ndarray:
    """Return the places of the pool but for the chosen ones and all rows with their texts, int64, sorted."""
    if not len(chosen):
        return np.arange(len(data.unlabeled))
    keys = {key_of(normalise(row)) for row in data.unlabeled.take(chosen)}
    return np.asarray([i for i, row in enumerate(data.unlabeled) if key_of(normalise(row)) not in keys], np.int64)


def _sentence(facts: Mapping[str, object], files: Sequence[str], copies: int) -> str:
    """Say how many rows count."""
    parts = {
        "new gold row{s}": facts["new"],
        "gold row{s} corrected": facts["corrected"],
        "gold row{s} confirmed": facts["confirmed"],
        "left out since no label fits": facts["no_label_fits"],
    }
    told = ", ".join(f"{count} {what.format(s='s' * (count != 1))}" for what, count in parts.items() if count)
    rows = "1 row counts" if facts["rows"] == 1 else f"{facts['rows']} rows count"
    tied = f"; {facts['tied']} left out, since as many reviewers say one thing as another" * bool(facts["tied"])
    have = "1 unlabeled row has" if copies == 1 else f"{copies} unlabeled rows have"
    gone = f"; {have} the text of one of them: dropped" * bool(copies)
    return f"{rows} of {', '.join(_names(files).values())}: {told or 'nothing'}{tied}{gone}"


def _disagreements(said: Sequence[Said]) -> list[str]:
    """Say on which rows the reviewers disagree, who says what, and what comes of it."""
    lines = [one.line() for one in said if not one.agreed]
    if not lines:
        return []
    rows = "1 row has" if len(lines) == 1 else f"{len(lines)} rows have"
    more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return [f"{rows} different labels by their reviewers: {'; '.join(lines[:_SHOWN])}{more}"]
