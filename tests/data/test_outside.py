"""Outside votes are read by the ids of the rows, or from a column of their own files; what is wrong is a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pet.data.dataset import TaskData, load_task_data
from pet.data.outside import load_votes
from pet.data.writers import write_table
from pet.errors import ConfigError, DataError
from pet.settings.config import RunConfig
from pet.settings.task import DataSettings, TaskSettings
from pet.settings.votes import VotesSettings

TASK = TaskSettings()
NONE = [None, None]


@pytest.fixture
def data(tmp_path: Path) -> TaskData:
    write_table(
        tmp_path / "train.csv", {"id": ["t1", "t2"], "text": ["a", "b"], "label": ["no", "yes"], "rule": ["no", "no"]}
    )
    write_table(tmp_path / "pool.csv", {"id": ["1", "2", "3"], "text": ["c", "d", "e"], "rule": ["yes", "", "no"]})
    write_table(tmp_path / "test.csv", {"id": ["1", "9"], "text": ["f", "g"], "label": ["no", "yes"]})
    files = {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}
    return load_task_data(TASK, DataSettings(**files, unlabeled=str(tmp_path / "pool.csv")), 1)


def load(data: TaskData, folder: Path, **columns: list[Any]) -> Any:
    write_table(folder / "llm.csv", columns)
    return load_votes([VotesSettings(file=str(folder / "llm.csv"))], data, TASK)[0]


def plain(votes: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in votes]


def test_labels_of_a_file_go_to_the_rows_of_their_ids(data: TaskData, tmp_path: Path) -> None:
    found = load(data, tmp_path, id=[3, "1", "t2", "t1", "gone", 9], label=["yes", "no", "yes", "", "no", "yes"])
    assert plain(found.pool) == [[1.0, 0.0], NONE, [0.0, 1.0]]
    assert plain(found.labeled) == [NONE, [0.0, 1.0]]
    assert plain(found.test) == [NONE, [0.0, 1.0]]  # what has the id of a row of the pool is of that row
    assert (found.soft, found.right, found.unknown) == (False, 1, 2)
    assert str(found) == (
        "outside votes llm (llm.csv): on 2 of 3 unlabeled rows and 1 of 2 labeled ones, of which 1 are right; "
        "2 ids are of no row of the run"
    )


def test_probabilities_of_a_file_win_over_its_labels(data: TaskData, tmp_path: Path) -> None:
    found = load(
        data, tmp_path, id=["1", "2"], label=["no", "no"], prob_no=["0.25", ""], prob_yes=["0.75", ""]
    )  # fmt: skip
    assert found.soft and plain(found.pool) == [[0.25, 0.75], NONE, NONE]


def test_a_column_of_the_runs_own_files(data: TaskData) -> None:
    (found,) = load_votes([VotesSettings(column="rule")], data, TASK)
    assert (found.name, found.origin) == ("rule", "column rule")
    assert plain(found.pool) == [[0.0, 1.0], NONE, [1.0, 0.0]]
    assert plain(found.labeled) == [[1.0, 0.0], [1.0, 0.0]] and found.right == 1
    assert plain(found.test) == [NONE, NONE]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["x", "y"], "label": ["no", "no"]}, "none of its 2 ids, such as 'x', is one of a labeled or unlabeled"),
        ({"id": ["1"], "label": ["nope"]}, "line 2: the vote 'nope' is none of the labels 'no', 'yes'; leave the cell"),
        ({"id": ["1"], "label": ["ye"]}, "Did you mean yes"),
        ({"id": ["1", "t1"], "label": ["", "no"]}, "no vote on any of 3 unlabeled rows"),
        ({"id": ["1", "1"], "label": ["no", "no"]}, "line 3: the id '1' stands in line 2 already"),
        ({"key": ["1"], "label": ["no"]}, "no column 'id' for the rows"),
        ({"id": ["1"], "labels": ["no"]}, "neither a column 'label' nor one prob_LABEL.*Did you mean labels"),
        ({"id": ["1"], "prob_no": ["1"], "prob_yess": ["0"]}, "no column 'prob_yes'.*Did you mean prob_yess"),
        ({"id": ["1"], "prob_no": ["1"], "prob_yes": [""]}, r"line 2: .*are no probabilities"),
        ({"id": ["1"], "prob_no": ["-1"], "prob_yes": ["2"]}, r"are no probabilities"),
        ({"id": ["1"], "prob_no": ["0"], "prob_yes": ["0"]}, r"are no probabilities"),
        ({"id": [], "label": []}, "has no rows"),
    ],
)
def test_what_is_wrong_with_votes_is_said(
    data: TaskData, tmp_path: Path, columns: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(data, tmp_path, **columns)


def test_a_column_that_is_not_there_is_said(data: TaskData) -> None:
    with pytest.raises(DataError, match=r"no column 'rules' beside its texts.*found 'rule'.*Did you mean rule"):
        load_votes([VotesSettings(column="rules")], data, TASK)


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        ([{}], r'votes.0: expected file = "votes.csv" or column = "rule", found neither'),
        ([{"file": "a.csv", "column": "a"}], "found both"),
        ([{"file": "a.csv"}, {"column": "a"}], "two tables are called 'a': give one of them another name"),
        ([{"flie": "a.csv"}], r"unknown key 'flie' in \[votes.0\]"),
        ([{"file": "a.csv", "name": "a b"}], "expected letters, digits"),
    ],
)
def test_tables_that_do_not_fit_are_said(votes: list[dict[str, str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RunConfig.from_mapping({"votes": votes})


def test_one_table_may_stand_alone_and_its_path_is_that_of_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[votes]\nfile = "llm.csv"\n')
    (tmp_path / "b.toml").write_text('[[votes]]\nfile = "llm.csv"\n[[votes]]\ncolumn = "rule"\nname = "b"\n')
    one, two = (RunConfig.from_toml(tmp_path / name).votes for name in ("a.toml", "b.toml"))
    assert [table.called for table in (*one, *two)] == ["llm", "llm", "b"]
    assert two[0].file == str(tmp_path / "llm.csv")
