"""A small training on made-up text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_text import LENGTH, made_up

from pet.learners.models.machine import Machine
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel
from pet.pretraining.masking import held_out_batches
from pet.pretraining.mixing import mixed_shares
from pet.pretraining.training import Pretraining, PretrainingData
from pet.settings.pretraining import MaskingSettings, UpdateSettings


@pytest.fixture
def machine() -> Machine:
    return Machine(torch.device("cpu"), "fp32")


@pytest.fixture
def pretraining(tiny_model: Path, machine: Machine) -> Callable[..., Pretraining]:
    """Build a training of 12 steps on two sources; keywords change its updates or its masking."""

    def build(**changes: Any) -> Pretraining:
        start = InitialModel.load(tiny_model, machine.device)
        corpus = Corpus.from_documents({"a": made_up(60), "b": made_up(20, 1)}, start.tokenizer, LENGTH)
        valid = Corpus.from_documents({"valid": made_up(10, 2)}, start.tokenizer, LENGTH)
        masking = {key: changes.pop(key) for key in tuple(changes) if key in MaskingSettings.model_fields}
        defaults: dict[str, Any] = {"steps": 12, "batch_size": 8, "learning_rate": 1e-2}
        updates = UpdateSettings(**defaults | changes)
        data = PretrainingData(
            corpus=corpus,
            shares=mixed_shares(corpus.tokens, [None, 0.5]),
            length=LENGTH,
            seed=3,
            held_out=held_out_batches(valid, start.tokenizer, LENGTH, 200, 256),
        )
        frozen = InitialModel.load(tiny_model, machine.device).model if masking.get("keep_embeddings") else None
        return Pretraining(start, data, MaskingSettings(**masking), updates, machine, frozen)

    return build
