"""From files to the settings of a pipeline; no weights are read, the tokenizer is that of the bundled model."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest

from pet.errors import ConfigError, DataError, PromptError, UsageError
from pet.learners.models.words import WordReport
from pet.settings.config import RunConfig
from pet.starting.columns import Given
from pet.starting.pipeline_text import MOST_LINES, pipeline_text
from pet.starting.proposal import Proposal, Wish, parse_labels, placed, propose, task_name
from pet.starting.words import sort_words

TEXTS = [f"a message to the shop with the number {n}" for n in range(24)]
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the texts with more columns, in the folder that is worked in; return the name of the file."""
    monkeypatch.chdir(tmp_path)

    def _write(name: str = "all.csv", **columns: list[Any]) -> str:
        frame = pandas.DataFrame({"text": TEXTS} | columns)
        frame.to_parquet(name) if name.endswith(".parquet") else frame.to_csv(name, index=False)
        return name

    return _write


def cycle(*labels: object, empty: int = 6) -> list[Any]:
    """Return a label for each text, none for the last ones."""
    return [labels[n % len(labels)] if n < len(TEXTS) - empty else None for n in range(len(TEXTS))]


def tables(proposal: Proposal) -> Mapping[str, Any]:
    text = pipeline_text(proposal, "x", "pet init")
    assert len(text.splitlines()) <= MOST_LINES
    found = tomllib.loads(text)
    RunConfig.from_mapping(found)
    return found


def test_one_file_with_empty_labels_is_told(write: Write) -> None:
    found = tables(propose(Wish(write(label=cycle("billing", "delivery")))))
    assert found["data"] == {"rows": "all.csv"}
    assert found["task"] == {"name": "x", "label_column": "label", "fields": {"text": "text"}}
    assert found["prompts"] == {"patterns": ["intent/*"]}
    assert found["model"] == {"name": "pet-mini"}


def test_names_of_several_words_are_asked_for_in_several_tokens(write: Write) -> None:
    proposal = propose(Wish(write(label=cycle("card_arrival", "orderStatus"))))
    prompts = tables(proposal)["prompts"]
    assert prompts["multi_token"] is True and "'card arrival' has 2 tokens" in pipeline_text(proposal, "x", "")
    assert prompts["words"] == {"card_arrival": ["card arrival"], "orderStatus": ["order status"]}


def test_a_file_of_each_kind_and_a_test_file(write: Write) -> None:
    train, pool = write("a.csv", label=cycle("neg", "pos", empty=0)), write("b.parquet", more=[1] * 24)
    found = tables(propose(Wish(train, pool, train)))
    assert found["data"] == {"train": "a.csv", "unlabeled": "b.parquet", "test": "a.csv"}
    assert found["prompts"]["words"] == {"neg": ["bad", "terrible", "poor"], "pos": ["good", "great", "excellent"]}


def test_from_label_names_alone(write: Write) -> None:
    found = tables(propose(Wish(write(), labels=parse_labels("sports,politics"))))
    assert found["data"] == {"unlabeled": "all.csv"} and found["ipet"] == {"generations": "auto"}
    assert found["task"]["labels"] == ["sports", "politics"]
    labeled = propose(Wish(write(label=cycle(0.0, 1.0)), labels=parse_labels("0=bad,1=good")))
    assert tables(labeled)["prompts"] == {"patterns": ["sentiment/*"], "words": {"0": ["bad"], "1": ["good"]}}
    assert tables(labeled)["data"] == {"rows": "all.csv"}


def test_many_labels_fit_on_the_page(write: Write) -> None:
    labels = [f"kindOf{name}" for name in "abcdefgh"]
    found = tables(propose(Wish(write(label=cycle(*labels), number=list(range(24))))))
    assert len(found["prompts"]["words"]) == 8


def test_what_was_chosen_and_why_stands_in_the_file(write: Write) -> None:
    text = pipeline_text(propose(Wish(write(label=cycle(1, 2), when=["now"] * 24))), "x", "pet init all.csv")
    for words in (
        "# Written by `pet init all.csv`",
        "# 2 labels, with so many rows: '1' 9, '2' 9",
        "# by its name; 2 different labels in 18 rows",
        "# no column of ids",
        "# other columns are kept as they are: when",
        "# 18 rows have a label, 6 have none",
        "# the labels are numbers",
    ):
        assert words in text


