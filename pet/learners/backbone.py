"""A pretrained masked language model: found, checked, read from disk once, and reset in memory for each voter."""

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from pet.errors import ModelError, near_matches
from pet.learners.batching import Batch, collate
from pet.learners.encoding import Encoded
from pet.learners.tokens import PieceTokenizer, keep_specials_apart
from pet.library import BUNDLED_MODELS

__all__ = [
    "Backbone",
    "ModelSource",
    "find_model",
    "load_tokenizer",
    "longest_input",
    "masked_lm_config",
    "model_digest",
    "parameter_count",
    "quiet_transformers",
]

_USED_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")  # never pickled weights, never code
# Models that number positions from padding_idx + 1: no token uses the first two rows of their table.
_FROM_TWO = {"roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}


@dataclass(frozen=True)
class ModelSource:
    """A model by the name it was asked for, and the folder its files lie in."""

    name: str
    folder: Path


def quiet_transformers() -> None:
    """Keep transformers' load reports and progress bars out of the user's terminal; errors stay."""
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for name in ("huggingface_hub", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)


def find_model(name: str, revision: str | None = None) -> ModelSource:
    """Find a bundled model, a folder, or (downloading it) a hub id, in this order.

    Raises
    ------
    ModelError
        If there is no such model, or it holds no safetensors weights.
    """
    bundled, folder = BUNDLED_MODELS / name, Path(name)
    if "/" not in name and bundled.is_dir():
        folder = bundled
    elif not folder.is_dir():
        folder = _download(name, revision)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no config.json: give a folder written by save_pretrained, or a hub id.")
    if not any(folder.glob("*.safetensors")):
        pickled = next((path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)), None)
        raise ModelError(
            f"{name} holds {f'only pickled weights ({pickled})' if pickled else 'no weights'}, expected safetensors, "
            "which cannot run code when loaded: convert it once with save_pretrained."
        )
    return ModelSource(name, folder)


def _download(name: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_USED_FILES)))
    except Exception as error:  # the client's errors differ between its versions: each means "not to be had"
        known = [path.name for path in BUNDLED_MODELS.iterdir()] if BUNDLED_MODELS.is_dir() else []
        raise ModelError(
            f"No model {name!r}: it is no bundled name, no folder, and the hub did not give it ({_reason(error)})."
            f"{near_matches(name, known)}"
        ) from None


