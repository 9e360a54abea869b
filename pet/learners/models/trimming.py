"""Vocabularies cut down to what is used: of a tokenizer, and of a multilingual encoder to the texts of a run."""

import copy
import json
import shutil
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import AutoModel, PreTrainedTokenizerFast

from pet.errors import ModelError
from pet.learners.models.backbone import load_weights
from pet.learners.models.packed import PACKED, unpacked
from pet.learners.models.sentence_files import SENTENCE_FILES, SentenceForm, sentence_form
from pet.learners.models.sources import ModelSource, encoder_config, stock_tokenizer
from pet.learners.models.tokens import keep_specials_apart

SMALLEST = 40_000
"""A vocabulary of fewer pieces is left whole."""

_FREQUENT, _CHARACTERS = 16_000, 20_000
_TEXTS = 4096
"""So many texts are held as tokens at a time."""

NAMES = ("pad", "unk", "cls", "sep", "mask")
"""The special tokens that a trimmed tokenizer has, if the whole one has them."""


def trimmed(source: ModelSource, texts: Iterable[str], folder: Path) -> ModelSource:
    """Write an encoder into a folder with the pieces that texts need; their vectors stay the same, up to rounding.

    That holds for a Unigram vocabulary of more than `SMALLEST` pieces; any other source is returned as it is. Kept are
    the special tokens, all pieces of the texts, and, for texts that come later, the most frequent pieces and
    characters of the vocabulary. The folder is a stock one of the encoder alone, in float32, with the files that say
    how it is pooled. The texts are read once and a batch of them is held; of packed weights only what is kept is
    unpacked.

    Raises `ModelError` if the model is no encoder, or its files cannot be read.
    """
    config = encoder_config(source)
    if config.vocab_size <= SMALLEST:
        return source
    tokenizer = stock_tokenizer(source.folder)
    if not isinstance(tokenizer.backend_tokenizer.model, models.Unigram) or len(tokenizer) <= SMALLEST:
        return source
    used, state = _used(tokenizer, sentence_form(source), texts), _state(tokenizer)
    found, kept = trimmed_tokenizer(tokenizer, _needed(tokenizer, state, used), state)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_kept_state(source, kept), folder / "model.safetensors", metadata={"format": "pt"})
    trimmed_config(config, kept).save_pretrained(folder)
    found.save_pretrained(folder)
    for name in SENTENCE_FILES:
        if (path := source.folder / name).is_file():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / name)
    return ModelSource(source.name, folder)


def cut_weights(source: ModelSource) -> int:
    """Return about how many weights an encoder has once its vocabulary is cut, where it is a large one."""
    pieces, width = int(getattr(source.config, "vocab_size", 0)), int(getattr(source.config, "hidden_size", 0))
    return source.parameters - max(0, pieces - _CHARACTERS) * width if pieces > SMALLEST else source.parameters


def _used(tokenizer: Any, form: SentenceForm, texts: Iterable[str]) -> np.ndarray:
    """Return the ids of the pieces that texts are read as, int64 [u], ascending; the tokenizer stays as it was made."""
    backend, waiting, used = tokenizer.backend_tokenizer, iter(texts), set[int]()
    stock = backend.pre_tokenizer
    keep_specials_apart(tokenizer)
    while some := [form.read(text) for text in islice(waiting, _TEXTS)]:
        for ids in tokenizer(some, split_special_tokens=True, verbose=False)["input_ids"]:
            used.update(ids)
    backend.pre_tokenizer = stock
    return np.asarray(sorted(used), np.int64)


def _state(tokenizer: Any) -> dict[str, Any]:
    """Return what a tokenizer.json says; of a large vocabulary that takes half a second."""
    found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return found


def _needed(tokenizer: Any, state: Mapping[str, Any], used: np.ndarray) -> np.ndarray:
    """Return the ids to keep, int64 [v], ascending; the pieces of a Unigram model are in order of frequency."""
    pieces = state["model"]["vocab"]
    characters = [place for place, (piece, _) in enumerate(pieces[:_CHARACTERS]) if len(piece.strip("▁")) <= 1]
    # What an unknown character costs depends on the rarest piece, and so does how text with one is split.
    rarest = min(range(len(pieces)), key=lambda place: pieces[place][1])
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    return np.asarray(sorted({*range(_FREQUENT), *characters, rarest, *special, *used.tolist()}), np.int64)


