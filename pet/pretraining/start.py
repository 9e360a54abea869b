"""What pretraining starts from: a trained model, with its vocabulary whole or trimmed, or random weights of a shape."""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModelForMaskedLM,
    BertConfig,
    ModernBertConfig,
)

from pet.errors import ConfigError, ModelError
from pet.learners.models.sources import ModelSource, first_line, longest_input, read_config, stock_tokenizer
from pet.pretraining.corpus import token_counts
from pet.pretraining.vocabulary import kept_pieces, train_tokenizer, trimmed_tokenizer
from pet.settings.pretraining import StartSettings

__all__ = ["Start", "check_length", "check_start"]

_ABOUT = "start.json"

New = Literal["nothing", "head", "all"]

Documents = Callable[[], Iterable[str]]
"""Reads the text anew from its beginning."""


@dataclass(frozen=True)
class Start:
    """A masked language model in float32 with its tokenizer; `new` says which of its weights are random."""

    model: Any
    tokenizer: Any
    new: New = "nothing"

    def save(self, folder: Path) -> None:
        """Write a stock model folder, which says what of it is new."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / _ABOUT).write_text(json.dumps({"new": self.new}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "Start":
        """Read what `save` wrote, onto a device."""
        model, _ = _load(ModelSource(str(folder), folder))
        about = folder / _ABOUT
        new: New = json.loads(about.read_text(encoding="utf-8"))["new"] if about.is_file() else "nothing"
        return cls(model, stock_tokenizer(folder), new).on(device)

    def on(self, device: torch.device) -> "Start":
        """Return this start on a device.

        On a CPU attention is computed as plain products: for short rows in bfloat16 these are several times faster
        than the fused kernel, backward above all.
        """
        self.model.set_attn_implementation("eager" if device.type == "cpu" else "sdpa")
        return replace(self, model=self.model.to(device))

    @classmethod
    def from_model(cls, source: ModelSource, seed: int) -> "Start":
        """Load a masked language model, or an encoder, whose head is then drawn from the seed.

        Raises
        ------
        ModelError
            If it is no encoder, or its tokenizer does not fit it.
        """
        tokenizer = check_start(source)
        torch.manual_seed(seed)
        model, missing = _load(source)
        inside = sorted(name for name in missing if name.startswith(f"{model.base_model_prefix}."))
        if inside:
            raise ModelError(f"{source.name} lacks weights of its encoder ({inside[0]}): fetch the model again.")
        return cls(model, tokenizer, "head" if missing else "nothing")

    @classmethod
    def from_scratch(cls, settings: StartSettings, documents: Documents, length: int, seed: int) -> "Start":
        """Draw the weights of a model from the seed, and train its tokenizer on the text.

        Raises
        ------
        ConfigError
            If the vocabulary does not fit the text.
        """
        longest = max(512, length)
        tokenizer = train_tokenizer(documents(), settings, longest)
        config = _config(settings, tokenizer, longest)
        torch.manual_seed(seed)
        return cls(_random(config), tokenizer, "all")

    def trimmed(self, size: int, documents: Documents) -> "Start":
        """Return this start with a vocabulary of the `size` pieces that the text needs most; their rows are copied.

        Raises
        ------
        ConfigError
            If that many do not fit the text.
        """
        if size == len(self.tokenizer):  # there is nothing to choose
            return self
        counts = token_counts(self.tokenizer, documents())
        tokenizer, kept = trimmed_tokenizer(self.tokenizer, kept_pieces(self.tokenizer, counts, size))
        config = copy.deepcopy(self.model.config)
        before = self.model.get_input_embeddings().weight.shape[0]
        config.vocab_size = len(kept)
        for name in ("pad", "bos", "eos", "cls", "sep", "mask"):
            if isinstance(old := getattr(config, f"{name}_token_id", None), int):
                at = np.flatnonzero(kept == old)
                setattr(config, f"{name}_token_id", int(at[0]) if len(at) else None)
        model = _random(config)
        model.load_state_dict(_with_rows(self.model.state_dict(), model.state_dict(), before, kept))
        return Start(model, tokenizer, self.new)

    def with_frequencies(self, documents: Documents) -> "Start":
        """Set the output bias of a new head to the log of how often each piece is in the text; others stay."""
        decoder = self.model.get_output_embeddings()
        if self.new != "nothing" and getattr(decoder, "bias", None) is not None:
            counts = token_counts(self.tokenizer, documents()) + 1.0
            bias = torch.from_numpy(np.log(counts / counts.sum())).float()
            with torch.no_grad():
                decoder.bias[: len(bias)].copy_(bias)
        return self


def check_start(source: ModelSource) -> Any:
    """Return the tokenizer of a model to start from, as it was made; the weights are not read.

    Raises
    ------
    ModelError
        If the model is no encoder with a masked-LM form, or its tokenizer does not fit it.
    """
    config = read_config(source)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{source.name} is a {config.model_type!r} model, expected an encoder (BERT, RoBERTa, ModernBERT and the "
            "like): give another --from."
        )
    tokenizer = stock_tokenizer(source.folder)
    largest = max(tokenizer.get_vocab().values())
    if largest >= config.vocab_size:
        raise ModelError(
            f"The tokenizer of {source.name} has ids up to {largest}, the model {config.vocab_size} rows of "
            "embeddings: put the tokenizer that belongs to the model into its folder."
        )
    if tokenizer.mask_token_id is None:
        raise ModelError(f"The tokenizer of {source.name} has no mask token: give a model that was made for masks.")
    return tokenizer


def check_length(start: Start, length: int) -> None:
    """Raise a `ConfigError` where rows of `length` tokens are longer than a model reads."""
    longest = longest_input(start.model.config, start.tokenizer)
    if length > longest:
        raise ConfigError(f"text.length is {length}, but the model reads {longest} tokens at most: lower it.")


def _load(source: ModelSource) -> tuple[Any, list[str]]:
    """Return a model in float32, and the names of the weights that its files lack."""
    try:
        model, info = AutoModelForMaskedLM.from_pretrained(
            str(source.folder),
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:
        raise ModelError(f"The weights of {source.name} cannot be loaded ({first_line(error)}).") from None
    model.config.return_dict = True
    missing = [name for name in info["missing_keys"] if not name.endswith("position_ids")]
    return model.eval(), missing


def _random(config: Any) -> Any:
    return AutoModelForMaskedLM.from_config(config)  # type: ignore[no-untyped-call]


def _config(settings: StartSettings, tokenizer: Any, longest: int) -> Any:
    layers, hidden = map(int, str(settings.from_scratch).split("x"))
    # Small models gain more from many heads than from wide ones (MiniLM: 384 in 12 heads).
    heads = hidden // (64 if hidden >= 512 and hidden % 64 == 0 else 32)
    shared = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": longest,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if settings.shape == "bert":
        return BertConfig(intermediate_size=4 * hidden, **shared)
    ends = {name: getattr(tokenizer, f"{name}_token_id") for name in ("cls", "sep")}
    named = {"cls_token_id": ends["cls"], "sep_token_id": ends["sep"]}
    return ModernBertConfig(
        intermediate_size=3 * hidden // 2, bos_token_id=ends["cls"], eos_token_id=ends["sep"], **named, **shared
    )


def _with_rows(
    old: dict[str, torch.Tensor], new: dict[str, torch.Tensor], before: int, kept: np.ndarray
) -> dict[str, torch.Tensor]:
    """Return the tensors of a model, of those with a row for each of `before` pieces the kept rows alone."""
    rows = torch.from_numpy(kept)
    return {
        name: tensor[rows] if tensor.shape != new[name].shape and len(tensor) == before else tensor
        for name, tensor in old.items()
    }
