"""The static student: one table of scores, folded out of trained vectors and a layer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import FAMILIES
from tokenizers import Tokenizer, models, pre_tokenizers

from pet.data.examples import Example
from pet.errors import ModelError, RunError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import ClassifierForm, Learning
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.sizes import load_student
from pet.learners.students.static import Bags, StaticClassifier
from pet.settings.training import OptimizerSettings

SETTINGS = OptimizerSettings(steps=120, batch_size=8, learning_rate=1e-2)


def soft(rows: list[Example]) -> np.ndarray:
    return np.asarray([[0.9, 0.1] if row.label == "Sports" else [0.1, 0.9] for row in rows], np.float32)


def examples(*texts: str) -> list[Example]:
    return [Example(str(i), {"text": text}) for i, text in enumerate(texts)]


def new(
    folders: dict[str, Path], family: str = "bert", columns: tuple[str, ...] = ("text",), max_length: int = 64
) -> StaticClassifier:
    form = ClassifierForm(("Sports", "Tech"), {name: name for name in columns}, max_length)
    return StaticClassifier.from_source(ModelSource(family, folders[family]), form)


@pytest.fixture(scope="module")
def trained(folders: dict[str, Path], rows: list[Example]) -> StaticClassifier:
    student = new(folders)
    student.fit(rows, soft(rows), SETTINGS, np.random.default_rng(0), learning=Learning(2.0))
    return student


def test_the_scores_of_the_tokens_are_averaged() -> None:
    words = Tokenizer(models.WordLevel({"good": 0, "bad": 1, "so": 2, "?": 3}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    scores = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    form = ClassifierForm(("yes", "no"), {"text": "text"}, 8)
    student = StaticClassifier(words, form, scores, torch.tensor([0.5, 0.0]))
    found = np.log(student.probabilities(examples("good", "good so", "bad bad", "", "good bad so ?")))
    # logit of "yes" minus logit of "no"
    assert found[:, 0] - found[:, 1] == pytest.approx([2.5, 1.5, -1.5, 0.5, 0.5], abs=1e-5)


def test_a_score_that_is_no_number_names_its_row(folders: dict[str, Path], refuses: Callable[..., None]) -> None:
    student = new(folders)
    student.bias[1] = float("nan")
    refuses(RunError, lambda: student.probabilities(examples("good")), "row '0'", "nan")


def test_ids_are_renamed_in_place_a_million_at_a_time() -> None:
    rng, names = np.random.default_rng(0), np.asarray([3, 0, 2, 9, 1], np.int32)
    ids = rng.integers(0, 4, 2**20 + 5).astype(np.int32)
    bags = Bags(ids.copy(), np.asarray([0, len(ids)]))
    assert bags.seen(5).tolist() == [0, 1, 2, 3]
    bags.rename(names)
    assert (bags.ids == names[ids]).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_static_student(folders: dict[str, Path], rows: list[Example], family: str) -> None:
    told: list[int] = []
    student = new(folders, family)
    log = student.fit(rows, soft(rows), SETTINGS, np.random.default_rng(0), Learning(2.0), told.append)
    probs = student.probabilities(rows)
    assert log.updates == sum(told) == 120
    assert (probs.argmax(1) == soft(rows).argmax(1)).all()
    assert probs == pytest.approx(soft(rows), abs=0.15)  # the teacher's, and not more certain


def test_a_word_that_no_row_has_is_scored_by_its_pretrained_vector(
    trained: StaticClassifier, folders: dict[str, Path]
) -> None:
    words = [trained.tokenizer.token_to_id(word) for word in ("war", "bank", "film")]
    assert trained.scores[words].abs().min() > 1e-4
    assert trained.vectors is not None
    torch.testing.assert_close(
        trained.vectors, new(folders).vectors, rtol=0, atol=0
    )  # training changes no input of its own


def test_the_seed_decides(trained: StaticClassifier, folders: dict[str, Path], rows: list[Example]) -> None:
    again, other = new(folders), new(folders)
    again.fit(rows, soft(rows), SETTINGS, np.random.default_rng(0), learning=Learning(2.0))
    other.fit(rows, soft(rows), SETTINGS, np.random.default_rng(1), learning=Learning(2.0))
    assert torch.equal(again.scores, trained.scores)
    assert not torch.equal(other.scores, trained.scores)


def test_a_loaded_one_is_the_saved_one(
    trained: StaticClassifier, machine: Machine, rows: list[Example], tmp_path: Path, refuses: Callable[..., None]
) -> None:
    trained.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    loaded: Any = load_student(tmp_path, machine)
    assert loaded.form == trained.form
    texts = examples("", "[MASK] [SEP] [UNK]", "good " * 500, "zebra ✓")
    for some in (rows, texts):
        assert np.array_equal(loaded.probabilities(some), trained.probabilities(some))
    assert loaded.probabilities([]).shape == (0, 2)
    refuses(ModelError, lambda: loaded.fit(rows, soft(rows), SETTINGS, np.random.default_rng(0)), "cannot train on")


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_a_special_token_in_a_text_is_text(folders: dict[str, Path], family: str) -> None:
    student = new(folders, family)
    special = {student.tokenizer.token_to_id(token) for token in ("[MASK]", "[SEP]", "<mask>", "</s>", "<pad>")}
    assert special.isdisjoint(student.bags(examples("[MASK] a [SEP]", "<mask> a </s><pad>")).ids.tolist())


def test_it_reads_as_much_as_the_encoder_does(
    folders: dict[str, Path], new_classifier: Callable[..., TextClassifier]
) -> None:
    columns = ("first", "second", "third")
    student, encoder = new(folders, "bert", columns, 16), new_classifier("bert", *columns, max_length=16)
    row = Example("1", {"first": "good " * 20, "second": "bad film", "third": "phone"})
    seen = encoder.encode([row])[0]
    assert student.bags([row]).ids.tolist() == seen.input_ids[seen.text_positions].tolist()


def test_broken_folders(
    trained: StaticClassifier, machine: Machine, tmp_path: Path, refuses: Callable[..., None]
) -> None:
    def broken(change: Callable[..., Any], *words: str) -> None:
        trained.save(tmp_path)
        change()
        refuses(ModelError, lambda: load_student(tmp_path, machine), str(tmp_path), *words)

    def fewer_scores() -> None:
        save_file({"scores": torch.zeros(5, 2), "bias": torch.zeros(2)}, tmp_path / "model.safetensors")

    def fewer_labels() -> None:
        config = json.loads((tmp_path / "config.json").read_text())
        del config["id2label"]["1"]
        (tmp_path / "config.json").write_text(json.dumps(config))

    def no_bias() -> None:
        tensors = load_file(tmp_path / "model.safetensors")
        save_file({"scores": tensors["scores"]}, tmp_path / "model.safetensors")

    broken(fewer_scores, "[5, 2] for 2 labels", "different models")
    broken(fewer_labels, "for 1 labels")
    broken(no_bias, "bias")
    broken(lambda: (tmp_path / "model.safetensors").write_bytes(b"no"), "cannot be loaded")
    broken(lambda: (tmp_path / "tokenizer.json").write_text("{}"), "tokenizer.json", "cannot be read")
    broken(lambda: (tmp_path / "config.json").write_text("[]"), "no classifier written by pet")


def test_the_first_field_stays_the_first(folders: dict[str, Path], machine: Machine, tmp_path: Path) -> None:
    new(folders, columns=("premise", "hypothesis")).save(tmp_path)
    assert list(load_student(tmp_path, machine).form.columns) == ["premise", "hypothesis"]
