"""Why a row has its label: what a finished run has kept about it, read back without any model.

    pseudo_labels.parquet             what came of the row, and what a person has changed since
    generations/<g>/report.json       the voters, their patterns and words; whether the generation was rejected
    generations/<g>/votes.parquet     per voter the row's probabilities
    generations/<g>/<voter>.parquet   the voter's training set

Ids are compared as text: a tool with which a person has corrected labels may have made numbers of them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq

from pet.data.examples import Example
from pet.data.output import field_names
from pet.errors import ConfigError, DataError, PromptError, near_matches
from pet.method.labels import is_ours
from pet.prompts.patterns import Pattern
from pet.runs.directory import RunDirectory
from pet.settings.config import RunConfig
from pet.settings.task import TaskSettings

Probs = Mapping[str, float]

MASK = "____"
"""Stands for the mask in what is shown."""

_COMPARED_IDS = 50_000  # near matches among more take seconds


@dataclass(frozen=True)
class Learned:
    """How the row stood in a training set; `confidence` is None for a gold row, whose label no voter decided."""

    label: str
    source: str
    confidence: float | None
    decided_by: tuple[str, ...]


@dataclass(frozen=True)
class VoterView:
    """One voter of one generation: its vote on the row, `probs`, and the row's place in its training set.

    `probs` is None where the row got no vote, `trained_on` where it was not in the training set, `pattern` where it
    reads rows as vectors, or not at all: an `outside` voter is somebody else, whose votes came from there.
    """

    name: str
    pattern: Pattern | None
    words: Mapping[str, Sequence[str]]
    probs: Probs | None
    trained_on: Learned | None
    outside: str | None = None

    @property
    def label(self) -> str | None:
        """The label that the voter finds most probable; the first of equals."""
        return max(self.probs, key=self.probs.__getitem__) if self.probs else None


@dataclass(frozen=True)
class GenerationView:
    """One generation; `rejected` is the reason of the guard rails; `continues` names the one it learned from."""

    number: int
    rejected: str | None
    continues: int | None
    voters: tuple[VoterView, ...]


@dataclass(frozen=True)
class Explanation:
    """A row of the labeled data set and how it came by its label.

    `example.label` is the label now. `probs` are the ensemble's (None for a row that a person has added). `generation`
    is the first one that labeled the row; `training_sets` counts those it was drawn for. `namesakes` counts other
    rows with the same id. `description` says what the label is about, where a person has said so.
    """

    example: Example
    source: str
    probs: Probs | None
    confidence: float | None
    agreement: float | None
    generation: int | None
    training_sets: int | None
    generations: tuple[GenerationView, ...]
    namesakes: int = 0
    description: str | None = None

    @property
    def is_gold(self) -> bool:
        """Whether the row was labeled from the start."""
        return self.source == "gold"

    @property
    def corrected_from(self) -> str | None:
        """The label before a person changed it, None where nobody did."""
        best = max(self.probs, key=self.probs.__getitem__) if self.probs else None
        return best if best != self.example.label else None

    @property
    def askers(self) -> dict[str, tuple[Pattern, VoterView]]:
        """Each pattern with a voter that reads it, by the pattern's name, or the voter's where a name is not enough."""
        views = [(voter.pattern, voter) for one in self.generations for voter in one.voters if voter.pattern]
        templates: dict[str, set[str]] = {}
        for pattern, _ in views:
            templates.setdefault(pattern.name, set()).add(pattern.template)
        found = {(pattern.name, pattern.template): (pattern, voter) for pattern, voter in views}
        return {p.name if len(templates[p.name]) == 1 else v.name: (p, v) for p, v in found.values()}

    @property
    def words(self) -> tuple[str, ...]:
        """The words that speak for the row's label at the mask, of all voters; of candidates the one chosen."""
        if choices := self.example.choices:
            return (choices[int(str(self.example.label))],)
        lists = [voter.words.get(str(self.example.label), ()) for _, voter in self.askers.values()]
        return tuple(dict.fromkeys(word for words in lists for word in words))

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, no text shortened."""
        row = self.example
        return {
            "id": row.id,
            "label": row.label,
            "description": self.description,
            "corrected_from": self.corrected_from,
            "source": self.source,
            "confidence": self.confidence,
            "agreement": self.agreement,
            "probabilities": _rounded(self.probs),
            "generation": self.generation,
            "training_sets": self.training_sets,
            "other_rows_with_this_id": self.namesakes,
            "fields": dict(row.fields),
            "generations": [_generation_json(one) for one in self.generations],
            "patterns": [
                {
                    "name": name,
                    "template": pattern.template,
                    "read": pattern.describe(row, MASK),
                    "words": dict(voter.words),
                }
                for name, (pattern, voter) in self.askers.items()
            ],
        }


def explain(run: str | Path, row_id: str) -> Explanation:
    """Read why a row of a finished run has its label; `row_id` is compared with the ids as text.

    Raises `ConfigError` if `run` is no run directory. Raises `DataError` if the run is not finished, has no such
    row, or a file of it is damaged.
    """
    directory = RunDirectory(Path(run))
    if not directory.manifest_path.is_file():
        raise ConfigError(f"{run} is no run directory: give one that `pet label` or `pet run` has made.")
    folders = _generation_folders(directory.root / "generations")
    needed = {"config.toml": directory.config_path.is_file(), "generations": bool(folders)}
    needed["pseudo_labels.parquet"] = directory.pseudo_labels.is_file()
    if missing := [name for name, present in needed.items() if not present]:
        raise DataError(
            f"The run in {run} is not finished ({missing[0]} is missing): give the command that made it again."
        )
    config = RunConfig.from_toml(directory.config_path)
    rows = _rows(directory.pseudo_labels, row_id)
    if not rows:
        hint = near_matches(row_id, _ids(directory.pseudo_labels, row_id))
        raise DataError(f"No row {row_id!r} in {directory.pseudo_labels}: give one of its ids.{hint}")
    # A labeled row may have the id of a row of the pool; why that one has its label is known.
    row = next((row for row in rows if row.get("source") != "gold"), rows[0])
    found = _row(directory.pseudo_labels, row, config.task)
    generations = tuple(_generation(folder, found, config.task.labels) for folder in folders)
    return replace(found, generations=generations, namesakes=len(rows) - 1)


def _row(path: Path, row: Mapping[str, Any], task: TaskSettings) -> Explanation:
    names = field_names(task.fields, is_ours)
    missing = [name for name in (*names.values(), "label", "source") if name not in row]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}: give it back, or run `pet label` again.")
    fields = {field: str(row[name] or "") for field, name in names.items()}
    probs = {label: _number(row.get(f"prob_{label}")) for label in task.labels}
    known = {label: prob for label, prob in probs.items() if prob is not None}
    return Explanation(
        Example(str(row["id"]), fields, str(row["label"])),
        str(row["source"] or "pseudo"),  # empty in a row that a person has added
        known if len(known) == len(probs) else None,
        _number(row.get("confidence")),
        _number(row.get("agreement")),
        _whole(row.get("generation")),
        _whole(row.get("training_sets")),
        (),
        description=task.descriptions.get(str(row["label"])),
    )


def _generation_folders(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*") if path.is_dir() and path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name))


def _generation(folder: Path, row: Explanation, labels: Sequence[str]) -> GenerationView:
    """Read what one generation says about a row."""
    report = folder / "report.json"
    try:
        content = json.loads(report.read_bytes())
        # A labeled row gets no votes: those under its id would be of another row.
        votes = _rows(folder / "votes.parquet", row.example.id) if not row.is_gold else []
        voters = tuple(
            VoterView(
                voter["name"],
                _pattern(voter),
                dict(voter["words"]),
                _vote(votes[0][voter["name"]], labels) if votes else None,
                _trained_on(_rows(folder / voter["file"], row.example.id), row.is_gold),
                voter.get("outside"),
            )
            for voter in content["voters"]
        )
        return GenerationView(int(folder.name), content["rejected"], content["continues"], voters)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PromptError) as error:
        raise _damaged(report, error) from None


def _pattern(voter: Mapping[str, Any]) -> Pattern | None:
    return Pattern(voter["name"].partition("+")[0], voter["template"]) if voter["template"] else None


def _vote(probs: Sequence[float], labels: Sequence[str]) -> Probs | None:
    return None if math.isnan(probs[0]) else {label: float(prob) for label, prob in zip(labels, probs, strict=True)}


def _trained_on(rows: Sequence[Mapping[str, Any]], is_gold: bool) -> Learned | None:
    for row in rows:
        if (row["source"] == "gold") == is_gold:
            return Learned(str(row["label"]), row["source"], _number(row["confidence"]), tuple(row["decided_by"] or ()))
    return None


def _rows(path: Path, row_id: str) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file with that id; only the groups that hold one are read whole."""
    found: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["id"])["id"].to_pylist()
                if hits := [place for place, name in enumerate(ids) if str(name) == row_id]:
                    found += file.read_row_group(group).take(hits).to_pylist()
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise _damaged(path, error) from None
    return found


