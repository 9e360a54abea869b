from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import FAMILIES

from pet.data.examples import Example
from pet.errors import PromptError
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import collate
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.losses import IGNORED
from pet.learners.models.splicing import Encoded
from pet.learners.models.words import LabelWords
from pet.learners.voters.adapet import decoupled_label_loss, label_conditioned, label_conditioned_loss
from pet.prompts.patterns import Pattern

PROBS = torch.tensor([[0.5, 0.2, 0.15, 0.1, 0.05], [0.1, 0.1, 0.1, 0.2, 0.5]])
"""Two rows at one mask, over five tokens."""
LONG = LabelWords(("a", "b"), np.array([[[40, 31], [33, -1]], [[52, -1], [-1, -1]]]))


def loss_of(probs: torch.Tensor, ids: list[list[list[int]]], targets: list[int]) -> float:
    """The loss of [b, p, v] probabilities; the logits are shifted, which must not matter."""
    words = LabelWords(tuple("abcd"[: len(ids)]), np.array(ids))
    return decoupled_label_loss(probs.log() + 3.0, words, torch.tensor(targets)).item()


def test_the_decoupled_label_loss_by_hand() -> None:
    """Three labels, the tokens 0, 1 and 4; the rows are of the labels a and c."""
    first = -(np.log(0.5) + np.log(1 - 0.2) + np.log(1 - 0.05)) / 3
    second = -(np.log(1 - 0.1) + np.log(1 - 0.1) + np.log(0.5)) / 3
    found = loss_of(PROBS[:, None], [[[0]], [[1]], [[4]]], [0, 2])
    assert found == pytest.approx((first + second) / 2, abs=1e-6)


def test_the_probability_of_a_label_is_the_sum_over_its_words() -> None:
    """Label a has the tokens 0 and 2, b the token 4: 0.65 and 0.05."""
    found = loss_of(PROBS[:1, None], [[[0], [2]], [[4], [-1]]], [1])
    assert found == pytest.approx(-(np.log(1 - 0.65) + np.log(0.05)) / 2, abs=1e-6)


def test_labels_are_told_apart_at_each_slot() -> None:
    """Words a = (0, 1), a = (0, 2), b = (3): 0 counts once, and b has no piece at the second slot."""
    found = loss_of(PROBS[None], [[[0, 1], [0, 2]], [[3, -1], [-1, -1]]], [0])
    expected = -(np.log(0.5) + np.log(1 - 0.1) + np.log(0.1 + 0.1)) / 3
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_piece_of_every_label_says_nothing() -> None:
    """Words a = (0, 1), b = (0, 2): only the second slot counts. A piece of some labels counts for those."""
    found = loss_of(PROBS[None], [[[0, 1]], [[0, 2]]], [1])
    assert found == pytest.approx(-(np.log(1 - 0.1) + np.log(0.1)) / 2, abs=1e-6)
    found = loss_of(PROBS[None], [[[0, 1]], [[0, 2]], [[3, 2]]], [0])
    told = [0.5, 1 - 0.5, 1 - 0.1, 0.1, 1 - 0.1, 1 - 0.1]
    assert found == pytest.approx(-np.log(told).mean(), abs=1e-6)


def test_words_that_no_slot_tells_apart(refuses: Callable[..., None]) -> None:
    ids = [[[0, 1], [2, 3]], [[0, 3], [2, 1]]]
    refuses(PromptError, lambda: loss_of(PROBS[None], ids, [0]), "a, b", "choose other words")


def test_a_confident_mistake_has_a_finite_loss_and_a_gradient() -> None:
    """p(a) is 1 but for e^-60, and the label is b: each label's term is 60, and pushes its logit at full strength."""
    logits = torch.tensor([[[60.0, 0.0, -80.0]]], requires_grad=True)
    words = LabelWords(("a", "b"), np.array([[[0]], [[1]]]))
    loss = decoupled_label_loss(logits, words, torch.tensor([1]))
    assert loss.item() == pytest.approx(60.0)
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[[1.0, -1.0, 0.0]]]))


