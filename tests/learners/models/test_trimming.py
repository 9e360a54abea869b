"""Multilingual encoders trimmed to texts: the same vectors from a small stock folder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from packed_models import encoder_config, save_packed, save_sentence_files, save_vocabulary
from transformers import AutoModel, AutoTokenizer, BertModel

from pet.learners.models.encoder import Encoder
from pet.learners.models.machine import Machine
from pet.learners.models.packed import PACKED
from pet.learners.models.sources import ModelSource, stock_tokenizer
from pet.learners.models.trimming import SMALLEST, trimmed, trimmed_tokenizer

TEXTS = [
    "It was a good film",
    "好 Ω x好é",
    "000007x 040123x bank",
    "good [MASK] film </s> <mask> <pad>",
    "",
    "zebra's 7!",
]
SIZE = SMALLEST + 2000


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    folder = save_packed(tmp_path_factory.mktemp("packed"), SIZE)
    return ModelSource("packed", save_sentence_files(folder))


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    folder = tmp_path_factory.mktemp("stock")
    torch.manual_seed(0)
    BertModel(encoder_config(save_vocabulary(folder, SIZE))).save_pretrained(folder)
    return ModelSource("stock", folder)


@pytest.mark.parametrize("name", ["packed", "stock"])
def test_the_vectors_of_the_texts_stay_the_same(
    request: pytest.FixtureRequest, name: str, machine: Machine, tmp_path: Path
) -> None:
    source: ModelSource = request.getfixturevalue(name)
    found = trimmed(source, iter(TEXTS), tmp_path / "a" / "b")
    assert found == ModelSource(name, tmp_path / "a" / "b")
    assert 16_000 < found.config.vocab_size < 20_000
    whole, small = Encoder.load(source, machine), Encoder.load(found, machine)
    assert small.form == whole.form
    assert np.array_equal(small.embed_texts(TEXTS), whole.embed_texts(TEXTS))
    # As anyone would load it, and in order of size.
    assert AutoModel.from_pretrained(found.folder).config.pad_token_id == 1
    assert not (found.folder / PACKED).exists() and (found.folder / "model.safetensors").is_file()


def test_what_is_kept_beside_the_pieces_of_the_texts(packed: ModelSource, tmp_path: Path) -> None:
    before = stock_tokenizer(packed.folder)
    after = AutoTokenizer.from_pretrained(trimmed(packed, ["好"], tmp_path).folder)
    pieces = before.convert_ids_to_tokens(list(range(20_000)))
    kept = set(after.get_vocab())
    assert kept >= {*before.all_special_tokens, *pieces[:16_000], "好"}
    assert kept >= {piece for piece in pieces if len(piece) == 1}
    assert "é" not in kept and before.get_vocab()["é"] > 40_000
    assert after.convert_ids_to_tokens(list(range(len(after)))) == sorted(kept, key=before.get_vocab().__getitem__)


def test_the_same_folder_for_the_same_texts(packed: ModelSource, tmp_path: Path) -> None:
    one, other = (trimmed(packed, texts, tmp_path / name) for name, texts in (("1", TEXTS), ("2", TEXTS[::-1])))
    assert one.digest == other.digest


def test_texts_are_read_once_and_in_batches(
    packed: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def texts() -> Iterator[str]:
        for place in range(10_000):
            seen.append(place)
            yield f"{place:06}x"

    found = trimmed(packed, texts(), tmp_path)
    assert seen == list(range(10_000))
    vocabulary = stock_tokenizer(found.folder).get_vocab()
    assert all(f"▁{place:06}x" in vocabulary for place in (0, 4095, 4096, 9999))


def test_other_vocabularies_are_left_whole(folders: dict[str, Path], tmp_path: Path) -> None:
    for family in ("bert", "roberta", "xlm-roberta"):
        source = ModelSource(family, folders[family])
        assert trimmed(source, TEXTS, tmp_path / family) is source
        assert not (tmp_path / family).exists()


def test_a_trimmed_tokenizer_splits_as_before(packed: ModelSource) -> None:
    whole = stock_tokenizer(packed.folder)
    ids = whole("It was a good film")["input_ids"]
    letters = [
        token for token, piece in enumerate(whole.convert_ids_to_tokens(list(range(len(whole))))) if len(piece) == 1
    ]
    kept = np.asarray(sorted({*ids, *letters, *whole.all_special_ids}), np.int64)
    small, kept = trimmed_tokenizer(whole, kept)
    assert kept[small("It was a good film")["input_ids"]].tolist() == ids
    assert small.mask_token_id == len(kept) - 1
