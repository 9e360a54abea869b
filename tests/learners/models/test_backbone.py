"""Loading a backbone from a folder: what is refused, what is never opened, and what the loaded model is."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import FAMILIES
from transformers import AutoModel, AutoModelForMaskedLM

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.sources import ModelSource, find_model, masked_lm_config

CPU = torch.device("cpu")


class Bomb:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return (Path.touch, (self.mark,))


def masked_lm(folder: Path) -> Backbone:
    return Backbone.masked_lm(find_model(str(folder)), CPU)


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_pickled_weights_are_refused_and_never_opened(folder: Path, refuses: Callable[..., None]) -> None:
    (folder / "model.safetensors").unlink()
    refuses(ModelError, lambda: find_model(str(folder)), "no weights", "safetensors")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(folder / "mark")))
    refuses(ModelError, lambda: find_model(str(folder)), "only pickled weights (pytorch_model.bin)", "save_pretrained")
    refuses(ModelError, lambda: Backbone.masked_lm(ModelSource("x", folder), CPU), "cannot be loaded")
    assert not (folder / "mark").exists()


def test_a_pickle_beside_the_weights_is_never_opened(folder: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(Bomb(folder / "mark")))
    masked_lm(folder)
    assert not (folder / "mark").exists()


def test_another_kind_of_model(folder: Path, refuses: Callable[..., None]) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    for call in (lambda: masked_lm(folder), lambda: masked_lm_config(find_model(str(folder)))):
        refuses(ModelError, call, "'gpt2'", "masked language model", "model.name")


def test_another_kind_of_classifier(folder: Path, refuses: Callable[..., None]) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    refuses(
        ModelError, lambda: Backbone.classifier(find_model(str(folder)), ("a", "b"), CPU, 0), "'clip'", "classifier"
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "no-such-type"}', "{}"])
def test_an_unreadable_config(folder: Path, refuses: Callable[..., None], text: str) -> None:
    (folder / "config.json").write_text(text)
    refuses(ModelError, lambda: masked_lm(folder), str(folder))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_without_its_head(
    folders: dict[str, Path], tmp_path: Path, refuses: Callable[..., None], family: str
) -> None:
    AutoModel.from_pretrained(folders[family]).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folders[family] / name, tmp_path)
    refuses(ModelError, lambda: masked_lm(tmp_path), "no masked-LM head", "is missing")


@pytest.mark.parametrize("size", [0, 100, 5_000])
def test_broken_weights(folder: Path, refuses: Callable[..., None], size: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    refuses(ModelError, lambda: masked_lm(folder), "cannot be loaded")
    refuses(ModelError, lambda: ModelSource("model", folder).parameters, "model.safetensors", "cannot be read")


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_float32_whatever_was_stored(folders: dict[str, Path], tmp_path: Path, family: str) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        target = Path(shutil.copytree(folders[family], tmp_path / str(dtype)))
        AutoModelForMaskedLM.from_pretrained(folders[family], dtype=dtype).save_pretrained(target)
        source = ModelSource("x", target)
        for backbone in (Backbone.masked_lm(source, CPU), Backbone.classifier(source, ("a", "b"), CPU, 0)):
            assert {weight.dtype for weight in backbone.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("family", FAMILIES)
def test_reset_brings_back_every_bit(backbones: dict[str, Backbone], family: str) -> None:
    model = backbones[family].model
    backbones[family].reset()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    backbones[family].reset()
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_code_in_a_folder_is_never_run(folder: Path, refuses: Callable[..., None]) -> None:
    mark = folder / "mark"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    entry = {
        "AutoConfig": "evil.Evil",
        "AutoModelForMaskedLM": "evil.Evil",
        "AutoTokenizer": ["evil.Evil", "evil.Evil"],
    }
    change_config(folder, auto_map=entry)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**json.loads((folder / "tokenizer_config.json").read_text()), "auto_map": entry})
    )
    masked_lm(folder)
    Backbone.classifier(find_model(str(folder)), ("a", "b"), CPU, 0)
    change_config(folder, model_type="evil")
    refuses(ModelError, lambda: masked_lm(folder), str(folder))
    assert not mark.exists()


def test_token_types_are_given_where_tokenizer_and_model_have_them(
    backbones: dict[str, Backbone], folder: Path
) -> None:
    given = {family for family, backbone in backbones.items() if backbone.uses_segments}
    assert given == {"bert", "albert", "electra"}
    path = folder / "tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "attention_mask"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **names}))
    assert not masked_lm(folder).uses_segments


def test_a_checkpoint_that_asks_for_tuples(folder: Path) -> None:
    change_config(folder, return_dict=False)
    backbone = masked_lm(folder)
    assert backbone.model(torch.tensor([[2, 3]])).logits.shape == (1, 2, len(backbone.tokenizer))


def test_a_classifier_has_a_head_drawn_from_the_seed(folders: dict[str, Path]) -> None:
    source = ModelSource("bert", folders["bert"])
    first, again, other = (Backbone.classifier(source, ("a", "b", "c"), CPU, seed).model for seed in (1, 1, 2))
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert torch.equal(first.bert.embeddings.word_embeddings.weight, other.bert.embeddings.word_embeddings.weight)
    assert first.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert first.config.label2id == {"a": 0, "b": 1, "c": 2}


def test_a_head_for_another_number_of_labels_is_drawn_anew(folders: dict[str, Path], tmp_path: Path) -> None:
    Backbone.classifier(ModelSource("bert", folders["bert"]), ("a", "b", "c"), CPU, 1).save(tmp_path)
    saved = ModelSource("saved", tmp_path)
    first, again = (Backbone.classifier(saved, ("a", "b"), CPU, 2).model.classifier.weight for _ in range(2))
    assert first.shape == (2, 32) and torch.equal(first, again)


def test_a_classifier_without_its_trained_head(folders: dict[str, Path], refuses: Callable[..., None]) -> None:
    source = ModelSource("my/model", folders["bert"])
    refuses(ModelError, lambda: Backbone.classifier(source, ("a", "b"), CPU, None), "my/model", "no trained classifier")


def test_loading_says_nothing(folders: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    for family in FAMILIES:
        Backbone.masked_lm(ModelSource(family, folders[family]), CPU)
        Backbone.classifier(ModelSource(family, folders[family]), ("a", "b"), CPU, 0)
    assert capfd.readouterr() == ("", "")


def test_a_missing_weight_of_the_head(folder: Path, refuses: Callable[..., None]) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights.pop("cls.predictions.transform.dense.weight")
    save_file(weights, path, metadata={"format": "pt"})
    refuses(ModelError, lambda: masked_lm(folder), "cls.predictions.transform.dense.weight is missing")
