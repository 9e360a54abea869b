"""The contrastive voter: its loss by hand, what tuning changes and what it leaves, what follows from the seed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import save_tiny

from pet.data.examples import Example
from pet.learners.models.encoder import Encoder
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.voters.contrastive import (
    BATCH,
    LEAST,
    MOST,
    ContrastiveVoter,
    contrastive_loss,
    rows_learned,
    tuning_settings,
    updates_for,
)

TEXTS = {"Sports": ["sports", "match"], "Tech": ["tech"]}
Build = Callable[..., ContrastiveVoter]


@pytest.fixture
def build(tmp_path: Path, machine: Machine) -> Build:
    """Build a voter on an encoder of its own."""

    def voter(family: str = "bert") -> ContrastiveVoter:
        encoder = Encoder.load(ModelSource("tiny", save_tiny(family, tmp_path / family)), machine)
        return ContrastiveVoter(encoder, ("text",), 32, TEXTS, np.zeros(encoder.hidden_size, np.float32))

    return voter


FAST = tuning_settings(24, 240).model_copy(update={"learning_rate": 1e-2})
"""What so small an encoder needs."""


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def contrast(vectors: np.ndarray, rows: list[Example]) -> float:
    """How much nearer rows are to those of their label than to others."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = np.asarray([[a.label == b.label for b in rows] for a in rows])
    return float((units @ units.T)[alike].mean() - (units @ units.T)[~alike].mean())


def test_the_loss_by_hand() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    found = contrastive_loss(vectors, torch.tensor([0, 1, 0]), temperature=0.5)
    # Cosines over the temperature: 0 and 1.2 from the first row, 1.2 and 1.6 from the third; the second is alone.
    first = np.log(np.exp(1.2) / (np.exp(0.0) + np.exp(1.2)))
    third = np.log(np.exp(1.2) / (np.exp(1.2) + np.exp(1.6)))
    assert float(found) == pytest.approx(-(first + third) / 2)


def test_the_loss_of_one_label_counts_all_other_rows() -> None:
    assert float(contrastive_loss(torch.eye(3), torch.zeros(3, dtype=torch.int64))) == pytest.approx(np.log(2))


def test_the_gradient_of_the_loss_is_finite() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    vectors.requires_grad_()
    contrastive_loss(vectors, torch.tensor([0, 0, 1, 1, 2])).backward()
    assert vectors.grad is not None and bool(vectors.grad.isfinite().all())


@pytest.mark.parametrize("rows", [1, 16, 48, 385, 10_000])
def test_updates_lie_between_bounds(rows: int) -> None:
    assert LEAST <= updates_for(rows, 240) <= MOST
    assert rows_learned(rows, 240) == updates_for(rows, 240) * min(rows, BATCH)


def test_nothing_is_learned_from_no_rows() -> None:
    assert updates_for(0, 240) == rows_learned(0, 240) == 0


def test_rows_of_a_label_come_together_and_words_stay(build: Build, rows: list[Example]) -> None:
    voter = build()
    encoder, words = voter.encoder, voter.encoder.backbone.model.get_input_embeddings().weight
    before, words_before = contrast(encoder.embed(rows, ("text",), 32), rows), words.detach().clone()
    heard: list[int] = []
    log = voter.train(rows[:24], FAST, generator(), heard.append)
    assert sum(heard) == log.updates == updates_for(24, 240) and log.last < log.losses[0]
    assert contrast(encoder.embed(rows, ("text",), 32), rows) > before + 0.1
    assert torch.equal(words, words_before)
    unseen = voter.scores(voter.embed(rows[24:]))
    assert unseen.shape == (8, 2) and unseen.dtype == np.float32
    assert np.exp(unseen).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert [list(TEXTS)[k] for k in unseen.argmax(axis=1)] == [row.label for row in rows[24:]]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_training_vectors_are_those_that_are_read(build: Build, rows: list[Example], family: str) -> None:
    encoder = build(family).encoder
    learned = encoder.training_vectors(encoder.encode(rows, ("text",), 32))
    assert learned.requires_grad
    assert learned.detach().numpy() == pytest.approx(encoder.embed(rows, ("text",), 32), abs=1e-5)


def test_the_seed_decides_everything(build: Build, rows: list[Example]) -> None:
    found = []
    for seed in (1, 1, 2):
        voter = build()
        voter.train(rows, FAST, generator(seed))
        found.append(voter.scores(voter.embed(rows)))
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_one_row_is_enough(build: Build, rows: list[Example]) -> None:
    voter = build()
    assert np.isfinite(voter.train(rows[:1], tuning_settings(1, 240), generator()).losses).all()
    assert np.isfinite(voter.scores(voter.embed(rows))).all()


def test_rows_that_were_kept_from_the_encoder_are_learned_without_it(build: Build, rows: list[Example]) -> None:
    voter = build()
    voter.train([row for row in rows[:20] if row.label == "Tech"], FAST, generator())
    vectors, kept = voter.embed(rows), voter.embed([row for row in rows[:20] if row.label == "Sports"])
    assert (voter.scores(vectors[20:]).argmax(axis=1) == 1).all()
    voter.learn(kept, np.zeros(len(kept), np.int64))
    assert np.array_equal(voter.embed(rows), vectors)
    assert (voter.scores(kept).argmax(axis=1) == 0).all()
