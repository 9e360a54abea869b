"""The sets of a run: which labels, which columns, which rows, and what is said about them."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from data_files import Refused, Write, WriteRows

from pet.data.dataset import TaskData, data_digest, labeled_draws, load_task_data
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.settings.task import DataSettings, TaskSettings

Pairs = Sequence[tuple[object, object]]  # of text and label


@pytest.fixture
def files(write_rows: WriteRows) -> Callable[..., TaskData]:
    """Write a train, an unlabeled and a test file; return how to load them with other settings."""

    def pairs(rows: Pairs) -> list[dict[str, object]]:
        return [{"text": text, "label": label} if label is not None else {"text": text} for text, label in rows]

    def load(
        train: Pairs | None = None,
        unlabeled: Pairs | None = (("u one", None), ("u two", None)),
        test: Pairs | None = None,
        known: tuple[str, ...] = (),
        task: dict[str, Any] | None = None,
        seed: int = 1,
        **data: Any,
    ) -> TaskData:
        sets = {"train": train, "unlabeled": unlabeled, "test": test}
        paths = {k: write_rows(f"{k}.jsonl", pairs(rows)) for k, rows in sets.items() if rows is not None}
        return load_task_data(TaskSettings(**(task or {})), DataSettings(**{**paths, **data}), seed, known)

    return load


TRAIN = [("a one", "x"), ("b two", "y"), ("c three", "x"), ("d four", "y")]


def ids(examples: Rows | tuple[Example, ...]) -> list[str]:
    return [example.id for example in examples]


def test_the_sets_are_read_with_their_labels_and_columns(files: Callable[..., TaskData]) -> None:
    data = files(TRAIN, test=[("e five", "y")])
    assert data.task.labels == ("x", "y")
    assert data.task.fields == ("text",)
    assert data.columns == {"text": "text"}
    assert ids(data.labeled) == ["train-1", "train-2", "train-3", "train-4"]
    assert ids(data.unlabeled) == ["unlabeled-1", "unlabeled-2"]
    assert [(e.id, e.label) for e in data.test] == [("test-1", "y")]
    assert data.messages == ()
    assert data.rejected == ()


@pytest.mark.parametrize(
    ("labels", "order"),
    [(["b", "a", "C"], ("C", "a", "b")), ([10, 9, 1], ("1", "9", "10")), ([-1, 1, 0], ("-1", "0", "1"))],
)
def test_labels_of_the_train_file_are_sorted(
    files: Callable[..., TaskData], labels: list[int | str], order: tuple[str, str, str]
) -> None:
    assert files([(f"text {n}", label) for n, label in enumerate(labels)]).task.labels == order


@pytest.mark.parametrize(
    ("labels", "messages"),
    [
        (["billing"] * 3 + ["access"] * 2 + ["bill"], ("the label 'bill' has 1 row: is 'billing' meant?",)),
        (["yes", "yes", "no", "Yes"], ("the label 'Yes' has 1 row: is 'yes' meant?",)),
        (["yes", "yes", "Yes", "Yes"], ("the label 'Yes' has 2 rows: is 'yes' meant?",)),
        (["billing"] * 3 + ["bill"] * 2, ()),
        (["favor", "against", "none", "none"], ()),
        (["x", "y"], ()),
        (
            ["x", "x", "x", "y", "y", "y", "nan", "NULL", "NULL"],
            tuple(f"the label {one}: is it an empty cell?" for one in ("'nan' has 1 row", "'NULL' has 2 rows")),
        ),
        (
            [f"ticket {n}" for n in range(101)],
            ("101 different labels, 101 of them on a single row: is it the right column?",),
        ),
        ([f"intent {n % 101}" for n in range(202)], ()),
    ],
)
def test_a_label_that_may_be_another_one_misspelled_is_said(
    files: Callable[..., TaskData], labels: list[str], messages: tuple[str, ...]
) -> None:
    rows = [(f"text {n}", label) for n, label in enumerate(labels)]
    assert files(rows).messages == messages
    assert files(rows, task={"labels": sorted(set(labels))}).messages == ()  # they are what is wanted


def test_labels_of_the_settings_win_and_keep_their_order(files: Callable[..., TaskData]) -> None:
    data = files(TRAIN, task={"labels": ("z", "y", "x")}, known=("k", "l"))
    assert data.task.labels == ("z", "y", "x")
    assert "labels without a labeled row: 'z'" in data.messages


def test_labels_of_the_train_file_win_over_known_ones(files: Callable[..., TaskData]) -> None:
    assert files(TRAIN, known=("k", "l")).task.labels == ("x", "y")


def test_without_a_train_file_the_known_labels_serve(files: Callable[..., TaskData], refused: Refused) -> None:
    data = files(known=("l", "k"), test=[("t", "k")])
    assert data.task.labels == ("l", "k")
    assert data.labeled == ()
    assert any("no labeled rows" in message for message in data.messages)
    with refused("test.jsonl", "'q'"):
        files(known=("l", "k"), test=[("t", "q")])


def test_without_labels_anywhere_it_is_refused(files: Callable[..., TaskData], refused: Refused) -> None:
    with refused("[task] labels", "[data] train"):
        files()


def test_one_label_alone_is_refused(files: Callable[..., TaskData], refused: Refused) -> None:
    with refused("at least two"):
        files([("a", "x"), ("b", "x")])


def test_without_an_unlabeled_file_it_is_refused(files: Callable[..., TaskData], refused: Refused) -> None:
    with refused("[data] unlabeled is missing"):
        files(TRAIN, unlabeled=None)


@pytest.mark.parametrize("role", ["train", "test"])
def test_a_label_outside_the_task_is_refused(files: Callable[..., TaskData], refused: Refused, role: str) -> None:
    rows = {"train": TRAIN, "test": [("t", "x")]}
    rows[role] = [*rows[role], ("odd", "zz")]
    with refused(f"{role}.jsonl", "'zz'"):
        files(**rows, task={"labels": ("x", "y")})


def test_labels_of_the_test_file_add_none_to_the_task(files: Callable[..., TaskData], refused: Refused) -> None:
    with refused("test.jsonl", "'zz'"):
        files(TRAIN, test=[("t", "zz")])


def test_labels_of_the_unlabeled_file_are_ignored_and_said(files: Callable[..., TaskData]) -> None:
    data = files(TRAIN, unlabeled=[("u", "x"), ("v", "odd")])
    assert {example.label for example in data.unlabeled} == {None}
    assert data.messages == ("labels seen in the unlabeled file: ignored",)


def test_few_labeled_rows_are_drawn_by_the_seed(files: Callable[..., TaskData]) -> None:
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(40)]
    draws = {seed: ids(files(rows, seed=seed, examples_per_label=3).labeled) for seed in (1, 2)}
    assert draws[1] == ids(files(rows, seed=1, examples_per_label=3).labeled)
    assert draws[1] != draws[2]
    assert len(draws[1]) == 6


def test_what_other_seeds_draw_is_what_their_runs_draw(files: Callable[..., TaskData], write_rows: WriteRows) -> None:
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(40)]
    path = write_rows("rows.jsonl", [{"text": text, "label": label} for text, label in rows])
    task = TaskSettings(labels=("x", "y"), fields={"text": "text"})
    drawn = labeled_draws(task, DataSettings(train=path, examples_per_label=3), (1, 2))
    assert drawn == [files(rows, seed=seed, examples_per_label=3).labeled for seed in (1, 2)]
    assert labeled_draws(task, DataSettings(), (1, 2)) == [(), ()]


def test_labels_come_from_the_whole_train_file_and_short_ones_are_said(files: Callable[..., TaskData]) -> None:
    data = files([*TRAIN, ("e", "z")], examples_per_label=2)
    assert data.task.labels == ("x", "y", "z")
    assert data.messages == ("labels with fewer than 2 labeled rows: 'z' 1",)


def test_many_short_labels_are_one_message(files: Callable[..., TaskData]) -> None:
    data = files([(f"text {n}", f"l{n}") for n in range(9)], examples_per_label=2)
    (message,) = data.messages
    assert message.endswith("'l4' 1 and 4 more")


def test_unlabeled_and_test_rows_are_limited_by_the_seed(files: Callable[..., TaskData]) -> None:
    pool = [(f"u {n}", None) for n in range(50)]
    test = [(f"t {n}", "x") for n in range(50)]
    limits = {"max_unlabeled": 5, "max_test": 4}
    data = files(TRAIN, pool, test, **limits)
    assert (len(data.unlabeled), len(data.test)) == (5, 4)
    assert data == files(TRAIN, pool, test, **limits)
    assert ids(data.unlabeled) != ids(files(TRAIN, pool, test, seed=2, **limits).unlabeled)


def test_rows_in_two_sets_leave_the_unlabeled_side(files: Callable[..., TaskData]) -> None:
    data = files(TRAIN, [("A one!", None), ("kept", None), ("e five", None), ("kept", None)], [("e five", "x")])
    assert [example.fields["text"] for example in data.unlabeled] == ["kept", "kept"]
    assert len(data.labeled) == 4 and len(data.test) == 1
    assert data.messages == (
        "1 unlabeled rows have the text of a labeled row (unlabeled-1 = train-1): dropped",
        "1 unlabeled rows have the text of a test row (unlabeled-3 = test-1): dropped",
        "1 unlabeled rows repeat the text of an earlier one: kept",
        "2 of 4 unlabeled rows dropped, 2 left",
    )


def test_train_rows_that_were_not_drawn_may_stay_unlabeled(files: Callable[..., TaskData]) -> None:
    data = files(TRAIN, [(text, None) for text, _ in TRAIN], examples_per_label=1)
    drawn = {example.fields["text"] for example in data.labeled}
    assert {example.fields["text"] for example in data.unlabeled} == {text for text, _ in TRAIN} - drawn


def test_test_rows_leave_the_unlabeled_side_even_where_only_some_are_measured(files: Callable[..., TaskData]) -> None:
    test = [(f"t {n}", "x") for n in range(20)]
    data = files(TRAIN, [("kept", None), *((text, None) for text, _ in test)], test, max_test=1)
    assert [example.fields["text"] for example in data.unlabeled] == ["kept"]


def test_a_test_row_that_was_learned_is_kept_and_said(files: Callable[..., TaskData]) -> None:
    data = files(TRAIN, test=[("a one", "x"), ("new", "y")])
    assert len(data.test) == 2
    assert data.messages[0].startswith("1 test rows have the text of a labeled row (test-1 = train-1)")


def test_a_labeled_text_that_has_another_label_too_is_kept_and_said(files: Callable[..., TaskData]) -> None:
    data = files([*TRAIN, (TRAIN[0][0].upper(), "y")])
    assert len(data.labeled) == 5
    assert data.messages[0].startswith(
        "1 labeled rows have the text of an earlier one and another label (train-5 (y) = train-1 (x)): kept; look"
    )


def test_no_unlabeled_row_left_is_refused(files: Callable[..., TaskData], refused: Refused) -> None:
    with refused("unlabeled.jsonl", "No row"):
        files(TRAIN, [("a one", None)])


def test_rejected_rows_are_kept_and_counted(files: Callable[..., TaskData]) -> None:
    data = files([*TRAIN, ("e", None)], [("u", None), (" ", None), ("\ud800", None)], on_bad_row="skip")
    assert [(row.file.rpartition("/")[2], row.line) for row in data.rejected] == [
        ("train.jsonl", 5),
        ("unlabeled.jsonl", 2),
        ("unlabeled.jsonl", 3),
    ]
    assert data.messages[0].startswith("1 of 5 train rows left out, such as number 5 of")
    assert data.messages[1].startswith("2 of 3 unlabeled rows left out")


def test_the_columns_of_the_first_file_hold_for_all(write: Write, refused: Refused) -> None:
    train = write("train.csv", "sentence,label\na,x\nb,y\n")
    good, other = write("pool.csv", "n,sentence\n1,c\n"), write("other.csv", "text\nc\n")
    data = load_task_data(TaskSettings(), DataSettings(train=train, unlabeled=good), 1)
    assert data.columns == {"text": "sentence"}
    with refused("other.csv", "'sentence'", "'text'"):
        load_task_data(TaskSettings(), DataSettings(train=train, unlabeled=other), 1)


def test_a_text_file_serves_as_unlabeled_whatever_the_train_column(write: Write) -> None:
    train, pool = write("train.csv", "sentence,label\na,x\nb,y\n"), write("pool.txt", "c\nd\n")
    data = load_task_data(TaskSettings(), DataSettings(train=train, unlabeled=pool), 1)
    assert [example.fields for example in data.unlabeled] == [{"text": "c"}, {"text": "d"}]
    # A column that was named stays named, for the files that have one.
    task = TaskSettings(labels=("x", "y"), fields={"text": "sentence"})
    test = write("test.csv", "sentence,label\na,x\n")
    data = load_task_data(task, DataSettings(unlabeled=pool, test=test), 1)
    assert data.columns == {"text": "sentence"} and len(data.test) == 1


def test_mapped_fields_label_and_id_columns_are_used(write: Write) -> None:
    rows = "key,head,lead,topic\nr1,a,b,x\nr2,c,d,y\n"
    task = TaskSettings(name="news", fields={"title": "head", "body": "lead"}, label_column="topic", id_column="key")
    settings = DataSettings(train=write("train.csv", rows), unlabeled=write("pool.csv", "head,lead\ne,f\n"))
    data = load_task_data(task, settings, 1)
    assert data.task.fields == ("title", "body")
    assert data.labeled[0] == Example("r1", {"title": "a", "body": "b"}, "x", {"key": "r1", "topic": "x"})


def test_a_column_of_ids_that_no_file_has_is_refused(write: Write, refused: Refused) -> None:
    train, pool = write("train.csv", "text,label\na,x\nb,y\n"), write("pool.csv", "number,text\n7,c\n")
    settings = DataSettings(train=train, unlabeled=pool)
    assert load_task_data(TaskSettings(id_column="number"), settings, 1).unlabeled[0].id == "7"
    with refused("No file has the column 'nummer' for the ids", "[task] id_column", "Did you mean number"):
        load_task_data(TaskSettings(id_column="nummer"), settings, 1)


ROW = Example("1", {"a": "x", "b": "y"}, "l")


def test_the_digest_is_that_of_ids_fields_and_labels_only() -> None:
    assert data_digest([ROW]) == data_digest([Example("1", {"b": "y", "a": "x"}, "l", {"more": 1})])
    assert len(data_digest([])) == 64


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [ROW, ROW],
        [Example("2", ROW.fields, "l")],
        [Example("1", {"a": "xy", "b": ""}, "l")],
        [Example("1", {"a": "y", "b": "x"}, "l")],
        [Example("1", ROW.fields, None)],
        [Example("1", ROW.fields, "None")],
        [Example("1", {**ROW.fields, "c": ""}, "l")],
    ],
)
def test_the_digest_tells_rows_apart(rows: list[Example]) -> None:
    assert data_digest(rows) != data_digest([ROW])


def test_the_digest_follows_the_order() -> None:
    other = Example("2", {"a": "x"})
    assert data_digest([ROW, other]) != data_digest([other, ROW])


def test_the_digest_is_the_same_on_every_machine() -> None:
    line = b'["1", {"a": "\\u00e9"}, "x"]\n'
    assert data_digest([Example("1", {"a": "é"}, "x")]) == hashlib.sha256(line).hexdigest()


def test_labels_in_two_forms_of_unicode_are_one(files: Callable[..., TaskData]) -> None:
    train = [("a", "caf\u00e9"), ("b", "cafe\u0301"), ("c", "hotel"), ("d", "ho\u200btel")]
    data = files(train, test=[("t", "cafe\u0301")])
    assert data.task.labels == ("caf\u00e9", "hotel")
    assert [row.label for row in (*data.labeled, *data.test)] == ["caf\u00e9"] * 2 + ["hotel"] * 2 + ["caf\u00e9"]
    assert data.messages == () == data.rejected


def test_labels_that_look_the_same_are_told_of(files: Callable[..., TaskData]) -> None:
    train = [("a", "sci fi"), ("b", "sci fi"), ("c", "sci\u00a0fi"), ("d", "x"), ("e", "x"), ("f", "x\u200d")]
    messages = files(train).messages
    assert messages == (
        r"the label 'sci\xa0fi' has 1 row: is 'sci fi' meant?",
        r"the label 'x\u200d' has 1 row: is 'x' meant?",
    )


def with_ids(names: Sequence[str], words: str) -> list[dict[str, object]]:
    return [{"id": name, "text": f"{words} {n}", "label": "xy"[n % 2]} for n, name in enumerate(names)]


def load_ids(write_rows: WriteRows, train: Sequence[str], unlabeled: Sequence[str], words: str = "u") -> TaskData:
    labeled, pool = write_rows("a.jsonl", with_ids(train, "t")), write_rows("b.jsonl", with_ids(unlabeled, words))
    return load_task_data(TaskSettings(), DataSettings(train=labeled, unlabeled=pool), 1)


def test_a_labeled_row_with_the_id_of_an_unlabeled_one_gets_another(write_rows: WriteRows) -> None:
    data = load_ids(write_rows, ["7", "8", "train-7", "9"], ["7", "train-7", "8", "c"])
    assert ids(data.labeled) == ["train-train-7", "train-8", "train-train-train-7", "9"]
    assert ids(data.unlabeled) == ["7", "train-7", "8", "c"]
    assert any(
        "3 ids of labeled rows are also of unlabeled ones ('7', '8', 'train-7')" in message
        and "'train-train-7' for '7'" in message
        for message in data.messages
    )
    assert len({*ids(data.labeled), *ids(data.unlabeled)}) == 8


def test_the_same_row_in_both_files_keeps_its_id(write_rows: WriteRows) -> None:
    data = load_ids(write_rows, ["1", "2"], ["1", "2", "3"], words="t")
    assert (ids(data.labeled), ids(data.unlabeled)) == (["1", "2"], ["3"])
