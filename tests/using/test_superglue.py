"""The tasks of SuperGLUE: lines as the benchmark has them become rows, and labels become measures and submissions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pet.data.examples import Example, Task
from pet.data.readers import ReadOptions, read_examples
from pet.data.source import parse_source
from pet.errors import DataError, UsageError
from pet.learners.models.plain_rows import segments
from pet.library import BUILTIN
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.config import RunConfig
from pet.using.superglue.measures import accuracy_and_f1
from pet.using.superglue.tasks import TASKS, answered, measured, rows_file, submission

TEN = [
    ("the river is frozen", "is the river frozen", True),
    ("the shop opens at nine", "does the shop open at ten", False),
    ("salt melts ice", "does salt melt ice", True),
    ("no train runs on sundays", "is there a train on sunday", False),
    ("the tower was built in 1901", "was the tower built in 1901", True),
    ("cats are not allowed", "are cats allowed", False),
    ("the lake has three islands", "does the lake have islands", True),
    ("tickets cost five euros", "are tickets free", False),
    ("bread needs yeast", "does bread need yeast", True),
    ("the road is closed", "is the road open", False),
]
ENTITIES = [("Ada Bell", "Oslo"), ("Bern", "Ida Moor"), ("Cork", "Lima")]


def record_line(number: int) -> dict[str, Any]:
    first, second = ENTITIES[number % len(ENTITIES)]
    text = f"{first} is seen in {second}.\n@highlight\n{second} waits for {first}"
    places = [(text.index(name), text.index(name) + len(name) - 1) for name in (first, second, first)]
    spans = [{"start": start, "end": end} for start, end in places]
    start = text.index(second)
    answer = {"start": start, "end": start + len(second) - 1, "text": second}
    query = {"query": "All the while @placeholder's streets are quiet", "answers": [answer], "idx": number}
    return {"source": "made up", "passage": {"text": text, "entities": spans}, "idx": number, "qas": [query]}


LINES: dict[str, list[dict[str, Any]]] = {
    "boolq": [{"passage": p, "question": q, "label": y, "idx": i} for i, (p, q, y) in enumerate(TEN)],
    "wic": [
        {
            "word": "bank",
            "sentence1": f"They sat on the bank, {i}.",
            "sentence2": ("The bank of the river." if i % 2 else "The bank lent it."),
            "idx": i,
            "label": bool(i % 2),
        }
        for i in range(10)
    ],
    "record": [record_line(i) for i in range(10)],
    "cb": [{"premise": "I think it rains.", "hypothesis": "it rains", "label": "neutral", "idx": 0}],
    "rte": [{"premise": "Nobody came to Rome.", "hypothesis": "Rome was full.", "label": "not_entailment", "idx": 0}],
    "copa": [
        {
            "premise": "The glass broke.",
            "choice1": "It fell.",
            "choice2": "Ann drank.",
            "question": question,
            "label": 0,
            "idx": i,
        }
        for i, question in enumerate(["cause", "effect"])
    ],
    "wsc": [
        {
            "target": {"span1_index": 1, "span1_text": "cup", "span2_index": 4, "span2_text": "it"},
            "idx": 0,
            "label": True,
            "text": "The cup fell and it broke",
        }
    ],
    "multirc": [
        {
            "idx": 3,
            "version": 1.1,
            "passage": {
                "text": "Tom has two dogs.",
                "questions": [
                    {
                        "question": "What has Tom?",
                        "idx": 5,
                        "answers": [{"text": "dogs", "idx": 0, "label": 1}, {"text": "cats", "idx": 1, "label": 0}],
                    },
                    {"question": "How many?", "idx": 6, "answers": [{"text": "two", "idx": 2, "label": 1}]},
                ],
            },
        }
    ],
}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows_of(name: str, folder: Path) -> list[dict[str, Any]]:
    out = folder / f"{name}-rows.jsonl"
    rows_file(name, write(folder / "val.jsonl", LINES[name]), out)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def pipeline(name: str) -> RunConfig:
    return RunConfig.from_toml(f"superglue/{name}")


def examples_of(name: str, folder: Path) -> list[Example]:
    rows_of(name, folder)
    options = ReadOptions("test", pipeline(name).task.fields)
    return list(read_examples(parse_source(str(folder / f"{name}-rows.jsonl")), options).examples)


@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_a_pipeline_whose_patterns_read_its_rows(name: str, tmp_path: Path) -> None:
    config, examples = pipeline(name), examples_of(name, tmp_path)
    task = Task(name, config.task.labels or ("0", "1"), tuple(config.task.fields))
    words = Verbalizer("words", config.prompts.words) if config.prompts.words else Verbalizer.of_choices(task.labels)
    for template in config.prompts.patterns:
        pattern = Pattern("written", template)
        PVP(pattern, words).check(task)
        assert all("[MASK]" in pattern.describe(example) for example in examples)
    path = BUILTIN / "pipelines" / "superglue" / f"{name}.toml"
    assert f"pet run superglue/{name}" in path.read_text(encoding="utf-8").splitlines()[0]


def test_rows_have_the_texts_of_their_lines(tmp_path: Path) -> None:
    copa = rows_of("copa", tmp_path)
    assert copa[0]["choices"] == ["it fell", "ann drank"] and [row["connective"] for row in copa] == ["because", "so"]
    wsc = rows_of("wsc", tmp_path)[0]
    assert (wsc["text"], wsc["pronoun"], wsc["noun"]) == ("The cup fell and *it* broke", "it", "cup")
    assert [row["idx"] for row in rows_of("multirc", tmp_path)] == ["3-5-0", "3-5-1", "3-6-2"]
    record = rows_of("record", tmp_path)[0]
    assert record["choices"] == ["Ada Bell", "Oslo"] and record["label"] == 1 and record["answers"] == ["Oslo"]
    assert (record["before"], record["after"]) == ("All the while", "'s streets are quiet")
    assert rows_of("boolq", tmp_path)[0]["id"] == "val-0"


def test_the_word_of_wic_reaches_the_classifier(tmp_path: Path) -> None:
    both = segments(examples_of("wic", tmp_path)[1], tuple(pipeline("wic").task.fields))
    assert both == ("They sat on the bank, 1.", "The bank of the river. bank")


def labeled(name: str, folder: Path, said: list[Any], *, gold: bool = True) -> str:
    """What `pet predict` writes of the rows: a column of gold labels keeps its name, and ours has another."""
    rows = rows_of(name, folder)
    for row, label in zip(rows, said, strict=True):
        if not gold:
            row.pop("label")
        row["pet_label" if gold else "label"] = str(label)
    return write(folder / "labeled.jsonl", rows)


def test_measures_are_those_of_the_benchmark(tmp_path: Path) -> None:
    said = ["true"] * 9 + ["false"]
    assert measured("boolq", labeled("boolq", tmp_path, said)) == {"accuracy": pytest.approx(0.6)}
    found = measured("multirc", labeled("multirc", tmp_path, ["true", "true", "true"]))
    assert found == {"F1a": pytest.approx(0.8), "EM": 0.5}
    found = measured("record", labeled("record", tmp_path, [1] * 5 + [0] * 5))
    assert found == {"F1": 0.5, "EM": 0.5}
    rows = answered(labeled("cb", tmp_path, ["entailment"]))
    assert accuracy_and_f1(rows) == {"accuracy": 0.0, "macro-F1": 0.0}


@pytest.mark.parametrize(
    ("name", "said", "line"),
    [
        ("boolq", ["true"] * 10, {"idx": 0, "label": "true"}),
        ("copa", ["1", "0"], {"idx": 0, "label": 1}),
        ("wsc", ["false"], {"idx": 0, "label": "False"}),
        ("record", ["1"] * 10, {"idx": 0, "label": "Oslo"}),
        ("rte", ["entailment"], {"idx": 0, "label": "entailment"}),
    ],
)
def test_submissions_have_the_form_of_the_benchmark(name: str, said: list[str], line: object, tmp_path: Path) -> None:
    path = submission(name, labeled(name, tmp_path, said, gold=False), tmp_path / "out")
    assert path.name == f"{TASKS[name].file}.jsonl"
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0]) == line


def test_answers_are_submitted_by_passage_and_question(tmp_path: Path) -> None:
    path = submission("multirc", labeled("multirc", tmp_path, ["true", "false", "true"], gold=False), tmp_path)
    first = {"idx": 5, "answers": [{"idx": 0, "label": 1}, {"idx": 1, "label": 0}]}
    questions = [first, {"idx": 6, "answers": [{"idx": 2, "label": 1}]}]
    assert json.loads(path.read_text(encoding="utf-8")) == {"idx": 3, "passage": {"questions": questions}}


def refuses(kind: type[Exception], call: Callable[[], object], *parts: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in parts)


def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", [{"text": "a"}])
    refuses(UsageError, lambda: rows_file("glue", other, tmp_path / "o.jsonl"), "'glue'", "boolq")
    refuses(DataError, lambda: rows_file("copa", other, tmp_path / "o.jsonl"), "line 1", "no line of COPA")
    refuses(DataError, lambda: measured("boolq", other), "no idx and label", "pet predict")
    without = labeled("boolq", tmp_path, ["true"] * 10, gold=False)
    refuses(DataError, lambda: measured("boolq", without), "no gold label")
