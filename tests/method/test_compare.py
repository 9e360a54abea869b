"""Every way to label side by side: agreement, test figures and accuracy on gold rows held out, by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generation_runs import run
from run_jobs import jobs_of
from stand_ins import Asked, Scores, truth
from toy import THREE

import pet
from pet.labeling.votes import SoftLabels, Votes
from pet.learners.students.classifier import TextClassifier
from pet.method.compare import Embeddings, OnGold, compare, given_line, supervised
from pet.method.generation import Ensemble
from pet.method.jobs import Jobs
from pet.method.plan.plan import Plan, prepare
from pet.method.summary import Summary, SummaryRow
from pet.method.teach import Predicted
from pet.method.vote import ZeroShot
from pet.prompts.pvp import PVP

Config = Callable[..., pet.RunConfig]
COLON, CATEGORY = "toy/colon+words", "toy/category+words"
EYE = np.eye(3, dtype=np.float32)


def shifted(columns: np.ndarray, wrong: np.ndarray | list[int]) -> np.ndarray:
    """Return one-hot scores, of the next label in the rows that are to be wrong."""
    columns = columns.copy()
    columns[wrong] = (columns[wrong] + 1) % 3
    return EYE[columns]


@dataclass
class Ways:
    """Stands in for every way to label: the voters are right, the others wrong in the rows that are said."""

    plan: Plan
    voter: Scores
    kept: list[Any] = field(default_factory=list)

    @property
    def folds(self) -> list[np.ndarray]:
        return [np.flatnonzero(rows) for rows in self.plan.held_out]

    @property
    def pool(self) -> np.ndarray:
        return truth(self.plan.rows.sample)

    @property
    def test(self) -> np.ndarray:
        return truth(self.plan.data.test)

    def zero_shot(self, _pvp: PVP, _jobs: Jobs) -> ZeroShot:
        """Right on the first fold alone; half of the test rows wrong."""
        labeled = shifted(self.plan.gold, self.folds[1] if len(self.plan.gold) else [])
        return ZeroShot(labeled, EYE[self.pool], shifted(self.test, [0, 1, 2, 3, 4, 5]))

    def supervised(self, _settings: object, kept: np.ndarray | None, *_: object) -> Predicted | OnGold:
        """Wrong on every row it learned from, right on those left out but for the first of each fold."""
        self.kept.append(None if kept is None else kept.tolist())
        if kept is None:
            return Predicted(shifted(self.pool, [0, 1, 2]), EYE[self.test])
        left_out = np.setdiff1d(np.arange(len(self.plan.gold)), kept)
        return OnGold(shifted(self.plan.gold, [*kept, left_out[0]]))

    def embeddings(self, _jobs: Jobs) -> Embeddings:
        """One-hot: wrong for two rows of the first fold, three compared rows, and a test row."""
        more = EYE[np.arange(9) % 3]
        pool = np.concatenate([shifted(self.pool, [7, 8, 9]), more])
        return Embeddings(shifted(self.plan.gold, self.folds[0][:2]), pool, shifted(self.test, [4]))


def right(asked: Asked) -> np.ndarray:
    if asked.part == "test" and asked.spec.name == CATEGORY:
        return 0.1 * asked.wrong()
    return asked.truth()


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.method.plan.plan.COMPARED_ROWS", 10)


def compared(config: pet.RunConfig, voter: Scores = right) -> tuple[Summary, Ways]:
    found = run(config, voter)
    ways = Ways(found.plan, voter)
    student = Predicted(shifted(ways.pool, [3]), shifted(ways.test, [0, 1, 2]))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("zero_shot", "supervised", "embeddings"):
            patch.setattr(f"pet.method.compare.{name}", getattr(ways, name))
        return compare(found.plan.baselines, found.generations, student, found.jobs), ways


def figures(row: SummaryRow) -> tuple[float | None, float | None, float | None]:
    return row.agreement, row.test.accuracy if row.test else None, row.held_out


@pytest.mark.usefixtures("small_sample")
def test_every_line_is_measured_on_the_same_rows(larger: Config) -> None:
    summary, ways = compared(larger(*THREE))
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
    assert ways.kept[0] is None
    assert sorted(ways.kept[1:]) == sorted(sorted(everything - set(fold.tolist())) for fold in ways.folds)


@pytest.mark.usefixtures("small_sample")
def test_folds_that_no_voter_was_kept_from_are_not_measured_and_two_voters_may_share_one(larger: Config) -> None:
    summary, ways = compared(larger(*THREE, "train.seeds=3"))  # six voters, five folds
    assert summary.held_out == 24
    assert len(ways.kept) == 1 + 5
    assert {row.name: row.held_out for row in summary.rows}["supervised baseline"] == pytest.approx(19 / 24)


@pytest.mark.usefixtures("small_sample")
def test_with_nothing_held_out_there_is_no_such_figure(larger: Config) -> None:
    summary, ways = compared(larger(*THREE, "data.examples_per_label=4"))
    assert summary.held_out == 0
    assert all(row.held_out is None for row in summary.rows)
    assert ways.kept == [None]
    names = [row.name for row in compared(larger())[0].rows]
    assert not [name for name in names if name.startswith("generation")]  # one generation is the ensemble itself


@pytest.mark.usefixtures("small_sample")
def test_without_the_baseline_nothing_simpler_is_trained(larger: Config) -> None:
    summary, ways = compared(larger(*THREE, "run.baseline=false"))
    assert ways.kept == []
    assert summary.rows[-1].name == "distilled classifier"


def test_the_supervised_baseline_never_learns_from_the_rows_it_is_measured_on(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[list[tuple[str, int]]] = []
    original = TextClassifier.fit

    def fit(self: TextClassifier, examples: Any, targets: np.ndarray, *given: Any) -> Any:
        taught.append([(row.id, int(column)) for row, column in zip(examples, targets.argmax(axis=1), strict=True)])
        return original(self, examples, targets, *given)

    monkeypatch.setattr(TextClassifier, "fit", fit)
    plan = prepare(larger(*THREE, "train.steps=1"))
    kept, jobs = np.flatnonzero(~plan.held_out[1]), jobs_of(plan, tmp_path / "jobs")
    found = supervised(plan.baseline, kept, {"gold": plan.data.labeled}, OnGold, jobs)
    assert taught == [[(f"train-{i}", i % 3) for i in kept.tolist()]]
    assert len(kept) == 19
    assert found.gold.shape == (24, 3)
    whole = supervised(plan.baseline, None, {"pool": plan.rows.sample, "test": plan.data.test}, Predicted, jobs)
    assert (len(whole.pool), len(whole.test)) == (120, 12)
    assert len(taught[1]) == 24


@pytest.mark.usefixtures("small_sample")
def test_a_generation_agrees_with_the_ensemble_on_the_rows_that_it_labeled(
    larger: Config,
) -> None:
    def voter(asked: Asked) -> np.ndarray:
        scores = asked.truth()
        if asked.generation == 0 and asked.part == "pool":
            scores[::4] = np.roll(scores[::4], 1, axis=1)  # every fourth row another label
        return scores

    summary, _ = compared(larger(*THREE), voter)
    found = {row.name: row.agreement for row in summary.rows}
    assert [found[f"generation {number}"] for number in range(3)] == [0.75, 1.0, 1.0]


def test_labels_given_are_told_in_short() -> None:
    labels, ids = tuple(f"l{i:02}" for i in range(12)), tuple("abc")
    scores, nothing = np.eye(12, dtype=np.float32)[[11, 11, 3]], np.empty((1, 0, 12))
    votes, mean = Votes("t/p+v", 0, ids, labels, scores), SoftLabels(ids, labels, scores)
    found = given_line(Ensemble((votes,), mean, nothing, nothing))
    assert found.startswith("labels given: l11 2, l03 1, l00 0, ")
    assert found.endswith(" and 2 more labels; the voters differ on 0 of 3 rows")
    refined = SoftLabels(ids, labels, scores[[0, 0, 0]])
    found = given_line(Ensemble((votes,), mean, nothing, nothing, refined=refined))
    assert found.endswith("; after the refinement the label is another than that of the one voter on 1 of 3 rows")


def test_the_line_counts_rows_as_the_report_does() -> None:
    labels, ids, nothing = ("a", "b"), tuple("xyz"), np.empty((1, 0, 2))
    one = Votes("t/p+v", 0, ids, labels, np.eye(2, dtype=np.float32)[[0, 0, 1]])
    # A voter without a weight is asked, and counts; one that says nothing of a row does not.
    silent = np.array([[0, 1], [0, 1], [np.nan, np.nan]], np.float32)
    other = Votes("outside+x", 0, ids, labels, silent, weight=0.0, may_abstain=True)
    mean = SoftLabels(ids, labels, one.scores)
    assert given_line(Ensemble((one, other), mean, nothing, nothing)).endswith("the voters differ on 2 of 3 rows")
