from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch, collate
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.masked_lm import (
    autocast,
    decoder_inputs,
    first_token_states,
    head_reads,
    label_scores,
    logits_at,
    mask_logits,
    mean_over_words,
    states_at,
    vocabulary_decoder,
    word_values,
)
from pet.learners.models.words import LabelWords
from pet.prompts.patterns import Pattern

TEMPLATES = ("It was {mask}. {text}", "{text} ? || {mask}, {text}")
TEXTS = ("good", "man plays outside at my city", "phone code data")


def batch_of(backbone: Backbone, template: str, slots: int = 1) -> Batch:
    backbone.reset()
    encoder = PatternEncoder(Pattern("p", template), backbone.pieces, 64)
    rows = encoder.encode([Example(text, {"text": text}) for text in TEXTS], slots)
    return collate(rows, backbone.tokenizer.pad_token_id, backbone.uses_segments, "cpu")


def hooks(backbone: Backbone) -> int:
    return len(backbone.model.base_model._forward_hooks)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_on_the_mask_rows_equals_the_full_computation(
    backbones: dict[str, Backbone], family: str, template: str, slots: int
) -> None:
    backbone = backbones[family]
    batch = batch_of(backbone, template, slots)
    with torch.inference_mode():
        full = backbone.model(**batch.inputs).logits  # [b, t, v]
        found = mask_logits(backbone.model, batch, "fp32")
    mask_id = backbone.tokenizer.mask_token_id
    places = (batch.inputs["input_ids"] == mask_id).nonzero()
    expected = full[places[:, 0], places[:, 1]].view(len(TEXTS), slots, -1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert hooks(backbone) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_that_of_the_full_computation(backbones: dict[str, Backbone], family: str) -> None:
    backbone = backbones[family]
    batch = batch_of(backbone, TEMPLATES[0])
    weight = backbone.model.get_input_embeddings().weight
    mask_logits(backbone.model, batch, "fp32").square().mean().backward()
    found, weight.grad = weight.grad, None
    backbone.model(**batch.inputs).logits[batch.rows, batch.positions].square().mean().backward()
    torch.testing.assert_close(found, weight.grad, atol=1e-6, rtol=1e-4)
    backbone.reset()
    assert weight.grad is None


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_comes_close(backbones: dict[str, Backbone], family: str) -> None:
    backbone = backbones[family]
    batch = batch_of(backbone, TEMPLATES[0])
    with torch.inference_mode():
        exact, rough = (mask_logits(backbone.model, batch, precision) for precision in ("fp32", "bf16"))
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_the_head_computes_in_float32_and_autocast_ends_with_the_call(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    batch = batch_of(backbone, TEMPLATES[0])
    seen = []
    handle = backbone.model.cls.register_forward_hook(lambda *parts: seen.append((parts[2].dtype, parts[2].shape)))
    with torch.inference_mode():
        mask_logits(backbone.model, batch, "bf16")
    handle.remove()
    assert seen == [(torch.float32, (1, 3, len(backbone.tokenizer)))]
    assert not torch.is_autocast_enabled("cpu")
    with autocast(torch.device("cpu"), "bf16"):
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_hook_is_removed_after_an_exception(backbones: dict[str, Backbone], precision: str) -> None:
    backbone = backbones["bert"]
    batch = batch_of(backbone, TEMPLATES[0])

    def fail(*_: object) -> None:
        raise RuntimeError("head")

    handle = backbone.model.cls.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="head"):
        mask_logits(backbone.model, batch, precision)
    handle.remove()
    assert hooks(backbone) == 0
    assert not torch.is_autocast_enabled("cpu")


def test_a_model_whose_head_does_not_read_its_base_model(
    backbones: dict[str, Backbone], refuses: Callable[..., None]
) -> None:
    backbone = backbones["bert"]
    batch = batch_of(backbone, TEMPLATES[0])

    class Odd(torch.nn.Module):
        base_model = torch.nn.Identity()
        config = SimpleNamespace(model_type="odd")

        def forward(self, **inputs: Any) -> Any:
            return backbone.model(**inputs)

    refuses(ModelError, lambda: logits_at(Odd(), batch, batch.rows, batch.positions, "fp32"), "'odd'", "choose another")


def test_rows_may_be_any_positions(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["roberta"]
    batch = batch_of(backbone, TEMPLATES[0])
    rows, positions = torch.tensor([2, 0]), torch.tensor([1, 4])
    with torch.inference_mode(), head_reads(backbone.model, states_at(rows, positions)):
        kept = backbone.model(**batch.inputs).logits
    with torch.inference_mode():
        full = backbone.model(**batch.inputs).logits
    torch.testing.assert_close(kept[0], full[rows, positions], atol=1e-5, rtol=1e-5)


def word_scores(logits: torch.Tensor, words: LabelWords) -> torch.Tensor:
    """Return label scores [b, k] from logits at the masks [b, p, v]."""
    return mean_over_words(word_values(logits, words), words)


def test_the_score_of_a_label_is_the_mean_over_its_words() -> None:
    """Label a has the words 1 and 3, label b the word 0."""
    logits = torch.tensor([[[1.0, 2.0, 3.0, 6.0]], [[0.0, -1.0, 9.0, 0.5]]])
    words = LabelWords(("a", "b"), np.array([[[1], [3]], [[0], [-1]]]))
    torch.testing.assert_close(word_scores(logits, words), torch.tensor([[4.0, 1.0], [-0.25, 0.0]]))


def test_the_score_of_a_long_word_is_its_mean_log_probability_per_piece() -> None:
    """Label a: the word (0, 1) and the word (1); label b: the word (2). Two slots over three tokens."""
    probs = torch.tensor([[[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]]])
    words = LabelWords(("a", "b"), np.array([[[0, 1], [1, -1]], [[2, -1], [-1, -1]]]))
    a = ((np.log(0.5) + np.log(0.8)) / 2 + np.log(0.2)) / 2
    expected = torch.tensor([[a, np.log(0.3)]], dtype=torch.float32)
    torch.testing.assert_close(word_scores(probs.log() + 7.0, words), expected)


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_label_scores_are_those_of_logits_of_the_whole_vocabulary(
    backbones: dict[str, Backbone], family: str, slots: int
) -> None:
    """With their gradient, which the words' rows of the decoder get alone."""
    backbone = backbones[family]
    batch, decoder = batch_of(backbone, TEMPLATES[0], slots), vocabulary_decoder(backbone.model)
    long = [[[9, 7], [12, -1]], [[30, -1], [-1, -1]]]
    words = LabelWords(("a", "b"), np.array(long)[:, :, :slots])
    with torch.no_grad():
        decoder.bias.normal_(generator=torch.Generator().manual_seed(0))
    seen = []
    handle = decoder.register_forward_hook(lambda *parts: seen.append(parts[2].shape[-1]))
    found = label_scores(backbone.model, batch, words, "fp32")
    handle.remove()
    found.square().sum().backward()
    gradients = decoder.weight.grad, decoder.bias.grad
    backbone.model.zero_grad()
    expected = word_scores(mask_logits(backbone.model, batch, "fp32"), words)
    expected.square().sum().backward()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for gradient, other in zip(gradients, (decoder.weight.grad, decoder.bias.grad), strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-5, rtol=1e-4)
    assert seen == [4 if slots == 1 else len(backbone.tokenizer)]
    assert "forward" not in vars(decoder)
    backbone.reset()


def test_an_unknown_family_gives_the_logits_of_the_whole_vocabulary(
    backbones: dict[str, Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = backbones["bert"]
    batch, words = batch_of(backbone, TEMPLATES[0]), LabelWords(("a", "b"), np.array([[[9]], [[30]]]))
    with torch.inference_mode():
        expected = label_scores(backbone.model, batch, words, "fp32")
        monkeypatch.setattr(backbone.model.config, "model_type", "odd")
        found = label_scores(backbone.model, batch, words, "fp32")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_decoder_reads_gives_the_logits_at_the_masks(
    backbones: dict[str, Backbone], family: str, slots: int
) -> None:
    backbone = backbones[family]
    batch = batch_of(backbone, TEMPLATES[1], slots)
    decoder = vocabulary_decoder(backbone.model)
    with torch.no_grad():
        decoder.bias.normal_(generator=torch.Generator().manual_seed(0))
        found = decoder_inputs(backbone.model, batch, "fp32")
        expected = mask_logits(backbone.model, batch, "fp32")
        torch.testing.assert_close(found @ decoder.weight.T + decoder.bias, expected, atol=1e-5, rtol=1e-5)
    assert found.shape == (len(TEXTS), slots, decoder.in_features)
    assert expected.abs().max() > 1.0
    backbone.reset()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_what_the_decoder_reads(backbones: dict[str, Backbone], family: str) -> None:
    """A loss of the logits gives the encoder the same gradient, whether they come from the model or from the reads."""
    backbone = backbones[family]
    batch = batch_of(backbone, TEMPLATES[0])
    decoder = vocabulary_decoder(backbone.model)
    bias = next(weight for name, weight in backbone.model.base_model.named_parameters() if "norm" in name.lower())
    (decoder_inputs(backbone.model, batch, "fp32") @ decoder.weight.T).square().sum().backward()
    found, bias.grad = bias.grad, None
    (mask_logits(backbone.model, batch, "fp32") - decoder.bias).square().sum().backward()
    assert found.abs().max() > 1e-4
    torch.testing.assert_close(found, bias.grad, atol=1e-5, rtol=1e-4)
    backbone.reset()


def test_the_decoder_is_given_no_rows_and_left_without_a_hook(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["albert"]
    batch = batch_of(backbone, TEMPLATES[0])
    decoder, seen = vocabulary_decoder(backbone.model), []
    handle = decoder.register_forward_hook(lambda *parts: seen.append(parts[2].shape))
    with torch.inference_mode():
        decoder_inputs(backbone.model, batch, "bf16")
        mask_logits(backbone.model, batch, "fp32")
    handle.remove()
    vocabulary = len(backbone.tokenizer)
    assert seen == [(1, 0, vocabulary), (1, 3, vocabulary)]
    assert not torch.is_autocast_enabled("cpu")


def test_the_decoder_hook_is_removed_after_an_exception(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    batch = batch_of(backbone, TEMPLATES[0])

    def fail(*_: object) -> None:
        raise RuntimeError("encoder")

    handle = backbone.model.base_model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="encoder"):
        decoder_inputs(backbone.model, batch, "fp32")
    handle.remove()
    assert not vocabulary_decoder(backbone.model)._forward_pre_hooks
    assert hooks(backbone) == 0


@pytest.mark.parametrize("decoder", [None, torch.nn.Linear(32, 4), torch.nn.Linear(32, 5)])
def test_a_model_whose_decoder_is_not_known(
    backbones: dict[str, Backbone], refuses: Callable[..., None], decoder: torch.nn.Linear | None
) -> None:
    """It has none, or one that the logits do not come from, or one that makes no word of the vocabulary."""
    backbone = backbones["bert"]
    batch = batch_of(backbone, TEMPLATES[0])

    class Odd(torch.nn.Module):
        base_model = backbone.model.base_model
        config = SimpleNamespace(model_type="odd", vocab_size=4)

        def get_output_embeddings(self) -> torch.nn.Linear | None:
            return decoder

        def forward(self, **inputs: Any) -> Any:
            return backbone.model(**inputs)

    refuses(ModelError, lambda: decoder_inputs(Odd(), batch, "fp32"), "'odd'", "choose another", "output")
    assert hooks(backbone) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_first_token_states_are_the_last_hidden_states_of_the_first_token(
    backbones: dict[str, Backbone], family: str
) -> None:
    backbone = backbones[family]
    batch = batch_of(backbone, TEMPLATES[0])
    seen = []
    handle = vocabulary_decoder(backbone.model).register_forward_hook(lambda *_: seen.append(1))
    with torch.inference_mode():
        found = first_token_states(backbone.model, batch, "fp32")
        rough = first_token_states(backbone.model, batch, "bf16")
        assert seen == []  # the head has not run
        full = backbone.model(**batch.inputs, output_hidden_states=True).hidden_states[-1]
    handle.remove()
    torch.testing.assert_close(found, full[:, 0], atol=1e-6, rtol=1e-6)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, found, atol=0.1, rtol=0.1)


def test_the_values_of_words_and_their_mean() -> None:
    """Label a has the words 1 and 3, label b the word 0."""
    logits = torch.tensor([[[1.0, 2.0, 3.0, 6.0]]])
    words = LabelWords(("a", "b"), np.array([[[1], [3]], [[0], [-1]]]))
    values = word_values(logits, words)
    assert values.tolist() == [[[2.0, 6.0], [1.0, 0.0]]]
    assert mean_over_words(values, words).tolist() == [[4.0, 1.0]]
