from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine, TokenBudget
from pet.learners.models.sources import find_model
from pet.learners.models.splicing import Encoded
from pet.learners.voters.objectives import LabeledRows, pet_objective
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings
from pet.settings.variants import Output, VariantSettings


def settings_of(**values: Any) -> TrainSettings:
    defaults: dict[str, Any] = {"steps": 30, "batch_size": 8, "learning_rate": 5e-3, "warmup": 0.0}
    return TrainSettings(**defaults | values)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def voter(backbones: dict[str, Backbone], pvp: PVP, machine: Machine) -> PvpVoter:
    return PvpVoter(backbones["bert"], pvp, ModelSettings(), machine)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], family: str
) -> None:
    voter = PvpVoter(backbones[family], pvp, ModelSettings(), machine)
    log = voter.train(rows, settings_of(steps=45), generator())
    scores = voter.scores(rows)
    gold = [voter.words.labels.index(row.label) for row in rows]
    assert np.mean(log.losses[-5:]) < 0.7 * np.mean(log.losses[:3])
    assert (scores.argmax(1) == gold).mean() > 0.9
    assert scores.shape == (32, 2) and scores.dtype == np.float32
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_training_starts_from_the_pretrained_weights_each_time(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], family: str
) -> None:
    voter = PvpVoter(backbones[family], pvp, ModelSettings(), machine)
    found = []
    for seed in (0, 0, 1):
        voter.train(rows, settings_of(steps=4), generator(seed))
        found.append(voter.scores(rows))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_another_voter_in_between_changes_nothing(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], voter: PvpVoter
) -> None:
    other = PvpVoter(
        backbones["bert"], PVP(Pattern("toy/q", "{text} {mask}"), pvp.verbalizer), ModelSettings(), machine
    )
    voter.train(rows, settings_of(steps=4), generator())
    first = voter.scores(rows)
    other.train(rows, settings_of(steps=4), generator(7))
    voter.train(rows, settings_of(steps=4), generator())
    assert np.array_equal(voter.scores(rows), first)


def test_scores_are_in_the_order_of_the_rows(voter: PvpVoter, rows: list[Example]) -> None:
    voter.train(rows, settings_of(steps=4), generator())
    told: list[int] = []
    scores, order = voter.scores(rows, told.append), generator().permutation(len(rows))
    assert sum(told) == len(rows)
    assert voter.scores([rows[i] for i in order]) == pytest.approx(scores[order], abs=1e-5)
    assert np.concatenate([voter.scores([row]) for row in rows]) == pytest.approx(scores, abs=1e-5)
    assert voter.scores([]).shape == (0, 2)


