"""Ctrl-C within any job: what was kept is gone on from, and the files are those of a run that nobody interrupted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from toy import content

import pet
from pet.runs import keeping
from pet.runs.progress import Advance

pytestmark = pytest.mark.slow

# All that keeps something: adaptation, trainings from several starts with a loss that draws, a student that trains.
SETTINGS = (
    "data.examples_per_label=4",
    "data.max_unlabeled=36",
    "adapt.method=mlm",
    "adapt.steps=4",
    "train.preset=p-tuning",
    "train.restarts=2",
    "train.loss=adapet",
    "train.contrastive=true",
    "train.steps=4",
    "distill.size=same",
    "distill.steps=6",
    "run.baseline=false",
)


class Stop:
    """Interrupts a command after so many calls of what says how far it is; counts those that were made."""

    def __init__(self, after: float) -> None:
        self.after, self.calls = after, 0

    @contextmanager
    def show(self, *_: object) -> Iterator[Advance]:
        def advance(_count: int = 1, /) -> None:
            self.calls += 1
            if self.calls > self.after:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Stop]:
    """Let a run be interrupted, and everything be kept at every moment."""
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.0)

    def _stopping(after: float) -> Stop:
        stop = Stop(after)
        monkeypatch.setattr("pet.runs.progress.stage_progress", stop.show)
        return stop

    return _stopping


def test_a_run_that_is_interrupted_again_and_again_leaves_the_same_bytes(
    both_pipeline: Path, tmp_path: Path, stopping: Callable[[float], Stop]
) -> None:
    config = pet.RunConfig.from_toml(both_pipeline, SETTINGS)
    whole = stopping(float("inf"))
    expected = content(pet.run(config, tmp_path / "whole", quiet=True).directory)
    told = list[str]()
    while True:
        stop = stopping(max(3, whole.calls // 4))  # so many calls each time, those that tell what is kept among them
        try:
            pet.run(config, tmp_path / "stopped", quiet=True)
            break
        except KeyboardInterrupt as error:
            told += error.__notes__
            assert len(told) < 20
    assert len(told) >= 3 and stop.calls < whole.calls
    assert any(line.endswith("is kept as it was 0 s ago") for line in told)
    found = content(tmp_path / "stopped")
    assert set(found) == set(expected)
    assert {name: found[name][:300] for name in found if found[name] != expected[name]} == {}
    assert not list((tmp_path / "stopped" / "jobs").glob("unfinished-*"))
