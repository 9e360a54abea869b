"""Tables are written whole or not at all, and read back as they were."""

import gzip
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow.parquet
import pytest
from data_files import Refused
from reading import read_rows

from pet.data import writers
from pet.data.writers import write_pieces, write_table

COLUMNS: dict[str, Sequence[Any]] = {"id": ["a", "b"], "prob": [0.25, 1.0], "text": ['say "x",\ty\nz', "é\r"]}


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.csv.gz", "o.tsv.gz"])
def test_separated_tables_come_back_as_text(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, COLUMNS)
    assert [row for _, row in read_rows(tmp_path / name)] == [
        {"id": "a", "prob": "0.25", "text": COLUMNS["text"][0]},
        {"id": "b", "prob": "1.0", "text": COLUMNS["text"][1]},
    ]


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.parquet"])
def test_typed_tables_come_back_with_their_kinds(tmp_path: Path, name: str) -> None:
    columns = COLUMNS | {"n": [1, None], "l": [[1, 2], []], "yes": [True, False]}
    write_table(tmp_path / name, columns)
    assert [row for _, row in read_rows(tmp_path / name)] == [
        {key: values[n] for key, values in columns.items()} for n in range(2)
    ]


@pytest.mark.parametrize("name", ["o.csv", "o.jsonl", "o.parquet"])
def test_arrays_of_numpy_are_columns(tmp_path: Path, name: str) -> None:
    columns: dict[str, Any] = {"p": np.array([0.5, 1], np.float32), "n": [np.int64(3), np.int64(4)]}
    write_table(tmp_path / name, columns)
    assert [{key: float(str(value)) for key, value in row.items()} for _, row in read_rows(tmp_path / name)] == [
        {"p": 0.5, "n": 3.0},
        {"p": 1.0, "n": 4.0},
    ]


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.jsonl", "o.jsonl.gz", "o.parquet"])
def test_the_same_columns_give_the_same_bytes(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / name, COLUMNS)
    first = (tmp_path / name).read_bytes()
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    write_table(tmp_path / name, COLUMNS)
    assert (tmp_path / name).read_bytes() == first


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "o.csv"
    write_table(path, {"text": ["old"]})
    with refused("o.csv", "surrogate", ".jsonl"):
        write_table(path, {"text": ["new", "\ud800"]})
    assert path.read_text() == "text\nold\n"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_seen_under_the_name_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "o.parquet"

    def interrupted(stream: BinaryIO, columns: Callable[..., Any]) -> None:
        stream.write(b"half")
        assert not path.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(writers, "write_parquet", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_table(path, COLUMNS)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    monkeypatch.setattr(os, "fsync", lambda _number: steps.append("fsync"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *names: (steps.append("replace"), replace(*names)))
    write_table(tmp_path / "o.csv.gz", COLUMNS)
    assert steps == ["fsync", "replace"]


def test_the_file_gets_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_table(tmp_path / "o.csv", COLUMNS)
    assert (tmp_path / "o.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["o.xls", "o", "o.parquet.gz", "o.xlsx.gz"])
def test_an_unknown_suffix_is_refused(tmp_path: Path, refused: Refused, name: str) -> None:
    with refused(name, ".csv", ".parquet"):
        write_table(tmp_path / name, COLUMNS)


def test_columns_of_two_lengths_are_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("o.csv", "'a': 1", "'b': 2"):
        write_table(tmp_path / "o.csv", {"a": [1], "b": [1, 2]})


def test_a_missing_folder_is_said(tmp_path: Path, refused: Refused) -> None:
    with refused("o.csv", "No such file"):
        write_table(tmp_path / "nowhere" / "o.csv", COLUMNS)


def test_json_lines_hold_real_characters_and_only_valid_json(tmp_path: Path) -> None:
    nested = {"k": [1.5, float("nan")]}
    write_table(tmp_path / "o.jsonl", {"a": ["é", "\ud800"], "b": [float("nan"), np.float32("inf")], "c": [nested, 2]})
    first, second = (tmp_path / "o.jsonl").read_text().splitlines()
    assert first == '{"a": "é", "b": null, "c": {"k": [1.5, null]}}'
    assert json.loads(second) == {"a": "\ud800", "b": None, "c": 2}


def test_cells_that_are_no_text_are_json_or_empty(tmp_path: Path) -> None:
    write_table(tmp_path / "o.csv", {"a": [None, True, [1, "é"], {"k": None}]})
    assert (tmp_path / "o.csv").read_text().splitlines() == [
        "a",
        '""',
        "true",
        '"[1, ""é""]"',
        '"{""k"": null}"',
    ]


def test_a_mixed_parquet_column_becomes_text(tmp_path: Path) -> None:
    write_table(tmp_path / "o.parquet", {"a": [1, "x", None, [2]], "big": [2**80, 1, 2, 3]})
    table = pyarrow.parquet.read_table(tmp_path / "o.parquet").to_pydict()
    assert table == {"a": ["1", "x", None, "[2]"], "big": [str(2**80), "1", "2", "3"]}


@pytest.mark.parametrize("empty", [{}, [{}], {"a": {}}, {"a": [{}, {}]}])
def test_objects_without_keys_which_parquet_cannot_hold_become_text(tmp_path: Path, empty: object) -> None:
    pieces = [{"a": [empty, None]}, {"a": [empty]}]
    write_pieces(tmp_path / "o.parquet", lambda: iter(pieces))
    table = pyarrow.parquet.read_table(tmp_path / "o.parquet").to_pydict()
    assert table == {"a": [json.dumps(empty), None, json.dumps(empty)]}


def test_an_object_that_has_keys_in_other_rows_is_kept_as_it_is(tmp_path: Path) -> None:
    pieces: list[dict[str, list[object]]] = [{"a": [{}]}, {"a": [{"k": 1}]}]
    write_pieces(tmp_path / "o.parquet", lambda: iter(pieces))
    assert pyarrow.parquet.read_table(tmp_path / "o.parquet").to_pydict() == {"a": [{"k": None}, {"k": 1}]}


def test_what_parquet_cannot_hold_is_said(tmp_path: Path, refused: Refused) -> None:
    with refused("o.parquet", "surrogate"):
        write_table(tmp_path / "o.parquet", {"a": ["\ud800"]})


def test_a_packed_file_holds_no_name_and_no_time(tmp_path: Path) -> None:
    write_table(tmp_path / "o.csv.gz", {"a": ["b"]})
    raw = (tmp_path / "o.csv.gz").read_bytes()
    assert raw[3] == 0 and raw[4:8] == bytes(4)
    assert gzip.decompress(raw) == b"a\nb\n"


PIECES: dict[str, tuple[list[Any], list[Any]]] = {
    "whole": ([1, 2], [3]),
    "whole then part": ([1, None], [2.5]),
    "too large for a float": ([2**60 + 1], [2.5]),
    "nothing at first": ([None], ["x"]),
    "nothing at all": ([None], [None]),
    "number then text": ([1, True], ["x"]),
    "text then number": (["x"], [1]),
    "lists": ([[], None], [["x"]]),
    "more keys": ([{"a": 1}], [{"a": None, "b": "x"}]),
    "list then text": ([[1]], ["x"]),
}


@pytest.mark.parametrize("name", PIECES)
def test_a_parquet_table_in_pieces_has_the_types_of_the_whole(tmp_path: Path, name: str) -> None:
    parts = PIECES[name]
    write_pieces(tmp_path / "pieces.parquet", lambda: ({"x": part, "y": part[:]} for part in parts))
    write_table(tmp_path / "whole.parquet", {key: [value for part in parts for value in part] for key in "xy"})
    found, whole = (pyarrow.parquet.read_table(tmp_path / f"{kind}.parquet") for kind in ("pieces", "whole"))
    assert found.equals(whole)
    assert pyarrow.parquet.ParquetFile(tmp_path / "pieces.parquet").num_row_groups == len(parts)


@pytest.mark.parametrize("name", ["o.csv", "o.tsv.gz", "o.jsonl"])
def test_a_table_in_pieces_has_the_bytes_of_the_whole(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / f"whole-{name}", COLUMNS)
    write_pieces(tmp_path / name, lambda: ({key: value[n : n + 1] for key, value in COLUMNS.items()} for n in range(2)))
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
