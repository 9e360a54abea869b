"""Every way to label side by side: agreement, test figures and accuracy on gold rows held out, by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import Asked, FakeBench, truth
from toy import THREE

import pet
from pet.learners.students.classifier import TextClassifier
from pet.method.compare import compare
from pet.method.generations import Generations
from pet.method.plan import Plan, prepare
from pet.method.stages import Workbench
from pet.method.summary import Summary, SummaryRow
from pet.prompts.pvp import PVP
from pet.runs.jobs import JobStore
from pet.runs.results import Arrays

Config = Callable[..., pet.RunConfig]
COLON, CATEGORY = "toy/colon+words", "toy/category+words"
EYE = np.eye(3, dtype=np.float32)


def shifted(columns: np.ndarray, wrong: np.ndarray | list[int]) -> np.ndarray:
    """Return one-hot scores, of the next label in the rows that are to be wrong."""
    columns = columns.copy()
    columns[wrong] = (columns[wrong] + 1) % 3
    return EYE[columns]


class Bench(FakeBench):
    """Stands in for every way to label: the voters are right, the others wrong in the rows that are said."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.inputs, self.voter)
        self.kept: list[Any] = []
        self.folds = [np.flatnonzero(rows) for rows in plan.held_out]
        self.pool, self.test = truth(plan.inputs.pool_sample), truth(plan.data.test)

    @staticmethod
    def voter(asked: Asked) -> np.ndarray:
        if asked.part == "test" and asked.spec.name == CATEGORY:
            return 0.1 * asked.wrong()
        return asked.truth()

    def zero_shot(self, pvp: PVP) -> Arrays:
        """Right on the first fold alone; half of the test rows wrong."""
        labeled = shifted(self.inputs.gold, self.folds[1] if len(self.inputs.gold) else [])
        return {"labeled": labeled, "pool": EYE[self.pool], "test": shifted(self.test, [0, 1, 2, 3, 4, 5])}

    def supervised(self, kept: np.ndarray | None = None) -> Arrays:
        """Wrong on every row it learned from, right on those left out but for the first of each fold."""
        self.kept.append(None if kept is None else kept.tolist())
        if kept is None:
            return {"pool": shifted(self.pool, [0, 1, 2]), "test": EYE[self.test]}
        left_out = np.setdiff1d(np.arange(len(self.inputs.gold)), kept)
        return {"gold": shifted(self.inputs.gold, [*kept, left_out[0]])}

    def embeddings(self) -> Arrays:
        """One-hot: wrong for two rows of the first fold, three compared rows, and a test row."""
        more = EYE[np.arange(9) % 3]
        return {
            "labeled": shifted(self.inputs.gold, self.folds[0][:2]),
            "pool": np.concatenate([shifted(self.pool, [7, 8, 9]), more]),
            "test": shifted(self.test, [4]),
        }


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.method.plan.COMPARED_ROWS", 10)


def compared(config: pet.RunConfig) -> tuple[Summary, Bench]:
    plan = prepare(config)
    bench = Bench(plan)
    student = {"pool": shifted(bench.pool, [3]), "test": shifted(bench.test, [0, 1, 2])}
    return compare(plan, bench, list(Generations(plan, bench).train()), student), bench


def figures(row: SummaryRow) -> tuple[float | None, float | None, float | None]:
    return row.agreement, row.test.accuracy if row.test else None, row.held_out


