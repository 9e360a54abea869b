"""``job 3 of 9``: a command announces as many jobs as it does, whatever is asked for and however it goes."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from stand_ins import Asked, vote_with
from toy import THREE

import pet
from pet.pipeline import distill, label
from pet.runs.directory import RunDirectory
from pet.runs.progress import Advance, Stages

pytestmark = pytest.mark.slow

Config = Callable[..., pet.RunConfig]

QUICK = ("train.steps=1", "distill.steps=1")
ADAPTED = ("adapt.method=mlm", "adapt.steps=1")
PROMPTED = ("adapt.method=pcp", "adapt.steps=1")
WEIGHTED = ("ensemble.weighting=accuracy",)
# The first two generations label 24 and 60 of 120 rows.
GROWN = (*THREE, "ipet.growth=1.5", "data.examples_per_label=4")


class Announced:
    """What the last command has announced: its stages, and the numbers that a person saw, of how many."""

    def __init__(self) -> None:
        self.stages = Stages(0)
        self.numbers: list[tuple[int, int]] = []

    def begin(self, total: int, *_: object) -> Stages:
        self.stages, self.numbers = Stages(total), []
        return self.stages

    @contextmanager
    def show(self, head: Callable[[], str], *_: object) -> Iterator[Advance]:
        found = re.match(r"job (\d+) of (\d+)(, [\d.]+ (s|min|h) left)?: ", head())
        assert found is not None, head()
        self.numbers.append((int(found[1]), int(found[2])))
        yield lambda _count=1, /: None

    def check(self, root: Path) -> None:
        """Compare what was announced with the jobs that a run directory holds once the command has ended."""
        done = RunDirectory(root).store().finished()
        del done["trial"]  # before the first job is announced
        assert self.stages.started == self.stages.total == done.total()
        numbers = [number for number, _ in self.numbers]
        assert numbers == sorted(set(numbers))
        assert all(number <= total for number, total in self.numbers)


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> Announced:
    found = Announced()
    monkeypatch.setattr("pet.method.plan.opening.Stages", found.begin)
    monkeypatch.setattr("pet.runs.progress.stage_progress", found.show)
    return found


def check_commands(settings: pet.RunConfig, root: Path, announced: Announced) -> None:
    """Label; go on with the whole run; start that again, when nothing is left; and a whole run at one go."""
    label(settings, root / "first", quiet=True)
    announced.check(root / "first")
    shown = len(announced.numbers)
    assert shown == announced.stages.total
    pet.run(settings, root / "first", quiet=True)
    announced.check(root / "first")
    assert announced.numbers[0][0] == shown + 1
    pet.run(settings, root / "first", quiet=True)
    announced.check(root / "first")
    assert announced.numbers == []
    pet.run(settings, root / "second", quiet=True)
    announced.check(root / "second")
    assert len(announced.numbers) == announced.stages.total


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ADAPTED,
        WEIGHTED,
        (*ADAPTED, *WEIGHTED, "train.seeds=2"),
        (*PROMPTED, *WEIGHTED),
        (*PROMPTED, *THREE, "ipet.accept_all=true"),
        ("ipet.held_out=true", "train.seeds=2"),  # a baseline for each fold
        (*WEIGHTED, "data.train=''"),  # nothing to weigh by
        ("run.baseline=false", "distill.size=static"),
    ],
    ids=" ".join,
)
def test_as_many_jobs_are_announced_as_are_done(
    larger: Config, tmp_path: Path, announced: Announced, settings: tuple[str, ...]
) -> None:
    check_commands(larger(*QUICK, *settings), tmp_path, announced)


@pytest.mark.parametrize(("last", "settings"), [(0, (*ADAPTED, *WEIGHTED)), (1, ()), (2, ())])
def test_voters_that_label_the_whole_pool_in_the_end_are_counted_too(
    larger: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    announced: Announced,
    last: int,
    settings: tuple[str, ...],
) -> None:
    def scores(asked: Asked) -> np.ndarray:
        return asked.truth() if asked.generation <= last else asked.only(0)  # which is rejected

    vote_with(monkeypatch, scores)
    check_commands(larger(*QUICK, *GROWN, *settings), tmp_path, announced)
    whole = label(larger(*QUICK, *GROWN, *settings), tmp_path / "first", quiet=True)
    jobs = RunDirectory(whole.directory).store().finished()
    # One that had labeled a part of the pool is trained again.
    assert jobs[f"generation-{last}/voter/toy/colon+words" if last else "voter/toy/colon+words"] == 1 + (last < 2)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("ipet.generations=2", "ipet.growth=2", "ipet.accept_all=true"),
        ("data.train=''",),
        PROMPTED,
        ("train.embedding=false",),
        (*WEIGHTED, "refine.method=none"),
    ],
    ids=" ".join,
)
def test_voters_on_vectors_are_counted_too(
    both_pipeline: Path, tmp_path: Path, announced: Announced, settings: tuple[str, ...]
) -> None:
    check_commands(pet.RunConfig.from_toml(both_pipeline, (*QUICK, *settings)), tmp_path, announced)


def test_a_classifier_taught_later_is_one_job(finished: pet.RunResult, copied: Path, announced: Announced) -> None:
    for shown in ([(1, 1)], []):
        distill(copied, ["distill.steps=2"], quiet=True)
        assert (announced.stages.started, announced.stages.total) == (1, 1)
        assert announced.numbers == shown
