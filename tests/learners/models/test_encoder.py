"""An encoder's vectors, against plain transformers code; the files of sentence-transformers; what is no encoder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packed_models import save_packed, save_sentence_encoder, save_sentence_files
from safetensors.torch import load_file, save_file
from tiny import FAMILIES, LENGTH
from transformers import AutoModel, AutoTokenizer, GPT2Config, GPT2Model, T5Config, T5Model

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.encoder import Encoder, find_encoder
from pet.learners.models.machine import Machine
from pet.learners.models.sentence_files import SentenceForm, sentence_form
from pet.learners.models.sources import ModelSource, find_model

TEXTS = ["It was a good film", "phone, chip!", "", "good [MASK] film </s> <pad>", "bad " * 100]
PAIRS = [Example("1", {"a": "It was good", "b": "film plot"}), Example("2", {"a": "bad", "b": ""})]


def encoder_of(folder: Path, machine: Machine) -> Encoder:
    return Encoder.load(ModelSource("tiny", folder), machine)


def plain(folder: Path, texts: list[Any], length: int = LENGTH, pooling: str = "mean") -> np.ndarray:
    """Vectors as any example on the hub computes them, all rows in one batch."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    read = tokenizer(
        texts, padding=True, truncation=True, max_length=length, split_special_tokens=True, return_tensors="pt"
    )
    with torch.no_grad():
        states = model(**read).last_hidden_state
    mask = read["attention_mask"][:, :, None]
    return (states[:, 0] if pooling == "cls" else (states * mask).sum(1) / mask.sum(1)).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_folder_is_the_mean_over_all_tokens(folders: dict[str, Path], machine: Machine, family: str) -> None:
    encoder = encoder_of(folders[family], machine)
    found = encoder.embed_texts(TEXTS[:3])
    assert found.dtype == np.float32 and found.shape == (3, encoder.hidden_size) == (3, 32)
    assert found == pytest.approx(plain(folders[family], TEXTS[:3]), abs=1e-5)
    assert encoder.form == SentenceForm()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_folder_of_sentence_transformers(tmp_path: Path, machine: Machine, pooling: str) -> None:
    name = {"mean": "mean_tokens", "cls": "cls_token"}[pooling]
    folder = save_sentence_encoder(tmp_path, "roberta", pooling=name)
    encoder = encoder_of(folder, machine)
    assert encoder.form.pooling == pooling and encoder.form.prefix == "query: " and encoder.form.normalised
    assert encoder.longest_input == 16
    wanted = plain(folder, [f"query: {text}" for text in TEXTS], 16, pooling)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert encoder.embed_texts(TEXTS) == pytest.approx(wanted, abs=1e-5)


def test_rows_of_two_fields(tmp_path: Path, machine: Machine) -> None:
    folder = save_sentence_encoder(tmp_path, "bert")
    found = encoder_of(folder, machine).embed(PAIRS, {"a": "A", "b": "B"}, 64)
    wanted = np.concatenate([plain(folder, [("query: It was good", "film plot")]), plain(folder, ["query: bad"])])
    assert found == pytest.approx(wanted / np.linalg.norm(wanted, axis=1, keepdims=True), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(folders: dict[str, Path], machine: Machine, family: str) -> None:
    encoder = encoder_of(folders[family], machine)
    together = encoder.embed_texts(TEXTS * 2)
    alone = np.concatenate([encoder.embed_texts([text]) for text in TEXTS * 2])
    assert together == pytest.approx(alone, abs=1e-5)


def test_the_length_the_order_and_what_is_told(folders: dict[str, Path], machine: Machine) -> None:
    encoder = encoder_of(folders["bert"], machine)
    rows, told = [Example(str(place), {"text": text}) for place, text in enumerate(TEXTS)], list[int]()
    assert encoder.embed(rows, ("text",), 6, told.append) == pytest.approx(plain(folders["bert"], TEXTS, 6), abs=1e-5)
    assert sum(told) == len(rows)
    assert encoder.embed([], ("text",), 6).shape == (0, 32) and encoder.embed_texts([]).shape == (0, 32)


def test_a_packed_folder_has_the_vectors_of_its_stock_form(tmp_path: Path, machine: Machine) -> None:
    folder, stock = save_packed(tmp_path / "packed"), tmp_path / "stock"
    encoder = encoder_of(folder, machine)
    encoder.backbone.save(stock)
    assert encoder.embed_texts(TEXTS) == pytest.approx(plain(stock, TEXTS), abs=1e-5)


def test_texts_are_lower_cased_where_it_is_said(folder: Path) -> None:
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    form = sentence_form(ModelSource("tiny", folder))
    assert form.read("Good FILM") == "good film" and form.longest is None


def test_a_digest_covers_the_pooling(tmp_path: Path) -> None:
    folder = save_sentence_encoder(tmp_path, "bert")
    before = ModelSource("tiny", folder).digest
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps({"pooling_mode": "cls"}))
    source = ModelSource("tiny", folder)
    assert source.digest != before and sentence_form(source).pooling == "cls"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "by max_tokens, expected mean or cls"),
        ("1_Pooling/config.json", '{"pooling_mode": "lasttoken"}', "by lasttoken, expected mean or cls"),
        (
            "1_Pooling/config.json",
            '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}',
            "by cls_token and mean_tokens",
        ),
        (
            "1_Pooling/config.json",
            '{"pooling_mode": "mean", "include_prompt": false}',
            "leaves its prompt 'query: ' out",
        ),
        ("1_Pooling/config.json", "{", "1_Pooling/config.json cannot be read"),
        ("modules.json", "no", "modules.json cannot be read"),
        ("modules.json", '[{"type": "sentence_transformers.models.Dense"}]', "a module 'Dense' after its encoder"),
        ("modules.json", '["Pooling"]', "modules.json holds no list of modules"),
        ("config_sentence_transformers.json", "[]", "config_sentence_transformers.json holds no table"),
    ],
)
def test_files_that_cannot_be_followed(
    folder: Path, machine: Machine, refuses: Callable[..., None], name: str, value: str, words: str
) -> None:
    save_sentence_files(folder)
    (folder / name).write_text(value)
    refuses(ModelError, lambda: encoder_of(folder, machine), words)


