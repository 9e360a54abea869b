"""The files of the corpus, changed at random: whatever comes of it is read or refused in one sentence, and written.

`make fuzz` does so for longer: `PET_FUZZ_EXAMPLES` says how many files are tried.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus.awkward import corpus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pet.data.formats import scan_file
from pet.data.output import GivenColumns
from pet.data.readers import ReadOptions, ReadResult, read_examples
from pet.data.scanned import Malformed
from pet.data.source import File
from pet.data.writers import write_pieces
from pet.errors import DataError
from pet.labeling.ensemble import combine
from pet.labeling.votes import Votes
from pet.method.labels import History, LabeledPool, read_labeled_rows
from pet.using.files import Scored, prediction_pieces

EXAMPLES = int(os.environ.get("PET_FUZZ_EXAMPLES", "900"))

# What formats, spreadsheets and terminals take for something else than a sign of a text.
PIECES = (
    *(
        b'"',
        b'""',
        b"'",
        b"\\",
        b",",
        b";",
        b"\t",
        b"\r",
        b"\n",
        b"\r\n",
        b"\0",
        b"\x1b[31m",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
    ),
    *("\u2028".encode(), "e\u0301".encode(), "\u202e".encode(), b"\xed\xa0\x80", b"\xff", b"\\ud83d", b"\\u0000"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"{}",
        b"[]",
        b":",
        b"null",
        b"NaN",
        b"1e999",
        b"-1",
        b"true",
        b'"text"',
        b'"label"',
        b'"id"',
    ),
    *(b"sep=;\n", b"PAR1", b"\x1f\x8b", b"PK\x03\x04", b"9" * 5000, b"[" * 500),
)
changes = st.tuples(
    st.sampled_from(["insert", "replace", "cut", "double", "swap"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 40),
    st.sampled_from(PIECES) | st.binary(max_size=6),
)


def changed(content: bytes, kind: str, share: float, length: int, piece: bytes) -> bytes:
    """Return a content with one change, at such a share of it."""
    at = int(share * len(content))
    before, here, after = content[:at], content[at : at + length], content[at + length :]
    return {
        "insert": before + piece + here + after,
        "replace": before + piece + after,
        "cut": before + after,
        "double": before + here + here + after,
        "swap": after + here + before,
    }[kind]


def write_all(read: ReadResult, folder: Path) -> None:
    """Write rows in every format, as they are predicted and as gold rows of a labeled data set, and read them again."""
    labels, rows, fields = ("Business", "Sports"), read.examples, read.fields
    scored = Scored(labels, np.full((len(rows), 2), 0.5, np.float32))
    for name in ("out.csv", "out.tsv", "out.jsonl", "out.parquet"):
        columns = GivenColumns.of(read, "id", typed=name in ("out.jsonl", "out.parquet"))
        write_pieces(folder / name, lambda columns=columns: prediction_pieces(rows, columns, scored))  # type: ignore[misc]
        written = [row for _, row in scan_file(File.at(folder / name))]
        assert len(written) == len(rows) and not any(isinstance(row, Malformed) for row in written)
    votes = [Votes("a/b+c", 0, list(rows.ids), labels, np.zeros((len(rows), 2), np.float32))]
    history = History(np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64))
    pool = LabeledPool((), rows, fields, votes, combine(votes), history)
    write_pieces(folder / "pseudo_labels.parquet", pool.pieces)
    assert len(read_labeled_rows(folder / "pseudo_labels.parquet", fields, labels).examples) == len(rows)


@pytest.mark.parametrize("role", ["train", "unlabeled", "input"])
@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(corpus())), steps=st.lists(changes, max_size=4))
def test_a_changed_file_is_read_or_refused_in_one_sentence(
    name: str, steps: list[tuple[str, float, int, bytes]], role: Any, tmp_path: Path
) -> None:
    case = corpus()[name]
    content = case.content
    for step in steps:
        content = changed(content, *step)
    file = tmp_path / case.file
    file.write_bytes(content)
    try:
        found = read_examples(File.at(file), ReadOptions(role, on_bad_row="skip"))
    except DataError as error:
        assert str(error).splitlines() == [str(error)]
        return
    write_all(found, tmp_path)
