"""The loss, and the loop: it learns, it stops where it shall, and a checkpoint brings back all of it."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from pet.errors import RunError
from pet.learners.models.machine import Machine
from pet.learners.models.progress import Progress, cosine_factor, done_share
from pet.learners.models.schedules import scheduled_pretraining
from pet.pretraining.objective import loss_terms
from pet.pretraining.progress import PretrainingProgress
from pet.pretraining.training import Callbacks, Pretraining
from pet.seeding import rng_for
from pet.settings.pretraining import LimitSettings, UpdateSettings


def without_times(progress: PretrainingProgress) -> list[dict[str, float | None]]:
    return [{**asdict(point), "seconds": 0} for point in progress.curve]


def test_the_loss_is_that_of_the_full_computation(pretraining: Callable[..., Pretraining]) -> None:
    training = pretraining(keep_embeddings=2.0)
    batch = training.masker.batch(training.data.corpus, np.arange(9), rng_for(0))
    precision, start = training.machine.precision, training.frozen
    told, kept = loss_terms(training.model, batch, precision, start)
    inputs = {name: tensor[:9] for name, tensor in batch.inputs.items()}
    logits = training.model(**inputs).logits.flatten(0, 1)[batch.places]
    assert torch.allclose(told, functional.cross_entropy(logits, batch.targets, reduction="sum"), rtol=1e-5)
    assert abs(float(kept.detach())) < 1e-6  # at the start the embeddings are those of the start
    with torch.no_grad():
        training.model.base_model.embeddings.position_embeddings.weight += 0.5 * torch.randn(64, 32)
    assert float(loss_terms(training.model, batch, precision, start)[1].detach()) > 0.01


def test_it_learns_and_keeps_embeddings_where_it_shall(pretraining: Callable[..., Pretraining]) -> None:
    free, kept = pretraining(steps=60), pretraining(steps=60, keep_embeddings=30.0)
    drifts = []
    for training in (free, kept):
        training.train(Callbacks(measurements=4))
        first, last = training.progress.curve[0], training.progress.curve[-1]
        assert (first.step, last.step, len(training.progress.curve)) == (0, 60, 5)
        assert last.valid_loss and first.valid_loss and last.valid_loss < first.valid_loss - 0.3
        assert last.valid_accuracy is not None and first.valid_accuracy is not None
        assert last.valid_accuracy > first.valid_accuracy
        start = kept.frozen
        batch = kept.masker.batch(kept.data.corpus, np.arange(40), rng_for(1))
        with torch.no_grad():
            inputs = {name: tensor[-batch.whole :] for name, tensor in batch.inputs.items()}
            pooled = [
                torch.einsum("bt,bth->bh", batch.weights, model.base_model(**inputs).last_hidden_state)
                for model in (training.model, start)
            ]
        drifts.append(1.0 - float(functional.cosine_similarity(pooled[0], pooled[1]).mean()))
    assert drifts[1] < drifts[0] / 3
    assert sum(free.progress.seen) == free.progress.tokens


@pytest.mark.parametrize("dropout", [False, True])
def test_a_training_from_checkpoints_is_the_same_to_the_last_bit(
    pretraining: Callable[..., Pretraining], tmp_path: Path, dropout: bool
) -> None:
    whole = pretraining(accumulation=2, keep_embeddings=1.0, dropout=dropout)
    whole.train(Callbacks(measurements=4))

    class Killed(Exception):
        pass

    part, at = pretraining(accumulation=2, keep_embeddings=1.0, dropout=dropout), iter((2, 5, 6, 8, 11))
    for attempt, stop in enumerate((*at, None)):
        folder = tmp_path / str(attempt)
        folder.mkdir()

        def save(training: Pretraining = part, folder: Path = folder, stop: int | None = stop) -> None:
            if training.progress.step == stop:
                training.save(folder)
                raise Killed

        if stop is None:
            part.train(Callbacks(measurements=4))
        else:
            with pytest.raises(Killed):
                part.train(Callbacks(measurements=4, save=save, save_seconds=0.0))
            part = pretraining(accumulation=2, keep_embeddings=1.0, dropout=dropout)
            part.load(folder)
    assert without_times(part.progress) == without_times(whole.progress)
    for one, other in zip(part.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"steps": 7}, lambda p: p.step == 7), ({"steps": None, "tokens": 1000}, lambda p: 1000 <= p.tokens < 1256)],
)
def test_the_first_limit_ends_it(
    pretraining: Callable[..., Pretraining], limits: dict[str, Any], expected: Callable[..., Any]
) -> None:
    training = pretraining(**limits)
    training.train(Callbacks())
    assert expected(training.progress)
    assert training.loop.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.03, rel=0.3)


def test_minutes_count_what_was_spent_before() -> None:
    limits = LimitSettings(steps=100, minutes=2)
    assert done_share(Progress(step=10, spent=90.0), limits) == 0.75
    assert done_share(Progress(step=10, spent=180.0), limits) == 1.0
    factors = [cosine_factor(done, warmup=0.2, final=0.1) for done in np.linspace(0, 1, 11)]
    assert factors[0] == 0.0 and max(factors) == factors[2] == 1.0 and factors[-1] == pytest.approx(0.1)
    assert (np.diff(factors[2:]) < 0).all()


def test_a_loss_that_is_no_number_ends_it_before_a_checkpoint(pretraining: Callable[..., Pretraining]) -> None:
    training, saved = pretraining(learning_rate=1e30, max_grad_norm=1e30, steps=40), []
    with pytest.raises(RunError, match=r"set a lower train\.learning_rate"):
        training.train(
            Callbacks(save=lambda: saved.append(np.isfinite(training.progress.sums).all()), save_seconds=0.0)
        )
    assert all(saved)


def test_an_encoder_without_a_head_gets_one_that_learns_faster(
    tmp_path: Path, tiny_model: Path, machine: Machine
) -> None:
    from transformers import AutoModel, AutoTokenizer

    from pet.learners.models.sources import ModelSource
    from pet.pretraining.initial import InitialModel

    AutoModel.from_pretrained(tiny_model).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    start = InitialModel.from_model(ModelSource("encoder", tmp_path), seed=0)
    assert start.new == "head"
    start.with_frequencies(lambda: iter(["good good news"])).save(tmp_path / "start")
    again = InitialModel.load(tmp_path / "start", machine.device)
    bias = again.model.get_output_embeddings().bias
    good, bad = again.tokenizer.convert_tokens_to_ids(["good", "bad"])
    assert float((bias[good] - bias[bad]).detach()) == pytest.approx(np.log(3), abs=1e-5)
    rates = scheduled_pretraining(UpdateSettings(steps=1), again.new)
    assert rates.learning_rate and rates.head_learning_rate == 4 * rates.learning_rate


def test_a_packed_encoder_is_started_from_as_a_stock_one(tmp_path: Path, machine: Machine) -> None:
    from packed_models import save_packed, unpacked_by_hand

    from pet.learners.models.sources import ModelSource
    from pet.pretraining.initial import InitialModel

    start = InitialModel.from_model(ModelSource("packed", save_packed(tmp_path / "packed")), seed=0)
    assert start.new == "head"
    start.save(tmp_path / "start")
    table = InitialModel.load(tmp_path / "start", machine.device).model.get_input_embeddings().weight.detach().numpy()
    assert np.array_equal(table, unpacked_by_hand(tmp_path / "packed")["embeddings.word_embeddings.weight"])
