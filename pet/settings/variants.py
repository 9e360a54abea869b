"""Prompt variants: what of a voter trains, on three axes, and the presets that name the published points.

    input     what the template's words are: hard or tuned words, free vectors for them or in front of all, nothing
    weights   which weights of the model train, or what is added to the frozen model
    output    what scores a label at the mask

A preset sets all three; each can be set on its own beside it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field

from pet.settings.base import PositiveInt, Section, expecting

Input = Literal["hard", "tune", "soft", "prepend", "null"]
PromptEncoderKind = Literal["none", "mlp", "lstm"]
Weights = Literal["full", "none", "bitfit", "layernorm", "adapter", "lora", "prefix", "unipelt", "head", "peft"]
Output = Literal["words", "weighted", "calibrated", "soft", "proto", "cls"]
Loss = Literal["pet", "adapet"]

MOST_VIRTUAL_TOKENS = 512
"""The most virtual tokens of a pattern: as many as most models read tokens at all."""

_PET: dict[str, Any] = {
    "input": "hard",
    "prompt_encoder": "none",
    "weights": "full",
    "output": "words",
    "loss": "pet",
    "prefix_encoder": "none",
    "restarts": 1,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "pet": _PET,  # 2001.07676
    "p-tuning": _PET | {"input": "soft", "prompt_encoder": "mlp", "weights": "none"},  # 2103.10385
    "prompt-tuning": _PET | {"input": "prepend", "weights": "none"},  # 2104.08691
    "word-tuning": _PET | {"input": "tune", "weights": "none"},  # the input side of 2108.13161
    # Starts differ by much, and the training loss tells the good ones.
    "prefix-tuning": _PET | {"weights": "prefix", "prefix_encoder": "mlp", "restarts": 3},  # 2101.00190
    "p-tuning-v2": _PET | {"weights": "prefix", "output": "cls"},  # 2110.07602
    "adapter": _PET | {"weights": "adapter"},  # 1902.00751
    "lora": _PET | {"weights": "lora"},  # 2106.09685
    "bitfit": _PET | {"weights": "bitfit"},  # 2106.10199
    "unipelt": _PET | {"weights": "unipelt"},  # 2110.07577
    "warp": _PET | {"input": "soft", "weights": "none", "output": "soft"},  # 2101.00121
    "null-bitfit": _PET | {"input": "null", "weights": "bitfit"},  # 2106.13353
    "adapet": _PET | {"loss": "adapet"},  # 2103.11955
}

_check_preset = expecting(f"one of {', '.join(PRESETS)}", lambda value: value in list(PRESETS))


class VariantSettings(Section):
    """What of a voter trains. None stands for what the preset says.

    `prompt_learning_rate` is the rate of virtual tokens, their encoder and label vectors, 0 keeps them as they start;
    `virtual_tokens` are those that `input = "prepend"` puts in front, `init` how free vectors start that do not say
    it themselves; `adapter_layout` is that of `weights = "adapter"`, UniPELT's has its own; `peft` is a configuration
    of the peft library for `weights = "peft"`; `restarts` trainings are made, and the one of the lowest training loss
    is kept.
    """

    preset: Annotated[str, BeforeValidator(_check_preset)] = "pet"
    """A named point on the axes below."""
    input: Input | None = None
    """What becomes of the template's words."""
    prompt_encoder: PromptEncoderKind | None = None
    """What virtual tokens pass through before the model reads them."""
    weights: Weights | None = None
    """Which weights of the model train, or what is added to it."""
    output: Output | None = None
    """What scores a label at the mask."""
    loss: Loss | None = None
    """The loss: cross-entropy over the labels, or ADAPET's."""
    prompt_learning_rate: Annotated[float, Field(ge=0.0)] | None = None
    """The learning rate of virtual tokens, their encoder and label vectors; unset: that of the variant."""
    virtual_tokens: Annotated[int, Field(ge=1, le=MOST_VIRTUAL_TOKENS)] = 5
    """How many stand in front with `input = "prepend"`."""
    init: Literal["uniform", "normal", "vocab", "label_words"] = "vocab"
    """How free vectors start that do not say it themselves."""
    rank: PositiveInt = 8
    """The rank of LoRA."""
    adapter_reduction: PositiveInt = 16
    """The hidden size divided by an adapter's width."""
    adapter_layout: Literal["houlsby", "pfeiffer"] = "houlsby"
    """Where the adapters sit: after attention and feed-forward (2 a layer), or after the latter alone."""
    prefix_length: PositiveInt = 10
    """The virtual tokens of a prefix, in every layer."""
    prefix_encoder: Literal["none", "mlp"] | None = None
    """What a prefix passes through while it trains."""
    prefix_shifts_positions: bool = False
    """Whether the positions of the text begin after the prefix."""
    restarts: PositiveInt | None = None
    """Trainings from different starts, of which the one of the lowest training loss is kept."""
    peft: dict[str, Any] | None = None
    """A configuration of the peft library, for `weights = "peft"`."""

    def with_preset(self) -> Self:
        """Return these settings with every part that is not set taken from the preset."""
        parts = PRESETS.get(self.preset, _PET)
        return self.model_copy(update={name: value for name, value in parts.items() if getattr(self, name) is None})


PET = VariantSettings()
"""All weights train, on the words of the template, and words score the labels."""
