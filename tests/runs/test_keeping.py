"""What a job that is under way keeps: nothing of a short one, and of a long one what half a minute ago was."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pet.errors import StorageError
from pet.learners.models.keeping import next_piece, read_state, write_state
from pet.runs import keeping
from pet.runs.jobs import Job, JobStore
from pet.runs.keeping import KEEP_SECONDS, JobKeeper

JOB = Job("voter/a", "a" * 16)
Clock = Callable[[float], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set the time by hand."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def write(folder: Path) -> None:
    write_state(folder, ({"a": torch.arange(3)}, {"b": 1}))


def test_it_is_due_once_the_job_has_worked_for_half_a_minute(tmp_path: Path, clock: Clock) -> None:
    keeper = JobKeeper(tmp_path / "kept")
    piece = keeper.piece("training")
    clock(KEEP_SECONDS - 1)
    assert not piece.due() and not piece.due(ended=True) and piece.latest() is None
    assert keeper.told("voter/a") == "voter/a begins anew: it had worked for 29 s"
    clock(KEEP_SECONDS)
    assert piece.due()
    piece.save(write)
    assert not piece.due() and not piece.due(ended=True)
    clock(KEEP_SECONDS + 6)
    assert not piece.due() and piece.due(ended=True)  # what comes after it is kept too
    assert keeper.told("voter/a") == "voter/a is kept as it was 6 s ago"


def test_each_piece_has_a_place_of_its_own_and_finds_it_again(tmp_path: Path, clock: Clock) -> None:
    keeper = JobKeeper(tmp_path / "kept")
    first, second = keeper.piece("training"), keeper.piece("training")
    second.save(write)
    again = JobKeeper(tmp_path / "kept")
    assert again.piece("training").latest() is None
    found = again.piece("training").latest()
    assert found is not None and read_state(found)[0]["a"].tolist() == [0, 1, 2] and read_state(found)[1] == {"b": 1}
    assert first.latest() is None
    assert again.told("voter/a") == "voter/a is kept as an earlier start has left it"
    assert not {path.suffix for path in (tmp_path / "kept").rglob("*") if path.is_file()} - {
        ".safetensors",
        ".json",
        "",
    }


def test_what_a_job_keeps_goes_once_it_is_done_and_a_short_one_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(tmp_path)

    def stopped(_: Path) -> None:
        piece = next_piece("training")
        if piece.due():
            piece.save(write)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        store.run(JOB, stopped)
    assert caught.value.__notes__ == ["voter/a begins anew: it had worked for 0 s"]
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        store.run(JOB, stopped)
    assert [path.name for path in tmp_path.iterdir()] == [f"unfinished-{JOB.key}"] and not store.finished()

    def looking(folder: Path) -> None:
        (folder / "found").write_text(str(next_piece("training").latest() is not None))

    store.run(JOB, looking)
    assert [path.name for path in tmp_path.iterdir()] == [JOB.key]
    assert (tmp_path / JOB.key / "found").read_text() == "True"


def test_a_full_disk_costs_what_was_to_be_kept_and_no_more(tmp_path: Path) -> None:
    def full(_: Path) -> None:
        raise StorageError("The disk is full")

    JobKeeper(tmp_path).piece("training").save(full)


def test_outside_of_a_job_nothing_is_kept() -> None:
    piece = next_piece("training")
    piece.save(write)
    assert piece.latest() is None and not piece.due(ended=True)