def test_what_is_no_encoder(tmp_path: Path, machine: Machine, refuses: Callable[..., None]) -> None:
    GPT2Model(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path / "gpt")
    T5Model(T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).save_pretrained(
        tmp_path / "t5"
    )
    for name, kind in (("gpt", "'gpt2'"), ("t5", "'t5'")):
        refuses(ModelError, lambda name=name: encoder_of(tmp_path / name, machine), kind, "expected an encoder")


def test_an_encoder_is_found_by_its_small_files(folder: Path, tmp_path: Path, refuses: Callable[..., None]) -> None:
    assert find_encoder(str(folder)) == ModelSource(str(folder), folder)
    save_sentence_files(folder, pooling="max_tokens")
    refuses(ModelError, lambda: find_encoder(str(folder)), "pools its tokens by max_tokens")
    shutil.rmtree(folder / "1_Pooling")
    for path in (*folder.glob("tokenizer*"), *folder.glob("vocab*")):
        path.unlink()
    refuses(ModelError, lambda: find_encoder(str(folder)), "holds no vocabulary of a tokenizer")
    GPT2Model(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1)).save_pretrained(folder)
    refuses(ModelError, lambda: find_encoder(str(folder)), "is a 'gpt2' model, expected an encoder")


def test_a_broken_encoder(folder: Path, machine: Machine, refuses: Callable[..., None]) -> None:
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "layer.1" in name)
    save_file(
        {name: tensor for name, tensor in weights.items() if name != lost},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    refuses(ModelError, lambda: encoder_of(folder, machine), "lacks weights of its encoder", "fetch the model again")


def test_a_tokenizer_that_is_not_there_or_of_another_model(
    folder: Path, folders: dict[str, Path], machine: Machine, refuses: Callable[..., None]
) -> None:
    shutil.copyfile(folders["roberta"] / "tokenizer.json", folder / "tokenizer.json")
    shutil.copyfile(folders["roberta"] / "tokenizer_config.json", folder / "tokenizer_config.json")
    refuses(ModelError, lambda: encoder_of(folder, machine), "has ids up to", "put the tokenizer that belongs")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refuses(ModelError, lambda: encoder_of(folder, machine), "holds no vocabulary of a tokenizer")


@pytest.mark.slow
def test_the_bundled_encoder_tells_what_texts_are_about_in_several_languages(machine: Machine) -> None:
    encoder = Encoder.load(find_model("e5-small"), machine)
    assert encoder.form == SentenceForm("mean", "", True) and encoder.longest_input == 512
    assert encoder.backbone.source.parameters == 117_505_920
    asked = encoder.embed_texts(["Where is my parcel?", "The match ended in a draw.", "My password does not work."])
    for texts in (
        ["Wo bleibt mein Paket?", "Das Spiel endete unentschieden.", "Mein Passwort funktioniert nicht."],
        ["我的包裹在哪里？", "比赛以平局结束。", "我的密码不能用。"],
    ):
        assert (asked @ encoder.embed_texts(texts).T).argmax(axis=1).tolist() == [0, 1, 2]
