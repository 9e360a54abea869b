"""The rows of one run: read, drawn and kept apart, with a sentence for all that a person should know."""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import chain

import numpy as np

from pet.data.examples import Example, Task
from pet.data.labels import ONE_LABEL, joined_labels
from pet.data.numbers import Number, joined
from pet.data.overlap import Overlap, Overlaps, find_overlaps
from pet.data.readers import ReadOptions, ReadResult, RejectedRow, Role, read_examples
from pet.data.rows import Rows
from pet.data.sampling import limit, sample_per_label
from pet.data.source import parse_source
from pet.errors import DataError, close_match, shown
from pet.seeding import rng_for
from pet.settings.task import DataSettings, TaskSettings

_ROLES: Mapping[str, Role] = {"rows": "row", "train": "train", "unlabeled": "unlabeled", "test": "test"}
"""The sources of a run by their names in the settings, in the order in which they are read."""


@dataclass(frozen=True)
class TaskData:
    """A task with its three sets of rows; the unlabeled ones, the pool, and the test rows lie in files.

    `columns` maps each field to the column of the file it was first found in; `messages` are sentences for
    the log; `rejected` are the rows that were left out because they could not be used. `numbers` are the other columns
    of the labeled rows and the pool whose cells are text and mean numbers. `reviewed` says what people have changed in
    the sets since they were drawn.
    """

    task: Task
    labeled: tuple[Example, ...]
    unlabeled: Rows
    test: Rows
    columns: Mapping[str, str]
    messages: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]
    numbers: Mapping[str, Number] = field(default_factory=dict)
    reviewed: "Regrouped | None" = field(default=None, compare=False)

    @property
    def drawn(self) -> "TaskData":
        """The sets as they were drawn, before people have changed them."""
        return self.reviewed.before if self.reviewed else self

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The digests of the labeled, the unlabeled and the test rows."""
        return tuple(data_digest(rows) for rows in (self.labeled, self.unlabeled, self.test))


@dataclass(frozen=True)
class Regrouped:
    """Where the rows come from, once people have labeled rows of the pool: int64 places in the sets as they were.

    The labeled rows are those that still are, `kept`, and behind them those that came from the pool, `moved`; the pool
    are those that are `left` in it. `facts` tell how that came about, for `metrics.json`; `said` in a sentence.
    """

    before: TaskData
    kept: np.ndarray
    moved: np.ndarray
    left: np.ndarray
    facts: Mapping[str, object]
    said: str


def load_task_data(task: TaskSettings, data: DataSettings, seed: int, known_labels: tuple[str, ...] = ()) -> TaskData:
    """Read, draw and check the sets of a run; `known_labels` (those of the verbalizer) are the last resort.

    The labels are those of `task`, else the sorted ones of the whole train file, else `known_labels`.
    Unlabeled rows whose text is also that of a drawn train row, or of any test row, are dropped before
    `max_unlabeled` are drawn.

    Raises `DataError` if a set cannot be read, the unlabeled set is missing or empty, the labels are unknown or
    fewer than two, a labeled row has another one or several, or no file has the column of ids that was named. Raises
    `ConfigError` if a label is described that is none.
    """
    if data.unlabeled is None and data.rows is None:
        raise DataError(
            "[data] unlabeled is missing: name the file of the rows that the run has to label; or, in [data] rows, one "
            "file of both, in which rows to label have an empty label."
        )
    reads, labels = _read_all(task, data, known_labels)
    columns = task.fields or next(iter(reads.values())).fields
    settled = Task(task.name, labels, tuple(columns), task.descriptions, task.description)
    train, unlabeled, test = _sets(reads)
    drawn = sample_per_label(train, labels, data.examples_per_label, rng_for(seed, "sample", "train"))
    overlaps = find_overlaps(drawn, unlabeled, test)
    drawn, shared = _with_own_ids(drawn, overlaps.ids)
    pool = unlabeled.take(overlaps.kept)
    if not pool:
        raise DataError(_nothing_left(data, len(unlabeled)))
    return TaskData(
        task=settled,
        labeled=drawn,
        unlabeled=limit(pool, data.max_unlabeled, rng_for(seed, "sample", "unlabeled")),
        test=limit(test, data.max_test, rng_for(seed, "sample", "test")),
        columns=columns,
        messages=(
            *_read_messages(reads),
            *(() if task.labels or task.choices else _doubtful_labels(train)),
            *(() if task.choices else _label_messages(labels, drawn, data)),
            *_overlap_messages(overlaps, len(unlabeled)),
            *shared,
        ),
        rejected=tuple(row for read in reads.values() for row in read.rejected),
        numbers=joined(read.numbers for role, read in reads.items() if role != "test"),
    )


def _sets(reads: Mapping[Role, ReadResult]) -> tuple[Rows, Rows, Rows]:
    """Return the labeled, the unlabeled and the test rows; of one file those without a label are the unlabeled ones."""
    nothing = Rows.of(())
    test = reads["test"].examples if "test" in reads else nothing
    if "row" not in reads:
        return reads["train"].examples if "train" in reads else nothing, reads["unlabeled"].examples, test
    rows = reads["row"].examples
    labeled = np.fromiter((row.label is not None for row in rows), bool, len(rows))
    return rows.take(labeled), rows.take(~labeled), test


def _nothing_left(data: DataSettings, rows: int) -> str:
    """Say why no row of so many is there to be labeled."""
    if not rows:
        return (
            f"Every row of [data] rows ({data.rows}) has a label, so none is left to be labeled: leave the label of "
            "others empty, or name the file in [data] train and one of unlabeled rows in [data] unlabeled."
        )
    return (
        f"No row of [data] {'rows' if data.rows else 'unlabeled'} ({data.rows or data.unlabeled}) is left: each "
        f"{'without a label ' if data.rows else ''}has the text of a labeled or a test row; give other rows."
    )


def _with_own_ids(drawn: tuple[Example, ...], taken: Set[str]) -> tuple[tuple[Example, ...], list[str]]:
    """Give each labeled row an id that no row of the pool has, since both are known by it; say which had another."""
    shared = [row.id for row in drawn if row.id in taken]
    if not shared:
        return drawn, []
    used, rows = {*taken, *(row.id for row in drawn)}, []
    for row in drawn:
        name = row.id
        while row.id in taken and name in used:
            name = f"train-{name}"
        used.add(name)
        rows.append(replace(row, id=name))
    ids = f"{len(shared)} ids of labeled rows are" if len(shared) > 1 else "the id of a labeled row is"
    called = next(row.id for row, before in zip(rows, drawn, strict=True) if row.id != before.id)
    return tuple(rows), [
        f"{ids} also of unlabeled ones ({_some([shown(name) for name in shared])}): the labeled rows are called by "
        f"others, such as {shown(called)} for {shown(shared[0])}"
    ]


def load_test_rows(task: TaskSettings, data: DataSettings, seed: int) -> Rows:
    """Read the test rows alone, the same that `load_task_data` gives; none where no test file is named.

    Raises `DataError` if the file cannot be read, or a row has no label of the task.
    """
    if data.test is None:
        return Rows.of(())
    options = ReadOptions("test", task.fields, task.label_column, task.id_column, task.labels, data.on_bad_row)
    rows = read_examples(parse_source(data.test, data.encoding), options).examples
    return limit(rows, data.max_test, rng_for(seed, "sample", "test"))


def labeled_draws(task: TaskSettings, data: DataSettings, seeds: Sequence[int]) -> list[tuple[Example, ...]]:
    """Return the labeled rows that `load_task_data` draws by each seed, of a task whose labels and fields are named.

    Raises `DataError` if the file cannot be read, or a row has no label of the task.
    """
    if data.labeled is None:
        return [() for _ in seeds]
    role: Role = "row" if data.rows else "train"
    options = ReadOptions(role, task.fields, task.label_column, task.id_column, task.labels, data.on_bad_row)
    rows, count = read_examples(parse_source(data.labeled, data.encoding), options).examples, data.examples_per_label
    rows = rows.take(np.fromiter((row.label is not None for row in rows), bool, len(rows)))
    return [sample_per_label(rows, task.labels, count, rng_for(seed, "sample", "train")) for seed in seeds]


def data_digest(examples: Iterable[Example]) -> str:
    """Return the sha256, in hex, of ids, fields and labels in order; `extra` does not count.

    >>> data_digest([Example("1", {"a": "x"})]) == data_digest([Example("1", {"a": "x"}, extra={"b": 2})])
    True
    """
    digest = hashlib.sha256()
    for example in examples:
        row = [example.id, dict(example.fields), example.label]
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _read_all(
    task: TaskSettings, data: DataSettings, known_labels: tuple[str, ...]
) -> tuple[dict[Role, ReadResult], tuple[str, ...]]:
    """Read rows, train, unlabeled and test in this order: the first settles the columns and perhaps the labels."""
    labels = () if task.choices else task.labels or (known_labels if data.labeled is None else ())
    if not labels and data.labeled is None and not task.choices:
        raise DataError("The labels are unknown: name them in [task] labels, or give labeled rows in [data] train.")
    fields: Mapping[str, str] = task.fields
    reads: dict[Role, ReadResult] = {}
    for name, role in _ROLES.items():
        source = getattr(data, name)
        if source is None:
            continue
        options = ReadOptions(role, fields, task.label_column, task.id_column, labels or None, data.on_bad_row)
        reads[role] = read_examples(parse_source(source, data.encoding), options)
        fields = fields or reads[role].fields
        if not task.choices:
            labels = labels or _labels_of(source, reads[role].examples) or known_labels
    if task.choices:
        labels = indices(max(len(row.choices) for read in reads.values() for row in read.examples))
    if not labels:
        raise DataError(f"The labels are unknown, for no row of {data.rows} has one: name them in [task] labels.")
    name, columns = task.id_column, dict.fromkeys(chain(*(read.columns for read in reads.values())))
    if name not in ("id", *columns):  # rows would be numbered instead
        raise DataError(
            f"No file has the column {shown(name)} for the ids; found {', '.join(map(shown, columns))}: name another "
            f"in [task] id_column, or leave it out.{close_match(name, columns)}"
        )
    return reads, labels


def indices(count: int) -> tuple[str, ...]:
    """Return the labels of rows that have up to so many candidates.

    >>> indices(3)
    ('0', '1', '2')
    """
    return tuple(map(str, range(count)))


def _labels_of(source: str, rows: Rows) -> tuple[str, ...]:
    """Return the labels of a file in order, or raise a `DataError` where some are several in one."""
    labels = _sorted_labels(rows)
    if joined := joined_labels(labels):
        count = sum(row.label in joined for row in rows)
        raise DataError(
            f"{source}: {count} rows have several labels, such as {shown(joined[0])}, and {ONE_LABEL}; if "
            f"{shown(joined[0])} is one label, name all of them in [task] labels."
        )
    return labels


def _sorted_labels(examples: Iterable[Example]) -> tuple[str, ...]:
    """Return the labels in order: as numbers where all are, so that "10" follows "9"."""
    labels = {example.label for example in examples if example.label is not None}
    numbers = all(label.lstrip("-").isdecimal() for label in labels)
    return tuple(sorted(labels, key=lambda label: (int(label) if numbers else 0, label)))


def _read_messages(reads: Mapping[Role, ReadResult]) -> list[str]:
    """Say which rows could not be used, and that labels were seen where none belong."""
    messages = []
    for role, read in reads.items():
        if read.rejected:
            first, kind = read.rejected[0], "rows" if role == "row" else f"{role} rows"
            messages.append(
                f"{len(read.rejected)} of {len(read.rejected) + len(read.examples)} {kind} left out, "
                f"such as number {first.line} of {first.file}: {first.reason}"
            )
        messages += read.notes
        if role == "unlabeled" and read.labels_seen:
            messages.append("labels seen in the unlabeled file: ignored")
    return messages


_MANY_LABELS = 100
_PLACEHOLDERS = frozenset({"nan", "none", "null", "n/a", "na", "#n/a", "nil", "?", "-"})


def _doubtful_labels(rows: Iterable[Example]) -> list[str]:
    """Say which labels of a file may be others misspelled: one row has it, or another looks the same.

    Among many labels none is looked for: comparing each with each takes too long.
    """
    counts, messages = Counter(str(row.label) for row in rows), []
    if len(counts) > _MANY_LABELS:
        lone = sum(count == 1 for count in counts.values())
        doubt = f"{len(counts)} different labels, {lone} of them on a single row: is it the right column?"
        return [doubt] if lone > len(counts) / 2 else []
    for label, count in counts.items():
        rows_of = "1 row" if count == 1 else f"{count} rows"
        if label.casefold() in _PLACEHOLDERS and count * len(counts) < counts.total():  # "none" may be a label too
            messages.append(f"the label {shown(label)} has {rows_of}: is it an empty cell?")
            continue
        others = [other for other in counts if (counts[other], other) > (count, label)]
        same = [other for other in others if _outline(other) == _outline(label)]
        near = same or (get_close_matches(label, others, n=1, cutoff=0.7) if count == 1 else [])
        if near:
            messages.append(f"the label {shown(label)} has {rows_of}: is {shown(near[0])} meant?")
    return messages


def _outline(label: str) -> str:
    """Return a label without what is easily overlooked: case, blanks, signs without a width, forms of letters."""
    letters = unicodedata.normalize("NFKC", label).casefold()
    return "".join(sign for sign in letters if not sign.isspace() and unicodedata.category(sign) != "Cf")


def _label_messages(labels: Sequence[str], drawn: Sequence[Example], data: DataSettings) -> list[str]:
    """Say which labels have no labeled row, or fewer than were asked for."""
    if not drawn:
        return ["no labeled rows: the words and descriptions of the labels have to tell them apart"]
    counts = Counter(example.label for example in drawn)
    bare = [shown(label) for label in labels if not counts[label]]
    short = [
        f"{shown(label)} {counts[label]}" for label in labels if 0 < counts[label] < (data.examples_per_label or 0)
    ]
    messages = [f"labels without a labeled row: {_some(bare)}"] if bare else []
    if short:
        messages.append(f"labels with fewer than {data.examples_per_label} labeled rows: {_some(short)}")
    return messages


def _some(items: Sequence[str]) -> str:
    """Return the first five, and how many more there are."""
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def _overlap_messages(overlaps: Overlaps, rows: int) -> list[str]:
    """Say which texts stand in two sets, and how many of so many unlabeled rows are left."""
    messages = [
        _shared(
            overlaps.contradictions,
            "labeled rows have the text of an earlier one and another label",
            f"kept; look at them, for both cannot be right: {ONE_LABEL}",
        ),
        _shared(overlaps.train_unlabeled, "unlabeled rows have the text of a labeled row", "dropped"),
        _shared(overlaps.test_unlabeled, "unlabeled rows have the text of a test row", "dropped"),
        _shared(
            overlaps.train_test,
            "test rows have the text of a labeled row",
            "kept, and the measured accuracy is too high for it",
        ),
    ]
    if overlaps.unlabeled_duplicates:
        messages.append(f"{overlaps.unlabeled_duplicates} unlabeled rows repeat the text of an earlier one: kept")
    if dropped := rows - len(overlaps.kept):
        messages.append(f"{dropped} of {rows} unlabeled rows dropped, {len(overlaps.kept)} left")
    return [message for message in messages if message]


def _shared(overlap: Overlap, what: str, done: str) -> str:
    pairs: Sequence[str] = [f"{second} = {first}" for first, second in overlap.ids]
    more = ", ..." if overlap.count > len(pairs) else ""
    return f"{overlap.count} {what} ({', '.join(pairs)}{more}): {done}" if overlap.count else ""