def _ids(path: Path, row_id: str) -> list[str]:
    """Return the ids that a mistyped one is compared with: of very many, some of about its length."""
    ids = [str(name) for name in pq.read_table(path, columns=["id"])["id"].to_pylist()]
    return ids if len(ids) <= _COMPARED_IDS else [n for n in ids if abs(len(n) - len(row_id)) < 2][:_COMPARED_IDS]


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
    return DataError(f"{path} is missing or damaged ({reason}): give the command that made the run again.")


def _generation_json(one: GenerationView) -> dict[str, Any]:
    voters = [
        {
            "name": voter.name,
            "label": voter.label,
            "probabilities": _rounded(voter.probs),
            "trained_on": _trained_json(voter.trained_on),
            **({"outside": voter.outside} if voter.outside else {}),
        }
        for voter in one.voters
    ]
    return {"generation": one.number, "rejected": one.rejected, "continues": one.continues, "voters": voters}


def _trained_json(trained_on: Learned | None) -> dict[str, Any] | None:
    if trained_on is None:
        return None
    return {"label": trained_on.label, "confidence": trained_on.confidence, "decided_by": list(trained_on.decided_by)}


def _rounded(probs: Probs | None) -> Probs | None:
    # More digits are those of float32 written as float64.
    return {label: round(prob, 6) for label, prob in probs.items()} if probs else None


def _number(value: Any) -> float | None:
    """Return a cell as a number; None where it is empty."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    number = _number(value)  # a column with empty cells may come back as one of decimal numbers
    return None if number is None else int(number)
