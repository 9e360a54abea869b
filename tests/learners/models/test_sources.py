"""Where a model comes from: its folder, its name or the hub, its tokenizer, its digest and its longest input."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from tiny import FAMILIES, add_token, save_tiny

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.sources import (
    ModelSource,
    find_model,
    load_tokenizer,
    longest_input,
)
from pet.learners.students.base import ClassifierForm
from pet.learners.students.static import StaticClassifier
from pet.library import BUNDLED_MODELS
from pet.pretraining.initial import check_start


def test_find_a_folder_and_a_bundled_model(folder: Path) -> None:
    assert find_model(str(folder)) == ModelSource(str(folder), folder)
    assert find_model("pet-mini") == ModelSource("pet-mini", BUNDLED_MODELS / "pet-mini")
    assert find_model("e5-small") == ModelSource("e5-small", BUNDLED_MODELS / "e5-small")


def test_a_folder_is_never_taken_for_a_bundled_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    monkeypatch.setattr("pet.learners.models.sources.snapshot_download", lambda *_, **__: tmp_path / "hub")
    for name, holder in ((".", "."), ("./models", "models"), ("../models", str(tmp_path / "hub"))):
        refuses(ModelError, lambda name=name: find_model(name), f"{holder} holds no config.json")
    for name in ("", " "):
        refuses(ModelError, lambda name=name: find_model(name), "name of the model is empty")


def test_no_config(folder: Path, refuses: Callable[..., None]) -> None:
    (folder / "config.json").unlink()
    refuses(ModelError, lambda: find_model(str(folder)), "no config.json", str(folder))


def test_a_hub_id_is_downloaded_in_its_revision_without_pickles_or_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def download(name: str, revision: str, allow_patterns: list[str]) -> str:
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        return str(folder)

    monkeypatch.setattr("pet.learners.models.sources.snapshot_download", download)
    assert find_model("some/model", "v2") == ModelSource("some/model", folder)
    assert asked == {
        "name": "some/model",
        "revision": "v2",
        "patterns": ["*.safetensors", "*.json", "*.txt", "*.model"],
    }


def test_a_hub_id_that_is_not_there(monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None]) -> None:
    def download(*_: object, **__: object) -> None:
        raise OSError("404 Client Error.\nRepository Not Found for url: ...\n")

    monkeypatch.setattr("pet.learners.models.sources.snapshot_download", download)
    refuses(ModelError, lambda: find_model("some/model"), "'some/model'", "404 Client Error)")
    refuses(ModelError, lambda: find_model("pet-mimi"), "pet-mini")


def test_a_hub_id_without_a_network(
    monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None], tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    refuses(
        ModelError, lambda: find_model("some/model"), "'some/model'", "the hub did not give it (it cannot be reached"
    )


@pytest.mark.parametrize(
    ("kind", "reason"), [(GatedRepoError, "asks for your consent"), (RepositoryNotFoundError, "none of that name")]
)
def test_a_hub_id_that_the_hub_refuses(
    monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None], kind: Callable[..., Exception], reason: str
) -> None:
    def download(*_: object, **__: object) -> None:
        raise kind("401 Client Error.", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr("pet.learners.models.sources.snapshot_download", download)
    refuses(ModelError, lambda: find_model("some/model"), "'some/model'", reason)


@pytest.mark.parametrize("content", [None, "{", '{"model": 3}'])
def test_a_broken_tokenizer(folder: Path, refuses: Callable[..., None], content: str | None) -> None:
    (folder / "tokenizer.json").unlink()
    if content:
        (folder / "tokenizer.json").write_text(content)
    refuses(ModelError, lambda: load_tokenizer(folder), "tokenizer", str(folder))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_with_a_token_that_the_model_has_no_embedding_for(
    folders: dict[str, Path], tmp_path: Path, refuses: Callable[..., None], family: str
) -> None:
    folder = Path(shutil.copytree(folders[family], tmp_path / family))
    add_token(folder)
    rows = ModelSource(family, folder).config.vocab_size
    says = (f"ids up to {rows}, the model {rows} rows of embeddings", "tokenizer that belongs to the model")
    source, device = ModelSource(family, folder), torch.device("cpu")
    form = ClassifierForm(("a", "b"), {"text": "text"}, 64)
    for call in (
        lambda: load_tokenizer(folder),
        lambda: check_start(source),
        lambda: Backbone.masked_lm(source, device),
        lambda: Backbone.encoder(source, device),
        lambda: Backbone.classifier(source, ("a", "b"), device, 0),
        lambda: StaticClassifier.from_source(source, form),
    ):
        refuses(ModelError, call, *says)


def test_a_tokenizer_without_padding(folder: Path, refuses: Callable[..., None]) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(
        json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "pad_token"})
    )
    refuses(ModelError, lambda: load_tokenizer(folder), "pad token")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_input(backbones: dict[str, Backbone], folders: dict[str, Path], family: str) -> None:
    assert backbones[family].longest_input == 64
    tokenizer = load_tokenizer(folders[family])
    tokenizer.model_max_length = int(1e30)  # what transformers says where nothing is known
    assert longest_input(backbones[family].model.config, tokenizer) == 64
    tokenizer.model_max_length = 40
    assert longest_input(backbones[family].model.config, tokenizer) == 40


@pytest.mark.parametrize("kind", ["Data2VecText", "Xmod", "IBert", "Roberta"])
def test_positions_that_are_numbered_from_the_padding_are_fewer_than_their_table(
    backbones: dict[str, Backbone], kind: str
) -> None:
    config = getattr(transformers, f"{kind}Config")(max_position_embeddings=34)
    tokenizer = copy.deepcopy(backbones["roberta"].tokenizer)
    tokenizer.model_max_length = int(1e30)
    assert longest_input(config, tokenizer) == 32
    config.pad_token_id = 5
    assert longest_input(config, tokenizer) == 28


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_counted_from_the_headers(
    backbones: dict[str, Backbone], folders: dict[str, Path], family: str
) -> None:
    assert ModelSource("model", folders[family]).parameters == sum(
        weight.numel() for weight in backbones[family].model.parameters()
    )


def test_the_digest_sees_every_byte(folder: Path) -> None:
    first = ModelSource("model", folder).digest
    assert len(first) == 64
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    second = ModelSource("model", folder).digest
    (folder / "vocab.txt").write_text("")
    third = ModelSource("model", folder).digest
    (folder / "vocab.txt").rename(folder / "words.txt")
    assert len({first, second, third, ModelSource("model", folder).digest}) == 4


def test_the_digest_does_not_see_the_place_nor_what_is_not_loaded(folders: dict[str, Path], folder: Path) -> None:
    (folder / "README.md").write_text("card")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    assert ModelSource("model", folder).digest == ModelSource("model", folders["bert"]).digest


def test_the_weights_depend_on_the_seed_of_the_tiny_models(tmp_path: Path) -> None:
    same = [ModelSource("model", save_tiny("bert", tmp_path / str(i), seed=3)).digest for i in range(2)]
    assert same[0] == same[1]
    assert ModelSource("model", save_tiny("bert", tmp_path / "other", seed=4)).digest != same[0]
