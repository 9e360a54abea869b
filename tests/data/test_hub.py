"""Hub data sets and data set folders; nothing here goes to the network."""

from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from data_files import Refused
from reading import read_examples, read_hub_rows

from pet.data.readers import ReadOptions, Role
from pet.data.source import File, Folder, Hub, parse_source
from pet.errors import DataError


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def table() -> Any:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    return datasets.Dataset.from_dict(
        {"text": ["bad", "good", "?"], "label": [0, 1, -1]}, features=features, split="train"
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, table: Any) -> list[Any]:
    """Stand in for the hub; return what was asked of it."""
    asked = []

    def load_dataset(name: str, *, split: str) -> Any:
        asked.append((name, split))
        if split == "broken":
            raise ConnectionError("no\nnet.")
        return table

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("owner/name", True),
        ("owner/name:test", True),
        ("name:train", True),
        ("owner/name-v1.2:train[:100]", True),
        ("name", False),
        ("train.jsonl", False),
        ("rows/train.csv.gz", False),
        ("/rows/train", False),
        ("../rows/train", False),
        ("a/b/c", False),
        ("", False),
        ("owner/na me", False),
    ],
)
def test_names_of_the_hub_are_told_from_files(source: str, expected: bool) -> None:
    assert isinstance(parse_source(source), Hub) is expected


def test_what_lies_on_the_disk_wins_over_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").write_text("a row")
    assert parse_source("owner/name") == File.at("owner/name")
    assert parse_source("owner") == Folder("owner", Path("owner"))
    assert parse_source("owner:test") == Folder("owner:test", Path("owner"), "test")


def test_a_missing_data_file_is_never_looked_up_on_the_hub(hub: list[Any], refused: Refused) -> None:
    with refused("rows/train.jsonl", "No file"):
        read_examples("rows/train.jsonl", ReadOptions("train"))
    assert hub == []


def test_class_numbers_become_names_and_no_class_none(hub: list[Any]) -> None:
    assert [row for _, row in read_hub_rows("owner/name", "train")] == [
        {"text": "bad", "label": "neg"},
        {"text": "good", "label": "pos"},
        {"text": "?", "label": None},
    ]


@pytest.mark.parametrize(("role", "split"), [("train", "train"), ("unlabeled", "train"), ("input", "test")])
def test_the_split_follows_the_role_unless_named(hub: list[Any], role: Role, split: str) -> None:
    options = ReadOptions(role, on_bad_row="skip")
    read_examples("owner/name", options)
    read_examples("name:dev", options)
    assert hub == [("owner/name", split), ("name", "dev")]


def test_bad_rows_of_the_hub_are_named_by_number(hub: list[Any], refused: Refused) -> None:
    with refused("owner/name:train, row 3", "no label"):
        read_examples("owner/name:train", ReadOptions("train"))


def test_a_hub_failure_is_one_sentence_with_what_to_try(hub: list[Any], refused: Refused) -> None:
    with refused("'owner/name:broken'", "(no net)", "HF_HUB_OFFLINE", "spelling"):
        list(read_hub_rows("owner/name:broken", "train"))


def test_a_failure_of_any_kind_is_one_sentence(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def load_dataset(name: str, *, split: str) -> None:
        raise KeyError

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with refused("'owner/name'", "KeyError"):
        list(read_hub_rows("owner/name", "train"))


def test_a_saved_data_set_is_read(tmp_path: Path, table: Any) -> None:
    table.save_to_disk(tmp_path / "saved")
    result = read_examples(str(tmp_path / "saved"), ReadOptions("train", on_bad_row="skip"))
    assert [(e.id, e.label) for e in result.examples] == [("train-1", "neg"), ("train-2", "pos")]
    assert [row.line for row in result.rejected] == [3]


def test_a_saved_single_data_set_has_no_other_split(tmp_path: Path, table: Any, refused: Refused) -> None:
    table.save_to_disk(tmp_path / "saved")
    with refused("saved:test", "split train"):
        list(read_hub_rows(f"{tmp_path}/saved:test", "train"))


def test_splits_of_a_saved_data_set_are_found_by_role_and_by_name(tmp_path: Path, table: Any, refused: Refused) -> None:
    datasets.DatasetDict({"train": table.select([0]), "dev": table.select([1])}).save_to_disk(tmp_path / "saved")
    source = str(tmp_path / "saved")
    assert [row["text"] for _, row in read_hub_rows(source, "train")] == ["bad"]
    assert [row["text"] for _, row in read_hub_rows(f"{source}:dev", "train")] == ["good"]
    with refused(source, "no split 'test'", "train, dev"):
        list(read_hub_rows(source, "test"))


def test_a_damaged_saved_data_set_is_one_sentence(tmp_path: Path, table: Any, refused: Refused) -> None:
    table.save_to_disk(tmp_path / "saved")
    for part in (tmp_path / "saved").glob("*.arrow"):
        part.write_bytes(b"nothing")
    with refused("saved", "check its files"):
        list(read_hub_rows(str(tmp_path / "saved"), "train"))


def test_a_folder_of_data_files_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "a", "label": "x"}\n')
    (folder / "test.jsonl").write_text('{"text": "b", "label": "y"}\n')
    kept = tmp_path / "kept"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", kept)
    assert read_examples(str(folder), ReadOptions("test")).examples[0].label == "y"
    assert not kept.exists()  # no copy of the texts stays
    with refused("files:dev", "split"):
        list(read_hub_rows(f"{folder}:dev", "train"))


