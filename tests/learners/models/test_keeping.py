"""Work that is interrupted anywhere goes on to the same numbers, bit by bit, from what it has kept."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pet.data.examples import Example
from pet.learners.models.inference import Inference
from pet.learners.models.keeping import kept_by
from pet.learners.models.machine import Machine
from pet.learners.models.splicing import Encoded
from pet.learners.models.stopping import BestWeights
from pet.learners.models.training import RowStream, Trained, TrainLog, fit
from pet.runs import keeping
from pet.runs.keeping import JobKeeper
from pet.settings.training import OptimizerSettings

SETTINGS = OptimizerSettings(steps=9, batch_size=4, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be kept at every moment."""
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.0)


def stop_after(updates: int) -> Callable[[int], None]:
    """Return an advance that interrupts once so many are made."""
    made = [0]

    def advance(count: int = 1) -> None:
        made[0] += count
        if made[0] > updates:
            raise KeyboardInterrupt

    return advance


def train(advance: Callable[[int], None]) -> tuple[TrainLog, dict[str, torch.Tensor]]:
    """Train a model with dropout, whose loss draws from generators of its own, and keep its best weights."""
    torch.manual_seed(0)
    first = nn.Linear(3, 5)
    model = nn.Sequential(first, nn.Dropout(0.5), nn.Linear(5, 2))
    rng, order = np.random.default_rng(1), np.random.default_rng(2)
    stream = RowStream(7, 2, rng)

    def loss(rows: np.ndarray) -> torch.Tensor:
        noise = torch.from_numpy(rng.normal(size=(len(rows), 3))).float()
        shift = float(next(stream).sum())
        return ((model(noise + torch.from_numpy(rows)[:, None]) - shift) ** 2).mean()

    trained = Trained.weights_of(model, SETTINGS)
    best = BestWeights(trained.tensors, lambda: (float(first.weight.detach().sum().sigmoid()) / 2, 0.0), 2)
    trained = Trained(
        trained.modules, trained.groups, ends=best.ends, draws=(rng, stream, best), tensors=trained.tensors
    )
    log = fit(trained, loss, 6, SETTINGS, order, advance)
    found = {name: value.clone() for name, value in model.state_dict().items()}
    best.restore()
    return log, found | {f"best {name}": value for name, value in model.state_dict().items()}


@pytest.mark.parametrize("stops", [(1,), (3,), (8,), (2, 5), (9,)])
def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path: Path, stops: tuple[int, ...]) -> None:
    log, weights = train(lambda _: None)
    for stop in stops:
        with kept_by(JobKeeper(tmp_path)), suppress(KeyboardInterrupt):
            train(stop_after(stop))
    made = list[int]()
    with kept_by(JobKeeper(tmp_path)):
        again, found = train(made.append)
    assert again.losses == log.losses and set(found) == set(weights)
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert made[0] >= stops[-1] - 1 and sum(made) == log.updates


def test_a_training_that_has_ended_is_not_made_again(tmp_path: Path) -> None:
    with kept_by(JobKeeper(tmp_path)):
        log, weights = train(lambda _: None)
    made = list[int]()
    with kept_by(JobKeeper(tmp_path)):
        again, found = train(made.append)
    assert made == [log.updates] and again.losses == log.losses
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_one_that_cannot_go_on_is_not_kept(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    trained = Trained.weights_of(model, SETTINGS)
    trained = Trained(trained.modules, trained.groups, resumes=False)
    with kept_by(JobKeeper(tmp_path / "kept")):
        fit(trained, lambda _: model(torch.ones(1)).sum(), 6, SETTINGS, np.random.default_rng(0))
    assert not (tmp_path / "kept").exists()


def test_scores_that_are_there_are_not_computed_again(tmp_path: Path) -> None:
    machine = Machine(torch.device("cpu"), "fp32")
    rows = [Example(str(n), {"text": "a" * (n % 7 + 1)}) for n in range(3000)]
    computed = [0]

    def encode(examples: Sequence[Example]) -> list[Encoded]:
        none = np.empty(0, np.int64)
        return [Encoded(np.full(len(row.fields["text"]), int(row.id)), none, none, none) for row in examples]

    def compute(encoded: list[Encoded]) -> torch.Tensor:
        computed[0] += len(encoded)
        return torch.tensor([[float(row.input_ids[0]), float(len(row))] for row in encoded])

    inference = Inference(machine, encode, compute)
    whole = inference.run(rows, 2)
    computed[0] = 0
    with kept_by(JobKeeper(tmp_path)), pytest.raises(KeyboardInterrupt):
        inference.run(rows, 2, stop_after(2000))
    before, computed[0] = computed[0], 0
    advanced = list[int]()
    with kept_by(JobKeeper(tmp_path)):
        found = inference.run(rows, 2, advanced.append)
    assert np.array_equal(found, whole) and sum(advanced) == len(rows)
    assert 0 < computed[0] < len(rows) and computed[0] + before >= len(rows)
