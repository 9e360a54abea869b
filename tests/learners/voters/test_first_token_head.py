"""The head of a classifier on the first token, in the place of the words at the mask."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from heads import WORDS, batch_of, new
from tiny import FAMILIES

from pet.learners.models.backbone import Backbone
from pet.learners.voters.outputs import FirstTokenHead


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_token_head_reads_the_first_token_and_not_the_mask(
    backbones: dict[str, Backbone], family: str
) -> None:
    backbone = backbones[family]
    head, batch = new(backbone, "cls"), batch_of(backbone)
    with torch.inference_mode():
        states = backbone.model.base_model(**batch.inputs).last_hidden_state
        found = head.scores(backbone.model, batch, "fp32")
        expected = states @ head.weight.T + head.bias
    torch.testing.assert_close(found, expected[:, 0], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(found, expected[batch.rows, batch.positions], atol=1e-3)
    backbone.reset()


def test_the_first_token_head_is_drawn_from_its_seed(backbones: dict[str, Backbone]) -> None:
    config = SimpleNamespace(hidden_size=4_000, hidden_dropout_prob=0.1)
    one, same, other = (FirstTokenHead(WORDS, config, seed) for seed in (0, 0, 1))
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)
    assert one.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert one.bias.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "rate"), [("hidden_dropout_prob", 0.5), ("dropout", 0.5), ("mlp_dropout", 0.5), ("layers", 0.0)]
)
def test_the_first_token_head_drops_out_while_the_model_trains(
    by_hand: Callable[..., None], name: str, rate: float
) -> None:
    head = FirstTokenHead(WORDS, SimpleNamespace(hidden_size=64, **{name: 0.5}), 0)
    states = torch.ones(2, 64)
    by_hand(first_token_states=states)
    torch.manual_seed(0)
    unread: Any = None
    trained, plain = (head.scores(SimpleNamespace(training=training), unread, "fp32") for training in (True, False))
    torch.testing.assert_close(plain, head.weight.sum(1).expand(2, 3))
    assert torch.equal(trained, plain) == (rate == 0.0)
