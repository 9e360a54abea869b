"""Vocabularies are trained on a text, or trimmed to it with every kept row as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import WORDS, save_tiny

from pet.errors import ConfigError
from pet.learners.models.sources import ModelSource
from pet.pretraining.initial import InitialModel
from pet.settings.pretraining import StartSettings

DOCUMENTS = [" ".join(WORDS[10:40]), "good news is good, 3 times"]


def documents() -> Iterator[str]:
    return iter(DOCUMENTS)


@pytest.mark.parametrize(("family", "size"), [("bert", 216), ("roberta", 300), ("xlm-roberta", 129)])
def test_a_trimmed_model_scores_a_text_of_kept_pieces_as_before(family: str, size: int, tmp_path: Path) -> None:
    start = InitialModel.from_model(ModelSource(family, save_tiny(family, tmp_path / "old")), seed=0)
    start.trimmed(size, documents).save(tmp_path / "new")
    new = InitialModel.load(tmp_path / "new", torch.device("cpu"))
    before, after = (one.tokenizer(DOCUMENTS[1], return_tensors="pt") for one in (start, new))
    pieces = new.tokenizer.convert_ids_to_tokens(after["input_ids"][0])
    assert pieces == start.tokenizer.convert_ids_to_tokens(before["input_ids"][0])
    kept = start.tokenizer.convert_tokens_to_ids(new.tokenizer.convert_ids_to_tokens(range(len(new.tokenizer))))
    old_rows, new_rows = (one.model.get_input_embeddings().weight for one in (start, new))
    assert len(kept) < len(old_rows) and torch.equal(old_rows[kept], new_rows)
    with torch.no_grad():
        expected = start.model(**before).logits[0, :, kept]
        assert torch.allclose(new.model(**after).logits[0], expected, atol=1e-6)
    # what the text does not use is spelled in characters, which are all there
    assert new.tokenizer.unk_token_id not in new.tokenizer("zebra 789 ?!")["input_ids"]


@pytest.mark.parametrize(
    ("size", "reason"),
    [(20, "smaller than the characters and special tokens"), (264, "The text uses .* pieces of 265")],
)
def test_a_size_that_does_not_fit_the_text_is_refused(size: int, reason: str, tmp_path: Path) -> None:
    start = InitialModel.from_model(ModelSource("bert", save_tiny("bert", tmp_path)), seed=0)
    with pytest.raises(ConfigError, match=reason):
        start.trimmed(size, documents)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"vocab_size": 20}, "smaller than the characters of the text"),
        ({"vocab_size": 250, "tokenizer": "bpe"}, "smaller than the characters of the text"),
        ({"vocab_size": 5000}, "The text supports a vocabulary of"),
        ({"vocab_size": 5000, "tokenizer": "bpe"}, "The text supports a vocabulary of"),
    ],
)
def test_a_trained_vocabulary_has_the_size_that_was_asked_for_or_none(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        InitialModel.from_scratch(StartSettings(from_scratch="1x32", **settings), documents, 32, seed=0)


@pytest.mark.parametrize(
    ("shape", "tokenizer", "size", "types"), [("bert", "wordpiece", 64, True), ("modernbert", "bpe", 270, False)]
)
def test_from_scratch(shape: Any, tokenizer: Any, size: int, types: bool, tmp_path: Path) -> None:
    settings = StartSettings(from_scratch="2x64", shape=shape, tokenizer=tokenizer, vocab_size=size)
    InitialModel.from_scratch(settings, documents, 32, seed=0).with_frequencies(documents).save(tmp_path)
    start = InitialModel.load(tmp_path, torch.device("cpu"))
    assert (start.new, len(start.tokenizer), start.model.config.num_hidden_layers) == ("all", size, 2)
    assert start.model.config.num_attention_heads == 2
    assert ("token_type_ids" in start.tokenizer("a", "b")) == types
    ids = start.tokenizer("good news")["input_ids"]
    assert start.tokenizer.decode(ids, skip_special_tokens=True) == "good news"
    bias = start.model.get_output_embeddings().bias.detach().numpy()
    assert np.isclose(np.exp(bias).sum(), 1.0, atol=1e-4)  # the log of how often each piece is there


def test_the_same_seed_draws_the_same_weights() -> None:
    settings = StartSettings(from_scratch="1x32", vocab_size=60)
    first, same, other = (InitialModel.from_scratch(settings, documents, 32, seed).model for seed in (1, 1, 2))
    weights = [model.get_input_embeddings().weight for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
