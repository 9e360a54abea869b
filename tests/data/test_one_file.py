"""One file of labeled rows and of those to label, `[data] rows`: what it gives, and what stands in its labels."""

import json
from pathlib import Path

import pandas
import pytest
from data_files import Refused, Write, WriteRows

from pet.data.dataset import TaskData, labeled_draws, load_task_data
from pet.errors import ConfigError
from pet.settings.config import RunConfig
from pet.settings.task import DataSettings, TaskSettings

TEXTS = ("a one", "b two", "c three", "d four", "e five", "f six")
LABELS = ("x", "y", None, "", "  ", float("nan"))


def load(path: str, *, known: tuple[str, ...] = (), **settings: object) -> TaskData:
    return load_task_data(TaskSettings(), DataSettings.model_validate({"rows": path} | settings), 1, known)


def written(path: Path) -> str:
    frame = pandas.DataFrame({"text": TEXTS, "label": LABELS})
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".json":
        frame.to_json(path, orient="records")
    elif path.suffix == ".jsonl":
        rows = ({"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")  # with NaN, as it comes
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return str(path)


@pytest.mark.parametrize("name", ["all.csv", "all.tsv", "all.jsonl", "all.json", "all.parquet"])
def test_rows_without_a_label_are_the_pool_in_every_format(name: str, tmp_path: Path) -> None:
    data = load(written(tmp_path / name))
    assert [(row.fields["text"], row.label) for row in data.labeled] == [("a one", "x"), ("b two", "y")]
    assert [row.fields["text"] for row in data.unlabeled] == list(TEXTS[2:])
    assert {row.label for row in data.unlabeled} == {None}
    assert len({row.id for row in (*data.labeled, *data.unlabeled)}) == len(TEXTS)
    assert data.messages == ()


def test_ids_other_columns_and_duplicates_are_as_in_two_files(write: Write) -> None:
    table = "id,text,label,when\n7,one,x,now\n8,two,y,\n9,One!,,\n10,three,,later\n"
    data = load(write("all.csv", table))
    assert [(row.id, dict(row.extra)) for row in data.labeled] == [("7", {"when": "now"}), ("8", {"when": ""})]
    assert [(row.id, dict(row.extra)) for row in data.unlabeled] == [("10", {"when": "later"})]
    assert data.messages[0] == "1 unlabeled rows have the text of a labeled row (9 = 7): dropped"


def test_words_for_an_empty_cell_are_taken_for_one_and_said(write: Write) -> None:
    table = "text,label\na,x\nb,y\nc,NaN\nd,NaN\ne,None\nf,none\n"
    data = load(write("all.csv", table))
    assert data.task.labels == ("none", "x", "y")  # in small letters it may be a label
    assert len(data.unlabeled) == 3
    assert [message.partition(",")[0] for message in data.messages[:2]] == [
        "2 rows have 'NaN' for a label",
        "1 rows have 'None' for a label",
    ]
    named = TaskSettings(labels=("x", "y", "None", "none"))
    assert len(load_task_data(named, DataSettings(rows=write("all.csv", table)), 1).unlabeled) == 2


def test_draws_and_limits_are_those_of_two_files(write_rows: WriteRows) -> None:
    rows = [{"text": f"t {n}", "label": "xy"[n % 2] if n < 20 else None} for n in range(60)]
    path = write_rows("all.jsonl", rows)
    data = load(path, examples_per_label=3, max_unlabeled=7)
    assert (len(data.labeled), len(data.unlabeled)) == (6, 7)
    task = TaskSettings(labels=("x", "y"), fields={"text": "text"})
    assert labeled_draws(task, DataSettings(rows=path, examples_per_label=3), (1,)) == [data.labeled]


def test_without_any_label_the_labels_have_to_be_known(write: Write, refused: Refused) -> None:
    path = write("all.csv", "text,label\na,\nb,\n")
    assert load(path, known=("x", "y")).task.labels == ("x", "y")
    with refused("no row of", "[task] labels"):
        load(path)


def test_what_is_no_such_file_is_refused(write: Write, refused: Refused) -> None:
    with refused("Every row of [data] rows", "leave the label of others empty"):
        load(write("all.csv", "text,label\na,x\nb,y\n"))
    with refused("no column 'label'", "[task] label_column"):
        load(write("all.csv", "text\na\n"))
    with refused("each without a label has the text of a labeled or a test row"):
        load(write("all.csv", "text,label\na,x\nb,y\nA,\n"))


@pytest.mark.parametrize("other", ["train", "unlabeled"])
def test_it_cannot_stand_beside_the_other_files(other: str) -> None:
    with pytest.raises(ConfigError, match=f"data: rows is one source .* and {other} stands beside it"):
        RunConfig.from_mapping({"data": {"rows": "all.csv", other: "more.csv"}})


@pytest.mark.parametrize("source", ["rows", "train"])
@pytest.mark.parametrize("joined", ["x;y", "x, y", "x|y", '["x", "y"]', "['x', 'y']"])
def test_several_labels_in_a_cell_are_told_of(
    write_rows: WriteRows, refused: Refused, joined: str, source: str
) -> None:
    rows = [{"text": f"t {n}", "label": label} for n, label in enumerate(["x", "y", joined])]
    settings = DataSettings.model_validate({source: write_rows("all.jsonl", rows), **POOL[source]})
    with refused("1 rows have several labels, such as", "a row has one label here"):
        load_task_data(TaskSettings(), settings, 1)
    with refused("not one word, and a row has one label here"):
        load_task_data(TaskSettings(labels=("x", "y")), settings, 1)


POOL: dict[str, dict[str, str]] = {"rows": {}, "train": {"unlabeled": "none.csv"}}


def test_several_labels_in_a_list_or_in_several_rows_are_told_of(write_rows: WriteRows, refused: Refused) -> None:
    with refused("the label is ['x', 'y'], not one word, and a row has one label here"):
        load(write_rows("all.jsonl", [{"text": "t", "label": ["x", "y"]}]))
    with refused("the id '1' stands in line 1 already; with the same text and another label", "a row has one label"):
        load(write_rows("all.jsonl", [{"id": 1, "text": "t", "label": label} for label in "xy"]))
    twice = [{"text": text, "label": label} for text, label in (("t", "x"), ("t", "y"), ("u", None))]
    assert "a row has one label here" in load(write_rows("all.jsonl", twice)).messages[0]
