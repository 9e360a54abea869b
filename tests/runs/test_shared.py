"""Jobs that runs leave for each other: taken over whole, done again where they are damaged, with what each took."""

import os
import time
from pathlib import Path

import pytest

from pet.runs.jobs import Job, JobStore
from pet.runs.shared import SharedJobs, cpu_seconds

JOB = Job("voter/agnews/colon", "0123456789abcdef")


class Busy:
    """Takes a moment of processor time, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        (folder / "encoder").mkdir()
        (folder / "encoder" / "votes.bin").write_bytes(b"12345")


def store(tmp_path: Path, run: str) -> JobStore:
    return JobStore(tmp_path / run / "jobs", shared=SharedJobs(tmp_path / "shared"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_job_of_one_run_is_taken_over_by_another(tmp_path: Path) -> None:
    one, other, work = store(tmp_path, "one"), store(tmp_path, "other"), Busy()
    assert not other.done(JOB)
    first = one.run(JOB, work)
    assert other.done(JOB)
    second = other.run(JOB, work)
    assert work.calls == 1
    assert second == tmp_path / "other" / "jobs" / JOB.key
    assert files(first) == files(second) == files(tmp_path / "shared" / JOB.key)
    assert other.alone.done(JOB)  # it is its own now


def test_files_are_second_names_where_there_are_such_and_copies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = Path("encoder") / "votes.bin"
    linked = [store(tmp_path, run).run(JOB, Busy()) / name for run in ("one", "other")]
    assert linked[0].samefile(linked[1])

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    copied = store(tmp_path, "third").run(JOB, Busy()) / name
    assert not copied.samefile(linked[0]) and copied.read_bytes() == b"12345"


def test_a_damaged_one_is_done_again(tmp_path: Path) -> None:
    work = Busy()
    store(tmp_path, "one").run(JOB, work)
    shared = tmp_path / "shared" / JOB.key / "encoder" / "votes.bin"
    shared.unlink()
    shared.write_bytes(b"1234")
    other = store(tmp_path, "other")
    assert not other.done(JOB)
    other.run(JOB, work)
    assert work.calls == 2
    assert shared.read_bytes() == b"12345"  # mended by the way


def test_a_run_alone_shares_nothing(tmp_path: Path) -> None:
    one = store(tmp_path, "one").alone
    one.run(JOB, Busy())
    assert not (tmp_path / "shared").exists()
    assert not store(tmp_path, "other").done(JOB)


def test_what_a_job_took_is_told(tmp_path: Path) -> None:
    shared = SharedJobs(tmp_path / "shared")
    assert shared.costs() == {}
    before = cpu_seconds()
    store(tmp_path, "one").run(JOB, Busy())
    store(tmp_path, "other").run(JOB, Busy())
    spent, costs = cpu_seconds() - before, shared.costs()
    assert set(costs) == {JOB.key}
    assert 0.01 <= costs[JOB.key] <= spent + 0.01  # counted in hundredths
    (tmp_path / "shared" / "torn.json").write_text("{")
    assert shared.costs() == costs
