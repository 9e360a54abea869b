"""How scores of labels come from the mask: every output head against plain words, and each by hand."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from heads import WORDS, batch_of, new
from tiny import FAMILIES

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.delta import copy_into
from pet.learners.models.masked_lm import decoder_inputs, label_scores, vocabulary_decoder, word_values
from pet.learners.models.words import LabelWords
from pet.learners.voters.outputs import CalibratedWords, LabelVectors, Prototypes, WeightedWords, output_head
from pet.settings.variants import Output

KINDS = get_args(Output)
LONG = LabelWords(("a", "b"), np.array([[[40, 31], [33, -1]], [[52, -1], [-1, -1]]]))
HAND = LabelWords(("a", "b"), np.array([[[1], [3]], [[0], [-1]]]))
"""Label a has the words 1 and 3, label b the word 0, of four tokens."""
UNREAD: Any = None
"""The batch of a head whose logits or states are given by hand."""
HAND_LOGITS = torch.tensor([[[1.0, 2.0, 3.0, 6.0]], [[0.0, -1.0, 9.0, 0.5]]])


def prepared(head: Any, backbone: Backbone, words: LabelWords = WORDS) -> Any:
    """The same head after it has seen what it wants of three rows, the last label without one."""
    if isinstance(head, CalibratedWords | Prototypes):
        with torch.no_grad():
            observed = head.observe(backbone.model, batch_of(backbone, words.slots), "fp32")
        prepare(head, observed, [0, 1, 0])
    return head


def prepare(head: Any, observed: torch.Tensor, columns: list[int]) -> None:
    head.prepare(observed, *([torch.tensor(columns)] if isinstance(head, Prototypes) else []))


def with_decoder(decoder: torch.nn.Linear) -> SimpleNamespace:
    """A model of four words, of which a head asks for its decoder alone."""
    return SimpleNamespace(get_output_embeddings=lambda: decoder, config=SimpleNamespace(vocab_size=4))


@pytest.mark.parametrize("kind", ["words", "weighted", "calibrated", "soft"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_head_scores_as_the_words_do(backbones: dict[str, Backbone], family: str, kind: Output) -> None:
    backbone = backbones[family]
    head, batch = new(backbone, kind), batch_of(backbone)
    with torch.inference_mode():
        found = head.scores(backbone.model, batch, "fp32")
        expected = label_scores(backbone.model, batch, WORDS, "fp32")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert expected.std(0).max() > 0.01
    assert expected.std(1).max() > 0.1
    backbone.reset()


@pytest.mark.parametrize("kind", ["words", "weighted", "calibrated"])
def test_words_of_several_pieces_score_as_they_do_without_a_head(backbones: dict[str, Backbone], kind: Output) -> None:
    backbone = backbones["bert"]
    head, batch = new(backbone, kind, LONG), batch_of(backbone, slots=2)
    with torch.inference_mode():
        expected = label_scores(backbone.model, batch, LONG, "fp32")
        torch.testing.assert_close(head.scores(backbone.model, batch, "fp32"), expected, atol=1e-5, rtol=1e-5)
    backbone.reset()


@pytest.mark.parametrize(
    ("kind", "trained", "kept"),
    [
        ("words", {}, {}),
        ("weighted", {"weights": (3, 2)}, {}),
        ("calibrated", {}, {"offsets": (3, 2)}),
        ("soft", {"vectors": (3, 16), "biases": (3,)}, {}),
        ("proto", {}, {"centroids": (3, 16)}),
        ("cls", {"weight": (3, 32), "bias": (3,)}, {}),
    ],
)
def test_what_trains_gets_a_gradient_and_what_is_kept_has_a_name(
    backbones: dict[str, Backbone], kind: Output, trained: dict[str, tuple[int, ...]], kept: dict[str, tuple[int, int]]
) -> None:
    """ALBERT, whose decoder is half as wide as its hidden states."""
    backbone = backbones["albert"]
    head = prepared(new(backbone, kind), backbone)
    assert {name: tuple(weight.shape) for name, weight in head.named_parameters()} == trained
    assert {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()} == trained | kept
    scores = head.training_scores(backbone.model, batch_of(backbone), "fp32")
    assert scores.shape == (3, 3)
    torch.nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2])).backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in head.parameters())
    encoder = next(weight for name, weight in backbone.model.base_model.named_parameters() if "norm" in name.lower())
    assert encoder.grad.abs().max() > 0
    backbone.reset()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_padding(backbones: dict[str, Backbone], family: str, kind: Output) -> None:
    backbone = backbones[family]
    head = prepared(new(backbone, kind), backbone)
    with torch.inference_mode():
        narrow = head.scores(backbone.model, batch_of(backbone), "fp32")
        wide = head.scores(backbone.model, batch_of(backbone, width=48), "fp32")
    assert narrow.std(0).max() > 1e-3
    torch.testing.assert_close(wide, narrow, atol=1e-5, rtol=1e-5)
    backbone.reset()


@pytest.mark.parametrize("words", [WORDS, LONG], ids=["one slot", "two slots"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_head_scores_as_the_saved_one(backbones: dict[str, Backbone], kind: Output, words: LabelWords) -> None:
    backbone = backbones["bert"]
    head = prepared(new(backbone, kind, words), backbone, words)
    with torch.no_grad():
        for weight in head.parameters():
            weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    saved = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    other, batch = new(backbone, kind, words, seed=1), batch_of(backbone, words.slots)
    with torch.inference_mode():
        expected = head.scores(backbone.model, batch, "fp32")
        unlike = other.scores(backbone.model, batch, "fp32")
    copy_into(other.state_dict(), saved)
    with torch.inference_mode():
        found = other.scores(backbone.model, batch, "fp32")
    assert torch.equal(found, expected)
    assert kind == "words" or not torch.allclose(unlike, expected, atol=1e-3)
    backbone.reset()


def test_a_head_of_other_labels_is_not_loaded(backbones: dict[str, Backbone], refuses: Callable[..., None]) -> None:
    backbone = backbones["bert"]
    saved = new(backbone, "soft", LONG).state_dict()
    refuses(ModelError, lambda: copy_into(new(backbone, "soft").state_dict(), saved), "'biases'", "(2,)", "(3,)")
    refuses(ModelError, lambda: copy_into(new(backbone, "words").state_dict(), saved), "'biases'", "none")
    backbone.reset()


def test_weights_of_words_by_hand(by_hand: Callable[..., None]) -> None:
    """A softmax of (ln 3, 0) weighs the logits 2 and 6 of label a as 3 to 1; an absent word has no weight."""
    by_hand(words_at_masks=word_values(HAND_LOGITS, HAND))
    head = WeightedWords(HAND)
    with torch.no_grad():
        head.weights.copy_(torch.tensor([[np.log(3.0), 0.0], [0.0, 50.0]]))
    scores = head.scores(None, UNREAD, "fp32")
    torch.testing.assert_close(scores, torch.tensor([[3.0, 1.0], [-0.625, 0.0]]))
    scores.sum().backward()
    assert head.weights.grad is not None and torch.isfinite(head.weights.grad).all()
    assert head.weights.grad[1].tolist() == [0.0, 0.0]


def test_one_word_per_label_has_nothing_to_weigh(backbones: dict[str, Backbone]) -> None:
    words = LabelWords(("a", "b"), np.array([[[40]], [[31]]]))
    assert list(output_head("weighted", words, backbones["bert"], 0).parameters()) == []


def test_calibrated_words_are_the_words_less_their_mean_over_rows(by_hand: Callable[..., None]) -> None:
    """Over the two rows, the words of a score 0.5 and 3.25 on average, that of b 0.5."""
    head = CalibratedWords(HAND)
    by_hand(words_at_masks=word_values(HAND_LOGITS, HAND))
    head.prepare(head.observe(None, UNREAD, "fp32"))
    assert head.offsets.tolist() == [[0.5, 3.25], [0.5, 0.0]]
    by_hand(words_at_masks=word_values(torch.tensor([[[1.0, 1.0, 1.0, 5.25]]]), HAND))
    torch.testing.assert_close(head.scores(None, UNREAD, "fp32"), torch.tensor([[1.25, 0.5]]))


@pytest.mark.parametrize("slots", [1, 2])
def test_label_vectors_are_means_over_words_of_means_over_pieces(backbones: dict[str, Backbone], slots: int) -> None:
    backbone = backbones["electra"]
    words = LONG if slots == 2 else WORDS
    head: Any = new(backbone, "soft", words)
    decoder: Any = vocabulary_decoder(backbone.model)
    first = [40, 40, 31, 31] if slots == 1 else [40, 31, 33, 33]
    torch.testing.assert_close(head.vectors[0], decoder.weight[first].mean(0))
    torch.testing.assert_close(head.biases[0], decoder.bias[first].mean())
    torch.testing.assert_close(head.vectors[1], decoder.weight[52])
    batch = batch_of(backbone, slots)
    with torch.inference_mode():
        features = decoder_inputs(backbone.model, batch, "fp32").mean(1)
        expected = features @ head.vectors.T + head.biases
        torch.testing.assert_close(head.scores(backbone.model, batch, "fp32"), expected)
    backbone.reset()


def test_label_vectors_do_not_share_memory_with_the_decoder(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    for kind in ("soft", "proto"):
        head = new(backbone, kind, LabelWords(("a",), np.array([[[40]]])))
        next(iter(head.state_dict().values())).zero_()
        assert vocabulary_decoder(backbone.model).weight[40].abs().max() > 0
    backbone.reset()


def test_a_decoder_without_a_bias() -> None:
    assert LabelVectors(HAND, with_decoder(torch.nn.Linear(2, 4, bias=False))).biases.tolist() == [0.0, 0.0]


def test_prototypes_by_hand(by_hand: Callable[..., None]) -> None:
    """Label b has the centroid (2, 0) of two rows; a has no row and is the mean (0, -3) of its words' vectors."""
    decoder = torch.nn.Linear(2, 4)
    with torch.no_grad():
        decoder.weight.copy_(torch.tensor([[5.0, 5.0], [1.0, -2.0], [7.0, 7.0], [-1.0, -4.0]]))
    head = Prototypes(HAND, with_decoder(decoder))
    by_hand(decoder_inputs=torch.tensor([[[6.0, 3.0], [0.0, 5.0]]]))  # the mean over two slots is (3, 4)
    untrained = head.scores(None, UNREAD, "fp32")
    torch.testing.assert_close(untrained, torch.tensor([[-8.0, 7.0 / 0.5**0.5]]))  # (3, 4) and (1, 1): 7 / (5 * 2**0.5)
    head.prepare(torch.tensor([[1.0, 2.0], [3.0, -2.0]]), torch.tensor([1, 1]))
    torch.testing.assert_close(head.centroids, torch.tensor([[0.0, -3.0], [2.0, 0.0]]))
    torch.testing.assert_close(head.scores(None, UNREAD, "fp32"), torch.tensor([[-8.0, 6.0]]))


