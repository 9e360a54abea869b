"""What trained vectors are: how they start, the encoders before them, and the words nearest to them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from soft_prompts import ENCODERS, NO_IDS, SOFT, WORDS, marked, started, tuned
from tiny import FAMILIES
from torch import nn

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.encoding import VirtualTokens
from pet.learners.models.masked_lm import label_scores
from pet.learners.voters.inits import frequent_words, token_texts
from pet.learners.voters.soft_prompt import SoftPrompt

FREE = np.zeros(20, bool)


def count(prompt: SoftPrompt) -> int:
    return sum(tensor.numel() for tensor in prompt.parameters())


@pytest.mark.parametrize("family", ["bert", "albert", "electra"])  # e is 32, 16, 16
@pytest.mark.parametrize("kind", ENCODERS)
def test_shapes_and_counts(backbones: dict[str, Backbone], family: str, kind: str) -> None:
    backbone = backbones[family]
    prompt, e = started(backbone, SOFT, tuned([20, 21]), prompt_encoder=kind), 32 if family == "bert" else 16
    extra = {"none": 0, "mlp": 2 * e * e + 2 * e, "lstm": 43 * e * e + 34 * e}
    assert count(prompt) == 5 * e + extra[kind]
    assert prompt.vectors().shape == (5, e)
    assert prompt.vectors().dtype == torch.float32
    assert all(tensor.requires_grad for tensor in prompt.parameters())


def test_published_counts() -> None:
    """20 vectors on bert-base, as the code of 2103.10385 has them."""
    with torch.device("meta"):
        table = torch.empty(20, 768)
    assert [count(SoftPrompt(table, kind, FREE[:20])) for kind in ENCODERS] == [15_360, 1_196_544, 25_403_904]


def test_the_mlp_by_hand(backbones: dict[str, Backbone]) -> None:
    prompt = started(backbones["bert"], SOFT, tuned([20]), prompt_encoder="mlp")
    parts = {name: tensor.detach() for name, tensor in prompt.named_parameters()}
    first, first_bias, second, second_bias = (tensor for name, tensor in parts.items() if name != "table")
    hidden = (parts["table"][:3] @ first.T + first_bias).clamp_min(0)
    assert torch.allclose(prompt.vectors()[:3], hidden @ second.T + second_bias, atol=1e-6)
    assert torch.equal(prompt.vectors()[3], parts["table"][3])


def test_the_lstm_reads_both_ways(backbones: dict[str, Backbone]) -> None:
    """Each free vector depends on all others, before and after it; tuned words between them have no part."""
    backbone = backbones["bert"]
    late = VirtualTokens("soft", 5, 1, "uniform", NO_IDS)
    prompt = started(backbone, SOFT, tuned([20, 21]), late, prompt_encoder="lstm")
    rows = []
    for i in range(6):
        prompt.table.grad = None
        prompt.vectors()[i].square().sum().backward()
        gradient: Any = prompt.table.grad
        rows.append(gradient.any(1).int().tolist())
    free, word, other = [1, 1, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]
    assert rows == [free, free, free, word, other, free]


def test_each_free_vector_is_encoded_alone_by_the_mlp(backbones: dict[str, Backbone]) -> None:
    prompt = started(backbones["bert"], SOFT, prompt_encoder="mlp")
    prompt.vectors()[1].square().sum().backward()
    assert prompt.table.grad.any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_only_tuned_words_need_no_encoder(backbones: dict[str, Backbone], kind: str) -> None:
    prompt = started(backbones["bert"], tuned([20, 21], offset=0), prompt_encoder=kind)
    assert [name for name, _ in prompt.named_parameters()] == ["table"]
    assert prompt.encoder is None
    assert started(backbones["bert"], SOFT, prompt_encoder=kind).encoder is not None


@pytest.mark.parametrize("family", ["bert", "albert", "modernbert"])
@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_encoder_is_the_vectors_that_it_makes(
    backbones: dict[str, Backbone], few: list[Example], family: str, kind: str, precision: str
) -> None:
    backbone = backbones[family]
    prompt, batch = started(backbone, SOFT, tuned([20, 21]), prompt_encoder=kind), marked(backbone, few)
    plain = SoftPrompt(prompt.vectors(), "none", np.arange(5) > 2)
    found = []
    for each in (prompt, plain):
        with torch.inference_mode(), each.during(backbone.model, batch):
            found.append(label_scores(backbone.model, batch, WORDS, precision))
    assert torch.allclose(found[0], found[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ENCODERS)
def test_training_mode_changes_no_vector(backbones: dict[str, Backbone], kind: str) -> None:
    prompt = started(backbones["bert"], SOFT, prompt_encoder=kind)
    assert torch.equal(prompt.train().vectors(), prompt.eval().vectors())
    assert not prompt.training
    # The LSTM of a GPU cannot be differentiated out of training mode.
    assert all(module.training for module in prompt.modules() if isinstance(module, nn.LSTM))


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_the_generator_decides_and_torch_s_is_left_alone(backbones: dict[str, Backbone], kind: str) -> None:
    def state(seed: int, before: int) -> torch.Tensor:
        torch.manual_seed(before)
        made = started(backbones["bert"], SOFT, seed=seed, prompt_encoder=kind).state_dict()
        assert torch.initial_seed() == before
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(before)))
        return torch.cat([tensor.flatten() for tensor in made.values()])

    assert torch.equal(state(1, 5), state(1, 6))
    assert (state(1, 5) != state(2, 5)).float().mean() > 0.99


def test_the_preset_names_the_encoder(backbones: dict[str, Backbone]) -> None:
    mlp, none = (started(backbones["bert"], SOFT, preset=preset).encoder for preset in ("p-tuning", "prompt-tuning"))
    assert mlp.lstm is None
    assert none is None


def test_the_settings_say_how_free_vectors_start(backbones: dict[str, Backbone]) -> None:
    group = replace(SOFT, init="")
    wide = started(backbones["bert"], group, init="uniform").table
    words = started(backbones["bert"], group).table
    assert wide.abs().max() > 0.3 > 0.2 > words.abs().max()


def test_a_saved_state_can_be_loaded_and_trained_on(backbones: dict[str, Backbone]) -> None:
    made = started(backbones["bert"], SOFT, tuned([20, 21]), prompt_encoder="lstm")
    state = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    assert set(state) == {name for name, _ in made.named_parameters()}
    again = SoftPrompt(torch.empty(5, 32), "lstm", np.arange(5) > 2)
    again.load_state_dict(state)
    assert torch.equal(again.vectors(), made.vectors())
    assert all(tensor.requires_grad for tensor in again.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_nearest_words(backbones: dict[str, Backbone], family: str) -> None:
    """An untouched vector of a word is that word; the order and the cosines are those of a plain loop."""
    backbone = backbones[family]
    prompt = started(backbone, replace(SOFT, init="vocab"), VirtualTokens("soft", 3, 1, "normal", NO_IDS))
    near = prompt.nearest_words(backbone, 4)
    vectors = backbone.model.get_input_embeddings().weight.detach()
    ids = frequent_words(backbone.pieces).tolist()
    for row, words in zip(prompt.table.detach()[:3], near, strict=False):
        (token,) = [i for i in ids if torch.equal(vectors[i], row)]
        assert words[0][0] == token_texts(backbone.tokenizer, [token])[0]
        assert words[0][1] == pytest.approx(1, abs=1e-5)
    special = set(backbone.tokenizer.all_special_ids)
    others = [i for i in range(len(backbone.tokenizer)) if i not in special]
    cosines = nn.functional.cosine_similarity(prompt.table.detach()[3:], vectors[others])
    best = cosines.argsort(descending=True)[:4]
    assert [word for word, _ in near[3]] == token_texts(backbone.tokenizer, [others[i] for i in best])
    assert [cosine for _, cosine in near[3]] == pytest.approx(cosines[best].tolist(), abs=1e-5)


def test_nearest_words_are_of_the_encoded_vectors(backbones: dict[str, Backbone]) -> None:
    prompt = started(backbones["bert"], SOFT, prompt_encoder="mlp")
    plain = SoftPrompt(prompt.vectors(), "none", FREE[:3])
    assert prompt.nearest_words(backbones["bert"], 3) == plain.nearest_words(backbones["bert"], 3)
    assert [len(words) for words in prompt.nearest_words(backbones["bert"], 1)] == [1, 1, 1]
