"""A whole checkpoint is there at every moment, also when a disk is full or a process killed between two moves."""

import os

import pytest

from pet.runs import atomic
from pet.runs.checkpoints import Checkpoints


def test_the_last_whole_one_is_found_whatever_happens_to_the_next(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for step in range(1, 4):
        Checkpoints(tmp_path).save(lambda folder, step=step: (folder / "step").write_text(str(step)) and None)
        assert (Checkpoints(tmp_path).latest() / "step").read_text() == str(step)

    def killed(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", killed)  # after the older one was set aside, at the latest
    monkeypatch.setattr(atomic, "_set_aside", lambda path: path.replace(path.with_name(".tmp-x-1")))
    with pytest.raises(KeyboardInterrupt):
        Checkpoints(tmp_path).save(lambda folder: None)
    monkeypatch.undo()
    assert (Checkpoints(tmp_path).latest() / "step").read_text() == "3"
