"""Labels that people have given become gold rows: who counts, what leaves the pool, what is said of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pet.data.dataset import TaskData
from pet.data.examples import Example, Task
from pet.data.review import Review, write_reviews
from pet.data.reviewed import with_reviews
from pet.data.rows import Rows
from pet.errors import DataError

RUN = "abc"
GOLD = (Example("g1", {"text": "one"}, "a"), Example("g2", {"text": "two"}, "b"), Example("g3", {"text": "six"}, "b"))
POOL = tuple(Example(f"p{i}", {"text": text}) for i, text in enumerate(["three", "four", "Three!", "five"]))
DATA = TaskData(Task("t", ("a", "b"), ("text",)), GOLD, Rows.of(POOL), Rows.of(()), {"text": "text"}, ("read",), ())


def reviewed(folder: Path, *files: Sequence[Review]) -> TaskData:
    paths = []
    for number, reviews in enumerate(files):
        paths.append(str(folder / f"r{number}.csv"))
        write_reviews(Path(paths[-1]), reviews)
    return with_reviews(DATA, paths, RUN)


def test_rows_of_the_pool_become_gold_rows_and_their_copies_leave_it(tmp_path: Path) -> None:
    found = reviewed(tmp_path, [Review("p0", "b", run=RUN), Review("g1", "b"), Review("g2", "b"), Review("p3", None)])
    assert [(row.id, row.label) for row in found.labeled] == [("g1", "b"), ("g2", "b"), ("g3", "b"), ("p0", "b")]
    assert [row.id for row in found.unlabeled] == ["p1"]  # p2 has the text of p0, and no label fits p3
    assert found.reviewed is not None
    assert found.drawn is DATA
    kept, moved, left = (part.tolist() for part in (found.reviewed.kept, found.reviewed.moved, found.reviewed.left))
    assert (kept, moved, left) == ([0, 1, 2], [0], [1])
    assert found.reviewed.said == (
        "4 rows count of r0.csv: 1 new gold row, 1 gold row corrected, 1 gold row confirmed, 1 left out since no label "
        "fits; 1 unlabeled row has the text of one of them: dropped"
    )
    assert found.messages == ("read", found.reviewed.said)


def test_a_gold_row_that_no_label_fits_is_gold_no_more(tmp_path: Path) -> None:
    found = reviewed(tmp_path, [Review("g2", None)])
    assert [row.id for row in found.labeled] == ["g1", "g3"]
    assert len(found.unlabeled) == 4


def test_of_several_reviewers_the_majority_counts_and_a_tie_is_left_out_and_said(tmp_path: Path) -> None:
    first = [Review("p0", "a"), Review("p1", "a"), Review("p3", "b")]
    second = [Review("p0", "b", "bob"), Review("p1", "b", "bob"), Review("p3", "b", "bob")]
    found = reviewed(tmp_path, first, second, [Review("p0", "b", "cy")])
    assert [(row.id, row.label) for row in found.labeled[3:]] == [("p0", "b"), ("p3", "b")]
    assert [row.id for row in found.unlabeled] == ["p1"]
    assert found.messages[-1] == (
        "2 rows have different labels by their reviewers: 'p0' a by r0.csv, b by bob and cy: b; 'p1' a by r0.csv, b by "
        "bob: left out"
    )
    facts = found.reviewed.facts if found.reviewed else {}
    assert (facts["rows"], facts["new"], facts["tied"]) == (2, 2, 1)
    assert facts["disagreements"][1] == {"id": "p1", "labels": {"r0.csv": "a", "bob": "b"}, "label": None}


def test_without_files_nothing_changes_and_other_jobs_are_named_by_other_rows(tmp_path: Path) -> None:
    assert with_reviews(DATA, (), RUN) is DATA
    found = reviewed(tmp_path, [Review("g1", "b")])
    assert found.digests[0] != DATA.digests[0]
    assert found.digests[1:] == DATA.digests[1:]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([[Review("p9", "a")]], "no row of the run has the id 'p9'.*Known: g1, g2"),
        ([[Review("p0", "aa")]], "the row 'p0' has the label 'aa', expected one of 'a', 'b' or"),
        (
            [[Review("p0", "a", run="other")]],
            "is of another run .'other', not 'abc'.*empty its column run",
        ),
        ([[Review("p0", "a", "ann")], [Review("p0", "b", "ann")]], "'ann' gives the row 'p0' two labels, 'a' and 'b'"),
        ([[Review(f"p{i}", "a") for i in range(4)]], "nothing left to label"),
    ],
)
def test_what_cannot_count_is_refused_in_a_sentence(tmp_path: Path, files: list[list[Review]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        reviewed(tmp_path, *files)
