"""`pseudo_labels.parquet`: its columns, whose names win, and reading it again after a person has worked in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pet.data import output
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.data.writers import write_pieces, write_table
from pet.errors import DataError
from pet.labeling.ensemble import combine
from pet.labeling.votes import Votes
from pet.method.labels import History, LabeledPool, differs, read_labeled_rows, sample_lines

LABELS = ("no", "yes")
GOLD = [Example("g", {"text": "gold"}, "yes", {"shelf": 1})]
POOL = [Example("a", {"text": "first"}, extra={"shelf": 2, "note": "x"}), Example("b", {"text": "second"})]
IDS = ("a", "b")
# Mean scores: a (0, 1.5), b (ln 3, 0)
VOTES = [
    Votes("t/p+v", 0, IDS, LABELS, np.array([[0.0, 2.0], [0.0, 2.0]], np.float32)),
    Votes("t/q+v", 0, IDS, LABELS, np.array([[0.0, 1.0], [2 * np.log(3), -2.0]], np.float32)),
]
HISTORY = History(generation=np.array([0, 2]), training_sets=np.array([3, 0]))


def columns_of(pool: list[Example] = POOL, columns: dict[str, str] | None = None) -> dict[str, list[Any]]:
    (found,) = LabeledPool(GOLD, Rows.of(pool), columns or {"text": "text"}, VOTES, combine(VOTES), HISTORY).pieces()
    return found


def write(folder: Path, **changes: list[Any]) -> Path:
    path = folder / "pseudo_labels.parquet"
    write_table(path, columns_of() | changes)
    return path


def test_every_column_in_order_gold_first() -> None:
    found = columns_of()
    assert list(found) == [
        *("id", "text", "shelf", "note", "label", "prob_no", "prob_yes", "confidence", "agreement"),
        *("vote_t/p+v", "vote_t/q+v", "generation", "training_sets", "source"),
    ]
    assert found["id"] == ["g", "a", "b"]
    assert found["text"] == ["gold", "first", "second"]
    assert found["shelf"] == [1, 2, None]
    assert found["note"] == [None, "x", None]
    assert found["label"] == ["yes", "yes", "no"]
    assert found["prob_no"] == pytest.approx([0.0, 1 / (1 + np.exp(1.5)), 0.75])
    assert found["prob_yes"] == pytest.approx([1.0, 1 - 1 / (1 + np.exp(1.5)), 0.25])
    assert found["confidence"] == pytest.approx([1.0, 1 - 1 / (1 + np.exp(1.5)), 0.75])
    assert found["agreement"] == [None, 1.0, 0.5]
    assert found["vote_t/p+v"] == [None, "yes", "yes"]
    assert found["vote_t/q+v"] == [None, "yes", "no"]
    assert found["generation"] == [None, 0, 2]
    assert found["training_sets"] == [None, 3, 0]
    assert found["source"] == ["gold", "pseudo", "pseudo"]


def test_columns_of_the_users_with_our_names_are_kept_under_another() -> None:
    names = ("id", "label", "confidence", "prob_no", "prob_other", "source", "vote_t/p+v", "vote_count", "input_label")
    pool = [Example("a", {"text": "t"}, extra={name: f"mine {name}" for name in names}), POOL[1]]
    found = columns_of(pool)
    for name in ("id", "confidence", "prob_no", "prob_other", "source", "vote_t/p+v"):
        assert found[f"input_{name}"][1] == f"mine {name}"
    assert found["vote_count"][1] == "mine vote_count"
    assert found["id"] == ["g", "a", "b"]
    assert found["label"] == ["yes", "yes", "no"]
    assert {found["input_label"][1], found["input_input_label"][1]} == {"mine label", "mine input_label"}


def test_a_field_in_a_column_with_our_name_is_read_back(tmp_path: Path) -> None:
    for column in ("source", "id", "prob_yes", "generation", "training_sets"):
        found = columns_of(columns={"text": column})
        assert found[f"input_{column}"] == ["gold", "first", "second"]
        path = tmp_path / "pseudo_labels.parquet"
        write_table(path, found)
        rows = read_labeled_rows(path, {"text": column}, LABELS)
        assert [row.fields["text"] for row in rows.examples] == ["gold", "first", "second"]
        assert "second" in sample_lines(path, {"text": column})[-1]


def test_pairs_keep_both_columns_in_the_order_of_the_fields(tmp_path: Path) -> None:
    rows = [Example(name, {"premise": f"p{name}", "hypothesis": f"h{name}"}, "yes") for name in "gab"]
    columns = {"premise": "text_a", "hypothesis": "text_b"}
    (found,) = LabeledPool(rows[:1], Rows.of(rows[1:]), columns, VOTES, combine(VOTES), HISTORY).pieces()
    assert list(found)[:3] == ["id", "text_a", "text_b"]
    write_table(tmp_path / "pairs.parquet", found)
    back = read_labeled_rows(tmp_path / "pairs.parquet", columns, LABELS)
    assert [dict(row.fields) for row in back.examples] == [dict(row.fields) for row in rows]


def test_what_was_written_is_read_back_exactly(tmp_path: Path) -> None:
    rows = read_labeled_rows(write(tmp_path), {"text": "text"}, LABELS)
    assert [row.id for row in rows.examples] == ["g", "a", "b"]
    assert rows.gold.tolist() == [True, False, False]
    assert rows.probs[1:].tobytes() == combine(VOTES).probs.tobytes()
    assert rows.probs[0].tolist() == [0.0, 1.0]


def test_a_corrected_label_wins_over_the_probabilities(tmp_path: Path) -> None:
    rows = read_labeled_rows(write(tmp_path, label=["yes", "no", "no"]), {"text": "text"}, LABELS)
    assert rows.probs[1].tolist() == [1.0, 0.0]
    assert rows.probs[2].tolist() == pytest.approx([0.75, 0.25])  # not corrected: still soft


def test_labels_of_another_order_are_read_by_name(tmp_path: Path) -> None:
    rows = read_labeled_rows(write(tmp_path), {"text": "text"}, LABELS[::-1])
    assert rows.probs[0].tolist() == [1.0, 0.0]
    assert rows.probs[2].tolist() == pytest.approx([0.25, 0.75])


def test_rows_may_be_removed_and_added_and_columns_added(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path)).slice(1).to_pydict() | {"mine": [1, 2]}
    new = {"id": "new", "text": "third", "label": "yes", "source": "pseudo"}
    for name, values in table.items():
        values.append(new.get(name))
    path = tmp_path / "changed.parquet"
    pq.write_table(pa.table(table), path)
    rows = read_labeled_rows(path, {"text": "text"}, LABELS)
    assert [row.id for row in rows.examples] == ["a", "b", "new"]
    assert rows.probs[2].tolist() == [0.0, 1.0]
    assert rows.gold.tolist() == [False, False, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"label": ["yes", "yess", "no"]},
            r"row 2 \(id \w+\): the label is 'yess', .* Did you mean yes\?",
        ),
        ({"label": ["yes", None, "no"]}, r"row 2 \(id \w+\): the label is None"),
        ({"text": ["gold", "first", None]}, "row 3: no text in the column 'text', found None"),
        ({name: [] for name in columns_of()}, "has no rows left"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_row(tmp_path: Path, changes: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labeled_rows(write(tmp_path, **changes), {"text": "text"}, LABELS)


@pytest.mark.parametrize("gone", ["id", "text", "label", "source", "prob_no"])
def test_a_missing_column_is_named(tmp_path: Path, gone: str) -> None:
    path = write(tmp_path)
    pq.write_table(pq.read_table(path).drop_columns([gone]), path)
    with pytest.raises(DataError, match=f"has no column '{gone}'"):
        read_labeled_rows(path, {"text": "text"}, LABELS)


def test_no_file_and_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `pet label`"):
        read_labeled_rows(tmp_path / "none.parquet", {"text": "text"}, LABELS)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match="is no Parquet file"):
        read_labeled_rows(tmp_path / "torn.parquet", {"text": "text"}, LABELS)


def test_changes_by_a_person_are_seen_and_a_rewrite_is_none(tmp_path: Path) -> None:
    def pieces() -> Iterator[dict[str, list[Any]]]:
        yield columns_of()

    assert not differs(tmp_path / "none.parquet", pieces)
    assert not differs(write(tmp_path), pieces)
    assert differs(write(tmp_path, label=["yes", "no", "no"]), pieces)
    assert differs(write(tmp_path, comment=["", "sure", ""]), pieces)
    path = write(tmp_path)
    pq.write_table(pq.read_table(path).slice(0, 2), path)
    assert differs(path, pieces)


def test_pieces_together_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = LabeledPool(GOLD, Rows.of(POOL), {"text": "text"}, VOTES, combine(VOTES), HISTORY)
    whole, columns = write(tmp_path).rename(tmp_path / "whole.parquet"), columns_of()
    monkeypatch.setattr(output, "PIECE_ROWS", 1)
    write_pieces(tmp_path / "pieces.parquet", pool.pieces)
    assert pq.read_table(tmp_path / "pieces.parquet").equals(pq.read_table(whole))
    assert pq.ParquetFile(tmp_path / "pieces.parquet").metadata.row_group(0).num_rows == 2  # gold, and one of the pool
    assert not differs(whole, pool.pieces)
    assert not differs(tmp_path / "pieces.parquet", lambda: iter([columns]))
    found = read_labeled_rows(tmp_path / "pieces.parquet", {"text": "text"}, LABELS)
    assert found.examples == read_labeled_rows(whole, {"text": "text"}, LABELS).examples


def test_sample_lines_show_rows_of_the_pool_only_and_cut_long_texts(tmp_path: Path) -> None:
    path = write(tmp_path, text=["gold", "first\nline  two", "x" * 200])
    first, second = sample_lines(path, {"text": "text"}, width=20)
    assert first == "yes  0.82  1.00  first line two"
    assert second == f"no   0.75  0.50  {'x' * 19}…"
    assert len(sample_lines(path, {"text": "text"}, count=1)) == 1


def test_a_correction_may_write_a_label_in_its_own_way(tmp_path: Path) -> None:
    labels = ("caf\u00e9", "true")
    table = columns_of() | {"label": ["cafe\u0301", "True", "caf\u00e9"]}
    table |= {f"prob_{name}": table[f"prob_{old}"] for name, old in zip(labels, LABELS, strict=True)}
    write_table(tmp_path / "pseudo_labels.parquet", table)
    found = read_labeled_rows(tmp_path / "pseudo_labels.parquet", {"text": "text"}, labels)
    assert found.probs.argmax(axis=1).tolist() == [0, 1, 0]