def model_digest(folder: Path) -> str:
    """Return the sha256 (hex) over the names and bytes of the files a model is loaded from."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _USED_FILES for path in folder.glob(pattern)}):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def parameter_count(folder: Path) -> int:
    """Return the number of weights in a folder's safetensors files, read from their headers.

    Tied weights are stored, and counted, once; stored heads that a masked language model leaves out count too.

    Raises
    ------
    ModelError
        If a file is broken.
    """
    count = 0
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="numpy") as file:
                count += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} cannot be read ({_reason(error)}): fetch the model again.") from None
    return count


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer from a folder, without running code from it; text never spells its special tokens.

    Raises
    ------
    ModelError
        If its files are missing or unreadable, or it is none of the `tokenizers` library.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, use_fast=True)
    except Exception as error:
        raise ModelError(f"{folder} holds no tokenizer that can be loaded ({_reason(error)}).") from None
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        lacks = "pad token" if tokenizer.is_fast else "tokenizer.json"
        raise ModelError(f"The tokenizer of {folder} has no {lacks}, which is needed: choose another model.")
    keep_specials_apart(tokenizer)
    return tokenizer


@dataclass
class Backbone:
    """A loaded model with its tokenizer.

    `reset` brings a masked language model back to the weights it was loaded with; a classifier keeps no copy of its.
    """

    source: ModelSource
    model: Any
    pieces: PieceTokenizer
    uses_segments: bool
    _pristine: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.pieces.tokenizer

    @property
    def longest_input(self) -> int:
        """The most tokens the model reads, special tokens included."""
        return longest_input(self.model.config, self.tokenizer)

    def batch(self, encoded: Sequence[Encoded], width: int = 0) -> Batch:
        """Return rows as tensors on the model's device, padded to the longest of them (or to `width`)."""
        device = next(self.model.parameters()).device
        return collate(encoded, self.tokenizer.pad_token_id, self.uses_segments, device, width)

    def training_batch(self, encoded: Sequence[Encoded]) -> Batch:
        """Return rows padded to a multiple of 8 tokens.

        A training step has many matrix products over the tokens, each several times slower at an odd size; that
        outweighs the padding (measured with pet-mini on a CPU in bfloat16: 1.4 to 1.5 times faster).
        """
        longest = max(map(len, encoded))
        return self.batch(encoded, min(-(-longest // 8) * 8, self.longest_input))

    def parameters(self) -> int:
        """Return the number of parameters."""
        return sum(weight.numel() for weight in self.model.parameters())

    def reset(self) -> None:
        """Copy the loaded weights back into the model, in memory."""
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                tensor.copy_(self._pristine[name])
        self.model.zero_grad(set_to_none=True)

    @classmethod
    def masked_lm(cls, source: ModelSource, device: torch.device) -> "Backbone":
        """Load a masked language model with its head, in float32.

        Raises
        ------
        ModelError
            If the model is none, or has no trained masked-LM head.
        """
        masked_lm_config(source)
        model, info = _load(AutoModelForMaskedLM.from_pretrained, source)
        missing = sorted(key for key in info["missing_keys"] if not key.endswith("position_ids"))
        if missing:
            raise ModelError(
                f"{source.name} has no masked-LM head ({missing[0]} is missing): patterns need the head that the model "
                "was pretrained with; choose the masked-LM version of this model."
            )
        backbone = cls._wrap(source, model, device)
        backbone._pristine = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return backbone

    @classmethod
    def classifier(
        cls, source: ModelSource, labels: tuple[str, ...], device: torch.device, seed: int | None
    ) -> "Backbone":
        """Load an encoder with a classification head, in float32.

        The head is drawn from `seed` where the source has none; without a seed (None) the source must have it.

        Raises
        ------
        ModelError
            If the model cannot be a classifier, or has no trained head where it must.
        """
        config = _config(source)
        if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
            raise ModelError(f"{source.name} ({config.model_type!r}) cannot be a sequence classifier: choose another.")
        torch.manual_seed(seed or 0)
        model, info = _load(
            AutoModelForSequenceClassification.from_pretrained,
            source,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
            problem_type="single_label_classification",
        )
        if seed is None and info["missing_keys"]:
            raise ModelError(f"{source.name} has no trained classifier ({min(info['missing_keys'])} is missing).")
        return cls._wrap(source, model, device)

    @classmethod
    def _wrap(cls, source: ModelSource, model: Any, device: torch.device) -> "Backbone":
        tokenizer = load_tokenizer(source.folder)
        model = model.to(device).eval()
        model.config.return_dict = True  # some checkpoints ask for tuples
        # As the stock pipeline does: the tokenizer says whether a model is given token types.
        segments = "token_type_ids" in tokenizer.model_input_names and getattr(model.config, "type_vocab_size", 0) > 1
        return cls(source, model, PieceTokenizer(tokenizer), segments)


def masked_lm_config(source: ModelSource) -> Any:
    """Return the config of a masked language model, whose weights are not read.

    Raises
    ------
    ModelError
        If it is no such model.
    """
    config = _config(source)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise ModelError(
            f"{source.name} is a {config.model_type!r} model, expected a masked language model (BERT, RoBERTa, "
            "ModernBERT and the like): choose another model.name."
        )
    return config


def longest_input(config: Any, tokenizer: Any) -> int:
    """Return the most tokens that a model reads, special tokens included."""
    table = getattr(config, "max_position_embeddings", None) or 512
    unused = 2 if config.model_type in _FROM_TWO else 0
    return int(min(table - unused, tokenizer.model_max_length))


def _reason(error: Exception) -> str:
    """Return the first line of another library's error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _config(source: ModelSource) -> Any:
    try:
        return AutoConfig.from_pretrained(str(source.folder), trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"The config.json of {source.name} cannot be read ({_reason(error)}).") from None


def _load(from_pretrained: Callable[..., Any], source: ModelSource, **options: Any) -> tuple[Any, Any]:
    """Load weights; float32 is asked for, since the checkpoint's own type would be kept otherwise."""
    try:
        model, info = from_pretrained(
            str(source.folder),
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
        return model, info
    except Exception as error:
        raise ModelError(f"The weights of {source.name} cannot be loaded ({_reason(error)}).") from None
