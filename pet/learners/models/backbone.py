"""A pretrained masked language model: read from disk once, and reset in memory for each voter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from pet.errors import ModelError
from pet.learners.models.abilities import Abilities, TrialRows
from pet.learners.models.batching import Batch, collate, padded
from pet.learners.models.delta import Delta
from pet.learners.models.packed import PACKED, unpacked
from pet.learners.models.sources import (
    ModelSource,
    encoder_config,
    first_line,
    language_model_config,
    load_tokenizer,
    longest_input,
    masked_lm_config,
    model_kind,
)
from pet.learners.models.splicing import Encoded
from pet.learners.models.tokens import ModelKind, PieceTokenizer


@dataclass
class Backbone:
    """A loaded model with its tokenizer.

    `reset` brings a masked language model back to the weights it was loaded with; a classifier keeps no copy of its.
    """

    source: ModelSource
    model: Any
    pieces: PieceTokenizer
    uses_segments: bool
    abilities: Abilities = field(default_factory=Abilities)
    _pristine: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)
    _attached: Delta | None = field(default=None, init=False, repr=False)

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
        outweighs the padding (measured with pet-mini on a CPU in bfloat16: 1.4 to 1.5 times faster). A model that
        reads padding is given rows of one length, as they are.
        """
        if not self.abilities.ignores_padding:
            return self.batch(encoded)
        most = self.longest_input - (self._attached.reserved if self._attached else 0)
        return self.batch(encoded, min(padded(max(map(len, encoded))), most))

    def attach(self, delta: Delta) -> None:
        """Let the model compute with one voter's weights from now on; those of another are detached."""
        if self._attached is not delta:
            self.reset()
            delta.attach()
            self._attached = delta

    def reset(self) -> None:
        """Detach a voter's weights, and copy the loaded ones back into the model, in memory."""
        if self._attached is not None:
            self._attached.detach()
            self._attached = None
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

        Raises `ModelError` if the model is none, has no trained masked-LM head, or cannot be used (see `Abilities`).
        """
        masked_lm_config(source)
        model, missing = load_weights(AutoModelForMaskedLM, source)
        if missing:
            raise ModelError(
                f"{source.name} has no masked-LM head ({missing[0]} is missing): patterns need the head that the model "
                "was pretrained with; choose the masked-LM version of this model."
            )
        backbone = cls._wrap(source, model, device)
        backbone._pristine = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return backbone

    @classmethod
    def language_model(cls, source: ModelSource, device: torch.device) -> "Backbone":
        """Load a masked or causal language model, or an encoder-decoder, in float32.

        Raises `ModelError` if the model is none, lacks weights, or cannot be used (see `Abilities`).
        """
        kind = model_kind(language_model_config(source))
        if kind == "masked":
            return cls.masked_lm(source, device)
        auto = AutoModelForCausalLM if kind == "causal" else AutoModelForSeq2SeqLM
        model, missing = load_weights(auto, source)
        if missing:
            raise ModelError(f"{source.name} lacks weights ({missing[0]}): fetch the model again.")
        backbone = cls._wrap(source, model, device, kind or "causal")
        backbone._pristine = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return backbone

    @classmethod
    def encoder(cls, source: ModelSource, device: torch.device) -> "Backbone":
        """Load an encoder without any head, in float32.

        Raises `ModelError` if the model is none, lacks weights or a tokenizer, or the tokenizer does not fit it.
        """
        encoder_config(source)
        torch.manual_seed(0)  # a pooler that the files lack is drawn alike each time: it is saved with the rest
        model, missing = load_weights(AutoModel, source)
        lacking = [name for name in missing if not name.startswith("pooler.")]  # a head, and not used
        if lacking:
            raise ModelError(f"{source.name} lacks weights of its encoder ({lacking[0]}): fetch the model again.")
        return cls._wrap(source, model, device)

    @classmethod
    def classifier(
        cls, source: ModelSource, labels: tuple[str, ...], device: torch.device, seed: int | None
    ) -> "Backbone":
        """Load an encoder with a classification head, in float32.

        The head is drawn from `seed` where the source has none for so many labels; without a seed (None) the source
        must have it.

        Raises `ModelError` if the model cannot be a classifier, or has no trained head where it must.
        """
        check_classifier(source)
        torch.manual_seed(seed or 0)
        model, missing = load_weights(
            AutoModelForSequenceClassification,
            source,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
            # transformers takes a single output, a score, for a regression.
            problem_type="single_label_classification" if len(labels) > 1 else "regression",
            ignore_mismatched_sizes=seed is not None,
        )
        if seed is None and missing:
            raise ModelError(f"{source.name} has no trained classifier ({missing[0]} is missing).")
        return cls._wrap(source, model, device)

    @classmethod
    def _wrap(cls, source: ModelSource, model: Any, device: torch.device, kind: ModelKind = "masked") -> "Backbone":
        tokenizer = load_tokenizer(source.folder)
        model = model.to(device)
        # As the stock pipeline does: the tokenizer says whether a model is given token types.
        segments = "token_type_ids" in tokenizer.model_input_names and getattr(model.config, "type_vocab_size", 0) > 1
        if model.config.pad_token_id is None:
            model.config.pad_token_id = tokenizer.pad_token_id  # by which a causal classifier finds the end of a row
        backbone = cls(source, model, PieceTokenizer(tokenizer, kind), segments)
        if kind == "seq2seq":  # whose attention leaves padding alone
            return backbone
        rows = TrialRows.of(tokenizer, backbone.longest_input)
        backbone.abilities = Abilities.of(source.name, model, rows, lambda some: backbone.batch(some).inputs)
        return backbone


def check_classifier(source: ModelSource) -> None:
    """Refuse, before its weights are read, a model that cannot be a sequence classifier: a ModelError says so."""
    config = source.config
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(f"{source.name} ({config.model_type!r}) cannot be a sequence classifier: choose another.")


def load_weights(kind: Any, source: ModelSource, **options: Any) -> tuple[Any, list[str]]:
    """Return a model of a kind, such as `AutoModelForMaskedLM`, and the sorted names of the weights its files lack.

    Float32 is asked for, since the checkpoint's own type would be kept otherwise; `options` go to `from_pretrained`.
    Packed weights are unpacked first.

    Raises `ModelError` if the weights cannot be read, or lie in no safetensors file.
    """
    try:
        is_packed = (source.folder / PACKED).is_file()
        kind, options = _packed(kind, source.folder, options) if is_packed else (kind, options)
        model, info = kind.from_pretrained(
            None if is_packed else str(source.folder),
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    except Exception as error:
        raise ModelError(f"The weights of {source.name} cannot be loaded ({first_line(error)}).") from None
    model.config.return_dict = True  # some checkpoints ask for tuples
    return model.eval(), sorted(name for name in info["missing_keys"] if not name.endswith("position_ids"))


def _packed(kind: Any, folder: Path, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the class that an Auto class stands for, which alone takes a state, and the options with that state."""
    config, others = AutoConfig.from_pretrained(
        str(folder), trust_remote_code=False, return_unused_kwargs=True, **options
    )
    with torch.device("meta"):  # no weights are made for it
        found = type(kind.from_config(config))
    return found, others | {"config": config, "state_dict": unpacked(folder / PACKED)}
