"""Texts that are too long: what is read of them, with a pattern and without one, and how windows are joined."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from pet.data.examples import Example
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.inference import Inference
from pet.learners.models.machine import Machine
from pet.learners.models.plain_rows import encode_rows
from pet.learners.models.shortening import joined, surest_of_windows
from pet.learners.models.splicing import Encoded
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.patterns import Pattern
from pet.settings.task import Truncation

WORDS = ["good", "bad", "great", "terrible", "okay", "yes", "no", "maybe", "world", "sports", "business"]
CPU = Machine(torch.device("cpu"), "fp32")


def read(tokenizer: PieceTokenizer, rows: Sequence[Encoded]) -> list[list[str]]:
    """Return the words of the texts of rows."""
    return [tokenizer.tokenizer.convert_ids_to_tokens(row.input_ids[row.text_positions].tolist()) for row in rows]


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_windows_read_each_token_of_a_text_once(pieces: dict[str, PieceTokenizer], family: str) -> None:
    known, text = pieces[family], " ".join(WORDS)
    rows = [Example("long", {"a": text, "b": "fine"}), Example("short", {"a": "good", "b": "fine"})]
    encoder = PatternEncoder(Pattern("p", "{b:keep} It was {mask}. {a}"), known, 13, "windows")
    long, short = encoder.encode(rows)
    assert not short.more and not long.cut and len(long.windows) > 1
    assert all(len(row) <= 13 and len(row.mask_positions) == 1 for row in long.windows)
    whole = PatternEncoder(encoder.pattern, known, 64).encode(rows)[0]
    kept = known.ids("fine").tolist()
    found = [row.input_ids[row.text_positions].tolist() for row in long.windows]
    assert all(ids[: len(kept)] == kept for ids in found)
    assert [i for ids in found for i in ids[len(kept) :]] == whole.input_ids[whole.text_positions].tolist()[len(kept) :]
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_of_two_long_fields_each_is_read_in_its_own_windows(pieces: dict[str, PieceTokenizer]) -> None:
    row = Example("1", {"a": " ".join(WORDS[:8]), "b": " ".join(WORDS[8:11])})
    encoder = PatternEncoder(Pattern("p", "{a} {mask} || {b}"), pieces["bert"], 8, "windows")
    found = read(pieces["bert"], encoder.encode([row])[0].windows)
    assert [words for window in found for words in window if words in WORDS[:8]] == WORDS[:8]
    assert {word for window in found for word in window} == set(WORDS)


@pytest.mark.parametrize(
    ("truncation", "expected"),
    [
        ("tail", [WORDS[:4]]),
        ("head", [WORDS[7:]]),
        ("head+tail", [[*WORDS[:2], *WORDS[-2:]]]),
        ("windows", [WORDS[:4], WORDS[4:8], WORDS[8:]]),
    ],
)
def test_a_classifier_reads_long_texts_alike(
    pieces: dict[str, PieceTokenizer], truncation: Truncation, expected: list[list[str]]
) -> None:
    rows = [Example("1", {"a": " ".join(WORDS)}), Example("2", {"a": "good"})]
    found = encode_rows(pieces["bert"].tokenizer, rows, ["a"], 6, truncation)
    assert read(pieces["bert"], found[0].windows) == expected
    assert read(pieces["bert"], found[1].windows) == [["good"]]
    special = pieces["bert"].tokenizer.all_special_ids
    assert all(row.input_ids[0] in special and row.input_ids[-1] in special for row in found[0].windows)


def test_a_pair_without_a_pattern_gives_of_both(pieces: dict[str, PieceTokenizer]) -> None:
    row = Example("1", {"a": " ".join(WORDS[:8]), "b": "world business"})
    (found,) = encode_rows(pieces["roberta"].tokenizer, [row], ["a", "b"], 10, "windows")
    texts = read(pieces["roberta"], found.windows)
    words = [word.strip("Ġ") for window in texts for word in window]
    assert [word for word in words if word in WORDS[:8]] == WORDS[:8] and {"world", "business"} <= set(words)
    assert {len(window) <= 10 for window in found.windows} == {True}


def test_windows_of_a_row_are_joined(pieces: dict[str, PieceTokenizer]) -> None:
    rows = [Example(str(i), {"a": " ".join(WORDS[:i])}) for i in (1, 9, 3, 11)]

    def encode(some: Sequence[Example]) -> list[Encoded]:
        return encode_rows(pieces["bert"].tokenizer, some, ["a"], 6, "windows")

    def compute(batch: list[Encoded]) -> torch.Tensor:
        return torch.tensor([[float(len(row)), 1.0] for row in batch])

    told: list[int] = []
    for how in ("mean", "surest"):
        passes = Inference(CPU, encode, compute, joined(how))
        found = passes.run(rows, 2, told.append)
        for row, scores in zip(encode(rows), found, strict=True):
            windows = np.asarray([[len(window), 1.0] for window in row.windows])
            expected = windows.mean(axis=0) if how == "mean" else surest_of_windows(windows)
            assert np.allclose(scores, expected)
    assert sum(told) == 2 * len(rows)


def test_work_grows_with_the_tokens_of_a_text(pieces: dict[str, PieceTokenizer]) -> None:
    encoder = PatternEncoder(Pattern("p", "{a} {mask}"), pieces["bert"], 64, "windows")
    text = "good bad " * 2_500
    (row,) = encoder.encode([Example("1", {"a": text})])
    assert sum(len(window) for window in row.windows) <= 5_000 + 3 * (5_000 // 61 + 1)
