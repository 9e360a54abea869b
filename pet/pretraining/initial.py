"""What pretraining starts from: a trained model, with its vocabulary whole or trimmed, or random weights of a shape."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoModelForMaskedLM, BertConfig, ModernBertConfig

from pet.errors import ModelError
from pet.learners.models.abilities import Abilities, TrialRows
from pet.learners.models.backbone import load_weights
from pet.learners.models.batching import collate
from pet.learners.models.schedules import NewWeights
from pet.learners.models.sources import ModelSource, longest_input, stock_tokenizer
from pet.learners.models.splicing import Encoded
from pet.learners.models.trimming import trimmed_config, trimmed_tokenizer
from pet.pretraining.corpus import token_counts
from pet.pretraining.vocabulary import kept_pieces, train_tokenizer
from pet.settings.pretraining import StartSettings

_ABOUT = "start.json"

Documents = Callable[[], Iterable[str]]
"""Reads the text anew from its beginning."""


@dataclass(frozen=True)
class InitialModel:
    """A masked language model in float32 with its tokenizer; `new` says which of its weights are random."""

    model: Any
    tokenizer: Any
    new: NewWeights = "nothing"

    def save(self, folder: Path) -> None:
        """Write a stock model folder, which says what of it is new."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / _ABOUT).write_text(json.dumps({"new": self.new}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "InitialModel":
        """Read what `save` wrote, onto a device."""
        model, _ = load_weights(AutoModelForMaskedLM, ModelSource(str(folder), folder))
        about = folder / _ABOUT
        new: NewWeights = json.loads(about.read_text(encoding="utf-8"))["new"] if about.is_file() else "nothing"
        return cls(model, stock_tokenizer(folder), new).on(device)

    def on(self, device: torch.device) -> "InitialModel":
        """Return this model on a device.

        On a CPU attention is computed as plain products: for short rows in bfloat16 these are several times faster
        than the fused kernel, backward above all.
        """
        self.model.set_attn_implementation("eager" if device.type == "cpu" else "sdpa")
        return replace(self, model=self.model.to(device))

    def abilities(self, name: str) -> Abilities:
        """Try the model, which is called `name` in an error, where and as it computes now (see `Abilities.of`)."""
        device = next(self.model.parameters()).device

        def to_batch(rows: Sequence[Encoded]) -> dict[str, torch.Tensor]:
            return collate(rows, self.tokenizer.pad_token_id, False, device).inputs

        rows = TrialRows.of(self.tokenizer, longest_input(self.model.config, self.tokenizer))
        return Abilities.of(name, self.model.eval(), rows, to_batch)

    @classmethod
    def from_model(cls, source: ModelSource, seed: int) -> "InitialModel":
        """Load a masked language model, or an encoder, whose head is then drawn from the seed.

        Raises `ModelError` if it is no encoder, or its tokenizer does not fit it.
        """
        tokenizer = check_start(source)
        torch.manual_seed(seed)
        model, missing = load_weights(AutoModelForMaskedLM, source)
        inside = [name for name in missing if name.startswith(f"{model.base_model_prefix}.")]
        if inside:
            raise ModelError(f"{source.name} lacks weights of its encoder ({inside[0]}): fetch the model again.")
        return cls(model, tokenizer, "head" if missing else "nothing")

    @classmethod
    def from_scratch(cls, settings: StartSettings, documents: Documents, length: int, seed: int) -> "InitialModel":
        """Draw the weights of a model from the seed, and train its tokenizer on the text.

        Raises `ConfigError` if the vocabulary does not fit the text.
        """
        longest = max(512, length)
        tokenizer = train_tokenizer(documents(), settings, longest)
        config = _config(settings, tokenizer, longest)
        torch.manual_seed(seed)
        return cls(AutoModelForMaskedLM.from_config(config), tokenizer, "all")  # type: ignore[no-untyped-call]

    def trimmed(self, size: int, documents: Documents) -> "InitialModel":
        """Return this model with a vocabulary of the `size` pieces that the text needs most; their rows are copied.

        Raises `ConfigError` if that many do not fit the text.
        """
        counts = token_counts(self.tokenizer, documents())
        tokenizer, kept = trimmed_tokenizer(self.tokenizer, kept_pieces(self.tokenizer, counts, size))
        before = self.model.get_input_embeddings().weight.shape[0]
        config = trimmed_config(self.model.config, kept)
        model = AutoModelForMaskedLM.from_config(config)  # type: ignore[no-untyped-call]
        shapes, rows = {name: tensor.shape for name, tensor in model.state_dict().items()}, torch.from_numpy(kept)
        state = {
            name: tensor[rows] if tensor.shape != shapes[name] and len(tensor) == before else tensor
            for name, tensor in self.model.state_dict().items()
        }
        model.load_state_dict(state)
        return InitialModel(model, tokenizer, self.new)

    def with_frequencies(self, documents: Documents) -> "InitialModel":
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

    Raises `ModelError` if the model is no encoder with a masked-LM form, or its tokenizer does not fit it.
    """
    config = source.config
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{source.name} is a {config.model_type!r} model, expected an encoder (BERT, RoBERTa, ModernBERT and the "
            "like): give another --from."
        )
    tokenizer = stock_tokenizer(source.folder)
    if tokenizer.mask_token_id is None:
        raise ModelError(f"The tokenizer of {source.name} has no mask token: give a model that was made for masks.")
    return tokenizer


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
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    ends = {"bos_token_id": first, "cls_token_id": first, "eos_token_id": last, "sep_token_id": last}
    return ModernBertConfig(intermediate_size=3 * hidden // 2, **ends, **shared)
