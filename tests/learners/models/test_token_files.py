from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import tiny_tokenizer
from transformers import PreTrainedTokenizerBase

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.token_files import FEWEST_TEXTS, TokenFiles
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.patterns import Pattern

TEXTS = [(f"good game {i} Ümlaut [MASK]", i % 2 == 0) for i in range(FEWEST_TEXTS)]


@pytest.fixture
def texts_tokenized(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How many texts the tokenizer itself was given."""
    given: list[str] = []
    tokenize = PreTrainedTokenizerBase.__call__

    def spy(self: PreTrainedTokenizerBase, texts: list[str], **options: Any) -> Any:
        given.extend(texts)
        return tokenize(self, texts, **options)

    monkeypatch.setattr(PreTrainedTokenizerBase, "__call__", spy)
    return given


def test_a_list_of_texts_is_found_as_it_was_kept(tmp_path: Path) -> None:
    files, ids = TokenFiles(tmp_path, "a"), [np.arange(i % 5, dtype=np.int32) for i in range(len(TEXTS))]
    assert files.find(TEXTS) is None
    files.keep(TEXTS, ids)
    found = files.find(TEXTS)
    assert found is not None and [one.tolist() for one in found] == [one.tolist() for one in ids]
    assert found[0].dtype == np.int32
    assert files.find(TEXTS[1:]) is None
    assert TokenFiles(tmp_path, "b").find(TEXTS) is None
    assert files.find([("ab", True), ("c", True)]) is None


def test_a_torn_file_is_as_none_and_a_full_disk_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = TokenFiles(tmp_path, "a")
    files.keep(TEXTS, [np.arange(3, dtype=np.int32)] * len(TEXTS))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert files.find(TEXTS) is None
    ids = np.arange(3, dtype=np.int32).tobytes() * 4
    assert ids in whole
    path.write_bytes(whole.replace(ids, bytes(len(ids)), 1))  # as a power cut leaves it
    assert files.find(TEXTS) is None
    TokenFiles(tmp_path / "gone", "a").keep(TEXTS, [np.arange(3, dtype=np.int32)] * len(TEXTS))


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_another_pattern_and_another_process_read_what_one_has_tokenized(
    tmp_path: Path, family: str, texts_tokenized: list[str]
) -> None:
    examples = [Example(str(i), {"text": text}) for i, (text, _) in enumerate(TEXTS)]

    def encoded(template: str, files: bool) -> tuple[list[list[int]], int]:
        pieces = PieceTokenizer(tiny_tokenizer(family))
        if files:
            pieces.keep_in(tmp_path)
        texts_tokenized.clear()
        rows = PatternEncoder(Pattern("p", template), pieces, 40).encode(examples)
        return [row.input_ids.tolist() for row in rows], len(texts_tokenized)

    encoded("{text} It was {mask}.", files=True)
    plain, many = encoded("{text} news: {mask}", files=False)
    again, few = encoded("{text} news: {mask}", files=True)
    assert again == plain
    assert many > len(TEXTS) > few


def test_few_texts_make_no_file(tmp_path: Path) -> None:
    pieces = PieceTokenizer(tiny_tokenizer("bert"))
    pieces.keep_in(tmp_path)
    pieces.tokenize(TEXTS[1:])
    assert list(tmp_path.iterdir()) == []