def test_the_decoupled_label_loss_has_the_gradient_of_the_plain_formula() -> None:
    """With several words per label, absent ones and two slots, in float64."""
    logits = torch.randn(4, 2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    words = LabelWords(("a", "b", "c"), np.array([[[0, 1], [2, -1]], [[3, 4], [-1, -1]], [[5, 6], [7, 1]]]))
    targets = torch.tensor([0, 1, 2, 0])
    found = decoupled_label_loss(logits, words, targets)
    (gradient,) = torch.autograd.grad(found, logits)
    probs = logits.softmax(-1)
    sets = [([0, 2], 0, 0), ([3], 0, 1), ([5, 7], 0, 2), ([1], 1, 0), ([4], 1, 1), ([6, 1], 1, 2)]
    columns = [(probs[:, slot, tokens].sum(-1), (targets == label).double()) for tokens, slot, label in sets]
    asked, wanted = (torch.stack(parts, 1) for parts in zip(*columns, strict=True))
    plain = torch.nn.functional.binary_cross_entropy(asked, wanted)
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(gradient, torch.autograd.grad(plain, logits)[0])


def text_row(size: int, slots: int = 1) -> Encoded:
    """Masks after one token of a template, then `size` tokens of text and a special token."""
    text = np.array([False] * (1 + slots) + [True] * size + [False])
    ids = np.arange(100, 100 + len(text), dtype=np.int32)
    return Encoded(ids, np.zeros(len(text), np.int32), np.arange(1, 1 + slots), text, cut=3)


def conditioned(
    rows: list[Encoded], words: LabelWords = LONG, targets: np.ndarray | None = None, rng: int = 0
) -> tuple[list[Encoded], list[np.ndarray], np.ndarray]:
    targets = np.zeros(len(rows), np.int64) if targets is None else targets
    return label_conditioned(rows, targets, words, -7, np.random.default_rng(rng))


@pytest.mark.parametrize(("size", "masked"), [(0, 0), (1, 1), (9, 1), (100, 10), (200, 21)])
def test_a_tenth_of_the_text_is_masked_and_one_token_at_least(size: int, masked: int) -> None:
    row = text_row(size)
    (changed,), (targets,), _ = conditioned([row], LabelWords(("a", "b"), np.array([[[40]], [[52]]])))
    chosen = targets != IGNORED
    assert chosen.sum() == masked
    assert not (chosen & ~row.text_positions).any()
    assert np.array_equal(targets[chosen], row.input_ids[chosen])
    assert (changed.input_ids[chosen] == -7).all()
    assert changed.input_ids[1] in (40, 52)
    rest = ~chosen & (np.arange(len(row)) != 1)
    assert np.array_equal(changed.input_ids[rest], row.input_ids[rest])
    assert row.input_ids[1] == 101  # the caller's row is as it was
    assert (changed.cut, changed.mask_positions.tolist()) == (3, [1])


def test_a_random_word_of_a_random_label_stands_in_the_cloze() -> None:
    """Words a = (40, 31), a = (33) and b = (52): a shorter word leaves the mask at the second slot."""
    rows = [text_row(5, slots=2)] * 1_500
    targets = np.arange(1_500) % 2
    changed, _, is_true = conditioned(rows, targets=targets)
    shown = [tuple(row.input_ids[1:3].tolist()) for row in changed]
    counts = {word: shown.count(word) / len(shown) for word in set(shown)}
    assert counts == pytest.approx({(40, 31): 0.25, (33, -7): 0.25, (52, -7): 0.5}, abs=0.03)
    assert is_true.dtype == bool
    assert is_true.tolist() == [(word == (52, -7)) == target for word, target in zip(shown, targets, strict=True)]


def test_masked_tokens_are_drawn_evenly_and_from_the_seed() -> None:
    rows = [text_row(10)] * 1_000
    words = LabelWords(("a",), np.array([[[40]]]))
    _, targets, _ = conditioned(rows, words)
    share = (np.stack(targets) != IGNORED).mean(0)
    assert share[2:12] == pytest.approx(np.full(10, 0.1), abs=0.03)
    again, other = conditioned(rows, words)[1], conditioned(rows, words, rng=1)[1]
    assert np.array_equal(np.stack(targets), np.stack(again))
    assert not np.array_equal(np.stack(targets), np.stack(other))


def test_trained_vectors_are_kept_and_never_masked() -> None:
    """Of two tokens of text, the first is the place of a trained vector."""
    slots = np.array([-1, -1, 4, -1, -1], np.int32)
    row = replace(text_row(2), soft_slots=slots)
    for seed in range(20):
        (changed,), (targets,), _ = conditioned([row], LabelWords(("a",), np.array([[[40]]])), rng=seed)
        assert changed.soft_slots is slots
        assert np.flatnonzero(targets != IGNORED).tolist() == [3]


def encoded_rows(backbone: Backbone, template: str, *texts: str, slots: int = 1) -> list[Encoded]:
    encoder = PatternEncoder(Pattern("p", template), backbone.pieces, 64)
    return encoder.encode([Example(text, {"text": text}) for text in texts], slots)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_text_is_masked(backbones: dict[str, Backbone], family: str) -> None:
    """Over many draws every text token is masked, and nothing of the template and the special tokens."""
    backbone = backbones[family]
    (row,) = encoded_rows(backbone, "It was {mask}. {text} || Question: {text}", "good film", slots=2)
    mask_id = backbone.tokenizer.mask_token_id
    changed, targets, _ = label_conditioned(
        [row] * 200, np.zeros(200, np.int64), LONG, mask_id, np.random.default_rng(0)
    )
    assert np.array_equal((np.stack(targets) != IGNORED).any(0), row.text_positions)
    same = ~row.text_positions
    same[row.mask_positions] = False
    assert same.sum() > 4
    assert all(np.array_equal(new.input_ids[same], row.input_ids[same]) for new in changed)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_label_conditioned_loss_equals_the_plain_formula(backbones: dict[str, Backbone], family: str) -> None:
    """For rows with the right label and the wrong one, whatever the padding; a row without text counts for nothing."""
    backbone = backbones[family]
    backbone.reset()
    texts = ("good", "", "man plays outside at my city phone code data team game match won coach goal score", "bad")
    rows = encoded_rows(backbone, "It was {mask}. {text}", *texts, slots=2)
    mask_id = backbone.tokenizer.mask_token_id
    changed, targets, _ = label_conditioned(rows, np.zeros(4, np.int64), LONG, mask_id, np.random.default_rng(0))
    is_true = np.array([True, True, False, False])
    batch = backbone.batch(changed)
    with torch.inference_mode():
        found = label_conditioned_loss(backbone.model, batch, targets, is_true, "fp32")
        wide = label_conditioned_loss(backbone.model, backbone.batch(changed, 40), targets, is_true, "fp32")
        probs = backbone.model(**batch.inputs).logits.softmax(-1)
    terms = []
    for i, row in enumerate(targets):
        for place in np.flatnonzero(row != IGNORED):
            probability = probs[i, place, row[place]].item()
            terms.append(-np.log(probability if is_true[i] else 1 - probability))
    assert len(terms) == 4
    assert found.item() == pytest.approx(np.mean(terms), abs=1e-5)
    assert wide.item() == pytest.approx(found.item(), abs=1e-5)


def test_a_right_label_makes_the_text_likelier_and_a_wrong_one_unlikelier(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    backbone.reset()
    (row,) = encoded_rows(backbone, "It was {mask}. {text}", "good")
    mask_id = backbone.tokenizer.mask_token_id
    changed, targets, _ = label_conditioned(
        [row], np.zeros(1, np.int64), LabelWords(("a",), np.array([[[40]]])), mask_id, np.random.default_rng(0)
    )
    token = int(targets[0][targets[0] != IGNORED][0])
    bias = backbone.model.get_output_embeddings().bias
    signs = []
    for is_true in (True, False):
        batch = backbone.batch(changed)
        label_conditioned_loss(backbone.model, batch, targets, np.array([is_true]), "fp32").backward()
        signs.append(torch.sign(bias.grad[token]).item())
        backbone.reset()
    assert signs == [-1.0, 1.0]


def test_a_certain_token_under_a_wrong_label_has_a_finite_loss(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    backbone.reset()
    (row,) = encoded_rows(backbone, "It was {mask}. {text}", "good")
    targets = [np.where(row.text_positions, row.input_ids, IGNORED).astype(np.int64)]
    bias = backbone.model.get_output_embeddings().bias
    with torch.no_grad():
        bias[targets[0].max()] = 100.0
    loss = label_conditioned_loss(backbone.model, backbone.batch([row]), targets, np.array([False]), "fp32")
    loss.backward()
    assert 80.0 < loss.item() < 100.0
    assert bias.grad[targets[0].max()].item() == pytest.approx(1.0, abs=1e-4)
    backbone.reset()


def test_rows_without_text_have_no_loss(backbones: dict[str, Backbone]) -> None:
    backbone = backbones["bert"]
    rows = encoded_rows(backbone, "{mask} {text}", "", slots=2)
    changed, targets, is_true = label_conditioned(rows, np.zeros(1, np.int64), LONG, 4, np.random.default_rng(0))
    batch = collate(changed, backbone.tokenizer.pad_token_id, True, "cpu")
    loss = label_conditioned_loss(backbone.model, batch, targets, is_true, "fp32")
    assert loss.item() == 0.0
    loss.backward()  # it may be all that a group of rows has