def _kept_state(source: ModelSource, kept: np.ndarray) -> dict[str, torch.Tensor]:
    """Return the weights of an encoder that its files have, with the kept rows of its word embeddings."""
    if (packed := source.folder / PACKED).is_file():
        return unpacked(packed, kept)
    model, missing = load_weights(AutoModel, source)
    table, rows = model.get_input_embeddings().weight, torch.from_numpy(kept)
    return {
        name: tensor[rows] if tensor.data_ptr() == table.data_ptr() else tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name not in missing
    }


def trimmed_config(config: Any, kept: np.ndarray) -> Any:
    """Return the config of a model with the kept pieces alone: their number, and the new ids of special tokens."""
    found = copy.deepcopy(config)
    found.vocab_size = len(kept)
    for name in ("bos", "eos", *NAMES):
        if isinstance(old := getattr(config, f"{name}_token_id", None), int):
            at = np.flatnonzero(kept == old)
            setattr(found, f"{name}_token_id", int(at[0]) if len(at) else None)
    return found


def trimmed_tokenizer(
    tokenizer: Any, kept: np.ndarray, state: dict[str, Any] | None = None
) -> tuple[PreTrainedTokenizerFast, np.ndarray]:
    """Return a tokenizer with the kept pieces alone, and the old ids of its pieces, int64 [v], by new id.

    A text that was split into kept pieces is split into the same. For BPE the pieces that others are merged from are
    kept too, so that there may be more than were asked for. The `state` of the tokenizer, if it is known, is changed.

    Raises `ModelError` if the tokenizer is of another kind than WordPiece, BPE and Unigram.
    """
    state = _state(tokenizer) if state is None else state
    kind = state["model"]["type"]
    if kind not in ("WordPiece", "BPE", "Unigram"):
        raise ModelError(f"A {kind} vocabulary cannot be trimmed, expected WordPiece, BPE or Unigram: leave it whole.")
    if kind == "BPE":
        kept = _with_parts(state["model"], kept)
    new = {int(old): place for place, old in enumerate(kept)}
    _trim_model(state["model"], new)
    for token in state["added_tokens"]:
        token["id"] = new[token["id"]]
    if state["post_processor"] is not None:
        state["post_processor"] = _renumbered(state["post_processor"], new)
    names = (f"{name}_token" for name in NAMES)
    found = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        **{name: token for name in names if (token := getattr(tokenizer, name, None)) is not None},
    )
    return found, kept


def _trim_model(model: dict[str, Any], new: dict[int, int]) -> None:
    """Leave the kept pieces of a tokenizer's model, with their new ids."""
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in new if old < len(model["vocab"])]
        model["unk_id"] = new[model["unk_id"]]
        return
    model["vocab"] = {piece: new[old] for piece, old in model["vocab"].items() if old in new}
    if model["type"] == "BPE":
        vocabulary = model["vocab"].keys()
        model["merges"] = [pair for pair in model["merges"] if {*pair, "".join(pair)} <= vocabulary]


def _with_parts(model: dict[str, Any], kept: np.ndarray) -> np.ndarray:
    """Return ids with those of all pieces that they are merged from, ascending."""
    ids = set(kept.tolist())
    found, before = {piece for piece, old in model["vocab"].items() if old in ids}, -1
    while len(found) > before:  # the parts of a piece are made by earlier merges, but for those made in two ways
        before = len(found)
        for pair in reversed(model["merges"]):
            found.update(pair if "".join(pair) in found else ())
    return np.asarray(sorted(ids.union(model["vocab"][piece] for piece in found)), np.int64)


def _renumbered(processor: Any, new: dict[int, int]) -> Any:
    """Return the description of a post-processor with new ids: ``["[SEP]", id]`` pairs and lists of ``ids``."""
    match processor:
        case [str(token), int(old)]:
            return [token, new[old]]
        case [*parts]:
            return [_renumbered(part, new) for part in parts]
        case {"ids": ids}:
            return processor | {"ids": [new[old] for old in ids]}
        case {}:
            return {key: _renumbered(value, new) for key, value in processor.items()}
    return processor
