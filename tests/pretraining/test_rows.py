"""Text as rows of tokens, which of them a step reads, and what of these is masked."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tiny import save_tiny, tiny_tokenizer
from toy_text import LENGTH, made_up

from pet.errors import DataError
from pet.learners.models.batching import ahead, padded
from pet.learners.models.sources import stock_tokenizer
from pet.learners.models.splicing import Encoded
from pet.pretraining.corpus import Corpus
from pet.pretraining.masking import Masker, held_out_batches
from pet.pretraining.mixing import mixed_shares, row_batches
from pet.seeding import rng_for
from pet.settings.pretraining import MaskingSettings

TOKENIZER = tiny_tokenizer("bert")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    sources = {"a": made_up(200), "b": made_up(60, 1), "c": made_up(20, 2)}
    return Corpus.from_documents(sources, TOKENIZER, LENGTH)


def test_a_row_is_a_part_of_one_document_and_all_of_it_is_there(corpus: Corpus, tmp_path: Path) -> None:
    corpus.save(tmp_path / "text.safetensors")
    corpus = Corpus.load(tmp_path / "text.safetensors")
    assert corpus.names == ("a", "b", "c") and corpus.ids.dtype == np.uint16
    texts = [
        TOKENIZER.decode(corpus.ids[start:end], skip_special_tokens=True)
        for start, end in zip(corpus.starts[:-1], corpus.starts[1:], strict=True)
        if corpus.ids[start] == TOKENIZER.cls_token_id and corpus.ids[end - 1] == TOKENIZER.sep_token_id
    ]
    assert len(texts) == len(corpus)
    waiting = iter(texts)
    for document in made_up(200):
        joined = next(waiting)
        while joined != document:
            joined = f"{joined} {next(waiting)}"
            assert document.startswith(joined)
    assert corpus.lengths.max() <= LENGTH


def test_text_that_spells_a_special_token_is_plain_characters() -> None:
    corpus = Corpus.from_documents({"a": ["good [MASK] [SEP] news"]}, TOKENIZER, LENGTH)
    assert np.isin(corpus.ids, TOKENIZER.all_special_ids).sum() == 2


def test_a_vocabulary_with_special_tokens_as_pieces_does_not_spell_them(tmp_path: Path) -> None:
    tokenizer = stock_tokenizer(save_tiny("xlm-roberta", tmp_path))
    corpus = Corpus.from_documents({"a": ["good <mask> text </s> bad <s>"]}, tokenizer, LENGTH)
    assert np.isin(corpus.ids, [i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id]).sum() == 2
    spelled = tokenizer("</s>", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.sep_token_id in spelled  # the tokenizer itself stays as it was made


def test_a_source_without_text_is_refused() -> None:
    with pytest.raises(DataError, match="The source empty has no text"):
        Corpus.from_documents({"a": ["good"], "empty": []}, TOKENIZER, LENGTH)


def test_sources_have_their_shares_and_every_pass_has_every_row(corpus: Corpus) -> None:
    shares = mixed_shares(corpus.tokens, [None, 0.5, None])
    batches = list(islice(row_batches(corpus, shares, 256, seed=1), 400))
    rows = np.concatenate(batches)
    seen = np.bincount(corpus.sources[rows], weights=corpus.lengths[rows])
    assert np.allclose(seen / seen.sum(), shares, atol=0.02)
    of_b = rows[corpus.sources[rows] == 1]
    times = np.bincount(of_b, minlength=len(corpus))[corpus.sources == 1]
    assert times.max() - times.min() <= 5  # a chunk, which is cut off here, has several passes
    assert all(len(batch) * corpus.lengths[batch].max() <= 256 for batch in batches)
    widths = padded(corpus.lengths)  # rows are padded to a multiple of 8, and to the longest of their batch
    assert widths[rows].sum() / sum(len(batch) * widths[batch].max() for batch in batches) > 0.95


def test_the_order_follows_from_the_seed_alone(corpus: Corpus) -> None:
    shares = mixed_shares(corpus.tokens, [None] * 3)
    first, same, other = (
        [batch.tolist() for batch in islice(row_batches(corpus, shares, 256, seed), 100)] for seed in (1, 1, 2)
    )
    assert first == same != other


def test_what_is_masked(corpus: Corpus) -> None:
    masker = Masker(TOKENIZER, MaskingSettings(rate=0.3, masked=0.5, random=0.25, keep_embeddings=1.0), LENGTH)
    rows = np.arange(300)
    batch = masker.batch(corpus, rows, rng_for(0, "x"))
    ids, real = corpus.batch(rows, masker.pad_id, batch.inputs["input_ids"].shape[1])
    shown = batch.inputs["input_ids"].numpy()
    assert batch.tokens.sum() == real.sum() and batch.whole == 75
    assert (shown[300:] == ids[:75]).all()  # these keep their embeddings: nothing is masked
    flat, told = shown[:300].reshape(-1), batch.places.numpy()
    assert (ids.reshape(-1)[told] == batch.targets.numpy()).all()
    untouched = np.setdiff1d(np.arange(ids.size), told)
    assert (flat[untouched] == ids.reshape(-1)[untouched]).all()
    assert not np.isin(batch.targets.numpy(), TOKENIZER.all_special_ids).any()
    assert abs(len(told) / (real.sum() - 2 * len(rows)) - 0.3) < 0.03
    masked, kept = (flat[told] == masker.mask_id).mean(), (flat[told] == batch.targets.numpy()).mean()
    assert abs(masked - 0.5) < 0.05 and abs(kept - 0.25) < 0.05
    weights = batch.weights.numpy()
    assert np.allclose(weights.sum(1), 1.0) and (weights[~real[:75]] == 0).all()


def test_rows_are_taken_as_they_are_and_no_word_of_them_is_masked_more_often() -> None:
    ids, types = np.array([2, 40, 41, 42, 3], np.int32), np.array([0, 0, 0, 1, 1], np.int32)
    row = Encoded(ids, types, np.empty(0, np.int64), np.zeros(5, np.bool_))
    short = Encoded(ids[:3], types[:3], np.empty(0, np.int64), np.zeros(3, np.bool_))
    corpus = Corpus.from_rows("a", [*[row] * 4000, short], TOKENIZER, types=True)
    assert corpus.tokens.tolist() == [20_003] and corpus.names == ("a",)
    batch = Masker(TOKENIZER, MaskingSettings(rate=0.15), LENGTH).batch(corpus, np.arange(4001), rng_for(0, "masks"))
    assert batch.inputs["token_type_ids"][[0, 4000]].tolist() == [[0, 0, 0, 1, 1, 0, 0, 0], [0] * 8]
    width = batch.inputs["input_ids"].shape[1]
    times = np.bincount(batch.places.numpy() % width, minlength=width)
    assert (times[[0, 4, 5, 6, 7]] == 0).all()  # special tokens and padding
    assert (abs(times[1:4] / 4000 - 0.15) < 0.02).all()
    plain = Corpus.from_rows("a", [row], TOKENIZER, types=False)
    batch = Masker(TOKENIZER, MaskingSettings(), LENGTH).batch(plain, np.arange(1), rng_for(0, "masks"))
    assert "token_type_ids" not in batch.inputs
    with pytest.raises(DataError, match="The source a has no row to learn from or to measure on: give more rows"):
        Corpus.from_rows("a", [], TOKENIZER, types=True)


def test_held_out_rows_and_masks_are_the_same_each_time(corpus: Corpus) -> None:
    first, second = (held_out_batches(corpus, TOKENIZER, LENGTH, 500, 256) for _ in range(2))
    assert 500 <= sum(batch.tokens.sum() for batch in first) <= 500 + LENGTH
    for one, other in zip(first, second, strict=True):
        assert (one.inputs["input_ids"] == other.inputs["input_ids"]).all()
        assert (one.inputs["input_ids"].reshape(-1)[one.places] == TOKENIZER.mask_token_id).all()


def test_an_error_in_the_other_thread_is_raised_here() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise DataError("gone")

    values = ahead(broken())
    assert next(values) == 1
    with pytest.raises(DataError, match="gone"):
        next(values)