@pytest.mark.usefixtures("small_sample")
def test_every_line_is_measured_on_the_same_rows(larger: Config) -> None:
    summary, bench = compared(larger(*THREE))
    assert (summary.compared, summary.held_out) == (10, 10)
    found = {row.name: figures(row) for row in summary.rows}
    assert found == {
        "zero-shot (calibrated)": (1.0, 0.5, 0.5),
        COLON: (1.0, 1.0, None),
        CATEGORY: (1.0, 0.0, None),
        "generation 0": (1.0, 1.0, 1.0),
        "generation 1": (1.0, 1.0, 1.0),
        "generation 2": (1.0, 1.0, 1.0),
        "ensemble": (1.0, 1.0, 1.0),
        "distilled classifier": (0.9, 0.75, None),
        "supervised baseline": (0.7, 1.0, 0.8),
        "embeddings + logistic regression": (0.7, pytest.approx(11 / 12), 0.8),
        "embeddings + self-training": (0.7, pytest.approx(11 / 12), 0.8),
    }
    assert list(found) == [row.name for row in summary.rows]
    # Once with all rows; once without each fold that some voter was kept from.
    everything = set(range(24))
    assert bench.kept[0] is None
    assert sorted(bench.kept[1:]) == sorted(sorted(everything - set(fold.tolist())) for fold in bench.folds)


@pytest.mark.usefixtures("small_sample")
def test_folds_that_no_voter_was_kept_from_are_not_measured_and_two_voters_may_share_one(larger: Config) -> None:
    summary, bench = compared(larger(*THREE, "train.seeds=3"))  # six voters, five folds
    assert summary.held_out == 24
    assert len(bench.kept) == 1 + 5
    assert {row.name: row.held_out for row in summary.rows}["supervised baseline"] == pytest.approx(19 / 24)


@pytest.mark.usefixtures("small_sample")
def test_with_nothing_held_out_there_is_no_such_figure(larger: Config) -> None:
    summary, bench = compared(larger(*THREE, "data.examples_per_label=4"))
    assert summary.held_out == 0
    assert all(row.held_out is None for row in summary.rows)
    assert bench.kept == [None]
    names = [row.name for row in compared(larger())[0].rows]
    assert not [name for name in names if name.startswith("generation")]  # one generation is the ensemble itself


@pytest.mark.usefixtures("small_sample")
def test_without_the_baseline_nothing_simpler_is_trained(larger: Config) -> None:
    summary, bench = compared(larger(*THREE, "run.baseline=false"))
    assert bench.kept == []
    assert summary.rows[-1].name == "distilled classifier"


def test_the_supervised_baseline_never_learns_from_the_rows_it_is_measured_on(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons: list[list[tuple[str, int]]] = []
    original = TextClassifier.fit

    def fit(self: TextClassifier, examples: Any, targets: np.ndarray, *given: Any) -> Any:
        lessons.append([(row.id, int(column)) for row, column in zip(examples, targets.argmax(axis=1), strict=True)])
        return original(self, examples, targets, *given)

    monkeypatch.setattr(TextClassifier, "fit", fit)
    plan = prepare(larger(*THREE, "train.steps=1"))
    kept = np.flatnonzero(~plan.held_out[1])
    bench = Workbench(plan.inputs, JobStore(tmp_path / "jobs"))
    found = bench.supervised(kept)
    assert lessons == [[(f"train-{i}", i % 3) for i in kept]]
    assert len(kept) == 19
    assert {part: scores.shape for part, scores in found.items()} == {"gold": (24, 3)}
    whole = bench.supervised()
    assert {part: len(scores) for part, scores in whole.items()} == {"pool": 120, "test": 12}
    assert len(lessons[1]) == 24


@pytest.mark.usefixtures("small_sample")
def test_a_generation_agrees_with_the_ensemble_on_the_rows_that_it_labeled(
    larger: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def voter(asked: Asked) -> np.ndarray:
        scores = asked.truth()
        if asked.generation == 0 and asked.part == "pool":
            scores[::4] = np.roll(scores[::4], 1, axis=1)  # every fourth row another label
        return scores

    monkeypatch.setattr(Bench, "voter", staticmethod(voter))
    summary, _ = compared(larger(*THREE))
    found = {row.name: row.agreement for row in summary.rows}
    assert [found[f"generation {number}"] for number in range(3)] == [0.75, 1.0, 1.0]
