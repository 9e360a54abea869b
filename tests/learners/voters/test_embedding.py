"""The embedding voter on vectors small enough to check by hand, and which of them a run has."""

from pathlib import Path

import numpy as np
import pytest

from pet.errors import ConfigError, ModelError
from pet.learners.models.sources import ModelSource
from pet.learners.voters.embedding import (
    COSINE_SCALE,
    SCALES,
    STRENGTHS,
    TEXT_WEIGHT,
    USUAL,
    EmbeddingSpec,
    LinearVoter,
    Rows,
    cosines,
    embedding_specs,
    folds,
    linear_voter,
    trained_voter,
)
from pet.settings.training import TrainSettings, VoterSettings

NOBODY = Rows.of(np.empty((0, 2), np.float32), np.empty(0, np.int64))
CORNERS = Rows.standing_for(np.eye(2, dtype=np.float32), np.arange(2))
"""A text for each of two labels, along an axis each."""


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def clouds(rows: int, seed: int = 0, spread: float = 0.3) -> Rows:
    """Return rows of two labels in turn, each near its axis."""
    columns = np.arange(rows) % 2
    noise = spread * np.random.default_rng(seed).normal(size=(rows, 2))
    return Rows.of(unit(np.eye(2)[columns] + noise), columns)


def test_scores_are_log_probabilities_of_a_linear_map() -> None:
    voter = LinearVoter(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0.0, 1.0]))
    found = voter.scores(np.array([[1.0, 1.0]], np.float32))  # 1 against 2 + 1
    assert found.dtype == np.float32
    assert np.exp(found).sum() == pytest.approx(1.0, abs=1e-6)
    assert found[0, 1] - found[0, 0] == pytest.approx(2.0, abs=1e-6)
    both = voter.plus(voter, 2.0).scores(np.array([[1.0, 1.0]], np.float32))
    assert both[0, 1] - both[0, 0] == pytest.approx(6.0, abs=1e-6)


def test_texts_share_a_weight_per_label() -> None:
    texts = Rows.standing_for(np.ones((4, 2), np.float32), np.array([0, 1, 1, 1]))
    assert texts.weights.tolist() == pytest.approx([TEXT_WEIGHT, *[TEXT_WEIGHT / 3] * 3])
    assert Rows.of(texts.vectors, texts.columns).weights.tolist() == [1.0] * 4
    assert len((texts + NOBODY).columns) == 4
    assert (texts + texts).take(np.array([1, 4])).weights.tolist() == pytest.approx([TEXT_WEIGHT / 3, TEXT_WEIGHT])


