"""The scores of a pool in shards: those of the pool as a whole, whatever is interrupted, and nothing left over."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from toy import content

from pet.data import output
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.forecast.probe import FIRST_ROWS
from pet.learners.voters.pvp import PvpVoter
from pet.pipeline import label
from pet.runs import shards
from pet.runs.jobs import Job, JobStore
from pet.runs.shards import PoolScores
from pet.settings.config import RunConfig

ROWS = Rows.of(Example(str(i), {"text": str(i)}) for i in range(10))
JOB = Job("voter/a", "a" * 16)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 4)


class Scorer:
    """Scores a row by its id; raises at one of them."""

    def __init__(self, last: str = "") -> None:
        self.last = last
        self.asked: list[str] = []

    def __call__(self, rows: Rows) -> np.ndarray:
        self.asked += rows.ids
        if self.last in self.asked:
            raise KeyboardInterrupt
        return np.asarray([[float(row.id), -1.0] for row in rows], np.float32).reshape(-1, 2)


def vote(folder: Path, scorer: Scorer, rows: Rows = ROWS) -> tuple[PoolScores, list[int]]:
    """Do the job of a voter; return its scores, and what was said of its progress."""
    pool, said = PoolScores(JobStore(folder), JOB, rows), []

    def advance(count: int = 1, /) -> None:
        said.append(count)

    pool.store.run(JOB, lambda place: pool.write(place, scorer, advance))
    return pool, said


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_shards_together_are_the_scores_of_all_rows(tmp_path: Path) -> None:
    pool, _ = vote(tmp_path, Scorer())
    pool.tidy()
    assert pool.read()[:, 0].tolist() == list(range(10))
    assert pool.read().dtype == np.float32
    names = [f"pool-0000{i}.safetensors" for i in range(3)]
    assert sorted(files(tmp_path)) == [f"{JOB.key}/{name}" for name in ("_SUCCESS", "job.json", *names)]


def test_an_interrupted_voter_goes_on_behind_its_last_whole_shard(tmp_path: Path) -> None:
    vote(tmp_path / "whole", Scorer())[0].tidy()
    with pytest.raises(KeyboardInterrupt):
        vote(tmp_path / "killed", Scorer(last="9"))
    scorer = Scorer()
    pool, said = vote(tmp_path / "killed", scorer)
    assert scorer.asked == ["8", "9"]
    assert said == [4, 4]
    # Killed here: the next start finds the job done and tidies up.
    pool.tidy()
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.parametrize("count", [0, 3, 4])
def test_few_rows_are_one_shard_and_no_job_of_their_own(tmp_path: Path, count: int) -> None:
    pool, _ = vote(tmp_path, Scorer(), ROWS.take(np.arange(count)))
    assert [path.name for path in tmp_path.iterdir()] == [JOB.key]
    assert pool.read().shape == (count, 2)


@pytest.fixture
def labeled(toy_pipeline: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Label the pool of the toy task into a folder."""
    config = RunConfig.from_toml(toy_pipeline, ["train.steps=2"])
    return lambda name: label(config, tmp_path / name, quiet=True).directory


def test_a_run_in_shards_has_the_labels_of_one_without(
    labeled: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 12)
    small = labeled("small")
    jobs = (len(list(job.glob("pool-*"))) for job in (small / "jobs").iterdir())
    assert [count for count in jobs if count] == [3, 3]
    monkeypatch.setattr(shards, "SHARD_ROWS", 4096)
    monkeypatch.setattr(output, "PIECE_ROWS", 5)
    whole = labeled("whole")
    for name in ("pseudo_labels.parquet", "generations/0/votes.parquet"):
        one, other = pq.read_table(small / name), pq.read_table(whole / name)
        assert one.drop_columns(numbers(one)).equals(other.drop_columns(numbers(one)))


def test_a_run_stopped_between_shards_ends_with_the_bytes_of_one_that_was_not(
    labeled: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 12)
    expected, asked, scores = content(labeled("whole")), [], PvpVoter.scores

    def stop(self: PvpVoter, examples: Sequence[Example], *rest: Any) -> np.ndarray:
        if len(examples) != FIRST_ROWS:  # those of a forecast
            asked.append(len(examples))
            if len(asked) == 3:
                raise KeyboardInterrupt
        return scores(self, examples, *rest)

    monkeypatch.setattr(PvpVoter, "scores", stop)
    with pytest.raises(KeyboardInterrupt):
        labeled("stopped")
    stopped = labeled("stopped")
    # A voter scores three shards and three other sets; two of the first one's shards were there already.
    assert len(asked) == 3 + 4 + 6
    assert content(stopped) == expected


def numbers(table: Any) -> list[str]:
    """Columns of arithmetic: the batches differ."""
    return [name for name in table.column_names if name.startswith(("prob", "confidence")) or "+" in name]
