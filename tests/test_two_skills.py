"""The toy model of two skills: what the tests of prompt variants rely on."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from two_skills.data import (
    LABELS,
    NO_CUE,
    RIGHT_CUE,
    VERBALIZER,
    VOCABULARY,
    WRONG_CUE,
    held_out_rows,
    labeled_rows,
)
from two_skills.make import FOLDER, SPECIAL, make, new_model

from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, quiet_transformers
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.settings.task import ModelSettings


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    quiet_transformers()
    return Backbone.masked_lm(ModelSource("two-skills", FOLDER), torch.device("cpu"))


def accuracy(backbone: Backbone, template: str) -> float:
    """Return the share of the held-out rows that the untrained model labels right."""
    pvp = PVP(Pattern("two-skills/cue", template), VERBALIZER)
    rows = held_out_rows()
    scores = PvpVoter(backbone, pvp, ModelSettings(), Machine(torch.device("cpu"), "fp32")).scores(rows)
    return float(np.mean([LABELS[i] == row.label for i, row in zip(scores.argmax(1), rows, strict=True)]))


def test_the_cue_alone_decides_which_skill_answers(backbone: Backbone) -> None:
    assert accuracy(backbone, RIGHT_CUE) >= 0.88
    assert 0.42 <= accuracy(backbone, WRONG_CUE) <= 0.58
    assert 0.42 <= accuracy(backbone, NO_CUE) <= 0.62


def test_nothing_but_the_words_of_mood_gives_the_label_away(backbone: Backbone) -> None:
    # p^5 + 5 p^4 (1 - p) + 10 p^3 (1 - p)^2 = 0.973 at p = 0.85; the standard error of 1,000 rows is 0.005.
    assert accuracy(backbone, RIGHT_CUE) <= 0.99


def test_every_word_of_rows_and_cues_is_one_known_token(backbone: Backbone) -> None:
    texts = [row.fields["text"] for row in held_out_rows(100)]
    ids = backbone.tokenizer([*texts, "it was about east .", "it felt west ."], add_special_tokens=False)["input_ids"]
    assert min(min(row) for row in ids) >= len(SPECIAL)
    assert [len(row) for row in ids[:100]] == [len(text.split()) for text in texts]
    assert len(backbone.tokenizer) == len(VOCABULARY) + len(SPECIAL) == 65


def test_the_committed_files_are_small_and_those_of_the_script(backbone: Backbone) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 500_000
    assert ModelSource("model", FOLDER).parameters == 112_833
    shapes = [
        {name: weight.shape for name, weight in model.state_dict().items()} for model in (new_model(), backbone.model)
    ]
    assert shapes[0] == shapes[1]


def test_a_training_writes_the_same_bytes_again_under_the_same_names(tmp_path: Path) -> None:
    quiet_transformers()
    first, second, other = (make(tmp_path / name, steps=3, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert (
        ModelSource("model", first).digest == ModelSource("model", second).digest != ModelSource("model", other).digest
    )
    assert {path.name for path in first.iterdir()} == {path.name for path in FOLDER.iterdir()}
    assert (first / "tokenizer.json").read_bytes() == (FOLDER / "tokenizer.json").read_bytes()


def test_the_rows_are_always_the_same() -> None:
    text = "".join(f"{row.id} {row.fields['text']} {row.label}\n" for row in [*held_out_rows(), *labeled_rows(0)])
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "78a59168768176b580335eabe2cf38c06b396c929342e2a172e3f146bd79690a"


def test_each_seed_draws_its_own_rows_with_as_many_of_each_label() -> None:
    rows = labeled_rows(3)
    assert [row.label for row in rows].count(LABELS[0]) == [row.label for row in rows].count(LABELS[1]) == 16
    assert rows == labeled_rows(3) != labeled_rows(4)
    assert not {row.fields["text"] for row in rows} & {row.fields["text"] for row in held_out_rows()}
