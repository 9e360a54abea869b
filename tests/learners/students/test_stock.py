"""What reads a classifier's tokenizer.json alone reads any text as the classifier does, in every family."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import FAMILIES
from tokenizers import Tokenizer

from pet.data.examples import Example
from pet.learners.models.sources import load_tokenizer
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.stock import for_servers, spelled

PIECES = (
    *("[MASK]", "[SEP]", "[CLS]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>", "<unk>", "</S>", "[mask]"),
    *(" ", "  ", "\n", "\t", "<", "/", "s>", "[MA", "SK]", "good", "film", "Phone", "1", "-", "'", "||", "{text}"),
    *(
        "é",
        "e\u0301",
        "日本",
        "🙂",
        "\u200d",
        "＜ｓ＞",
        "▁",
        "Ġ",
        "##ing",
        "\u00a0",
        "\u2028",
        "\x00",
        "\x1b",
        "\u202e",
    ),
)


def hostile(count: int) -> list[Example]:
    """Rows that spell special tokens and parts of them; every third is a pair."""
    draw = random.Random(0)
    texts = ["".join(draw.choices(PIECES, k=draw.randint(1, 14))) for _ in range(count)]
    return [Example(str(i), {"a": text, "b": texts[-1 - i] * (i % 3 == 0)}) for i, text in enumerate(texts)]


@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_rows_have_the_same_ids(
    new_classifier: Callable[..., TextClassifier], tmp_path: Path, family: str
) -> None:
    classifier, rows = new_classifier(family, "a", "b", max_length=24), hostile(150)
    classifier.save(tmp_path)
    assert spelled(tmp_path) == ()
    assert json.loads((tmp_path / "sentence_bert_config.json").read_text())["max_seq_length"] == 24
    alone = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    texts = [(row.fields["a"], row.fields["b"]) if row.fields["b"] else row.fields["a"] for row in rows]
    encoded = classifier.encode(rows)
    assert [one.ids for one in alone.encode_batch(texts)] == [row.input_ids.tolist() for row in encoded]
    assert [one.type_ids for one in alone.encode_batch(texts)] == [row.segment_ids.tolist() for row in encoded]
    loaded, ours = load_tokenizer(tmp_path), classifier.backbone.tokenizer
    assert loaded.all_special_ids == ours.all_special_ids and len(loaded) == len(ours)


def test_a_token_that_the_vocabulary_lacks_stays_and_is_told(
    new_classifier: Callable[..., TextClassifier], tmp_path: Path
) -> None:
    """As in ModernBERT as it is published: without its list nothing would know the token."""
    new_classifier("modernbert").save(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<odd>"]})
    tokenizer.save_pretrained(tmp_path)
    for_servers(tmp_path, tokenizer, 64)
    assert spelled(tmp_path) == ("<odd>",)


def test_where_other_ids_would_come_of_it_all_stays(
    new_classifier: Callable[..., TextClassifier], tmp_path: Path
) -> None:
    new_classifier("bert").save(tmp_path)
    whole = Path(shutil.copytree(tmp_path, tmp_path / "whole"))
    tokenizer = load_tokenizer(whole)
    tokenizer.save_pretrained(whole)
    before = spelled(whole)
    for_servers(whole, new_classifier("roberta").backbone.tokenizer, 64)  # not the one whose file this is
    assert spelled(whole) == before != ()


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    assert spelled(tmp_path) == ()
