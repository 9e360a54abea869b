"""Trained vectors at virtual tokens: the hook and its gradients, on nine families against `inputs_embeds`."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from soft_prompts import ENCODERS, SOFT, WORDS, all_logits, encoded, marked, real, started, tuned, with_slots
from tiny import FAMILIES

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.masked_lm import autocast, label_scores, logits_at
from pet.learners.voters.soft_prompt import SoftPrompt


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["none", "lstm"])
def test_the_hook_is_inputs_embeds(backbones: dict[str, Backbone], few: list[Example], family: str, kind: str) -> None:
    backbone = backbones[family]
    prompt, batch = started(backbone, SOFT, prompt_encoder=kind), marked(backbone, few)
    ids, vectors = batch.inputs["input_ids"], prompt.vectors().detach()
    by_hand = backbone.model.get_input_embeddings().weight.detach()[ids]
    for i, row in enumerate(batch.soft_slots.tolist()):
        for j, slot in enumerate(row):
            if slot >= 0:
                by_hand[i, j] = vectors[slot]
    others = {name: tensor for name, tensor in batch.inputs.items() if name != "input_ids"}
    with torch.no_grad():
        wanted = backbone.model(inputs_embeds=by_hand, **others).logits[real(batch)]
    found = all_logits(backbone, batch, prompt)[real(batch)]
    assert torch.allclose(found, wanted, rtol=0, atol=1e-6)
    assert (found - all_logits(backbone, batch)[real(batch)]).abs().max() > 1e-3
    assert not real(batch).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(backbones: dict[str, Backbone], few: list[Example], family: str) -> None:
    backbone = backbones[family]
    prompt, together = started(backbone, SOFT, prompt_encoder="mlp"), marked(backbone, few)
    found = all_logits(backbone, together, prompt)
    for i, row in enumerate(encoded(backbone, few)):
        assert together.soft_slots is not None
        slots = together.soft_slots[i : i + 1, : len(row)]
        alone = all_logits(backbone, replace(backbone.batch([row]), soft_slots=slots), prompt)
        assert torch.allclose(found[i, : len(row)], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_untrained_tuned_words_are_the_hard_template(
    backbones: dict[str, Backbone], few: list[Example], family: str, kind: str
) -> None:
    """Bit for bit, with an encoder for the free vectors of the pattern as well."""
    backbone = backbones[family]
    rows = encoded(backbone, few)
    words = rows[0].input_ids[[1, 2]]
    prompt = started(backbone, SOFT, tuned(words), prompt_encoder=kind)
    batch = backbone.batch(rows)
    assert torch.equal(all_logits(backbone, with_slots(batch, {1: 3, 2: 4}), prompt), all_logits(backbone, batch))
    assert not torch.equal(all_logits(backbone, with_slots(batch, {1: 4, 2: 3}), prompt), all_logits(backbone, batch))


def test_the_same_word_elsewhere_stays(frozen: Backbone, few: list[Example]) -> None:
    """Moving the vector of the first "it" is seen there, and at its places in the text only through it."""
    rows = encoded(frozen, few)
    batch = with_slots(frozen.batch(rows), {1: 0})
    again = np.flatnonzero(rows[0].input_ids == rows[0].input_ids[1])
    assert len(again) == 2  # "It was [MASK]. it was ..."
    prompt = started(frozen, tuned(rows[0].input_ids[[1]], offset=0))
    with torch.no_grad():
        prompt.table.add_(1)
    seen = []
    handle = frozen.model.bert.embeddings.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(module.word_embeddings(kwargs["input_ids"])), with_kwargs=True
    )
    with prompt.during(frozen.model, batch), torch.no_grad():
        frozen.model(**batch.inputs)
    handle.remove()
    plain = frozen.model.get_input_embeddings()(batch.inputs["input_ids"])
    moved = (seen[0] != plain).any(-1)
    assert moved.nonzero().tolist() == [[i, 1] for i in range(len(rows))]
    assert torch.equal(seen[0][:, 1], prompt.table.detach().expand(len(rows), -1))


def test_the_hook_is_gone_afterwards(frozen: Backbone, few: list[Example]) -> None:
    prompt, batch = started(frozen, SOFT), marked(frozen, few)
    before = all_logits(frozen, batch)
    with pytest.raises(KeyError), prompt.during(frozen.model, batch):
        raise KeyError
    all_logits(frozen, batch, prompt)
    assert not frozen.model.get_input_embeddings()._forward_hooks
    assert torch.equal(all_logits(frozen, batch), before)


def test_a_batch_without_slots_is_as_it_was(frozen: Backbone, few: list[Example]) -> None:
    prompt, batch = started(frozen, SOFT), frozen.batch(encoded(frozen, few))
    assert torch.equal(all_logits(frozen, batch, prompt), all_logits(frozen, batch))
    assert torch.equal(all_logits(frozen, with_slots(batch, {}), prompt), all_logits(frozen, batch))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_gradients_reach_what_trains_and_nothing_else(
    backbones: dict[str, Backbone], few: list[Example], family: str, kind: str
) -> None:
    backbone = replace(backbones[family], model=copy.deepcopy(backbones[family].model).requires_grad_(False))
    prompt = started(backbone, SOFT, tuned([20, 21]), prompt_encoder=kind)
    batch = with_slots(backbone.batch(encoded(backbone, few)), {1: 0, 2: 1, 3: 2, 5: 3, 6: 4})
    with prompt.during(backbone.model, batch):
        logits_at(backbone.model, batch, batch.rows, batch.positions, "fp32").logsumexp(-1).sum().backward()
    for name, tensor in prompt.named_parameters():
        assert tensor.grad is not None and tensor.grad.any(), name
    assert prompt.table.grad.any(1).all()
    assert all(tensor.grad is None for tensor in backbone.model.parameters())


def test_the_placeholder_gets_no_gradient(backbones: dict[str, Backbone], few: list[Example]) -> None:
    """Also where the word vectors train: what stands in `input_ids` at a slot has no part in the result."""
    backbone = replace(backbones["bert"], model=copy.deepcopy(backbones["bert"].model))
    prompt = started(backbone, SOFT)
    batch = with_slots(backbone.batch(encoded(backbone, few)), {2: 0})
    batch.inputs["input_ids"][:, 2] = 30
    assert (batch.inputs["input_ids"] == 30).sum() == len(few)
    with prompt.during(backbone.model, batch):
        hidden = backbone.model.base_model(**batch.inputs).last_hidden_state
    hidden[:, 3].square().sum().backward()
    gradient = backbone.model.get_input_embeddings().weight.grad
    assert not gradient[30].any()
    assert gradient[batch.inputs["input_ids"][0, 1]].any()


def test_a_shared_row_adds_up_its_gradients(frozen: Backbone, few: list[Example]) -> None:
    """One vector at two places has the sum of the gradients of two vectors."""
    batch = frozen.batch(encoded(frozen, few))

    def gradient(prompt: SoftPrompt, slots: dict[int, int]) -> torch.Tensor:
        here = with_slots(batch, slots)
        with prompt.during(frozen.model, here):
            logits_at(frozen.model, here, here.rows, here.positions, "fp32").logsumexp(-1).sum().backward()
        assert prompt.table.grad is not None
        return prompt.table.grad

    vector = started(frozen, SOFT).table.detach()[:1]
    shared = gradient(SoftPrompt(vector, "none", np.zeros(1, bool)), {1: 0, 4: 0})
    apart = gradient(SoftPrompt(vector.expand(2, -1), "none", np.zeros(2, bool)), {1: 0, 4: 1})
    assert torch.allclose(shared[0], apart.sum(0), rtol=1e-4, atol=1e-7)
    assert shared.any()


@pytest.mark.parametrize("kind", ENCODERS)
def test_autocast_and_inference_mode(backbones: dict[str, Backbone], few: list[Example], kind: str) -> None:
    backbone = backbones["bert"]
    prompt, batch = started(backbone, SOFT, prompt_encoder=kind), marked(backbone, few)
    exact = all_logits(backbone, batch, prompt)[real(batch)]
    with torch.inference_mode(), prompt.during(backbone.model, batch), autocast(torch.device("cpu"), "bf16"):
        assert torch.equal(prompt.vectors(), started(backbone, SOFT, prompt_encoder=kind).vectors())
        coarse = backbone.model(**batch.inputs).logits[real(batch)]
    assert 0 < (coarse - exact).abs().max() < 0.1
    with prompt.during(backbone.model, batch), autocast(torch.device("cpu"), "bf16"):
        backbone.model(**batch.inputs).logits.float().square().mean().backward()
    assert all(tensor.grad.dtype == torch.float32 and tensor.grad.any() for tensor in prompt.parameters())
    backbone.model.zero_grad(set_to_none=True)


def test_vectors_learn_and_the_model_stays(frozen: Backbone, rows: list[Example]) -> None:
    """Vectors alone make a frozen random model prefer one label; its weights stay bit for bit."""
    with torch.no_grad():
        for weight in frozen.model.parameters():
            weight.mul_(5 if weight.dim() > 1 else 1)  # as drawn, its attention hardly looks at other tokens
    before = {name: tensor.clone() for name, tensor in frozen.model.state_dict().items()}
    prompt = started(frozen, SOFT)
    batch = with_slots(frozen.batch(encoded(frozen, rows)), {1: 0, 2: 1, 4: 2})
    optimizer, losses = torch.optim.AdamW(prompt.parameters(), lr=0.1, weight_decay=0), []
    for _ in range(30):
        with prompt.during(frozen.model, batch):
            scores = label_scores(frozen.model, batch, WORDS, "fp32")
        loss = (scores[:, 0] - scores[:, 1]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3, losses
    assert all(torch.equal(tensor, before[name]) for name, tensor in frozen.model.state_dict().items())
