import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES
from torch import nn

from pet.data.examples import Example
from pet.errors import ModelError, RunError
from pet.learners.models import training
from pet.learners.models.backbone import Backbone
from pet.learners.models.families import family_of, layers
from pet.learners.models.loss_log import LossLog
from pet.learners.models.machine import Machine, reproducible
from pet.learners.models.sources import ModelSource
from pet.learners.models.training import RowStream, Trained, TrainLog, fit, weight_groups
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.pvp import PVP
from pet.settings.task import ModelSettings
from pet.settings.training import OptimizerSettings, TrainSettings

POINTS = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
TARGETS = (POINTS.sum(1) > 0).long()


def settings_of(**values: Any) -> OptimizerSettings:
    defaults: dict[str, Any] = {"steps": 5, "batch_size": 4, "learning_rate": 0.05}
    return OptimizerSettings(**defaults | values)


def all_of(model: torch.nn.Linear) -> Trained:
    return Trained.weights_of(model, settings_of())


def train(
    rng: int = 0, n: int = 24, dropout: float = 0.0, watch: list[Any] | None = None, **values: Any
) -> tuple[torch.Tensor, TrainLog]:
    """Train a line on points; return its weights and the log."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(dropout), nn.Linear(3, 2))

    def loss(rows: np.ndarray) -> torch.Tensor:
        if watch is not None:
            watch.append(rows)
        return nn.functional.cross_entropy(model(POINTS[rows]), TARGETS[rows])

    settings = settings_of(**values)
    log = fit(Trained.weights_of(model, settings), loss, n, settings, np.random.default_rng(rng))
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]), log


def test_a_training_on_a_gpu_gives_the_same_bits_or_is_done_with_any(monkeypatch: pytest.MonkeyPatch) -> None:
    modes, plain = [], train(accumulation=2)[0]
    monkeypatch.setattr(training, "reproducible", lambda device: reproducible(torch.device("cuda")))

    def train_with(operation: Callable[..., Any]) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Dropout(0.0), nn.Linear(3, 2))

        def loss(rows: np.ndarray) -> torch.Tensor:
            found = nn.functional.cross_entropy(model(POINTS[rows]), TARGETS[rows])
            modes.append(torch.get_deterministic_debug_mode())
            if len(modes) % 2 == 0:  # the gradient of the first part of the update is there by then
                operation()
            return found

        settings = settings_of(accumulation=2)
        fit(Trained.weights_of(model, settings), loss, 24, settings, np.random.default_rng(0))
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    assert torch.equal(train_with(lambda: None), plain)
    assert modes == [2] * 10
    modes.clear()
    with pytest.warns(UserWarning, match="put_"):
        again = train_with(lambda: torch.zeros(1).put_(torch.tensor([0]), torch.ones(1)))
    assert torch.equal(again, plain)
    assert (modes, torch.get_deterministic_debug_mode()) == ([2, 2] + [1] * 10, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_two_trainings_on_a_gpu_give_the_same_bits(
    folders: dict[str, Path], pvp: PVP, rows: list[Example], family: str, precision: str
) -> None:
    machine = Machine(torch.device("cuda"), precision)
    backbone = Backbone.masked_lm(ModelSource(family, folders[family]), machine.device)
    settings, found = TrainSettings(steps=5, batch_size=16, learning_rate=1e-3).with_preset(), []
    for _ in range(2):
        voter = PvpVoter(backbone, pvp, ModelSettings(), machine)
        voter.train(rows, settings, np.random.default_rng(0))
        found.append(voter.scores(rows))
    first, second = found
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("steps", "batch_size", "accumulation", "n"),
    [
        (7, 4, 1, 24),
        (7, 4, 2, 24),
        (3, 8, 8, 24),
        (5, 16, 4, 1),
        (5, 16, 1, 3),
        (1, 1, 1, 1),
        (40, 24, 1, 24),
        (0, 4, 1, 24),
    ],
)
def test_updates_equal_steps(steps: int, batch_size: int, accumulation: int, n: int) -> None:
    watch: list[Any] = []
    _, log = train(n=n, watch=watch, steps=steps, batch_size=batch_size, accumulation=accumulation)
    assert log.updates == steps
    assert [len(rows) for rows in watch] == [batch_size // accumulation] * (steps * accumulation)


def test_the_optimizer_steps_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    count = itertools.count()
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *args: (next(count), step(self, *args))[1])
    train(steps=6, accumulation=4)
    assert next(count) == 6


def test_no_steps_and_no_rows_end() -> None:
    assert train(steps=0, n=0)[1].updates == 0


def test_accumulation_changes_nothing() -> None:
    whole, log = train(steps=9, batch_size=8)
    for accumulation in (2, 4, 8):
        parts, other = train(steps=9, batch_size=8, accumulation=accumulation)
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
        assert other.losses == pytest.approx(log.losses, abs=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_seed_decides(dropout: float) -> None:
    first, again, other = (train(seed, dropout=dropout)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_seed_decides_dropout_alone() -> None:
    """One row has one order: only the dropout differs."""
    first, again, other = (train(seed, n=1, dropout=0.5)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_loss_falls_and_every_weight_moves() -> None:
    torch.manual_seed(0)
    before = torch.cat([weight.detach().flatten() for weight in nn.Linear(3, 2).parameters()])
    after, log = train(steps=60)
    assert np.mean(log.losses[-10:]) < 0.5 * log.losses[0]
    assert (before != after).all()


def test_the_rate_warms_up_and_decays(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []
    step = torch.optim.AdamW.step
    spy = lambda self, *args: (rates.append(self.param_groups[0]["lr"]), step(self, *args))[1]  # noqa: E731
    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    train(steps=10, warmup=0.2, learning_rate=1.0)
    assert rates == pytest.approx([0.0, 0.5, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_gradients_are_clipped() -> None:
    """The first update of plain AdamW is the sign of the gradient; with a tiny norm its eps shows."""
    loose, tight = train(steps=1, warmup=0.0)[0], train(steps=1, warmup=0.0, max_grad_norm=1e-9)[0]
    assert not torch.allclose(loose, tight, atol=1e-3)


def test_progress_is_told() -> None:
    told: list[int] = []
    model = nn.Linear(3, 2)
    fit(all_of(model), lambda rows: model(POINTS[rows]).sum(), 24, settings_of(), np.random.default_rng(0), told.append)
    assert told == [1] * 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(refuses: Callable[..., None], bad: float) -> None:
    model = nn.Linear(3, 2)
    model.train()
    values = iter([1.0, bad])

    def loss(rows: np.ndarray) -> torch.Tensor:
        return model(POINTS[rows]).square().mean() * 0 + next(values)

    def call() -> None:
        fit(all_of(model), loss, 24, settings_of(), np.random.default_rng(0))

    refuses(RunError, call, f"became {bad}", "update 2 of 5", "lower learning_rate (now 0.05), or set run")
    assert not model.training


def test_a_gradient_that_is_not_finite(refuses: Callable[..., None]) -> None:
    model = nn.Linear(3, 2)
    loss = lambda rows: (model(POINTS[rows]) * 0).square().mean().sqrt()  # noqa: E731
    call = lambda: fit(all_of(model), loss, 24, settings_of(), np.random.default_rng(0))  # noqa: E731
    refuses(RunError, call, "became 0.0", "gradient nan")
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_the_model_is_in_training_mode_only_while_it_trains() -> None:
    model, modes = nn.Linear(3, 2).eval(), []
    loss = lambda rows: (modes.append(model.training), model(POINTS[rows]).sum())[1]  # noqa: E731
    fit(all_of(model), loss, 24, settings_of(), np.random.default_rng(0))
    assert modes == [True] * 5
    assert not model.training


@pytest.mark.parametrize("family", ["distilbert", "modernbert"])  # BERT's last layer draws other dropout without it
def test_gradient_checkpointing_gives_the_same_training(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], family: str
) -> None:
    voter, losses, calls = PvpVoter(backbones[family], pvp, ModelSettings(), machine), [], []
    model = backbones[family].model
    first = layers(model)[0].get_submodule(family_of(model).query)
    handle = first.register_forward_pre_hook(lambda *_: calls.append(1))
    counts: list[int] = []
    for checkpointing in (False, True):
        settings = settings_of(steps=4, gradient_checkpointing=checkpointing)
        losses.append(voter.train(rows, TrainSettings(**settings.model_dump()), np.random.default_rng(0)).losses)
        counts.append(len(calls) - sum(counts))
    handle.remove()
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)  # with dropout
    assert counts[1] == 2 * counts[0]  # each layer went forward twice
    assert not model.get_input_embeddings()._forward_hooks


def test_a_model_without_gradient_checkpointing_is_refused(refuses: Callable[..., None]) -> None:
    model = nn.Linear(3, 2)
    settings = settings_of(gradient_checkpointing=True)
    train = lambda: fit(all_of(model), lambda rows: model(POINTS[rows]).sum(), 24, settings, np.random.default_rng(0))  # noqa: E731
    refuses(ModelError, train, "Linear", "gradient_checkpointing")


@pytest.mark.parametrize("every", [1, 3, 16])
def test_losses_are_looked_at_now_and_then_and_the_bad_update_is_named(
    refuses: Callable[..., None], every: int
) -> None:
    def log(values: list[float]) -> tuple[float, ...]:
        losses = LossLog("{loss} ({norm}) at update {update} of 40", every)
        for update, value in enumerate(values, start=1):
            losses.add(update, torch.tensor(value), torch.tensor(1.0))
        return losses.fetch()

    assert log([0.5, 2.0, 1.0, 4.0]) == (0.5, 2.0, 1.0, 4.0)
    refuses(RunError, lambda: log([1.0, 1.0, float("nan"), 1.0]), "nan (1.0) at update 3 of 40")


def test_matrices_decay_and_vectors_do_not() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    model[2].weight.requires_grad_(False)
    decay, rest = Trained.weights_of(model, settings_of(weight_decay=0.1)).groups
    assert [tuple(weight.shape) for weight in decay["params"]] == [(5, 3)]
    assert [tuple(weight.shape) for weight in rest["params"]] == [(3,), (3,), (2,)]
    assert (decay["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert len(weight_groups(nn.LayerNorm(3).parameters(), settings_of())) == 1


def test_groups_train_at_their_own_rates_and_others_not_at_all() -> None:
    model, vector = nn.Linear(3, 2), nn.Parameter(torch.zeros(2))
    before = model.bias.detach().clone()
    groups = ({"params": [model.weight], "lr": 0.0, "weight_decay": 0.0}, {"params": [vector], "lr": 0.1})
    weight = model.weight.detach().clone()
    fit(
        Trained((model,), groups),
        lambda rows: (model(POINTS[rows]) + vector).sum(),
        24,
        settings_of(steps=1, warmup=0.0),
        np.random.default_rng(0),
    )
    assert torch.equal(model.weight, weight)
    assert torch.equal(model.bias, before)
    assert vector.detach().tolist() == pytest.approx([-0.1, -0.1], abs=1e-4)  # AdamW's first step is the rate


def test_it_ends_once_a_pass_has_a_small_loss() -> None:
    model = nn.Linear(3, 2)
    fallen = iter([3.0, 0.05, 0.3, 0.1, 0.1, 0.05, 0.05, 0.01])

    def loss(_: np.ndarray) -> torch.Tensor:
        return 0.0 * model.weight.sum() + next(fallen)

    settings = settings_of(steps=8, batch_size=8)  # a pass over 24 rows is three updates
    trained = replace(all_of(model), stop_loss=0.1)
    log = fit(trained, loss, 24, settings, np.random.default_rng(0))
    assert log.losses == pytest.approx([3.0, 0.05, 0.3, 0.1, 0.1, 0.05])  # (0.1 + 0.1 + 0.05) / 3 < 0.1


def test_the_last_losses_are_a_tenth_of_them() -> None:
    assert TrainLog((5.0,) * 18 + (1.0, 2.0)).last == 1.5
    assert TrainLog((3.0, 1.0)).last == 1.0
    assert TrainLog(()).last == float("inf")


@pytest.mark.parametrize(("n", "size"), [(1, 4), (3, 2), (5, 5), (7, 3), (4, 9)])
def test_a_pass_visits_each_row_once(n: int, size: int) -> None:
    stream = RowStream(n, size, np.random.default_rng(0))
    drawn = np.concatenate([next(stream) for _ in range(n * 3)])
    for start in range(0, len(drawn) - n + 1, n):
        assert sorted(drawn[start : start + n]) == list(range(n))


def test_passes_are_shuffled_by_the_seed() -> None:
    first, again, other = (next(RowStream(50, 50, np.random.default_rng(seed))).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first != sorted(first)


def test_no_rows() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        next(RowStream(0, 4, np.random.default_rng(0)))
