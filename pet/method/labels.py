"""`pseudo_labels.parquet`: the labeled data set a run gives back, and reading it again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from pet.data.examples import Example
from pet.data.numbers import Number
from pet.data.output import Columns, OutputNames, field_names, parquet_pieces, row_pieces
from pet.data.parquet import parquet_batches
from pet.data.rows import Rows
from pet.data.scratch import told_if_full, unnamed_file
from pet.data.writers import Pieces, write_parquet
from pet.errors import DataError, near_matches
from pet.labeling.ensemble import agreement
from pet.labeling.votes import SoftLabels, Votes
from pet.settings.task import label_word

_OURS = frozenset({"id", "label", "confidence", "agreement", "generation", "training_sets", "source"})


def is_ours(name: str) -> bool:
    """Return whether a column of a labeled data set is one that pet writes."""
    # The same answer when the table is read again, without the voters at hand: the name of each has a plus sign.
    return name in _OURS or name.startswith("prob_") or (name.startswith("vote_") and "+" in name)


@dataclass(frozen=True)
class History:
    """When each row of the pool was first labeled, and in how many voters' training sets it was: int64 [n] each."""

    generation: np.ndarray
    training_sets: np.ndarray


@dataclass(frozen=True)
class LabeledPool:
    """The labeled data set as it is written: the gold rows (source "gold"), then the pool ("pseudo").

    Per row: id, fields (under the names of `columns`), the user's columns, label, prob_<label>, confidence, agreement
    (the weighted share of voters with this label), vote_<voter> (empty where it has none), generation (the first that
    labeled the row),
    training_sets (how many it was in), source. Gold rows have probability 1 and no votes. `numbers` are those of the
    user's columns whose cells are text and mean numbers.
    """

    labeled: Sequence[Example]
    pool: Rows
    columns: Mapping[str, str]
    votes: Sequence[Votes]
    soft: SoftLabels
    history: History
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @cached_property
    def _names(self) -> OutputNames:
        return OutputNames.of(chain(self.labeled, self.pool), self.columns, is_ours, self.numbers)

    def pieces(self) -> Iterator[Columns]:
        """Yield the columns of some rows at a time: the gold rows with the first of the pool, then the others."""
        for rows in row_pieces(len(self.pool)):
            part = self.pool[rows]
            pseudo = self._names.columns(part) | self._found(rows, [example.id for example in part])
            gold = self._names.columns(self.labeled) | self._given() if not rows.start else {}
            yield {name: gold.get(name, []) + values for name, values in pseudo.items()}

    def _given(self) -> Columns:
        """Return our columns of the gold rows."""
        gold = [str(example.label) for example in self.labeled]
        none: list[Any] = [None] * len(gold)
        return {
            "label": gold,
            **{f"prob_{label}": [float(name == label) for name in gold] for label in self.soft.labels},
            "confidence": [1.0] * len(gold),
            "agreement": none,
            **{f"vote_{vote.voter}": none for vote in self.votes},
            "generation": none,
            "training_sets": none,
            "source": ["gold"] * len(gold),
        }

    def _found(self, rows: slice, ids: Sequence[str]) -> Columns:
        """Return our columns of rows of the pool."""
        votes = [replace(vote, ids=ids, scores=vote.scores[rows]) for vote in self.votes]
        soft = SoftLabels(ids, self.soft.labels, self.soft.probs[rows])
        hard = soft.hard()
        return {
            "label": [soft.labels[k] for k in hard],
            **{f"prob_{label}": soft.probs[:, k].tolist() for k, label in enumerate(soft.labels)},
            "confidence": soft.confidence().tolist(),
            "agreement": agreement(votes, hard).tolist(),
            **{f"vote_{vote.voter}": [vote.labels[k] if k >= 0 else None for k in vote.hard()] for vote in votes},
            "generation": self.history.generation[rows].tolist(),
            "training_sets": self.history.training_sets[rows].tolist(),
            "source": ["pseudo"] * len(hard),
        }


def differs(path: Path, pieces: Pieces) -> bool:
    """Say whether a labeled data set at `path` differs from one of the given pieces in any cell."""
    if not path.is_file():
        return False
    with unnamed_file() as scratch:
        # Written and read as well, so that both have passed through the same types.
        with told_if_full():
            write_parquet(scratch, pieces)
        try:
            with pq.ParquetFile(path) as found, pq.ParquetFile(scratch) as new:
                if _shape(found) != _shape(new):
                    return True
                # As text, since NaN in a column of the user's would not equal itself.
                return any(repr(a) != repr(b) for a, b in zip(_cells(found), _cells(new), strict=True))
        except (pyarrow.ArrowException, OSError):
            return False  # no table: nobody's work


def _shape(file: pq.ParquetFile) -> tuple[list[str], int]:
    return file.schema_arrow.names, file.metadata.num_rows


def _cells(file: pq.ParquetFile) -> Iterator[list[Any]]:
    """Yield the rows one by one: groups of rows may differ."""
    for batch in parquet_batches(file):
        yield from (list(row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))


