"""Which student is kept: the best on rows held out, cheap ones first; calibrated there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import save_tiny

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.encoder import Encoder
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students import candidates as module
from pet.learners.students.base import ClassifierForm, Fidelity, HeldOut
from pet.learners.students.calibrating import calibrated
from pet.learners.students.candidates import Making, SoftRows, Trials, best_of, close_enough
from pet.learners.students.choice import Candidate, Choice
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.linear import LogisticClassifier
from pet.learners.students.sizes import load_student, student_sources
from pet.learners.students.static import StaticClassifier
from pet.learners.students.vectors import KeptVectors, RowVectors
from pet.settings.training import DistillSettings, StudentSize

CPU = Machine(torch.device("cpu"), "fp32")
FORM = ClassifierForm(("Sports", "Tech"), {"text": "text"}, 64)
SETTINGS: dict[str, Any] = {"steps": 40, "batch_size": 8, "learning_rate": 1e-2, "temperature": 1.0}


def soft(rows: list[Example]) -> np.ndarray:
    return np.asarray([[0.9, 0.1] if row.label == "Sports" else [0.2, 0.8] for row in rows], np.float32)


def trials(rows: list[Example], *sources: ModelSource, size: StudentSize = "auto", held: bool = True) -> Trials:
    apart = HeldOut(rows[20:], soft(rows[20:])) if held else None
    taught = rows[:20] if held else rows
    making = Making(sources, FORM, CPU, 0)
    return Trials(SoftRows(taught, soft(taught), apart), DistillSettings(size=size, **SETTINGS), making)


def row_vectors(source: ModelSource, rows: list[Example]) -> RowVectors:
    """Return the vectors of rows of which the last are held out, as an encoder makes them."""
    found = Encoder.load(source, CPU).embed(rows, FORM.columns, FORM.max_length)
    return RowVectors(KeptVectors(found[:4], found[4:], found[:0]), np.arange(20), np.arange(20, len(rows)))


def sizes(choice: Choice) -> list[str]:
    return [one.size for one in choice.candidates]


def candidate(size: str, agreement: float, divergence: float = 0.1) -> Candidate:
    return Candidate(size, "tiny", 0, Fidelity(agreement, divergence))


@pytest.fixture(scope="module")
def sources(folders: dict[str, Path]) -> dict[str, ModelSource]:
    return {name: ModelSource(name, folder) for name, folder in folders.items()}


def test_cheap_students_come_first_and_may_be_enough(
    sources: dict[str, ModelSource], rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "close_enough", lambda *_: True)
    _, choice = trials(rows, sources["bert"]).run()
    assert sizes(choice) == ["logistic"]
    monkeypatch.setattr(module, "close_enough", lambda *_: False)
    student, choice = trials(rows, sources["bert"]).run()
    assert sizes(choice) == ["logistic", "same"]
    assert choice.chosen == best_of(choice.candidates, 12)
    assert choice.held_out == 12 and choice.ceiling == pytest.approx(0.85)
    assert student.form.acceptance is not None


def test_each_encoder_is_tried_and_the_better_one_is_tuned(
    sources: dict[str, ModelSource], rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "close_enough", lambda *_: False)
    both = (sources["roberta"], sources["bert"])
    known = {source: row_vectors(source, rows) for source in both}
    asked = trials(rows, *both)
    _, choice = replace(asked, making=replace(asked.making, vectors=known)).run()
    assert sizes(choice) == ["logistic", "logistic", "same"]
    first, second, tuned = choice.candidates
    assert (first.model, second.model) == ("roberta", "bert")
    assert tuned.model == max(first, second, key=lambda one: one.rank).model
    best = max(first.rank, second.rank)
    assert tuned.rank[0] >= best[0] and tuned.rank[1] >= best[1] - 1e-4


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_known_vectors_teach_the_same_as_the_rows(
    sources: dict[str, ModelSource], rows: list[Example], family: str
) -> None:
    asked = trials(rows, sources[family], size="logistic")
    read, _ = asked.run()
    known = replace(asked.making, vectors={sources[family]: row_vectors(sources[family], rows)})
    quick = replace(asked, making=known)
    student, _ = quick.run()
    assert student.probabilities(rows) == pytest.approx(read.probabilities(rows), abs=1e-3)
    assert isinstance(student, LogisticClassifier) and student.vectors
    vectors = student.vectors.kept.take(np.arange(len(rows)))
    assert student.probabilities_of(vectors) == pytest.approx(student.probabilities(rows), abs=2e-3)
    assert (asked.scored, quick.scored) == (len(rows) + 3 * 12, 0)


def test_without_such_layers_the_whole_encoder_is_trained(
    sources: dict[str, ModelSource], rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "close_enough", lambda *_: False)
    student, choice = trials(rows, sources["distilbert"]).run()
    assert sizes(choice) == ["static", "same"]
    assert student.form.acceptance is not None
    with pytest.raises(ModelError, match="'distilbert' model"):
        trials(rows, sources["distilbert"], size="logistic").run()


@pytest.mark.parametrize("size", ["same", "small", "static", "logistic"])
def test_a_size_that_is_asked_for_is_the_only_one(
    sources: dict[str, ModelSource], rows: list[Example], size: StudentSize
) -> None:
    student, choice = trials(rows, sources["bert"], size=size).run()
    assert sizes(choice) == [size]
    model = getattr(student, "text", student)
    if isinstance(model, TextClassifier):  # one layer more takes the mean
        assert model.backbone.model.config.num_hidden_layers == (2 if size == "small" else 3)


def test_without_rows_held_out_it_trains_as_long_as_said(sources: dict[str, ModelSource], rows: list[Example]) -> None:
    student, choice = trials(rows, sources["bert"], held=False).run()
    assert sizes(choice) == ["same"] and choice.chosen.updates == 40
    assert student.form.acceptance is None
    assert "too few rows to hold any out" in choice.lines()[0] and "a fixed number of steps" in choice.lines()[0]
    _, choice = trials(rows, sources["bert"], size="logistic", held=False).run()
    assert "a fixed number of steps" not in choice.lines()[0]


def test_the_same_seed_gives_the_same_student(sources: dict[str, ModelSource], rows: list[Example]) -> None:
    found = [trials(rows, sources["bert"]).run() for _ in range(2)]
    first, again = (student.probabilities(rows) for student, _ in found)
    assert np.array_equal(first, again)
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize(
    ("agreement", "ceiling", "rows", "enough"),
    [
        (0.8, 0.79, 10**6, True),
        (0.8, 0.81, 10**6, False),
        (0.8, 0.87, 100, True),  # two standard errors are 0.08
        (0.8, 0.89, 100, False),
        (0.97, 1.0, 10**6, True),
    ],
)
def test_what_the_teacher_gets_wrong_is_not_worth_learning(
    agreement: float, ceiling: float, rows: int, enough: bool
) -> None:
    assert close_enough(agreement, ceiling, rows) is enough


def test_the_best_is_kept_and_of_equal_ones_the_first() -> None:
    logistic, other = candidate("logistic", 0.8), candidate("logistic", 0.8, 0.05)
    assert best_of([logistic, candidate("logistic", 0.8)], 100) == logistic
    assert best_of([logistic, other], 100) == other
    assert best_of([candidate("static", 0.8), candidate("same", 0.81)], 100).size == "same"
    assert best_of([candidate("static", 0.1)], 100).size == "static"


def test_one_that_is_tuned_in_vain_is_as_it_was(
    sources: dict[str, ModelSource], rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trials(rows, sources["bert"], size="logistic").run()[0].probabilities(rows)
    monkeypatch.setattr(module, "close_enough", lambda *_: False)
    monkeypatch.setattr(module, "best_of", lambda candidates, _: candidates[0])
    student, choice = trials(rows, sources["bert"]).run()
    assert sizes(choice) == ["logistic", "same"] and choice.chosen.size == "logistic"
    assert np.array_equal(student.probabilities(rows), expected)


def test_one_that_was_trained_for_long_has_to_be_clearly_better() -> None:
    logistic = candidate("logistic", 0.80)
    assert best_of([logistic, candidate("same", 0.82)], 100) == logistic
    assert best_of([logistic, candidate("same", 0.85)], 100).size == "same"
    assert best_of([logistic, candidate("same", 0.82)], 10_000).size == "same"


def test_what_was_chosen_is_told_and_read_back() -> None:
    logistic, same = candidate("logistic", 0.8), Candidate("same", "tiny", 120, Fidelity(0.9, 0.1))
    choice = Choice((logistic, same), same, 50, 0.75)
    assert Choice.from_json(choice.as_json()) == choice
    assert choice.lines() == [
        "classifier: same 90.0% (tiny, 120 updates), by agreement with the ensemble on 50 rows of the pool held out of "
        "it, of which the ensemble itself expects to have 75.0% right; others: logistic 80.0% (tiny)"
    ]


def test_the_confidence_becomes_the_teachers(
    new_classifier: Callable[..., TextClassifier], rows: list[Example]
) -> None:
    for size in ("static", "bert"):
        student: Any = new_classifier("bert")
        if size == "static":
            student = StaticClassifier.from_source(ModelSource("tiny", student.backbone.source.folder), FORM)
        settings = DistillSettings(**SETTINGS | {"steps": 60})
        student.fit(
            rows[:20], np.eye(2, dtype=np.float32)[soft(rows[:20]).argmax(1)], settings, np.random.default_rng(0)
        )
        held = HeldOut(rows[20:] * 20, soft(rows[20:] * 20))  # as if they were many
        sure = student.probabilities(held.examples)
        found = calibrated(student, held)
        probs = found.probabilities(held.examples)
        assert held.fidelity(probs).divergence < 0.5 * held.fidelity(sure).divergence
        assert abs(probs.max(axis=1).mean() - 0.85) < 0.05
        assert found.form.acceptance is not None and found.form.acceptance.points[-1].share == 1.0


def test_a_folder_keeps_its_curve(folders: dict[str, Path], rows: list[Example], tmp_path: Path) -> None:
    source = ModelSource("tiny", save_tiny("bert", tmp_path / "tiny"))
    for size in ("static", "logistic"):
        student, _ = trials(rows, source, size=size).run()
        student.save(tmp_path / size)
        loaded = load_student(tmp_path / size, CPU)
        assert loaded.form == student.form
        assert loaded.probabilities(rows) == pytest.approx(student.probabilities(rows), abs=1e-6)


def test_a_classifier_starts_from_what_is_named_or_from_an_encoder(sources: dict[str, ModelSource]) -> None:
    own, encoder = sources["bert"], sources["roberta"]
    assert student_sources(DistillSettings(), own) == (own,)
    assert student_sources(DistillSettings(), own, encoder) == (encoder, own)
    assert student_sources(DistillSettings(model="same"), own, encoder) == (own,)
    other = sources["distilbert"].folder
    assert [one.folder for one in student_sources(DistillSettings(model=str(other)), own, encoder)] == [other]
