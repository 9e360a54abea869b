import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import FAMILIES, LENGTH

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.embeddings import mean_pooled, mean_weights
from pet.learners.models.machine import Machine

FIELDS = ("first", "second")
TEXTS = [
    {"first": "It was a good film", "second": "plot"},
    {"first": "phone, chip!", "second": ""},
    {"first": "", "second": "team game match won"},
    {"first": "good [MASK] film", "second": "</s> <pad> [SEP] " * 3},
    {"first": "bad " * 100, "second": "boring " * 100},
]
ROWS = [Example(str(i), fields) for i, fields in enumerate(TEXTS)]
EMPTY = Example("empty", {"first": "", "second": ""})


def by_hand(backbone: Backbone, row: Example, length: int = LENGTH) -> np.ndarray:
    """The mean over what lies between the special tokens, from the whole model's last layer."""
    tokenizer = backbone.tokenizer
    texts = [row.fields["first"], row.fields["second"]][: 2 if row.fields["second"] else 1]
    read = tokenizer(
        *texts, truncation="longest_first", max_length=length, split_special_tokens=True, return_tensors="pt"
    )
    template = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    kept = [token not in template for token in read["input_ids"][0].tolist()]
    assert any(kept)
    with torch.no_grad():
        hidden = backbone.model(**read, output_hidden_states=True).hidden_states[-1][0]
    return hidden[kept].mean(0).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_mean_over_the_text(backbones: dict[str, Backbone], machine: Machine, family: str) -> None:
    found = mean_pooled(backbones[family], ROWS, FIELDS, LENGTH, machine)
    assert found.shape == (len(ROWS), 32) and found.dtype == np.float32
    for row, vector in zip(ROWS, found, strict=True):
        assert vector == pytest.approx(by_hand(backbones[family], row), abs=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_one_by_one_is_the_same_as_together(backbones: dict[str, Backbone], machine: Machine, family: str) -> None:
    rows = [*ROWS, EMPTY, *ROWS[::-1]]
    together = mean_pooled(backbones[family], rows, FIELDS, LENGTH, machine)
    alone = np.concatenate([mean_pooled(backbones[family], [row], FIELDS, LENGTH, machine) for row in rows])
    assert together == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("size", [1, 5, 32])
def test_chunks_keep_the_order(
    backbones: dict[str, Backbone], machine: Machine, rows: list[Example], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    told: list[int] = []
    whole = mean_pooled(backbones["roberta"], rows, ("text",), LENGTH, machine)
    monkeypatch.setattr("pet.learners.models.batching.CHUNK_ROWS", size)
    found = mean_pooled(backbones["roberta"], tuple(rows), {"text": "BODY"}, LENGTH, machine, told.append)
    assert found == pytest.approx(whole, abs=1e-5)
    assert sum(told) == 32
    assert max(told) <= size


def test_no_rows(backbones: dict[str, Backbone], machine: Machine) -> None:
    for family in FAMILIES:
        assert mean_pooled(backbones[family], [], FIELDS, LENGTH, machine).shape == (0, 32)


def test_the_longest_input(backbones: dict[str, Backbone], machine: Machine) -> None:
    """Text beyond it changes nothing, and the model's own limit holds whatever is asked for."""
    long = [Example("1", {"text": "good " * 5 + "bad " * 90}), Example("2", {"text": "good " * 5 + "plot " * 90})]
    one, other = mean_pooled(backbones["roberta"], long, ("text",), 7, machine)
    assert one == pytest.approx(other, abs=1e-6)
    one, other = mean_pooled(backbones["roberta"], long, ("text",), 512, machine)
    assert np.abs(one - other).max() > 1e-3


def test_the_weights_are_those_of_the_moment(backbones: dict[str, Backbone], machine: Machine) -> None:
    backbone = replace(backbones["bert"], model=copy.deepcopy(backbones["bert"].model))
    before = mean_pooled(backbone, ROWS, FIELDS, LENGTH, machine)
    with torch.no_grad():
        backbone.model.get_input_embeddings().weight.neg_()
    assert np.abs(mean_pooled(backbone, ROWS, FIELDS, LENGTH, machine) - before).max() > 1e-2
    assert np.array_equal(mean_pooled(backbones["bert"], ROWS, FIELDS, LENGTH, machine), before)


def test_the_precision_is_the_machine_s(backbones: dict[str, Backbone], machine: Machine) -> None:
    exact = mean_pooled(backbones["bert"], ROWS, FIELDS, LENGTH, machine)
    coarse = mean_pooled(backbones["bert"], ROWS, FIELDS, LENGTH, Machine(machine.device, "bf16"))
    assert coarse.dtype == np.float32
    assert 0 < np.abs(coarse - exact).max() < 0.1


def test_each_token_of_the_text_counts_alike() -> None:
    text = np.array([[False, True, True, False, False], [False] * 5])
    real = np.array([[True] * 4 + [False]] * 2)
    assert mean_weights(text, real).tolist() == [[0, 0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25, 0]]
