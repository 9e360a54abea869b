"""A whole checkpoint is there at every moment, also when a disk is full or a process killed between two moves."""

import os
from functools import partial
from pathlib import Path

import pytest

from pet.runs.atomic import is_leftover
from pet.runs.checkpoints import Checkpoints


def write_step(folder: Path, step: int) -> None:
    (folder / "step").write_text(str(step))


def last_step(root: Path) -> str:
    found = Checkpoints(root).latest()
    assert found is not None
    return (found / "step").read_text()


def test_the_last_whole_one_is_found_whatever_happens_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for step in range(1, 4):
        Checkpoints(tmp_path).save(partial(write_step, step=step))
        assert last_step(tmp_path) == str(step)

    rename = os.rename

    def killed(old: Path, new: Path) -> None:
        if not is_leftover(Path(new).name):  # the older one is set aside, and nothing comes in its place
            raise KeyboardInterrupt
        rename(old, new)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        Checkpoints(tmp_path).save(lambda folder: None)
    monkeypatch.undo()
    assert last_step(tmp_path) == "3"