def test_prototypes_train_by_the_words_and_are_taken_afterwards(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    head, batch = prepared(new(backbone, "proto"), backbone), batch_of(backbone)
    with torch.inference_mode():
        words = label_scores(backbone.model, batch, WORDS, "fp32")
        assert torch.equal(head.training_scores(backbone.model, batch, "fp32"), words)
        scores = head.scores(backbone.model, batch, "fp32")
        features = decoder_inputs(backbone.model, batch, "fp32")[:, 0]
    expected = torch.nn.functional.cosine_similarity(features[1], features[1], dim=0) / 0.1
    torch.testing.assert_close(scores[1, 1], expected)
    torch.testing.assert_close(head.centroids[0], (features[0] + features[2]) / 2)
    backbone.reset()


@pytest.mark.parametrize("kind", ["calibrated", "proto"])
def test_what_was_observed_for_inference_can_be_trained_with(backbones: dict[str, Backbone], kind: Output) -> None:
    backbone = backbones["bert"]
    head: Any = new(backbone, kind)
    with torch.inference_mode():
        observed = head.observe(backbone.model, batch_of(backbone), "fp32")
    prepare(head, observed, [0, 1, 2])
    head.scores(backbone.model, batch_of(backbone), "fp32").sum().backward()
    backbone.reset()
