"""Causal models and encoder-decoders score label words as a loop over the stock library does, and learn."""

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_generative import GENERATIVE, save_tiny_generative
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from pet.data.examples import Example
from pet.errors import ConfigError, ModelError, PromptError
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.spec import VoterSpec, check_kind
from pet.prompts.demonstrations import Demonstrations
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import DemonstrationSettings, ModelSettings
from pet.settings.training import TrainSettings

CPU = torch.device("cpu")
MACHINE = Machine(CPU, "fp32")
ROWS = [
    Example("1", {"text": "good movie"}, "pos"),
    Example("2", {"text": "awful food and a slow man"}, "neg"),
    Example("3", {"text": "fine"}, "pos"),
    Example("4", {"text": "boring plot"}, "neg"),
]
LONG = Verbalizer("long", {"pos": ("great movie", "good"), "neg": ("great food outside",)})
WORDS = Verbalizer("words", {"pos": ("great",), "neg": ("terrible",)})
PROMPT = Pattern("p", "{text} it was {mask}.")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_tiny_generative(name, tmp_path_factory.mktemp(name)) for name in GENERATIVE}


@pytest.fixture(scope="module")
def backbones(folders: dict[str, Path]) -> dict[str, Backbone]:
    return {name: Backbone.language_model(find_model(str(folder)), CPU) for name, folder in folders.items()}


def by_hand(folder: Path, text: str, word: str, averaged: bool) -> float:
    """Return the log-probability of a word after a text, or in its place of a sentinel, token by token."""
    tokenizer, model = _stock(folder)
    spaced, ids = _word_ids(tokenizer, word), tokenizer(f"{text} it was")["input_ids"]
    asked: dict[str, Any] = {}
    if model.config.is_encoder_decoder:
        gap, dot = (tokenizer.convert_tokens_to_ids(token) for token in ("<extra_id_0>", "."))
        asked = {"input_ids": torch.tensor([[*ids[:-1], gap, dot, tokenizer.eos_token_id]])}
        ids = [tokenizer.pad_token_id, gap]
    total = 0.0
    for token in spaced:
        given = "decoder_input_ids" if asked else "input_ids"
        logits = model(**asked, **{given: torch.tensor([ids])}).logits[0, -1]
        total += float(functional.log_softmax(logits, dim=-1)[token])
        ids = [*ids, token]
    return total / len(spaced) if averaged else total


@functools.cache
def _stock(folder: Path) -> tuple[Any, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    auto: Any = AutoModelForSeq2SeqLM if "<extra_id_0>" in tokenizer.get_vocab() else AutoModelForCausalLM
    return tokenizer, auto.from_pretrained(folder).eval()


def _word_ids(tokenizer: Any, word: str) -> list[int]:
    with_word = tokenizer(f"it was {word}", add_special_tokens=False)["input_ids"]
    return list(with_word[len(tokenizer("it was", add_special_tokens=False)["input_ids"]) :])


@pytest.mark.parametrize(("family", "averaged"), [*((family, False) for family in GENERATIVE), ("llama", True)])
@torch.no_grad()
def test_scores_are_those_of_the_stock_library(
    folders: dict[str, Path], backbones: dict[str, Backbone], family: str, averaged: bool
) -> None:
    settings = ModelSettings(word_scores="mean" if averaged else "sum")
    voter = PvpVoter(backbones[family], PVP(PROMPT, LONG), settings, MACHINE, multi_token=True)
    texts = [f" {row.fields['text']}" if family in ("gpt2", "qwen2") else row.fields["text"] for row in ROWS]
    expected = [
        [np.mean([by_hand(folders[family], text, word, averaged) for word in words]) for words in LONG.words.values()]
        for text in texts
    ]
    assert np.allclose(voter.scores(ROWS), expected, atol=1e-5)


@pytest.mark.parametrize("family", GENERATIVE)
def test_every_family_learns_and_is_kept(backbones: dict[str, Backbone], tmp_path: Path, family: str) -> None:
    voter = PvpVoter(backbones[family], PVP(PROMPT, WORDS), ModelSettings(), MACHINE)
    voter.check()
    settings = TrainSettings(steps=25, batch_size=4, learning_rate=5e-3, warmup=0.0)
    log = voter.train(ROWS, settings, np.random.default_rng(0))
    scores = voter.scores(ROWS)
    assert log.losses[-1] < log.losses[0]
    assert scores.argmax(axis=1).tolist() == [0, 1, 0, 1]
    voter.save(tmp_path)
    assert np.allclose(PvpVoter.load(tmp_path, backbones[family], MACHINE).scores(ROWS), scores, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_demonstrations_stand_where_the_word_can_see_them(backbones: dict[str, Backbone], family: str) -> None:
    shown = Demonstrations(tuple(ROWS[2:]), np.array([0, 1]), DemonstrationSettings(1))
    voter = PvpVoter(backbones[family], PVP(PROMPT, WORDS), ModelSettings(), MACHINE, demonstrations=shown)
    (row,) = voter.encode(ROWS[:1])
    text = backbones[family].tokenizer.decode(row.input_ids[: int(row.mask_positions[0])])
    assert ("terrible" in text) == (family == "gpt2")
    assert re.sub("[Ġ▁ ]+", " ", text).endswith("good movie it was")
    assert "terrible" in backbones[family].tokenizer.decode(row.input_ids)


@pytest.mark.parametrize("template", ["{mask}: {text}", "{text} it was {mask} to me", "{text} {mask} || {text}"])
def test_a_causal_model_needs_its_mask_last(backbones: dict[str, Backbone], template: str) -> None:
    with pytest.raises(PromptError, match="after its mask, which a causal language model does not see"):
        PvpVoter(backbones["gpt2"], PVP(Pattern("p", template), WORDS), ModelSettings(), MACHINE)


def test_a_tokenizer_without_sentinel_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_generative("t5", tmp_path)
    for path in folder.glob("token*.json"):
        path.write_text(path.read_text().replace("<extra_id_0>", "<gap>"))
    backbone = Backbone.language_model(find_model(str(folder)), CPU)
    with pytest.raises(ModelError, match="no sentinel <extra_id_0>"):
        PvpVoter(backbone, PVP(PROMPT, WORDS), ModelSettings(), MACHINE)


@pytest.mark.parametrize(
    "train", [TrainSettings(preset="warp"), TrainSettings(loss="adapet"), TrainSettings(auxiliary_mlm=0.1)]
)
def test_what_only_a_masked_model_can_is_refused(train: TrainSettings) -> None:
    spec = VoterSpec(PVP(PROMPT, WORDS), 0, train)
    with pytest.raises(ConfigError, match="which needs a masked language model"):
        check_kind("causal", spec)
    check_kind("masked", spec)
