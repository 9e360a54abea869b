"""Trained vectors at virtual tokens: the hook, the encoders, the fold; on nine families against `inputs_embeds`."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import FAMILIES
from torch import nn

from pet.learners.encoding import PatternEncoder, VirtualTokens
from pet.learners.inits import frequent_words, token_texts
from pet.learners.masked_lm import autocast, label_scores, logits_at
from pet.learners.soft_prompt import SoftPrompt
from pet.learners.words import LabelWords
from pet.prompts import Pattern
from pet.variants import VariantSettings

ENCODERS = ("none", "mlp", "lstm")
NO_IDS = np.empty(0, np.int32)
WORDS = LabelWords(("a", "b"), np.asarray([[[20]], [[21]]]))
PAIR = Pattern.parse("toy/it", "It was {mask}. it was {text}")
SOFT = VirtualTokens("a", "soft", 0, 3, "uniform", NO_IDS)


def tuned(ids, offset=3):
    return VirtualTokens("b", "tune", offset, len(ids), "", np.asarray(ids, np.int32))


def started(backbone, *groups, seed=0, **settings):
    return SoftPrompt.start(groups, VariantSettings(**settings), WORDS, backbone, np.random.default_rng(seed))


def encoded(backbone, rows, pattern=PAIR):
    return PatternEncoder(pattern, backbone.pieces, 64).encode(rows)


def with_slots(batch, slots):
    """Mark the same places of every row: {position: slot}."""
    places = torch.full_like(batch.inputs["input_ids"], -1)
    for position, slot in slots.items():
        places[:, position] = slot
    return replace(batch, soft_slots=places)


def marked(backbone, rows):
    """A padded batch whose rows have slots at two, three or four places, not the same ones."""
    batch = backbone.batch(encoded(backbone, rows))
    places = torch.full_like(batch.inputs["input_ids"], -1)
    places[:, 1], places[:, 4] = 0, 2
    places[::2, 5], places[::3, 2] = 1, 0
    return replace(batch, soft_slots=places)


def all_logits(backbone, batch, prompt=None):
    with torch.no_grad():
        if prompt is None:
            return backbone.model(**batch.inputs).logits
        with prompt.during(backbone.model, batch):
            return backbone.model(**batch.inputs).logits


def real(batch):
    return batch.inputs["attention_mask"].bool()


@pytest.fixture(scope="module")
def few(rows):
    return rows[:5]  # 3 to 7 words


@pytest.fixture
def frozen(backbones):
    """The family "bert", to be trained or changed at will."""
    return replace(backbones["bert"], model=copy.deepcopy(backbones["bert"].model).requires_grad_(False))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["none", "lstm"])
def test_the_hook_is_inputs_embeds(backbones, few, family, kind):
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
def test_padding_changes_nothing(backbones, few, family):
    backbone = backbones[family]
    prompt, together = started(backbone, SOFT, prompt_encoder="mlp"), marked(backbone, few)
    found = all_logits(backbone, together, prompt)
    for i, row in enumerate(encoded(backbone, few)):
        slots = together.soft_slots[i : i + 1, : len(row)]
        alone = all_logits(backbone, replace(backbone.batch([row]), soft_slots=slots), prompt)
        assert torch.allclose(found[i, : len(row)], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_untrained_tuned_words_are_the_hard_template(backbones, few, family, kind):
    """Bit for bit, with an encoder for the free vectors of the pattern as well."""
    backbone = backbones[family]
    rows = encoded(backbone, few)
    words = rows[0].input_ids[[1, 2]]
    prompt = started(backbone, SOFT, tuned(words), prompt_encoder=kind)
    batch = backbone.batch(rows)
    assert torch.equal(all_logits(backbone, with_slots(batch, {1: 3, 2: 4}), prompt), all_logits(backbone, batch))
    assert not torch.equal(all_logits(backbone, with_slots(batch, {1: 4, 2: 3}), prompt), all_logits(backbone, batch))


def test_the_same_word_elsewhere_stays(frozen, few):
    """Moving the vector of the first "it" is seen there, and at its places in the text only through it."""
    rows = encoded(frozen, few)
    batch = with_slots(frozen.batch(rows), {1: 0})
    again = np.flatnonzero(rows[0].input_ids == rows[0].input_ids[1])
    assert len(again) == 2  # "It was [MASK]. it was ..."
    prompt = started(frozen, tuned(rows[0].input_ids[[1]], offset=0))
    with torch.no_grad():
        prompt.table += 1
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


def test_the_hook_is_gone_afterwards(frozen, few):
    prompt, batch = started(frozen, SOFT), marked(frozen, few)
    before = all_logits(frozen, batch)
    with pytest.raises(KeyError), prompt.during(frozen.model, batch):
        raise KeyError
    all_logits(frozen, batch, prompt)
    assert not frozen.model.get_input_embeddings()._forward_hooks
    assert torch.equal(all_logits(frozen, batch), before)


@pytest.mark.parametrize(("count", "width"), [(5, 40), (3, 0)])
def test_another_batch_is_refused(frozen, few, count, width):
    """Of another width, or of fewer rows."""
    prompt, batch = started(frozen, SOFT), marked(frozen, few)
    other = frozen.batch(encoded(frozen, few[-count:]), width)
    shape = tuple(other.inputs["input_ids"].shape)
    with prompt.during(frozen.model, batch), pytest.raises(RuntimeError) as caught:
        frozen.model(**other.inputs)
    assert f"{shape}, expected {tuple(batch.soft_slots.shape)}" in str(caught.value)
    assert (shape[0] == 5) != (shape[1] == batch.soft_slots.shape[1])


def test_a_batch_without_slots_is_as_it_was(frozen, few):
    prompt, batch = started(frozen, SOFT), frozen.batch(encoded(frozen, few))
    assert torch.equal(all_logits(frozen, batch, prompt), all_logits(frozen, batch))
    assert torch.equal(all_logits(frozen, with_slots(batch, {}), prompt), all_logits(frozen, batch))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_gradients_reach_what_trains_and_nothing_else(backbones, few, family, kind):
    backbone = replace(backbones[family], model=copy.deepcopy(backbones[family].model).requires_grad_(False))
    prompt = started(backbone, SOFT, tuned([20, 21]), prompt_encoder=kind)
    batch = with_slots(backbone.batch(encoded(backbone, few)), {1: 0, 2: 1, 3: 2, 5: 3, 6: 4})
    with prompt.during(backbone.model, batch):
        logits_at(backbone.model, batch, batch.rows, batch.positions, "fp32").logsumexp(-1).sum().backward()
    for name, tensor in prompt.named_parameters():
        assert tensor.grad is not None and tensor.grad.any(), name
    assert prompt.table.grad.any(1).all()
    assert all(tensor.grad is None for tensor in backbone.model.parameters())


def test_the_placeholder_gets_no_gradient(backbones, few):
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


def test_a_shared_row_adds_up_its_gradients(frozen, few):
    """One vector at two places has the sum of the gradients of two vectors."""
    batch = frozen.batch(encoded(frozen, few))

    def gradient(prompt, slots):
        here = with_slots(batch, slots)
        with prompt.during(frozen.model, here):
            logits_at(frozen.model, here, here.rows, here.positions, "fp32").logsumexp(-1).sum().backward()
        return prompt.table.grad

    vector = started(frozen, SOFT).table.detach()[:1]
    shared = gradient(SoftPrompt(vector), {1: 0, 4: 0})
    apart = gradient(SoftPrompt(vector.expand(2, -1)), {1: 0, 4: 1})
    assert torch.allclose(shared[0], apart.sum(0), rtol=1e-4, atol=1e-7)
    assert shared.any()


def count(prompt):
    return sum(tensor.numel() for tensor in prompt.parameters())


@pytest.mark.parametrize("family", ["bert", "albert", "electra"])  # e is 32, 16, 16
@pytest.mark.parametrize("kind", ENCODERS)
def test_shapes_and_counts(backbones, family, kind):
    backbone = backbones[family]
    prompt, e = started(backbone, SOFT, tuned([20, 21]), prompt_encoder=kind), 32 if family == "bert" else 16
    extra = {"none": 0, "mlp": 2 * e * e + 2 * e, "lstm": 43 * e * e + 34 * e}
    assert count(prompt) == 5 * e + extra[kind]
    assert prompt.vectors().shape == (5, e)
    assert prompt.vectors().dtype == torch.float32
    assert all(tensor.requires_grad for tensor in prompt.parameters())


def test_published_counts():
    """20 vectors on bert-base, as the code of 2103.10385 has them."""
    with torch.device("meta"):
        table = torch.empty(20, 768)
    assert [count(SoftPrompt(table, kind)) for kind in ENCODERS] == [15_360, 1_196_544, 25_403_904]


def test_the_mlp_by_hand(backbones):
    prompt = started(backbones["bert"], SOFT, tuned([20]), prompt_encoder="mlp")
    parts = {name: tensor.detach() for name, tensor in prompt.named_parameters()}
    first, first_bias, second, second_bias = (tensor for name, tensor in parts.items() if name != "table")
    hidden = (parts["table"][:3] @ first.T + first_bias).clamp_min(0)
    assert torch.allclose(prompt.vectors()[:3], hidden @ second.T + second_bias, atol=1e-6)
    assert torch.equal(prompt.vectors()[3], parts["table"][3])


def test_the_lstm_reads_both_ways(backbones):
    """Each free vector depends on all others, before and after it; tuned words between them have no part."""
    backbone = backbones["bert"]
    late = VirtualTokens("c", "soft", 5, 1, "uniform", NO_IDS)
    prompt = started(backbone, SOFT, tuned([20, 21]), late, prompt_encoder="lstm")
    rows = []
    for i in range(6):
        prompt.table.grad = None
        prompt.vectors()[i].square().sum().backward()
        rows.append(prompt.table.grad.any(1).int().tolist())
    free, word, other = [1, 1, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]
    assert rows == [free, free, free, word, other, free]


def test_each_free_vector_is_encoded_alone_by_the_mlp(backbones):
    prompt = started(backbones["bert"], SOFT, prompt_encoder="mlp")
    prompt.vectors()[1].square().sum().backward()
    assert prompt.table.grad.any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_only_tuned_words_need_no_encoder(backbones, kind):
    prompt = started(backbones["bert"], tuned([20, 21], offset=0), prompt_encoder=kind)
    assert [name for name, _ in prompt.named_parameters()] == ["table"]
    assert prompt.kind == "none"
    assert started(backbones["bert"], SOFT, prompt_encoder=kind).kind == kind


@pytest.mark.parametrize("family", ["bert", "albert", "modernbert"])
@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_folding_keeps_the_scores(backbones, few, family, kind, precision):
    backbone = backbones[family]
    prompt, batch = started(backbone, SOFT, tuned([20, 21]), prompt_encoder=kind), marked(backbone, few)
    folded = prompt.folded()
    assert [name for name, _ in folded.named_parameters()] == ["table"]
    assert folded.tuned == prompt.tuned == (False, False, False, True, True)
    found = []
    for each in (prompt, folded):
        with torch.inference_mode(), each.during(backbone.model, batch):
            found.append(label_scores(backbone.model, batch, WORDS, precision))
    assert torch.allclose(*found, rtol=0, atol=1e-6)
    with torch.no_grad():
        folded.table += 1
    assert (folded.vectors() - prompt.vectors()).abs().min() > 0.5  # a copy


@pytest.mark.parametrize("kind", ENCODERS)
def test_autocast_and_inference_mode(backbones, few, kind):
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


@pytest.mark.parametrize("kind", ENCODERS)
def test_training_mode_changes_no_vector(backbones, kind):
    prompt = started(backbones["bert"], SOFT, prompt_encoder=kind)
    assert torch.equal(prompt.train().vectors(), prompt.eval().vectors())
    assert not prompt.training
    # The LSTM of a GPU cannot be differentiated out of training mode.
    assert all(module.training for module in prompt.modules() if isinstance(module, nn.LSTM))


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_the_generator_decides_and_torch_s_is_left_alone(backbones, kind):
    def state(seed, before):
        torch.manual_seed(before)
        made = started(backbones["bert"], SOFT, seed=seed, prompt_encoder=kind).state_dict()
        assert torch.initial_seed() == before
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(before)))
        return torch.cat([tensor.flatten() for tensor in made.values()])

    assert torch.equal(state(1, 5), state(1, 6))
    assert (state(1, 5) != state(2, 5)).float().mean() > 0.99


def test_the_preset_names_the_encoder(backbones):
    kinds = {preset: started(backbones["bert"], SOFT, preset=preset).kind for preset in ("p-tuning", "prompt-tuning")}
    assert kinds == {"p-tuning": "mlp", "prompt-tuning": "none"}


def test_the_settings_say_how_free_vectors_start(backbones):
    group = replace(SOFT, init="")
    wide = started(backbones["bert"], group, init="uniform").table
    words = started(backbones["bert"], group).table
    assert wide.abs().max() > 0.3 > 0.2 > words.abs().max()


def test_a_saved_state_can_be_loaded_and_trained_on(backbones):
    made = started(backbones["bert"], SOFT, tuned([20, 21]), prompt_encoder="lstm")
    state = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    assert set(state) == {name for name, _ in made.named_parameters()}
    again = SoftPrompt(torch.empty(5, 32), "lstm", made.tuned)
    again.load_state_dict(state)
    assert torch.equal(again.vectors(), made.vectors())
    assert all(tensor.requires_grad for tensor in again.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_nearest_words(backbones, family):
    """An untouched vector of a word is that word; the order and the cosines are those of a plain loop."""
    backbone = backbones[family]
    prompt = started(backbone, replace(SOFT, init="vocab"), VirtualTokens("d", "soft", 3, 1, "normal", NO_IDS))
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


def test_nearest_words_are_of_the_encoded_vectors(backbones):
    prompt = started(backbones["bert"], SOFT, prompt_encoder="mlp")
    assert prompt.nearest_words(backbones["bert"], 3) == prompt.folded().nearest_words(backbones["bert"], 3)
    assert [len(words) for words in prompt.nearest_words(backbones["bert"], 1)] == [1, 1, 1]


def test_vectors_learn_and_the_model_stays(frozen, rows):
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