def test_what_a_folder_cannot_be_read_for_is_said(tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": nonsense\n')
    with refused("files", "check its files", "JSON parse error"):
        list(read_hub_rows(str(folder), "train"))


def test_the_underlying_cause_is_said_in_the_same_sentence(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def load_dataset(name: str, *, split: str) -> None:
        raise RuntimeError("it went wrong.") from ValueError("line 3 has\nno end.")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with refused("(it went wrong: line 3 has no end)"):
        list(read_hub_rows("owner/name", "train"))


def test_no_progress_bar_is_shown(hub: list[Any]) -> None:
    datasets.enable_progress_bars()
    list(read_hub_rows("owner/name", "train"))
    assert datasets.are_progress_bars_disabled()


def test_an_empty_folder_is_one_sentence(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "empty").mkdir()
    with refused("empty", "check its files"):
        list(read_hub_rows(str(tmp_path / "empty"), "train"))


@pytest.mark.parametrize("how", ["parquet", "folder of parquet", "saved"])
def test_names_of_labels_are_those_of_the_data_set_in_each_of_its_forms(table: Any, tmp_path: Path, how: str) -> None:
    place = tmp_path / "set"
    if how == "saved":
        table.save_to_disk(str(place))
    else:
        place.mkdir()
        table.to_parquet(str(place / "train.parquet"))
    source = place / "train.parquet" if how == "parquet" else place
    with pytest.raises(DataError, match="row 3: no label in the column 'label'"):
        read_examples(str(source), ReadOptions("train"))
    found = read_examples(str(source), ReadOptions("train", on_bad_row="skip")).examples
    assert [row.label for row in found] == ["neg", "pos"]
    assert read_examples(str(source), ReadOptions("unlabeled")).labels_seen


def test_a_number_of_a_label_that_has_no_name_is_a_bad_row(table: Any, tmp_path: Path) -> None:
    table.to_parquet(str(tmp_path / "train.parquet"))
    schema = pyarrow.parquet.read_schema(tmp_path / "train.parquet")
    rows = pyarrow.table({"text": ["a", "b"], "label": pyarrow.array([1, 7])}).cast(schema)
    pyarrow.parquet.write_table(rows, tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"row 2: no label has the number 7, expected 0 to 1 \(neg to pos\)"):
        read_examples(str(tmp_path / "train.parquet"), ReadOptions("train"))


def test_several_labels_of_a_row_have_their_names(tmp_path: Path) -> None:
    kind = datasets.ClassLabel(names=["neg", "pos"])
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.List(kind)})
    several = datasets.Dataset.from_dict({"text": ["a"], "label": [[1, 0]]}, features=features)
    several.to_parquet(str(tmp_path / "train.parquet"))
    with pytest.raises(DataError, match=r"the label is \['pos', 'neg'\], not one word"):
        read_examples(str(tmp_path / "train.parquet"), ReadOptions("train"))


def test_shards_that_differ_are_told_in_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").mkdir()
    for name, columns in (("train-1", {"text": ["a"]}), ("train-2", {"text": [{"b": 1}], "label": ["x"]})):
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "set" / f"{name}.parquet")
    with pytest.raises(DataError, match="could not be read"):
        read_examples(str(tmp_path / "set"), ReadOptions("train"))
    assert capfd.readouterr() == ("", "")


def test_tables_in_a_folder_are_read_as_single_ones_are(tmp_path: Path) -> None:
    content = {"train-1": "text,label\na,None\nb,True\n", "train-2": 'text,label\n"c one,x\nd one",1.0\ne,1.0\n'}
    (tmp_path / "set").mkdir()
    for name, text in content.items():
        (tmp_path / "set" / f"{name}.csv").write_text(text)
    with pytest.raises(DataError, match="row 3: a quote opens here and closes within 2 lines"):
        read_examples(str(tmp_path / "set"), ReadOptions("train"))
    found = read_examples(str(tmp_path / "set"), ReadOptions("train", on_bad_row="skip"))
    assert [row.label for row in found.examples] == ["None", "true", "1"]
    assert [row.id for row in found.examples] == ["train-1", "train-2", "train-4"]
