"""A pretrained masked language model: read from disk once, and reset in memory for each voter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from pet.errors import ModelError
from pet.learners.models.batching import Batch, collate
from pet.learners.models.delta import Delta
from pet.learners.models.encoding import Encoded
from pet.learners.models.sources import (
    ModelSource,
    first_line,
    load_tokenizer,
    longest_input,
    masked_lm_config,
    read_config,
)
from pet.learners.models.tokens import PieceTokenizer

__all__ = ["Backbone", "check_classifier"]


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
    _worn: Delta | None = field(default=None, init=False, repr=False)

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
        most = self.longest_input - (self._worn.reserved if self._worn else 0)
        return self.batch(encoded, min(-(-longest // 8) * 8, most))

    def wear(self, delta: Delta) -> None:
        """Let the model compute with one voter's weights from now on; those of another go first."""
        if self._worn is not delta:
            self.reset()
            delta.attach()
            self._worn = delta

    def reset(self) -> None:
        """Take off what the model wears, and copy the loaded weights back into it, in memory."""
        if self._worn is not None:
            self._worn.detach()
            self._worn = None
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                tensor.copy_(self._pristine[name])
        self.model.zero_grad(set_to_none=True)

    def save(self, folder: Path) -> None:
        """Write the weights as they are now, with the tokenizer, as a stock model folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

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

        The head is drawn from `seed` where the source has none for so many labels; without a seed (None) the source
        must have it.

        Raises
        ------
        ModelError
            If the model cannot be a classifier, or has no trained head where it must.
        """
        check_classifier(source)
        torch.manual_seed(seed or 0)
        model, info = _load(
            AutoModelForSequenceClassification.from_pretrained,
            source,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
            problem_type="single_label_classification",
            ignore_mismatched_sizes=seed is not None,
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


def check_classifier(source: ModelSource) -> None:
    """Check, without reading its weights, that a model can be a sequence classifier.

    Raises
    ------
    ModelError
        If it cannot.
    """
    config = read_config(source)
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(f"{source.name} ({config.model_type!r}) cannot be a sequence classifier: choose another.")


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
        raise ModelError(f"The weights of {source.name} cannot be loaded ({first_line(error)}).") from None
