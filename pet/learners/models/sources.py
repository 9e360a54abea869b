"""Where a model's files lie, and what they say before any weights are loaded."""

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError, safe_open
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
)

from pet.errors import ModelError, near_matches
from pet.learners.models.packed import weight_count
from pet.learners.models.tokens import ModelKind, keep_specials_apart
from pet.library import BUNDLED_MODELS, bundled_models

_USED_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")  # never pickled weights, never code
_POOLING_FILES = "[0-9]_*/config.json"
# Models that number positions from padding_idx + 1, mostly 2: no token uses the rows of their table before it.
_FROM_TWO = {
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}


@dataclass(frozen=True)
class ModelSource:
    """A model by the name it was asked for, and the folder its files lie in."""

    name: str
    folder: Path

    @cached_property
    def config(self) -> Any:
        """The config, read without running code from the folder.

        Raises `ModelError` if it cannot be read.
        """
        try:
            return AutoConfig.from_pretrained(str(self.folder), trust_remote_code=False)
        except Exception as error:
            raise ModelError(f"The config.json of {self.name} cannot be read ({first_line(error)}).") from None

    @cached_property
    def digest(self) -> str:
        """The sha256 (hex) over the names and bytes of the files that the model is loaded from."""
        digest = hashlib.sha256()
        for path in sorted({path for pattern in (*_USED_FILES, _POOLING_FILES) for path in self.folder.glob(pattern)}):
            digest.update(path.relative_to(self.folder).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    @cached_property
    def parameters(self) -> int:
        """The number of weights in the safetensors files, read from their headers.

        Tied weights are stored, and counted, once; stored heads that a masked language model leaves out count too.

        Raises `ModelError` if a file is broken.
        """
        count = 0
        for path in self.folder.glob("*.safetensors"):
            try:
                with safe_open(path, framework="numpy") as file:
                    count += sum(weight_count(name, file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
            except (SafetensorError, OSError) as error:
                raise ModelError(f"{path} cannot be read ({first_line(error)}): fetch the model again.") from None
        return count


def quiet_transformers() -> None:
    """Keep transformers' load reports and progress bars out of the user's terminal; errors stay."""
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for name in ("huggingface_hub", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)


def find_model(name: str, revision: str | None = None) -> ModelSource:
    """Find a bundled model, a folder, or (downloading it) a hub id, in this order.

    Raises `ModelError` if there is no such model, or it holds no safetensors weights.
    """
    if not name.strip():
        raise ModelError("The name of the model is empty: give a bundled name, a folder, or a hub id.")
    folder = Path(name)
    if name in bundled_models():
        folder = BUNDLED_MODELS / name
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
        raise ModelError(
            f"No model {name!r}: it is no bundled name, no folder, and the hub did not give it ({_refusal(error)})."
            f"{near_matches(name, bundled_models())}"
        ) from None


def _refusal(error: Exception) -> str:
    """Say why the hub did not give a model."""
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled | ConnectionError | TimeoutError):
        return (
            "it cannot be reached: check the spelling, the network, and that HF_HUB_OFFLINE is not set, or name the "
            "folder of a copy"
        )
    if isinstance(error, GatedRepoError):
        return "it asks for your consent first: accept the terms on the model's page, and log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "it has none of that name: check the spelling, OWNER/NAME, or log in if the model is private"
    return first_line(error)


def stock_tokenizer(folder: Path) -> Any:
    """Load a tokenizer from a folder as it was made, without running code from it.

    Raises `ModelError` if its files are missing or unreadable, it is none of the `tokenizers` library, or the model
    in the folder has no embedding for some of its tokens.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, use_fast=True)
    except Exception as error:
        raise ModelError(f"{folder} holds no tokenizer that can be loaded ({first_line(error)}).") from None
    # Where the files are missing, transformers makes a tokenizer of special tokens alone.
    if tokenizer.is_fast and tokenizer.backend_tokenizer.get_vocab_size() <= len(tokenizer.all_special_tokens):
        raise ModelError(
            f"{folder} holds no vocabulary of a tokenizer: put the files of its tokenizer beside the model."
        )
    if tokenizer.pad_token_id is None and model_kind(ModelSource(str(folder), folder).config) == "causal":
        tokenizer.pad_token = tokenizer.eos_token  # what follows a row is never seen by it
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        lacks = "pad token" if tokenizer.is_fast else "tokenizer.json"
        raise ModelError(f"The tokenizer of {folder} has no {lacks}, which is needed: choose another model.")
    _check_size(folder, tokenizer)
    return tokenizer


def _check_size(folder: Path, tokenizer: Any) -> None:
    """Refuse a tokenizer with more ids than its model has embeddings: a text with such a token would have none.

    Tokens that were added without resizing the model are of that kind, and so is the tokenizer of another model.
    """
    config = ModelSource(str(folder), folder).config
    rows = getattr(config.get_text_config(), "vocab_size", None)
    largest = max(tokenizer.get_vocab().values())
    if rows is not None and largest >= rows:
        raise ModelError(
            f"The tokenizer of {folder} has ids up to {largest}, the model {rows} rows of embeddings: put the "
            "tokenizer that belongs to the model into its folder."
        )


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer, and change it so that text never spells its special tokens (see `stock_tokenizer`)."""
    tokenizer = stock_tokenizer(folder)
    keep_specials_apart(tokenizer)
    return tokenizer


def masked_lm_config(source: ModelSource) -> Any:
    """Return the config of a masked language model, whose weights are not read.

    Raises `ModelError` if it is no such model.
    """
    config = source.config
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise ModelError(
            f"{source.name} is a {config.model_type!r} model, expected a masked language model (BERT, RoBERTa, "
            "ModernBERT and the like): choose another model.name."
        )
    return config


def language_model_config(source: ModelSource) -> Any:
    """Return the config of a language model that scores words in a text, whose weights are not read.

    Raises `ModelError` if it is no such model.
    """
    config = source.config
    if model_kind(config) is None:
        raise ModelError(
            f"{source.name} is a {config.model_type!r} model, expected a masked language model (BERT, RoBERTa, "
            "ModernBERT and the like), a causal one (GPT-2, Llama) or an encoder-decoder with sentinels (T5): choose "
            "another model.name."
        )
    return config


def model_kind(config: Any) -> ModelKind | None:
    """Return how a language model says a word, by its config: at a mask, at the end, or from a decoder; else None."""
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        return "masked"
    if getattr(config, "is_encoder_decoder", False):
        return "seq2seq" if type(config) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING else None
    return "causal" if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else None


def encoder_config(source: ModelSource) -> Any:
    """Return the config of an encoder, whose weights are not read.

    Raises `ModelError` if it is no encoder.
    """
    config = source.config
    both = getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False)
    if both or type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise ModelError(
            f"{source.name} is a {config.model_type!r} model, expected an encoder (BERT, RoBERTa, ModernBERT and the "
            "like): choose another encoder."
        )
    return config


def longest_input(config: Any, tokenizer: Any) -> int:
    """Return the most tokens that a model reads, special tokens included."""
    table = getattr(config, "max_position_embeddings", None) or 512
    unused = max(2, (config.pad_token_id or 0) + 1) if config.model_type in _FROM_TWO else 0
    return int(min(table - unused, tokenizer.model_max_length))


def first_line(error: Exception) -> str:
    """Return the first line of another library's error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