def test_names_that_would_break_the_file_are_quoted(write: Write) -> None:
    odd = 'a"b\n[x]\x7f'
    write(**{odd: cycle("x", "y")})
    found = tables(propose(Wish("all.csv", columns=Given(label=odd))))
    assert found["task"]["label_column"] == odd


def test_old_encodings_are_told_with_a_word(write: Write) -> None:
    content = "text;label\n" + "".join(f"Gerät Nummer {n} ist da;{'xy'[n % 2] if n < 9 else ''}\n" for n in range(12))
    Path("old.csv").write_bytes(content.encode("cp1252"))
    proposal = propose(Wish("old.csv"))
    assert tables(proposal)["data"] == {"rows": "old.csv", "encoding": "cp1252"}
    assert "a word of it is Gerät" in pipeline_text(proposal, "x", "")
    Path("new.csv").write_text(content.replace(";x", ";").replace(";y", ";"), encoding="utf-8")
    with pytest.raises(DataError, match=r"old.csv is not UTF-8 and another file is"):
        propose(Wish("old.csv", "new.csv"))


@pytest.mark.parametrize(
    ("labels", "named", "error", "words"),
    [
        (cycle("a;b", "a", "b"), "", DataError, "several labels, such as 'a;b'"),
        (cycle("a", "b", empty=0), "", DataError, "all of its 24 rows have a label"),
        (cycle("a"), "", DataError, "the only label in the column 'label' is 'a'"),
        (cycle("World", "world"), "", PromptError, "cannot be told apart by words: .* the same for this tokenizer"),
        (cycle("a b", "a_b"), "", PromptError, "uses the word 'a b' 2 times.* --labels LABEL=WORD"),
        (cycle("x", "\u1a00\u1a01"), "", PromptError, "is unknown to this tokenizer: name another word .* --labels"),
        (cycle("x", "y"), "x,z", DataError, "labels that --labels does not name, such as 'y'"),
    ],
)
def test_what_no_run_takes_is_refused(
    write: Write, labels: list[Any], named: str, error: type[UsageError], words: str
) -> None:
    with pytest.raises(error, match=words):
        propose(Wish(write(label=labels), labels=parse_labels(named) if named else {}))


def test_a_file_without_a_label_is_no_train_file(write: Write) -> None:
    with pytest.raises(DataError, match=r"no row has a label in the column 'label': name the labels with --labels"):
        propose(Wish(write(label=[None] * 24), columns=Given(label="label")))
    with pytest.raises(DataError, match=r"no row has a label, so it cannot be the file of the labeled rows"):
        propose(Wish(write(label=[None] * 24), write("b.csv"), columns=Given(label="label")))


@pytest.mark.parametrize("text", ["a", "a,a", ",", "=x,b", "a,a=b"])
def test_labels_are_at_least_two_different_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="--labels"):
        parse_labels(text)


def test_of_the_words_of_a_label_those_of_one_token_are_taken() -> None:
    def report(label: str, word: str, ids: tuple[int, ...], problem: str = "") -> WordReport:
        return WordReport(label, word, (), ids, problem, len(ids) > 1)

    good, goody, other = report("a", "good", (1,)), report("a", "goody", (1, 2), "2 tokens"), report("b", "x", (3,))
    found = sort_words([good, goody, other], "ab")
    assert (found.usable, found.multi_token, found.dropped) == ({"a": ("good",), "b": ("x",)}, False, ("goody",))
    found = sort_words([goody, other], "ab")
    assert (found.usable["a"], found.multi_token, found.long) == (("goody",), True, "'goody' has 2 tokens")


def test_paths_begin_where_the_pipeline_lies(write: Write, tmp_path: Path) -> None:
    sources = propose(Wish(write(label=cycle("x", "y")))).sources
    (tmp_path / "sub").mkdir()
    assert placed(sources, Path()).rows == "all.csv"
    assert placed(sources, Path("sub")).rows == str(Path("..") / "all.csv")
    whole = str(tmp_path / "all.csv")
    assert placed(replace(sources, rows=whole), Path("sub")).rows == whole
    assert placed(replace(sources, rows="owner/name:train"), Path("sub")).rows == "owner/name:train"


def test_a_task_is_called_as_its_file() -> None:
    assert [task_name(name) for name in ("a/b.csv.gz", "é (2).csv", "...", "owner/name:train")] == [
        "b",
        "é -2-",
        "task",
        "name-train",
    ]
