"""The eight tasks, each with its reader, its measure and the form in which it is submitted."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pet.data.formats import scan_file
from pet.data.scanned import Malformed
from pet.data.source import File, parse_source
from pet.data.writers import check_output, write_table
from pet.errors import DataError, UsageError
from pet.settings.task import CHOICES, label_word
from pet.using.superglue import measures, rows
from pet.using.superglue.measures import Answered, Measure
from pet.using.superglue.rows import Row


@dataclass(frozen=True)
class BenchmarkTask:
    """A task: the name of its files, what reads their lines, its measure, and how a label is submitted."""

    file: str
    read: Callable[[Mapping[str, Any]], Iterator[Row]]
    measure: Measure = measures.accuracy
    submitted: Callable[[Answered], object] = lambda row: row.said


TASKS: Mapping[str, BenchmarkTask] = {
    "boolq": BenchmarkTask("BoolQ", rows.yes_or_no("passage", "question")),
    "cb": BenchmarkTask("CB", rows.yes_or_no("premise", "hypothesis"), measures.accuracy_and_f1),
    "copa": BenchmarkTask("COPA", rows.copa, submitted=lambda row: int(row.said)),
    "multirc": BenchmarkTask("MultiRC", rows.multirc, measures.answers, lambda row: int(row.said == "true")),
    "record": BenchmarkTask("ReCoRD", rows.record, measures.entities, measures.chosen_text),
    "rte": BenchmarkTask("RTE", rows.yes_or_no("premise", "hypothesis")),
    "wic": BenchmarkTask("WiC", rows.yes_or_no("sentence1", "sentence2", "word")),
    "wsc": BenchmarkTask("WSC", rows.wsc, submitted=lambda row: row.said.capitalize()),
}
"""The tasks by name."""


def task_of(name: str) -> BenchmarkTask:
    """Return a task; a UsageError says which there are."""
    if name.lower() not in TASKS:
        raise UsageError(f"No task of SuperGLUE is called {name!r}, expected one of {', '.join(TASKS)}.")
    return TASKS[name.lower()]


def rows_file(name: str, source: str, output: Path) -> int:
    """Write the lines of a file of the benchmark as rows for `pet`, and return how many rows there are.

    Their ids begin with the name of the file, so that those of several files differ.

    Raises `DataError` if a line is not one of the task. Raises `UsageError` if there is no such task.
    """
    task, stem = task_of(name), Path(source).name.partition(".")[0]
    check_output(output, source)
    found: list[Row] = []
    for number, line in scan_file(_file(source)):
        if isinstance(line, Malformed):
            raise DataError(f"{source}, line {number}: {line.reason}; give the file as the benchmark has it.")
        try:
            found += [{"id": f"{stem}-{row['idx']}", **row} for row in task.read(line)]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(
                f"{source}, line {number} is no line of {task.file} ({type(error).__name__}: {error}): give the file "
                "as the benchmark has it."
            ) from None
    write_table(output, {column: [row.get(column) for row in found] for column in _columns(found)})
    return len(found)


def _columns(found: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in found for column in row))


def measured(name: str, source: str) -> dict[str, float]:
    """Return the measures of a task, in [0, 1], of a file that `pet predict` has made of labeled rows.

    Raises `DataError` if the file lacks a column, or a row a label. Raises `UsageError` if there is no such task.
    """
    found = answered(source)
    if lacking := next((row for row in found if not row.gold), None):
        raise DataError(f"{source}: row {lacking.idx} has no gold label: predict labels of rows that have one.")
    return task_of(name).measure(found)


def submission(name: str, source: str, folder: Path) -> Path:
    """Write what `pet predict` has made of the test rows as the benchmark wants it, and return the file.

    Raises `DataError` if the file lacks a column. Raises `UsageError` if there is no such task.
    """
    task, found = task_of(name), answered(source)
    lines: list[Any] = [{"idx": int(row.idx), "label": task.submitted(row)} for row in found if "-" not in row.idx]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task.file}.jsonl"
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines or _nested(task, found))
    path.write_text(text, encoding="utf-8")
    return path


def answered(source: str) -> list[Answered]:
    """Return the rows of a file that `pet predict` has made; a DataError says that a column is missing."""
    found = []
    for number, row in scan_file(_file(source)):
        if isinstance(row, Malformed) or not {"idx", "label"} <= set(row):
            raise DataError(
                f"{source}, line {number} has no idx and label: give a file that `pet predict` has made of rows of "
                "`pet superglue-rows`."
            )
        # Beside a column of gold labels ours has another name.
        said, gold = (row["pet_label"], row["label"]) if "pet_label" in row else (row["label"], "")
        lists = {name: _as_list(row[name]) for name in (CHOICES, "answers") if row.get(name)}
        idx = label_word(row["idx"])
        found.append(Answered(idx, "" if gold is None else label_word(gold), label_word(said), {**row, **lists}))
    return found


def _as_list(cell: object) -> object:
    return json.loads(cell) if isinstance(cell, str) else cell


def _nested(task: BenchmarkTask, found: Sequence[Answered]) -> Iterator[dict[str, Any]]:
    """Yield a line for each passage: its questions, with their answers."""
    passages: dict[int, dict[int, list[dict[str, Any]]]] = {}
    for row in found:
        passage, question, answer = map(int, row.idx.split("-"))
        passages.setdefault(passage, {}).setdefault(question, []).append({"idx": answer, "label": task.submitted(row)})
    for idx, questions in passages.items():
        yield {"idx": idx, "passage": {"questions": [{"idx": q, "answers": a} for q, a in questions.items()]}}


def _file(source: str) -> File:
    parsed = parse_source(source)
    if not isinstance(parsed, File):
        raise UsageError(f"Expected a file, found {source!r}: give the path of one.")
    return parsed
