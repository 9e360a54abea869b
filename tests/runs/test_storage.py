"""Full and write-protected disks, as each library reports them, and a disk that fills at any moment."""

import builtins
import errno
import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pet.errors import RunError
from pet.runs.atomic import folder_problem, write_folder, write_json
from pet.runs.directory import RunDirectory
from pet.runs.jobs import Job, job_hash
from pet.runs.storage import storage_errors

TARGET = Path("/somewhere/jobs/0123")


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full while writing"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk quota is used up while writing"),
        (
            OSError(errno.EROFS, "Read-only file system"),
            f"{TARGET} cannot be written because its file system",
        ),
        (PermissionError(errno.EACCES, "denied", "/somewhere/jobs/.tmp"), f"{TARGET} cannot be written"),
        (PermissionError(errno.EPERM, "denied", Path("/somewhere/jobs/x/y")), f"{TARGET} cannot be written"),
        (OSError("100000 requested and 32752 written"), "The disk is full"),  # numpy
        (Exception("No space left on device (os error 28)"), "The disk is full"),  # tokenizers
        (Exception("I/O error: Disk quota exceeded (os error 122)"), "The disk quota"),  # safetensors
    ],
)
def test_a_disk_that_cannot_be_written_is_a_run_error(error: Exception, start: str) -> None:
    with pytest.raises(RunError) as caught, storage_errors(TARGET):
        raise error
    message = str(caught.value)
    assert message.startswith(start) and str(TARGET) in message
    assert message.endswith(" and run the same command again; nothing finished is lost.")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "denied", "/models/model.safetensors"),
        PermissionError(errno.EACCES, "denied"),
        Exception("Permission denied (os error 13)"),
        FileNotFoundError(errno.ENOENT, "gone", "/somewhere/jobs/x"),
        RuntimeError("something else"),
        RunError("something that already has a message"),
    ],
)
def test_other_errors_are_passed_on(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, storage_errors(TARGET):
        raise error
    assert caught.value is error


def work(name: str, folder: Path) -> None:
    (folder / "deep").mkdir()
    np.save(folder / "deep" / "votes.npy", np.full((4, 2), len(name), dtype="<f4"))
    (folder / "info.txt").write_text(name)


def whole_run(root: Path) -> None:
    keys = {name: job_hash(name=name) for name in ("a", "bb")}
    with RunDirectory.open(root, "[train]\nsteps = 1\n", {"config": "1"}) as directory:
        directory.expect(keys)
        for name, key in keys.items():
            directory.store().run(Job(name, key), partial(work, name))
        write_folder(directory.model, partial(work, "model"))
        write_json(directory.metrics_path, {"done": True})


def content(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


class FillingDisk:
    """Lets a number of writes pass; the next one (`once`), or every later one, finds the disk full."""

    def __init__(self, writes: int, once: bool) -> None:
        self.left, self.once, self.hit = writes, once, False

    def counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            self.count(args)
            return write(*args, **options)

        return wrapper

    def opened(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if "w" in mode or "a" in mode:
            self.count((file,), half_written=True)
        return REAL_OPEN(file, mode, *args, **options)

    def count(self, args: tuple[Any, ...], half_written: bool = False) -> None:
        self.left -= 1
        if self.left == 0 or (self.left < 0 and not self.once):
            self.hit = True
            if half_written:
                with REAL_OPEN(args[0], "wb") as file:
                    file.write(b"{")
            raise OSError(errno.ENOSPC, "No space left on device", str(args[0]))


REAL_OPEN = open


@pytest.mark.parametrize("once", [True, False])
def test_a_disk_that_fills_at_any_write_tears_nothing(
    tmp_path: Path, once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # it is counted, and need not be waited for
    whole_run(tmp_path / "whole")
    expected = content(tmp_path / "whole")
    for writes in range(1, 1000):
        root, disk = tmp_path / f"full-{writes}", FillingDisk(writes, once)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("fsync", "replace", "rename", "mkdir"):
                patch.setattr(os, name, disk.counted(getattr(os, name)))
            patch.setattr(io, "open", disk.opened)
            patch.setattr(builtins, "open", disk.opened)
            try:
                whole_run(root)
            except RunError as error:
                assert str(error).startswith("The disk is full while writing")
            except Exception as error:
                assert "No space left" in str(error)
                assert not root.exists()
        if not disk.hit:
            break
        assert not list(root.rglob(".tmp-*"))
        folders = [*root.glob("jobs/*"), *root.glob("model")]
        assert [folder_problem(folder) for folder in folders] == [None] * len(folders)
        whole_run(root)
        assert content(root) == expected
    assert 40 < writes < 999
