"""From scores to votes, by hand on two rows of two labels: temperatures, weights of families, and the paper's mean."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pet.data.dataset import TaskData
from pet.data.examples import Example, Task
from pet.data.outside import OutsideVotes
from pet.data.rows import Rows
from pet.labeling.calibration import USUAL_TEMPERATURE, fitted_temperature
from pet.labeling.stacking import family_weights
from pet.labeling.votes import log_softmax, softmax
from pet.learners.models.sources import ModelSource
from pet.learners.voters.embedding import AnySpec, EmbeddingSpec
from pet.learners.voters.outside import OutsideSpec
from pet.learners.voters.spec import VoterSpec
from pet.method.ensemble import EMBEDDINGS, PATTERNS, Rules, calibrate, family_of, weigh
from pet.method.generation import Ensemble
from pet.method.vote import VoterScores
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.run import EnsembleSettings

LABELS = ("no", "yes")
WORDS = Verbalizer("words", {"no": ("bad",), "yes": ("good",)})
A, B = (VoterSpec(PVP(Pattern(f"mail/{name}", "{mask}: {text}"), WORDS)) for name in "ab")
VECTORS = EmbeddingSpec(ModelSource("e5", Path("e5")))
POOL = tuple(Example(f"p{i}", {"text": f"pool {i}"}) for i in range(2))
GOLD = np.array([0, 1])
NONE = np.zeros((2, 2))
PAPER = EnsembleSettings(mean="raw", weighting="uniform")


def scores_of(spec: AnySpec, pool: Any, gold: Any = NONE, test: Any = NONE, trained: bool = True) -> VoterScores:
    parts = (np.asarray(part, np.float32) for part in (pool, gold, NONE, test))
    return VoterScores(spec, trained, *parts)


def rules_of(settings: EnsembleSettings, out_of_fold: list[list[bool]] | None = None, gold: np.ndarray = GOLD) -> Rules:
    kept = np.asarray(out_of_fold if out_of_fold is not None else np.zeros((2, len(gold))), np.bool_)
    return Rules(settings, np.array([0.5, 0.5]), gold, kept)


def together(scores: list[VoterScores], rules: Rules) -> Ensemble:
    data = TaskData(Task("mail", LABELS, ("text",)), (), Rows.of(POOL), Rows.of(()), {"text": "text"}, (), ())
    jobs: Any = type("Jobs", (), {"rows": type("RunRows", (), {"data": data})})
    return weigh(calibrate(scores, rules), np.arange(2), rules, jobs)


FIRST = scores_of(A, [[2.0, 0.0], [1.0, 5.0]], test=[[1.0, 0.0], [3.0, 0.0]])
SECOND = scores_of(B, [[0.0, 3.0], [1.0, 0.0]], test=[[0.0, 1.0], [1.0, 0.0]])


def test_raw_scores_with_equal_weights_are_the_papers_mean_exactly() -> None:
    found = together([FIRST, SECOND], rules_of(PAPER, [[True, True], [False, True]]))
    assert [vote.scores.tolist() for vote in found.votes] == [FIRST.pool.tolist(), SECOND.pool.tolist()]
    assert found.weights.tolist() == [0.5, 0.5]
    expected = softmax(np.array([[1.0, 1.5], [1.0, 2.5]]))
    assert found.mean.probs == pytest.approx(expected, abs=1e-7)
    assert found.on_test().tolist() == [[0.5, 0.5], [2.0, 0.0]]
    assert found.soft is found.mean


def test_without_gold_rows_out_of_fold_the_temperature_is_the_usual_one_of_the_family() -> None:
    vectors = replace(SECOND, spec=VECTORS)
    one, two = calibrate([FIRST, vectors], rules_of(EnsembleSettings()))
    for found, raw in ((one, FIRST), (two, vectors)):
        usual = USUAL_TEMPERATURE[family_of(raw)]
        for part in ("pool", "gold", "test"):
            assert getattr(found, part) == pytest.approx(log_softmax(getattr(raw, part) / usual), abs=1e-6)


def test_a_temperature_is_fitted_to_the_rows_that_a_voter_did_not_learn_from() -> None:
    surer = replace(FIRST, gold=np.array([[4.0, 0.0], [4.0, 0.0]], np.float32))
    kept, usual = [[True, False], [False, False]], USUAL_TEMPERATURE[PATTERNS]
    one, two = calibrate([surer, SECOND], rules_of(EnsembleSettings(), kept))
    own, gold = np.array([[4.0, 0.0]]), np.array([0])
    # The other voter has no such row: the family's temperature stands for its own.
    centre = fitted_temperature(own, gold, usual)
    assert two.pool == pytest.approx(log_softmax(SECOND.pool / centre), abs=1e-6)
    assert one.pool == pytest.approx(log_softmax(surer.pool / fitted_temperature(own, gold, centre)), abs=1e-6)
    # The row that it learned, and got wrong, changes nothing; held out it makes the voter less sure.
    wrong = calibrate([surer, SECOND], rules_of(EnsembleSettings(), [[True, True], [False, False]]))[0]
    assert np.ptp(wrong.pool[0]) < np.ptp(one.pool[0])


def test_the_rows_of_one_family_leave_the_temperature_of_the_other() -> None:
    vectors = replace(SECOND, spec=VECTORS, gold=np.array([[9.0, 0.0], [9.0, 0.0]], np.float32))
    one, two = calibrate([FIRST, vectors], rules_of(EnsembleSettings(), [[False, False], [True, True]]))
    assert one.pool == pytest.approx(log_softmax(FIRST.pool / USUAL_TEMPERATURE[PATTERNS]), abs=1e-6)
    assert np.ptp(two.pool[0]) < np.ptp(log_softmax(vectors.pool / USUAL_TEMPERATURE[EMBEDDINGS])[0])


def test_what_is_not_known_of_a_gold_row_counts_as_nothing_and_is_no_number_of_the_ensemble() -> None:
    vectors = replace(SECOND, spec=VECTORS, gold=np.full((2, 2), np.nan, np.float32))
    found = together([FIRST, vectors], rules_of(EnsembleSettings()))
    assert np.isfinite(found.gold).all() and np.isfinite(found.mean.probs).all()


AUTO = EnsembleSettings(mean="raw", weighting="auto")
"""Family weights on scores as they are."""


def test_families_count_alike_without_gold_rows_however_many_voters_they_have() -> None:
    voters = [FIRST, SECOND, replace(SECOND, spec=VECTORS)]
    found = together(voters, rules_of(AUTO, [[], [], []], np.empty(0, np.int64)))
    assert found.weights == pytest.approx([0.25, 0.25, 0.5])
    assert [vote.family for vote in found.votes] == [PATTERNS, PATTERNS, EMBEDDINGS]
    # 1 / sqrt(2) each, times the mean of the family: (1, 1.5) and (0, 3) in the first row.
    expected = np.sqrt(0.5) * np.array([[1.0, 4.5], [2.0, 2.5]])
    assert found.mean.probs == pytest.approx(softmax(expected), abs=1e-6)
    assert found.on_test() == pytest.approx(np.sqrt(0.5) * np.array([[0.5, 1.5], [3.0, 0.0]]), abs=1e-6)


def test_a_tuned_encoder_votes_in_the_place_of_the_vectors_as_they_are() -> None:
    tuned = replace(VECTORS, learner="contrastive")
    voters = [FIRST, replace(SECOND, spec=VECTORS), replace(SECOND, spec=tuned)]
    found = together(voters, rules_of(AUTO, [[], [], []], np.empty(0, np.int64)))
    assert found.weights == pytest.approx([0.5, 0.0, 0.5])
    other = replace(tuned, source=ModelSource("other", Path("other")))
    beside = together([FIRST, voters[1], replace(SECOND, spec=other)], rules_of(AUTO, [[]] * 3, np.empty(0, np.int64)))
    assert beside.weights == pytest.approx([0.5, 0.25, 0.25])


def test_a_family_weighs_what_its_mean_is_worth_on_the_rows_it_did_not_learn_from() -> None:
    right, wrong = np.array([[3.0, 0.0], [0.0, 3.0]], np.float32), np.array([[0.0, 2.0], [2.0, 0.0]], np.float32)
    voters = [replace(FIRST, gold=wrong), replace(SECOND, gold=wrong), scores_of(VECTORS, SECOND.pool, right)]
    kept = [[True, False], [False, True], [True, True]]
    found = together(voters, rules_of(AUTO, kept))
    vectors, patterns = family_weights([log_softmax(right), log_softmax(wrong)], GOLD)
    assert vectors > patterns > 0
    total = vectors + patterns
    assert found.weights == pytest.approx(np.array([patterns / 2, patterns / 2, vectors]) / total)
    # The mean of the votes is the sum of the families' means with their coefficients.
    expected = patterns * (FIRST.pool + SECOND.pool) / 2 + vectors * SECOND.pool
    assert found.mean.probs == pytest.approx(softmax(expected), abs=1e-6)
    # What a voter says of a row that it learned is not looked at.
    learned = [replace(voters[0], gold=np.where(GOLD[:, None] == 1, 50.0, wrong).astype(np.float32)), *voters[1:]]
    assert together(learned, rules_of(AUTO, kept)).weights.tolist() == found.weights.tolist()


def test_one_family_alone_has_equal_weights() -> None:
    right = np.array([[3.0, 0.0], [0.0, 3.0]], np.float32)
    voters = [replace(FIRST, gold=right), replace(SECOND, gold=right)]
    found = together(voters, rules_of(AUTO, [[True, True], [True, True]]))
    assert found.weights.tolist() == [0.5, 0.5]


def test_families_that_are_worth_nothing_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.method.ensemble.family_weights", lambda means, *_: np.zeros(len(means)))
    found = together([FIRST, replace(SECOND, spec=VECTORS)], rules_of(AUTO))
    assert found.weights.tolist() == [0.5, 0.5]
    assert found.votes[0].scores.tolist() == FIRST.pool.tolist()


def outside_spec(labeled: Any, right: int = 0, soft: bool = False) -> OutsideSpec:
    return OutsideSpec(OutsideVotes("llm", "llm.csv", soft, np.asarray(labeled), NONE, NONE, right))


NAN = float("nan")
LLM = outside_spec([[1.0, 0.0], [NAN, NAN]])
SAID = np.log([[0.2, 0.8], [NAN, NAN]])


def test_outside_votes_add_to_the_rows_that_they_are_on_and_leave_the_others_as_they_were() -> None:
    rules = rules_of(EnsembleSettings(), [[False, False], [False, False]])
    alone = together([FIRST], rules_of(EnsembleSettings(), [[False, False]]))
    votes = replace(scores_of(LLM, SAID, test=[[NAN, NAN], [NAN, NAN]]), accuracy=0.8)
    found = together([FIRST, votes], rules)
    # One family by itself counts once, and outside votes beside it 1 / sqrt(2): no gold row tells more.
    assert found.mean.probs[1] == pytest.approx(softmax(log_softmax(FIRST.pool))[1], abs=1e-6)
    expected = softmax(log_softmax(FIRST.pool) + np.sqrt(0.5) * np.nan_to_num(SAID))[0]
    assert found.mean.probs[0] == pytest.approx(expected, abs=1e-6)
    assert found.on_test() == pytest.approx(alone.on_test(), abs=1e-6)
    assert [vote.family for vote in found.votes] == [PATTERNS, "outside+llm"]
    assert found.votes[1].hard().tolist() == [1, -1]


def test_outside_votes_weigh_more_where_gold_rows_say_that_they_are_right() -> None:
    gold, held = np.zeros(40, np.int64), [[True] * 40] * 2
    own = scores_of(A, FIRST.pool, np.tile([0.0, 0.1], (40, 1)))
    rules = rules_of(EnsembleSettings(), held, gold)
    weights = [
        together([own, scores_of(LLM, SAID, np.tile(np.log(row), (40, 1)))], rules).weights[1]
        for row in ([0.8, 0.2], [0.2, 0.8], [NAN, NAN])
    ]
    assert weights[0] > weights[2] > weights[1]


def test_labels_from_outside_have_no_temperature_and_probabilities_do() -> None:
    gold, held = np.zeros(40, np.int64), [[True] * 40]
    sure = scores_of(LLM, SAID, np.tile(np.log([0.8, 0.2]), (40, 1)))
    (as_it_is,) = calibrate([replace(sure, accuracy=0.8)], rules_of(EnsembleSettings(), held, gold))
    (surer,) = calibrate([sure], rules_of(EnsembleSettings(), held, gold))
    assert np.array_equal(as_it_is.pool, sure.pool, equal_nan=True)
    assert surer.pool[0, 1] > sure.pool[0, 1] and np.isnan(surer.pool[1]).all()


@pytest.mark.parametrize("weighting", ["uniform", "auto"])
def test_a_row_that_only_weightless_voters_are_on_is_undecided(weighting: Any) -> None:
    settings = EnsembleSettings(weighting=weighting)
    found = together([scores_of(A, FIRST.pool), scores_of(LLM, SAID)], rules_of(settings, [[False, False]] * 2))
    assert np.isfinite(found.mean.probs).all()