def test_cosines_are_to_the_mean_of_a_labels_texts() -> None:
    texts = Rows.standing_for(np.array([[1, 0], [0, 1], [0, -1]], np.float32), np.array([0, 0, 1]))
    voter = cosines(texts, 2)
    assert voter.weights == pytest.approx(np.array([[np.sqrt(0.5), 0.0], [np.sqrt(0.5), -1.0]]))
    # Texts whose mean is nothing have a cosine of 0 to everything.
    against = Rows.standing_for(np.array([[1, 0], [-1, 0], [0, 1]], np.float32), np.array([0, 0, 1]))
    assert cosines(against, 2).weights[:, 0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("k", [2, 3])
def test_logistic_regression_is_that_of_scikit_learn(k: int) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(k)
    rows = Rows(unit(rng.normal(size=(30, 4))), np.arange(30) % k, rng.uniform(0.5, 2.0, 30))
    model = LogisticRegression(C=3.0, max_iter=1000)
    model.fit(rows.vectors.astype(np.float64), rows.columns, sample_weight=rows.weights)
    asked = unit(rng.normal(size=(5, 4)))
    assert np.exp(linear_voter(rows, k, 3.0).scores(asked)) == pytest.approx(model.predict_proba(asked), abs=1e-5)


def test_a_label_without_a_row_is_never_given() -> None:
    rows = clouds(8)
    found = linear_voter(Rows.of(rows.vectors, 2 * rows.columns), 3, 10.0).scores(rows.vectors)
    assert found.argmax(axis=1).tolist() == (2 * rows.columns).tolist()
    assert np.exp(found[:, 1]).max() < 1e-6
    (only,) = linear_voter(Rows.of(rows.vectors[:1], np.array([1])), 3, 10.0).scores(rows.vectors[:1])
    assert only.argmax() == 1


@pytest.mark.parametrize(("counts", "expected"), [((9, 7), 5), ((3, 8), 3), ((2, 0, 2), 2), ((1, 9), 0), ((), 0)])
def test_there_are_as_many_folds_as_the_rarest_label_allows(counts: tuple[int, ...], expected: int) -> None:
    columns = np.repeat(np.arange(len(counts)), np.asarray(counts, np.int64))
    found = list(folds(columns, 2**40))
    assert len(found) == expected
    if found:
        assert sorted(np.concatenate([held for _, held in found]).tolist()) == list(range(len(columns)))
    for kept, held in found:
        assert not set(kept) & set(held)
        assert set(columns[kept]) == set(columns)  # no label is unknown to what a row is scored by
    assert [held.tolist() for _, held in found] == [held.tolist() for _, held in folds(columns, 2**40)]


def test_without_any_row_the_cosines_decide() -> None:
    found = trained_voter(NOBODY, NOBODY, CORNERS, 2, seed=0)
    (scores,) = found.voter.scores(np.array([[0.8, 0.6]], np.float32))
    assert scores[0] - scores[1] == pytest.approx(COSINE_SCALE * 0.2, abs=1e-5)
    assert found.on_gold.shape == (0, 2)
    assert (found.strength, found.scale) == (0.0, COSINE_SCALE)


def test_one_row_per_label_is_learned_as_usual_and_nothing_is_said_of_it() -> None:
    found = trained_voter(clouds(2), NOBODY, CORNERS, 2, seed=0)
    assert (found.strength, found.scale) == USUAL
    assert np.isnan(found.on_gold).all()
    by_hand = linear_voter(clouds(2) + CORNERS, 2, USUAL[0]).plus(cosines(CORNERS, 2), USUAL[1])
    assert found.voter.weights == pytest.approx(by_hand.weights)


def test_pseudo_labeled_rows_are_learned_without_any_gold_row() -> None:
    drawn = clouds(20)
    found = trained_voter(NOBODY, drawn, CORNERS, 2, seed=0)
    by_hand = linear_voter(drawn + CORNERS, 2, USUAL[0]).plus(cosines(CORNERS, 2), USUAL[1])
    assert found.voter.weights == pytest.approx(by_hand.weights)
    assert found.on_gold.shape == (0, 2)


def test_gold_rows_are_scored_by_what_did_not_learn_from_them() -> None:
    gold, seed = clouds(12, spread=1.0), 7
    found = trained_voter(gold, clouds(6, seed=1), CORNERS, 2, seed)
    assert found.strength in STRENGTHS and found.scale in SCALES
    cosine, expected = cosines(CORNERS, 2), np.empty((12, 2), np.float32)
    for kept, held in folds(gold.columns, seed):
        own = linear_voter(gold.take(kept) + clouds(6, seed=1) + CORNERS, 2, found.strength)
        expected[held] = own.plus(cosine, found.scale).scores(gold.vectors[held])
    assert found.on_gold == pytest.approx(expected)
    # A row that is labeled wrong moves its own score only where it was learned.
    learned = found.voter.scores(gold.vectors)
    assert np.abs(learned - found.on_gold).max() > 1e-3


def test_texts_that_mislead_are_not_listened_to() -> None:
    gold = clouds(40)
    wrong = Rows.standing_for(CORNERS.vectors, 1 - CORNERS.columns)
    found = trained_voter(gold, NOBODY, wrong, 2, seed=0)
    assert found.scale == 0.0
    assert trained_voter(gold, NOBODY, CORNERS, 2, seed=0).scale > 0.0
    assert (found.voter.scores(gold.vectors).argmax(axis=1) == gold.columns).mean() > 0.9


def test_the_same_rows_in_the_same_order_give_the_same_voter() -> None:
    first, again = (trained_voter(clouds(20), NOBODY, CORNERS, 2, seed=3) for _ in range(2))
    assert first.voter.weights.tolist() == again.voter.weights.tolist()
    assert first.on_gold.tolist() == again.on_gold.tolist()


ENCODER = ModelSource("e5-small", Path("somewhere/e5-small"))


def test_beside_the_patterns_there_is_one_voter_on_the_encoder_of_the_run() -> None:
    (spec,) = embedding_specs(TrainSettings(), ENCODER)
    assert spec == EmbeddingSpec(ENCODER)
    assert (spec.name, spec.kind, spec.learns) == ("embedding+e5-small", "embedding+e5-small", True)
    assert embedding_specs(TrainSettings(), None) == ()
    assert embedding_specs(TrainSettings(embedding=False), ENCODER) == ()


def test_tables_of_voters_name_all_there_are(tiny_model: Path) -> None:
    patterns, own = VoterSettings(patterns=("a",)), VoterSettings(learner="embedding")
    assert embedding_specs(TrainSettings(voters=(patterns,)), ENCODER) == ()
    assert embedding_specs(TrainSettings(voters=(patterns, own)), ENCODER) == (EmbeddingSpec(ENCODER),)
    other = VoterSettings(learner="embedding", model=str(tiny_model))
    found = embedding_specs(TrainSettings(voters=(own, other)), ENCODER)
    assert [spec.name for spec in found] == ["embedding+e5-small", f"embedding+{tiny_model.name}"]
    assert embedding_specs(TrainSettings(voters=(other,)), None)[0].source.folder == tiny_model


def test_what_no_voter_can_be_made_of_is_refused() -> None:
    own = VoterSettings(learner="embedding")
    with pytest.raises(ConfigError, match='learner = "embedding" needs an encoder: set its model'):
        embedding_specs(TrainSettings(voters=(own,)), None)
    with pytest.raises(ConfigError, match="same learner and model: leave one of them out"):
        embedding_specs(TrainSettings(voters=(own, own)), ENCODER)
    with pytest.raises(ModelError, match="no bundled name, no folder"):
        embedding_specs(TrainSettings(voters=(VoterSettings(learner="embedding", model="no/such"),)), ENCODER)
