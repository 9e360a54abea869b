"""Jobs are done once, kept whole, and done again when damaged."""

import os
from pathlib import Path

import pytest

from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.log import RunLog

JOB = Job("agnews/colon 0", "0123456789abcdef")


class Work:
    """Writes two files, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        assert list(folder.iterdir()) == []
        (folder / "votes.bin").write_bytes(b"12345")
        (folder / "info.json").write_text("{}")


def test_the_hash_depends_on_every_part_and_on_nothing_else() -> None:
    parts = {"config": {"steps": 10, "rate": 1e-4}, "data": "abc", "seed": 1, "text": "é"}
    assert job_hash(**parts) == job_hash(**dict(reversed(parts.items()))) == "ee4e397a7f107cce"
    others: list[dict[str, object]] = [
        {**parts, "seed": 2},
        {**parts, "seed": "1"},
        {**parts, "seed": True},
        {**parts, "config": {"steps": 10, "rate": 2e-4}},
        {**parts, "more": None},
    ]
    assert len({job_hash(**other) for other in [parts, *others]}) == 6


@pytest.mark.parametrize("part", [{1, 2}, Path("x"), float("nan")])
def test_a_part_that_is_no_json_is_refused(part: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        job_hash(part=part)


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".tmp-1", "a\n"])
def test_a_key_must_name_a_folder(key: str) -> None:
    with pytest.raises(ValueError, match="job_hash"):
        Job("name", key)


def test_a_job_is_done_once(tmp_path: Path) -> None:
    store, work = JobStore(tmp_path / "jobs"), Work()
    assert not store.done(JOB)
    folder = store.run(JOB, work)
    assert folder == tmp_path / "jobs" / JOB.key == store.run(JOB, work)
    assert (work.calls, store.done(JOB)) == (1, True)
    assert (folder / "votes.bin").read_bytes() == b"12345"


@pytest.mark.parametrize("damage", [b"1234", b"12346", None])
def test_a_damaged_job_is_done_again_and_said(
    tmp_path: Path, damage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    store, work = JobStore(tmp_path / "jobs", RunLog(tmp_path / "run.log")), Work()
    votes = store.run(JOB, work) / "votes.bin"
    votes.unlink() if damage is None else votes.write_bytes(damage)
    assert not store.done(JOB)
    assert capsys.readouterr().err == ""
    store.run(JOB, work)
    said = capsys.readouterr().err
    assert said.startswith("! warning: the finished job agnews/colon 0 in ") and "votes.bin" in said
    assert (work.calls, store.done(JOB), votes.read_bytes()) == (2, True, b"12345")


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
def test_a_failed_job_is_passed_on_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise error("the voter failed")

    store = JobStore(tmp_path / "jobs")
    with pytest.raises(error, match="the voter failed"):
        store.run(JOB, fail)
    assert list(store.folder.iterdir()) == []
    store.run(JOB, Work())
    assert store.done(JOB)


def test_a_leftover_of_the_same_process_number_is_not_built_upon(tmp_path: Path) -> None:
    leftover = tmp_path / f".tmp-{JOB.key}-{os.getpid()}"
    leftover.mkdir()
    (leftover / "old").write_text("old")
    folder = JobStore(tmp_path).run(JOB, Work())
    assert not (folder / "old").exists()
