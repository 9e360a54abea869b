"""How a masked language model is trained on plain text: by `pet pretrain`, and on the pool of a run by `[adapt]`."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pet.settings.base import PositiveFloat, PositiveInt, Section, Share, Texts, accumulation_divides, expecting
from pet.settings.task import ModelName

MaskRate = Annotated[float, Field(gt=0.0, le=0.5)]
Length = Annotated[int, Field(ge=8)]

_check_shape = expecting(
    'layers x hidden size, the latter a multiple of 32, such as "6x384"',
    lambda value: re.fullmatch(r"[1-9]\d{0,2}x[1-9]\d{0,4}", value) and int(value.partition("x")[2]) % 32 == 0,
)


class StartSettings(Section):
    """`[start]`: a trained model, or a shape to begin `from_scratch`, ``"<layers>x<hidden size>"``.

    The other settings but `revision` and `trim_vocab` are about the tokenizer of a model from scratch.
    """

    model: ModelName | None = None
    """Any masked language model, or an encoder without a head for it."""
    revision: str | None = None
    """The revision of a hub id."""
    trim_vocab: PositiveInt | None = None
    """Keep so many pieces of the vocabulary, those that the text needs."""
    from_scratch: Annotated[str, AfterValidator(_check_shape)] | None = None
    """Layers x hidden size of a model that begins at random."""
    shape: Literal["bert", "modernbert"] = "bert"
    """The architecture of a model from scratch."""
    tokenizer: Literal["wordpiece", "bpe"] = "wordpiece"
    """Its kind of tokenizer."""
    lowercase: bool = True
    """Whether it reads all text in lower case."""
    vocab_size: PositiveInt = 16_000
    """The pieces of that tokenizer."""

    @model_validator(mode="after")
    def _at_most_one_start(self) -> Self:
        if self.model is not None and self.from_scratch is not None:
            raise ValueError("model and from_scratch exclude each other: name one of them")
        if self.from_scratch is not None and self.trim_vocab is not None:
            raise ValueError("trim_vocab is about the vocabulary of a trained model: with from_scratch set vocab_size")
        return self


class TextSettings(Section):
    """`[text]`: what is read. `files` are ``[NAME=]FILE[:SHARE]``; those of one name are one source.

    Of a table, the texts in its `columns` are documents (default: text, or text_a and text_b). `shares` give sources
    by name, which may have ``*``, their part of the tokens seen; the rest goes to the others in the ratio of their
    sizes. Documents are cut into rows of at most `length` tokens. Of the held-out file `valid`, so many tokens are
    measured on.
    """

    files: Texts = ()
    """What is read: `[NAME=]FILE[:SHARE]`."""
    valid: str | None = None
    """Held-out text, which is measured on."""
    columns: Texts = ()
    """The columns of a table that hold documents."""
    shares: dict[str, Annotated[float, Field(gt=0.0, le=1.0)]] = Field(default_factory=dict)
    """The part of the tokens seen that a source has, by name."""
    length: Length = 128
    """The most tokens of a row."""
    valid_tokens: PositiveInt = 32_768
    """So many tokens of the held-out text are measured on."""


class MaskingSettings(Section):
    """`[masking]`: the loss. A `rate` of the tokens is to be told; of these, shares are masked, drawn at random, kept.

    `keep_embeddings` weighs 1 - cosine between the mean-pooled embeddings of a row by the model and by its start.
    """

    rate: MaskRate = 0.2
    """The part of the tokens that is to be told."""
    masked: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """The part of these that is masked."""
    random: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """The part of these that is drawn at random; the rest is kept."""
    keep_embeddings: Annotated[float, Field(ge=0.0)] = 0.0
    """The weight of keeping the sentence embeddings of the start."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.masked + self.random > 1.0 + 1e-9:
            raise ValueError(f"masked + random is {self.masked + self.random:g}, expected at most 1")
        return self


class LimitSettings(Section):
    """How long: the first limit that is reached ends the training, and the learning rate has come down by then."""

    steps: PositiveInt | None = None
    """Stop after so many updates."""
    tokens: PositiveInt | None = None
    """Stop after so many tokens."""
    minutes: PositiveFloat | None = None
    """Stop after so many minutes, those before a kill included."""

    @property
    def is_limited(self) -> bool:
        """Whether any limit is set."""
        return any((self.steps, self.tokens, self.minutes))


class UpdateSettings(LimitSettings):
    """`[train]`: AdamW on `batch_size` rows of full length (or as many tokens in shorter ones), computed in parts.

    Unset learning rates follow from the start; `head_learning_rate` is that of the masked-LM head. The learning rate
    rises over the first `warmup` of the training, and falls as a cosine to `final` of itself. Without `dropout` that of
    the model is off: few passes over much text need none, and it costs time.
    """

    batch_size: PositiveInt = 32
    """Rows of full length per update."""
    accumulation: PositiveInt = 1
    """The parts in which a batch is computed."""
    learning_rate: PositiveFloat | None = None
    """The highest learning rate; unset: it follows from the start."""
    head_learning_rate: PositiveFloat | None = None
    """That of the masked-LM head; unset: it follows from the start."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """The weight decay of AdamW."""
    beta2: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.98
    """The second coefficient of AdamW."""
    warmup: Share = 0.06
    """The part of the training over which the learning rate rises."""
    final: Annotated[float, Field(ge=0.0, le=1.0)] = 0.03
    """The learning rate at the end, as a part of the highest."""
    max_grad_norm: PositiveFloat = 1.0
    """The largest norm of a gradient, which is scaled down to it."""
    dropout: bool = False
    """Whether the model's dropout is on."""

    _divided = model_validator(mode="after")(accumulation_divides)


class OutputSettings(Section):
    """`[output]`: the weights that are kept, how often is measured in all, and how often a checkpoint is kept.

    The weights are `trained_share` of the trained ones and, for the rest, those of the start (2109.01903): a model that
    read little text many times has forgotten some of what it knew, the mean of both has less of that.
    """

    dtype: Literal["fp32", "fp16"] = "fp32"
    """The type of the weights in the file."""
    trained_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """The part of the trained weights in their mean with those of the start."""
    measurements: PositiveInt = 10
    """How often is measured in all."""
    checkpoint_minutes: Annotated[float, Field(ge=0.0)] = 0.5
    """Minutes between checkpoints."""


class AdaptSettings(LimitSettings):
    """`[adapt]`: read the pool as in pretraining, once for all voters, before they are trained.

    "mlm" reads its texts. "pcp" (2305.01711) reads the patterns, filled with the texts and the words of the labels that
    a first generation 0 gives: its voters vote twice, the second time from the mean of the weights before and after,
    which the run goes on from, all generations of it, unless the gold rows held out tell against them.

    Without a limit it reads all of it 4 times, in at most 200 steps: on short texts, held-out accuracy rises no more
    after that. A step has as many tokens as `batch_size` rows of `model.max_length`; a `rate` of them is to be told.
    """

    method: Literal["none", "mlm", "pcp"] = "none"
    """Whether the model reads the pool first: its texts, or the patterns filled with them."""
    batch_size: PositiveInt = 16
    """Rows of `model.max_length` per update, or as many tokens."""
    learning_rate: PositiveFloat = 1e-4
    """The highest learning rate."""
    rate: MaskRate = 0.15
    """The part of the tokens that is to be told."""