def test_many_small_batches_give_the_same_scores(
    voter: PvpVoter, rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = voter.scores(rows)
    monkeypatch.setattr(Machine, "token_budget", TokenBudget(20))
    assert voter.scores(rows) == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("size", [1, 5, 31, 32])
def test_chunks_give_the_same_scores_and_leave_no_text_behind(
    backbones: dict[str, Backbone],
    pvp: PVP,
    machine: Machine,
    rows: list[Example],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    voter = PvpVoter(backbones["bert"], pvp, ModelSettings(), machine)
    voter.train(rows[:8], settings_of(steps=4), generator())
    told: list[int] = []
    sizes: list[int] = []
    whole = voter.scores(rows)
    known = set(voter.backbone.pieces._known)
    encode = voter.encoder.encode
    monkeypatch.setattr("pet.learners.models.batching.CHUNK_ROWS", size)
    spy = lambda given, slots: (sizes.append(len(given)), encode(given, slots))[1]  # noqa: E731
    monkeypatch.setattr(voter.encoder, "encode", spy)
    assert voter.scores(tuple(rows), told.append) == pytest.approx(whole, abs=1e-5)
    assert (sum(told), sum(sizes), max(sizes)) == (32, 32, size)
    assert set(voter.backbone.pieces._known) == known


def test_the_auxiliary_loss_encodes_only_the_rows_it_draws(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    voter = PvpVoter(backbones["bert"], pvp, ModelSettings(), machine)
    pool = [Example(f"p{i}", {"text": f"good game {i}"}) for i in range(1000)]
    encode, seen = voter.encoder.encode, []
    spy = lambda given, slots: (seen.append(len(given)), encode(given, slots))[1]  # noqa: E731
    monkeypatch.setattr(voter.encoder, "encode", spy)
    voter.train(rows, settings_of(steps=3, auxiliary_mlm=0.5), generator(), unlabeled=pool)
    assert seen == [32, 8, 8, 8]
    assert not any(text.startswith("good game ") and text[-1].isdigit() for text, _ in voter.backbone.pieces._known)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_auxiliary_loss_runs_and_changes_the_result(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], family: str
) -> None:
    voter = PvpVoter(backbones[family], pvp, ModelSettings(), machine)
    found = {}
    for alpha in (0.0, 0.5):
        log = voter.train(rows, settings_of(steps=4, auxiliary_mlm=alpha), generator(), unlabeled=rows[:6])
        assert log.updates == 4
        found[alpha] = voter.scores(rows)
    assert not np.array_equal(found[0.0], found[0.5])


@pytest.mark.parametrize("output", ["soft", "cls"])
def test_the_auxiliary_loss_has_nothing_to_teach_a_new_head_alone(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], output: Output
) -> None:
    variant = VariantSettings(weights="none", output=output)
    losses = []
    for alpha in (0.0, 0.5):
        voter = PvpVoter(backbones["bert"], pvp, ModelSettings(), machine, variant=variant)
        losses.append(voter.train(rows, settings_of(steps=2, auxiliary_mlm=alpha), generator(), rows[:4]).losses)
    assert losses[0] == losses[1]


def test_unlabeled_rows_serve_the_auxiliary_loss_only(voter: PvpVoter, rows: list[Example]) -> None:
    found = {}
    for alpha in (0.0, 0.5):
        for pool in ((), rows[:4]):
            voter.train(rows[4:], settings_of(steps=4, auxiliary_mlm=alpha), generator(), unlabeled=pool)
            found[alpha, len(pool)] = voter.scores(rows)
    assert np.array_equal(found[0.0, 0], found[0.0, 4])
    assert not np.array_equal(found[0.5, 0], found[0.5, 4])


def test_the_losses_are_mixed_by_alpha(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an MLM loss of exactly 3, (1 - alpha) CE + alpha MLM is known from the plain run."""
    voter = PvpVoter(backbones["modernbert"], pvp, ModelSettings(), machine)  # has no dropout
    plain = voter.train(rows, settings_of(steps=1), generator()).losses[0]
    monkeypatch.setattr(
        "pet.learners.voters.objectives.masked_lm_loss", lambda *_: torch.tensor(3.0, requires_grad=True)
    )
    mixed = voter.train(rows, settings_of(steps=1, auxiliary_mlm=0.25), generator()).losses[0]
    assert mixed == pytest.approx(0.75 * plain + 0.25 * 3.0, abs=1e-5)


def test_words_of_several_tokens(backbones: dict[str, Backbone], machine: Machine, rows: list[Example]) -> None:
    words = Verbalizer("toy/long", {"Sports": ("sports game",), "Tech": ("tech", "smart phone")})
    pvp = PVP(Pattern("toy/p", "{text} It was {mask}."), words)
    voter = PvpVoter(backbones["bert"], pvp, ModelSettings(), machine, multi_token=True)
    assert voter.words.slots == len(backbones["bert"].pieces.ids("smart phone"))
    assert {len(row.mask_positions) for row in voter.encode(rows)} == {voter.words.slots}
    log = voter.train(rows, settings_of(), generator())
    assert np.mean(log.losses[-5:]) < 0.7 * np.mean(log.losses[:3])


def test_no_labeled_rows_and_no_steps_leave_the_pretrained_model(voter: PvpVoter, rows: list[Example]) -> None:
    voter.backbone.reset()
    before = voter.scores(rows)
    assert voter.train([], settings_of(steps=0), generator()).updates == 0
    assert np.array_equal(voter.scores(rows), before)


def test_rows_are_cut_to_what_the_model_reads(backbones: dict[str, Backbone], pvp: PVP, machine: Machine) -> None:
    for family in FAMILIES:
        voter = PvpVoter(backbones[family], pvp, ModelSettings(max_length=256), machine)
        long = [Example("1", {"text": "good bad " * 300})]
        assert len(voter.encode(long)[0]) == 64
        assert np.isfinite(voter.scores(long)).all()
    assert len(PvpVoter(backbones["bert"], pvp, ModelSettings(max_length=16), machine).encode(long)[0]) == 16


@pytest.mark.slow
def test_the_bundled_model_learns(pvp: PVP, machine: Machine, rows: list[Example]) -> None:
    voter = PvpVoter(Backbone.masked_lm(find_model("pet-mini"), machine.device), pvp, ModelSettings(), machine)
    log = voter.train(rows, settings_of(steps=10, learning_rate=1e-4), generator())
    assert np.mean(log.losses[-3:]) < np.mean(log.losses[:3])


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2"])
def test_groups_of_like_lengths_give_the_loss_and_the_gradient_of_one_batch(
    backbones: dict[str, Backbone], pvp: PVP, rows: list[Example], family: str
) -> None:
    backbone = backbones[family]
    longer = [Example(str(i), {"text": "coach " * (3 * i + 1)}, row.label) for i, row in enumerate(rows[:12])]
    chosen, found = np.random.default_rng(3).permutation(12)[:10], []
    for overhead in (0, 2**20):
        machine = _Grouping(torch.device("cpu"), "fp32", overhead=overhead)
        voter = PvpVoter(backbone, pvp, ModelSettings(), machine)
        targets = np.asarray([voter.words.labels.index(row.label) for row in longer])
        labeled, parts = LabeledRows(voter.encode(longer), targets), voter.new_parts()
        losses = list(pet_objective(parts, machine, labeled, settings_of(), list, generator())(chosen))
        assert (len(losses) > 1) == (overhead == 0)
        loss = sum(losses)
        loss.backward()
        weights = [weight.grad for weight in backbone.model.parameters() if weight.grad is not None]
        found.append((loss.detach(), torch.cat([gradient.flatten() for gradient in weights])))
    backbone.reset()
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-4)


@dataclass(frozen=True)
class _Grouping(Machine):
    overhead: int = 0

    @property
    def group_overhead(self) -> int:
        return self.overhead


def test_a_training_batch_is_as_wide_as_eight_divides_but_never_wider_than_the_model(
    backbones: dict[str, Backbone],
) -> None:
    backbone = backbones["bert"]

    def width(size: int) -> int:
        ids = np.full(size, 5, np.int32)
        row = Encoded(ids, np.zeros(size, np.int32), np.asarray([1]), np.ones(size, np.bool_))
        return backbone.training_batch([row]).inputs["input_ids"].shape[1]

    assert [width(size) for size in (1, 8, 9, 61, backbone.longest_input)] == [8, 8, 16, 64, backbone.longest_input]


EXPLAINED = (Example("d1", {"text": "goal score"}, "Sports"), Example("d2", {"text": "software chip"}, "Tech"))


def explained_voter(voter: PvpVoter, variant: VariantSettings | None = None) -> PvpVoter:
    about = (voter.settings, voter.machine, voter.multi_token, variant or voter.variant, EXPLAINED)
    return PvpVoter(voter.backbone, voter.pvp, *about)


def test_rows_that_explain_the_labels_are_all_there_is_to_learn_without_labeled_ones(
    voter: PvpVoter, rows: list[Example]
) -> None:
    taught = explained_voter(voter)
    log = taught.train([], settings_of(steps=20), generator(), rows)
    assert log.updates == 20
    assert [voter.words.labels[k] for k in taught.scores(EXPLAINED).argmax(1)] == ["Sports", "Tech"]


@pytest.mark.parametrize("preset", ["pet", "adapet"])
def test_rows_that_explain_the_labels_are_learned_beside_labeled_ones(
    voter: PvpVoter, rows: list[Example], preset: str
) -> None:
    first, scores = [], []
    for weight in (0.25, 0.5, 0.5):
        taught = explained_voter(voter, VariantSettings(preset=preset))
        log = taught.train(rows, settings_of(preset=preset, steps=4, descriptions=weight), generator())
        first.append(log.losses[0])
        scores.append(taught.scores(rows))
    assert first[0] < first[1] == first[2]
    assert not np.array_equal(scores[0], scores[1]) and np.array_equal(scores[1], scores[2])


def test_without_rows_that_explain_the_labels_their_weight_changes_nothing(
    voter: PvpVoter, rows: list[Example]
) -> None:
    found = []
    for weight in (0.0, 0.5):
        voter.train(rows, settings_of(steps=4, descriptions=weight), generator())
        found.append(voter.scores(rows))
    assert np.array_equal(found[0], found[1])
