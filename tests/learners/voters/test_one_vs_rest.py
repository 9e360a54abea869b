"""A regression per label on vectors, and the texts that stand for a label where no row has it."""

import numpy as np

from pet.learners.voters.embedding import Rows
from pet.learners.voters.one_vs_rest import Anchors, trained_on_sets

K, H = 3, 12


def directions(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return vectors of length 1 that point where the labels of each row do, float32 [n, H]."""
    found = labels @ np.eye(K, H) + 0.15 * rng.normal(size=(len(labels), H))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    given = rng.random((n, K)) < 0.4
    return directions(given.astype(float), rng), given


TEXTS = Rows.standing_for(np.eye(K, H, dtype=np.float32), np.arange(K))


def test_labels_are_learned_each_by_itself_and_gold_rows_are_scored_out_of_fold() -> None:
    (vectors, given), (pool, hidden) = drawn(40, 0), drawn(60, 1)
    trained = trained_on_sets(vectors, given, Anchors.of(TEXTS, pool, K), pool, seed=0)
    assert ((trained.voter.scores(pool) > 0) == hidden).mean() > 0.85
    assert np.isfinite(trained.on_gold).all()
    assert not np.array_equal(trained.on_gold, trained.voter.scores(vectors))


def test_a_label_without_a_row_is_told_by_its_texts() -> None:
    (vectors, given), (pool, hidden) = drawn(40, 0), drawn(60, 1)
    given[:, 2] = False
    scores = trained_on_sets(vectors, given, Anchors.of(TEXTS, pool, K), pool, seed=0).voter.scores(pool)[:, 2]
    assert scores[hidden[:, 2]].mean() > scores[~hidden[:, 2]].mean() + 1.0


def test_without_any_row_the_texts_speak_alone() -> None:
    pool, hidden = drawn(60, 1)
    nothing = np.zeros((0, H), np.float32), np.zeros((0, K), np.bool_)
    trained = trained_on_sets(*nothing, Anchors.of(TEXTS, pool, K), pool, seed=0)
    scores = trained.voter.scores(pool)
    assert all(scores[hidden[:, k], k].mean() > scores[~hidden[:, k], k].mean() for k in range(K))
    assert trained.on_gold.shape == (0, K)