@dataclass(frozen=True)
class LabeledRows:
    """The rows of a labeled data set: `probs` float32 [n, k]; `gold` bool [n].

    Of so many rows a person has set the label: it is not the most probable one.
    """

    examples: Rows
    probs: np.ndarray
    gold: np.ndarray
    corrected: int = 0

    def used(self, gold_rows: bool) -> np.ndarray:
        """Return which rows a classifier learns from, bool [n]: all, or those of the pool alone."""
        return np.ones(len(self.gold), np.bool_) if gold_rows else ~self.gold

    def labeled_by_hand(self, labels: Sequence[str]) -> Iterator[Example]:
        """Yield the gold rows with their labels, of which `labels` are those of the columns."""
        for place in np.flatnonzero(self.gold).tolist():
            yield replace(self.examples[place], label=labels[int(self.probs[place].argmax())])


def read_labeled_rows(
    path: Path, columns: Mapping[str, str], labels: Sequence[str], *, enough: int | None = None
) -> LabeledRows:
    """Read `pseudo_labels.parquet`, also after a person has corrected labels in it, or removed or added rows.

    Where `label` is not the most probable label of the row, or its probabilities are empty, the label wins: its
    probability becomes 1. With `enough` it stops once it has so many rows, or a few more.

    Raises `DataError` if the file is missing or no table, lacks a column or has no rows, or a row lacks its text or
    has a label outside `labels`.
    """
    names = field_names(columns, is_ours)
    needed = ["id", *names.values(), "label", "source", *(f"prob_{label}" for label in labels)]
    parts: list[tuple[np.ndarray, int]] = []
    gold = bytearray()

    def examples() -> Iterator[Example]:
        read = 0
        for table in _tables(path, needed):
            parts.append(_targets(path, read, table, labels))
            for i, row in enumerate(table["id"]):
                texts = {field: _text(path, read + i + 1, name, table[name][i]) for field, name in names.items()}
                gold.append(table["source"][i] == "gold")
                yield Example(str(row), texts)
            read += len(table["id"])
            if enough is not None and read >= enough:
                return

    rows = Rows.of(examples())
    if not rows:
        raise DataError(f"{path} has no rows left: keep some, or run `pet label` again.")
    probs, corrected = zip(*parts, strict=True)
    return LabeledRows(rows, np.concatenate(probs), np.frombuffer(gold, np.bool_), sum(corrected))


def _targets(path: Path, before: int, table: Columns, labels: Sequence[str]) -> tuple[np.ndarray, int]:
    """Return float32 [r, k], the probabilities of some rows, `before` which so many stand, and for how many labels won.

    A label wins where it is not the most probable one.
    """
    rows = enumerate(zip(table["id"], table["label"], strict=True), before + 1)
    given = [_column(f"{path}, row {row} (id {name})", label, labels) for row, (name, label) in rows]
    probs = np.asarray([table[f"prob_{label}"] for label in labels], np.float32).T
    corrected = ~np.isfinite(probs).all(axis=1) | (probs.argmax(axis=1) != given)
    probs[corrected] = np.eye(len(labels), dtype=np.float32)[np.asarray(given, np.int64)[corrected]]
    return probs, int(corrected.sum())


def _tables(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    """Yield some columns of a labeled data set, a thousand rows at a time."""
    if not path.is_file():
        raise DataError(f"There is no {path}: run `pet label` or `pet run` first.")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
        if missing := [name for name in columns if name not in names]:
            raise DataError(f"{path} has no column {missing[0]!r}: give it back, or run `pet label` again.")
        yield from parquet_pieces(path, columns)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:150]
        raise DataError(f"{path} is no Parquet file ({reason}): run `pet label` again.") from None


def _column(place: str, label: object, labels: Sequence[str]) -> int:
    if (word := label_word(label)) not in labels:
        hint = near_matches(word, labels)
        raise DataError(f"{place}: the label is {label!r}, expected one of {list(labels)}.{hint}")
    return list(labels).index(word)


def _text(path: Path, row: int, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path}, row {row}: no text in the column {name!r}, found {value!r}: mend or remove the row.")
    return value


def pool_id(labeled: Path) -> str:
    """Return the id of the first row of the pool in a labeled data set."""
    rows = (
        (name, source)
        for table in _tables(labeled, ["id", "source"])
        for name, source in zip(*table.values(), strict=True)
    )
    return next((str(name) for name, source in rows if source == "pseudo"), "ROW_ID")


def sample_lines(labeled: Path, columns: Mapping[str, str], count: int = 5, width: int = 88) -> list[str]:
    """Return some pseudo-labeled rows for a terminal, spread over the file: label, confidence, agreement, text."""
    names = field_names(columns, is_ours)
    needed = ["label", "confidence", "agreement", "source", *names.values()]
    sources = (source == "pseudo" for table in _tables(labeled, ["source"]) for source in table["source"])
    pool = np.flatnonzero(np.fromiter(sources, np.bool_))
    chosen = set(pool[np.linspace(0, len(pool) - 1, min(count, len(pool))).astype(int)].tolist())
    every = (row for table in _tables(labeled, needed) for row in zip(*(table[name] for name in needed), strict=True))
    rows = [row for i, row in enumerate(every) if i in chosen]
    longest = max((len(str(row[0])) for row in rows), default=0)
    lines = []
    for label, confidence, agreed, _, *texts in rows:
        text = " | ".join(" ".join(str(one).split()) for one in texts)
        shown = text if len(text) <= width else text[: width - 1] + "…"
        lines.append(f"{label:<{longest}}  {confidence:.2f}  {agreed:.2f}  {shown}")
    return lines
