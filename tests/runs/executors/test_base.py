"""What stands in the folder of a job: attempts, what is told, and why it failed."""

import pdb
from pathlib import Path

import pytest
from process_tasks import do, have_done, order

from pet.errors import DataError, RunError
from pet.runs.executors.base import Handle, Needs, do_job
from pet.runs.executors.here import InProcess


def test_a_job_whose_process_ends_without_a_word_is_begun_three_times(tmp_path: Path) -> None:
    (folder,) = order(tmp_path, ("write", "a"))
    for number in (1, 2, 3):  # what processes that were killed leave
        (folder / f"attempt-{number}").touch()
    with pytest.raises(RunError, match=r"The job toy/write was begun 3 times.*fewer run.workers") as caught:
        do(str(folder))
    with pytest.raises(RunError) as told:
        Handle(folder).result()
    assert str(told.value) == str(caught.value)
    assert not (tmp_path / "a").exists()


def test_an_attempt_that_says_how_it_ended_does_not_count(tmp_path: Path) -> None:
    (folder,) = order(tmp_path, ("refuse",))
    for _ in range(5):
        with pytest.raises(DataError, match="no such row"):
            do(str(folder))
    assert not list(folder.glob("attempt-*"))


def test_an_interrupted_job_has_not_failed(tmp_path: Path) -> None:
    (folder,) = order(tmp_path, ("write", "a"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_job(folder, interrupted)
    Handle(folder).result()
    do(str(folder))
    assert (tmp_path / "a").exists()


def test_a_job_that_died_says_how(tmp_path: Path) -> None:
    Handle(tmp_path).result()
    with pytest.raises(RunError, match="exit code 9"):
        Handle(tmp_path, "exit code 9").result()


@pytest.mark.parametrize("content", [None, "", "{}", '{"name": "a"}', "[1]"])
def test_a_folder_without_a_job_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "task.json").write_text(content)
    with pytest.raises(RunError, match="has no job to do"):
        do(str(tmp_path))


def test_in_this_process_jobs_are_done_in_order(tmp_path: Path) -> None:
    heard = list[object]()
    have_done(
        InProcess(do), tmp_path, [("write", "a"), ("write", "b"), ("write", "c")], lambda *said: heard.append(said)
    )
    assert heard == [("advance", 2)] * 3
    assert (tmp_path / "a").stat().st_mtime_ns <= (tmp_path / "c").stat().st_mtime_ns


def test_the_debugger_stops_at_the_line_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = list[str]()

    def post_mortem(trace: object) -> None:
        while trace.tb_next:  # type: ignore[attr-defined]
            trace = trace.tb_next  # type: ignore[attr-defined]
        stopped.append(trace.tb_frame.f_code.co_name)  # type: ignore[attr-defined]

    monkeypatch.setattr(pdb, "post_mortem", post_mortem)
    for debug in (False, True):
        with pytest.raises(RunError, match="KeyError"):
            have_done(InProcess(do, debug), tmp_path, [("stumble",)])
    assert stopped == ["stumble"]


def test_what_was_not_begun_is_forgotten(tmp_path: Path) -> None:
    executor = InProcess(do)
    executor.submit(order(tmp_path, ("write", "a"))[0], Needs())
    executor.cancel()
    assert list(executor.as_completed()) == []
