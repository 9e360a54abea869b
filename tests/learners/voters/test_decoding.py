"""Words of several tokens: what the batched decoders say is what a plain loop over the stock model says."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.spec import VoterSpec
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import Decoder, ModelSettings
from pet.settings.training import TrainSettings
from pet.settings.variants import VariantSettings

WORDS = Verbalizer("v", {"a": ("sports game", "good"), "b": ("tech phone",), "c": ("bank market money", "bank rise")})
LONG = PVP(Pattern("toy/p", "{text} It was {mask}."), WORDS)
TEXTS = ["team won the match", "the phone is good " * 3, "", "bank", "robot data and code in the city"]
ROWS = [Example(str(i), {"text": text}, "abc"[i % 3]) for i, text in enumerate(TEXTS)]


def voter_of(backbone: Backbone, machine: Machine, decoder: Decoder, **variant: Any) -> PvpVoter:
    trains = VariantSettings(**variant)
    pvp = VoterSpec(LONG, train=TrainSettings(**variant)).prompt
    return PvpVoter(backbone, pvp, ModelSettings(), machine, decoder, trains)


def plain_word(model: Any, ids: list[int], place: int, word: list[int], mask: int, decoder: Decoder) -> float:
    """One word of one row, a forward pass of the whole stock model for every token."""
    ids = [*ids[:place], *[mask] * len(word), *ids[place:]]
    left, total = dict(enumerate(word)), 0.0
    while left:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        said = {i: float(logits[place + i].log_softmax(-1)[token]) for i, token in left.items()}
        chosen = max(said, key=lambda i: said[i]) if decoder == "most-confident-first" else min(said)
        total += said[chosen]
        ids[place + chosen] = left.pop(chosen)
    return total


def plain_scores(voter: PvpVoter, decoder: Decoder) -> np.ndarray:
    model, tokenizer = voter.backbone.model, voter.backbone.tokenizer
    found = []
    for row in voter.encode(ROWS):
        without = np.delete(row.input_ids, row.mask_positions).tolist()
        place = int(row.mask_positions[0])
        words = [[word[word >= 0].tolist() for word in of_label if word[0] >= 0] for of_label in voter.words.ids]
        about = (tokenizer.mask_token_id, decoder)
        found.append([np.mean([plain_word(model, without, place, word, *about) for word in own]) for own in words])
    return np.asarray(found)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("decoder", ["most-confident-first", "left-to-right"])
def test_decoders_equal_a_plain_loop(
    backbones: dict[str, Backbone], machine: Machine, family: str, decoder: Decoder
) -> None:
    voter = voter_of(backbones[family], machine, decoder)
    voter.backbone.reset()
    assert np.allclose(voter.scores(ROWS), plain_scores(voter, decoder), atol=1e-5)


def test_the_decoders_differ_and_a_small_budget_changes_nothing(
    backbones: dict[str, Backbone], machine: Machine
) -> None:
    machine = Machine(machine.device, machine.precision, machine.inference)
    decoders: tuple[Decoder, ...] = ("parallel", "left-to-right", "most-confident-first")
    voters = [voter_of(backbones["bert"], machine, decoder) for decoder in decoders]
    found = [voter.scores(ROWS) for voter in voters]
    assert all(not np.allclose(one, other) for one, other in pairwise(found))
    machine.token_budget.tokens = 1
    assert np.allclose(voters[-1].scores(ROWS), found[-1], atol=1e-5)


def test_true_is_parallel_and_words_of_one_token_are_asked_once(
    backbones: dict[str, Backbone], machine: Machine
) -> None:
    short = PVP(LONG.pattern, Verbalizer("v", {"a": ("good",), "b": ("bad",)}))
    bert = backbones["bert"]
    plain = PvpVoter(bert, short, ModelSettings(), machine).scores(ROWS)
    assert np.array_equal(PvpVoter(bert, short, ModelSettings(), machine, "most-confident-first").scores(ROWS), plain)
    whole = PvpVoter(bert, LONG, ModelSettings(), machine, True).scores(ROWS)
    assert np.array_equal(whole, voter_of(bert, machine, "parallel").scores(ROWS))


def _in_one_pass(at_masks: torch.Tensor, ids: np.ndarray) -> Iterator[list[float]]:
    """Yield the log-probabilities of each label's words, [k][w], from those at the masks, [p, v]."""
    for words in ids:
        yield [sum(float(at_masks[i, t]) for i, t in enumerate(word) if t >= 0) for word in words if word[0] >= 0]


def test_training_is_the_hinge_loss_of_one_pass(backbones: dict[str, Backbone], machine: Machine) -> None:
    voter = voter_of(backbones["modernbert"], machine, "most-confident-first")  # has no dropout
    voter.backbone.reset()
    encoded, model = voter.encode(ROWS), voter.backbone.model
    wanted = []
    for row, example in zip(encoded, ROWS, strict=True):
        with torch.no_grad():
            logs = model(input_ids=torch.tensor(row.input_ids[None]).long()).logits[0].log_softmax(-1)
        at_masks = logs[torch.from_numpy(row.mask_positions)]
        scores = [float(np.mean(found)) for found in _in_one_pass(at_masks, voter.words.ids)]
        y = "abc".index(str(example.label))
        wanted.append(sum(max(0.0, 1 - scores[y] + scores[other]) for other in range(3) if other != y))
    settings = TrainSettings(steps=1, batch_size=len(ROWS), learning_rate=5e-3, warmup=0.0)
    log = voter.train(ROWS, settings, np.random.default_rng(0))
    assert log.losses[0] == pytest.approx(np.mean(wanted), abs=1e-4)


@pytest.mark.parametrize("variant", [{}, {"preset": "p-tuning"}, {"weights": "prefix"}])
def test_a_trained_voter_is_saved_and_loaded(
    backbones: dict[str, Backbone], machine: Machine, tmp_path: Any, variant: dict[str, Any]
) -> None:
    voter = voter_of(backbones["bert"], machine, "most-confident-first", **variant)
    voter.check()
    settings = TrainSettings(steps=4, batch_size=5, learning_rate=5e-3, warmup=0.0, stop_loss=0.0)
    before = voter.scores(ROWS)
    voter.train(ROWS, settings, np.random.default_rng(0))
    assert not np.allclose(voter.scores(ROWS), before)
    scores = voter.scores(ROWS)
    voter.save(tmp_path)
    voter.backbone.reset()
    assert np.allclose(PvpVoter.load(tmp_path, backbones["bert"], machine).scores(ROWS), scores, atol=1e-5)
