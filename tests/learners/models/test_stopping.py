"""When a training ends, and with which weights."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pet.learners.models.stopping import BestWeights, measured_every
from pet.learners.models.training import Trained, fit, weight_groups
from pet.settings.training import OptimizerSettings


def ended(shares: list[tuple[float, float]], every: int = 2) -> tuple[int, BestWeights, float]:
    """Let a tensor count the updates while its measures are these; return when it ends, and what is left of it."""
    weight, told = nn.Parameter(torch.zeros(())), iter(shares)
    best = BestWeights((weight,), lambda: next(told), every)
    for update in range(1, 1000):
        with torch.no_grad():
            weight.fill_(update)
        if best.ends(update):
            break
    best.restore()
    return update, best, float(weight.detach())


def test_it_ends_when_nothing_has_risen_and_keeps_the_best() -> None:
    update, best, kept = ended([(0.1, -9.0), (0.5, -5.0), (0.4, -6.0), (0.5, -5.0), (0.3, -7.0)])
    assert (update, best.at, kept, best.measured) == (10, 4, 4.0, 5)


def test_a_smaller_divergence_is_a_rise_too() -> None:
    update, best, kept = ended([(0.5, -5.0), (0.4, -4.0), (0.4, -3.5), (0.4, -3.2), (0.5, -3.0), *[(0.4, -9.0)] * 9])
    assert (update, best.at, kept) == (16, 10, 10.0)


def test_it_ends_where_nothing_is_left_to_gain() -> None:
    assert ended([(0.5, -5.0), (0.99, -1.0)])[0] == 4


def test_what_is_best_already_is_kept() -> None:
    weight = nn.Parameter(torch.ones(()))
    best = BestWeights((weight,), lambda: (0.8, 0.0), every=5)
    assert not best.look()
    with torch.no_grad():
        weight.zero_()
    while not best.look(7):
        pass
    best.restore()
    assert float(weight.detach()) == 1.0 and best.at == 0


def test_the_training_loop_asks_after_every_update() -> None:
    linear, asked = nn.Linear(2, 1), []
    settings = OptimizerSettings(steps=50, batch_size=2, learning_rate=1e-3)
    trained = Trained((linear,), weight_groups(linear.parameters(), settings))

    def ends(update: int) -> bool:
        asked.append(update)
        return update == 7

    def loss(rows: np.ndarray) -> Iterator[torch.Tensor]:
        yield linear(torch.ones(len(rows), 2)).square().mean()

    log = fit(replace(trained, ends=ends), loss, 10, settings, np.random.default_rng(0))
    assert asked == list(range(1, 8)) and log.updates == 7
    assert not linear.training


@pytest.mark.parametrize(("rows", "updates"), [(30, 20), (160, 20), (400, 50)])
def test_measuring_costs_less_than_training(rows: int, updates: int) -> None:
    assert measured_every(rows) == updates
