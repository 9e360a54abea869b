"""Rows with candidates of their own: a voter scores each, and learns which is right."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from pet.data.examples import Example
from pet.errors import PromptError
from pet.learners.models.backbone import Backbone
from pet.learners.models.candidates import ABSENT
from pet.learners.models.machine import Machine
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings

PATTERN = Pattern("toy/which", "{choices:quoted}? {text} It was {mask}.")
CHOICES = PVP(PATTERN, Verbalizer.of_choices("0123"))


def row(name: str, text: str, choices: list[str], label: int | None = None) -> Example:
    return Example(name, {"text": text, "choices": json.dumps(choices)}, None if label is None else str(label))


ROWS = [
    row("a", "team won the match", ["bank", "sports game"], 1),
    row("b", "the phone is good", ["tech", "market money", "coach", "bank"], 0),
    row("c", "money in the bank", ["profit shares", "goal"], 0),
    row("d", "robot data and code", ["goal score match", "chip"], 1),
]


@pytest.fixture
def voter(backbones: dict[str, Backbone], machine: Machine) -> PvpVoter:
    return PvpVoter(backbones["bert"], CHOICES, ModelSettings(), machine)


def plain_score(model: Any, ids: list[int], place: int, word: list[int], mask: int) -> float:
    """Most confident first, a pass of the whole model for each token."""
    ids, left, total = [*ids[:place], *[mask] * len(word), *ids[place:]], dict(enumerate(word)), 0.0
    while left:
        with torch.no_grad():
            logs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        chosen = max(left, key=lambda i: float(logs[place + i, left[i]]))
        total += float(logs[place + chosen, left[chosen]])
        ids[place + chosen] = left.pop(chosen)
    return total


def test_candidates_are_scored_as_a_plain_loop_does(voter: PvpVoter) -> None:
    voter.backbone.reset()
    model, tokenizer = voter.backbone.model, voter.backbone.tokenizer
    found = voter.scores(ROWS)
    assert found.shape == (4, 4) and (found[0, 2:] == ABSENT).all() and np.isfinite(found).all()
    for i, encoded in enumerate(voter.encode(ROWS)):
        place = int(encoded.mask_positions[0])
        ids = np.delete(encoded.input_ids, encoded.mask_positions).tolist()
        words = [tokenizer(choice, add_special_tokens=False).input_ids for choice in ROWS[i].choices]
        wanted = [plain_score(model, ids, place, word, tokenizer.mask_token_id) for word in words]
        assert np.allclose(found[i, : len(wanted)], wanted, atol=1e-5)


def test_the_voter_learns_which_is_right(voter: PvpVoter) -> None:
    voter.check()
    settings = TrainSettings(steps=25, batch_size=4, learning_rate=5e-3, warmup=0.0)
    log = voter.train(ROWS, settings, np.random.default_rng(0))
    assert log.losses[-1] < 0.5 * log.losses[0]
    assert (voter.scores(ROWS).argmax(1) == [1, 0, 0, 1]).all()


def test_a_candidate_that_is_too_long_is_refused(backbones: dict[str, Backbone], machine: Machine) -> None:
    voter = PvpVoter(backbones["bert"], CHOICES, ModelSettings(max_length=24), machine)
    with pytest.raises(PromptError, match=r"candidate 'good good.* of row 'x' has 30 tokens, and 24 at most"):
        voter.encode([row("x", "a", ["bank", "good " * 30])])


def test_a_pattern_shows_the_candidates() -> None:
    assert PATTERN.describe(ROWS[0]) == '"bank" or "sports game"? team won the match It was [MASK].'
